"""The first curves, which a child draws while the app is still being imported."""

import subprocess
import sys
import time
from pathlib import Path

import stage
from acting import seen, until, until_seen

from genui.runs.listing import list_runs
from genui.ui.board.view_state import ViewState
from genui.ui.early import Drawn, Early, EarlyLine, EarlyPlot, Page
from genui.ui.sought import Sought, seek
from genui.ui.watching import WatchApp

SCRIPT = """
import sys, time
from pathlib import Path
from genui.ui import early
found = early.begin([Path(sys.argv[1])])
if found is None:
    sys.exit("no child here")
heavy = {"numpy", "textual"} & set(sys.modules)
end = time.monotonic() + 20
while time.monotonic() < end:
    page = found._receive(early.Page, 0.5)
    if page is not None:
        break
found.page = page
drawn = found.draw(0, 60, 12)
print([plot.metrics for plot in page.plots], page.plots[0].lines[0].values, len(drawn.lines))
print(drawn.caption)
print("".join(text for text, _ in drawn.lines[3]))
child = found._child
found.close()
print(heavy, Path(f"/proc/{child}").exists(), found.draw(0, 60, 12))
"""


class FakeEarly(Early):
    """Has one curve of its own, and counts what it is asked."""

    def __init__(self) -> None:
        line = EarlyLine("loss", "", "line", (1.25,))
        self.page = Page(0, (EarlyPlot(("loss",), (line,)),))
        self.asked: list[tuple[int, int, int]] = []
        self.closed = False
        self.late = False

    def draw(self, plot: int, width: int, height: int) -> Drawn | None:
        self.asked.append((plot, width, height))
        return None if self.late else Drawn([[("⣿" * width, "series-1")]], "drawn early")

    def close(self) -> None:
        self.closed, self.page = True, None


def test_a_child_reads_and_draws_what_the_app_would(tmp_path: Path) -> None:
    run = stage.make_run(name="plays", step=100, steps=400)
    argv = [sys.executable, "-c", SCRIPT, str(run.path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    if "no child here" in done.stderr:
        return  # one core, or not Linux
    metrics, caption, middle, ending = done.stdout.splitlines()
    assert metrics.startswith("[('loss'")
    assert "column" in caption
    assert any("\u2801" <= sign <= "\u28ff" for sign in middle)
    assert ending == "set() False None"


async def test_what_the_child_drew_stays_until_the_app_has_read_the_log(tmp_path: Path) -> None:
    stage.make_run(name="plays", step=100, steps=400)
    sought, early = seek(None, None), FakeEarly()
    app = WatchApp(sought, early)
    app.watcher.hurry = lambda: None  # type: ignore[method-assign]
    async with app.run_test(size=(120, 40)) as pilot:
        await until_seen(pilot, "⣿⣿⣿⣿⣿⣿⣿⣿")
        assert "drawn early" in seen(pilot)
        assert "loss  1.25" in seen(pilot)
        assert not early.closed
        del app.watcher.hurry
        app.watcher.hurry()
        await until(pilot, lambda: bool(app.board.board.plots()))
        await until(pilot, lambda: "drawn early" not in seen(pilot))
        assert early.closed


async def test_a_child_that_is_late_or_gone_is_not_waited_for() -> None:
    stage.make_run(name="plays", step=100, steps=400)
    early = FakeEarly()
    early.late = True
    begun = time.monotonic()
    app = WatchApp(seek(None, None), early)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: bool(app.board.board.plots()))
        assert early.closed
    assert time.monotonic() - begun < 30


async def test_a_child_without_anything_to_draw_is_let_go() -> None:
    early = FakeEarly()
    early.ready = lambda: False  # type: ignore[method-assign]
    app = WatchApp(Sought("", list_runs(), list_runs, listing=False), early)
    async with app.run_test(size=(120, 40)) as pilot:
        await until_seen(pilot, "No log here yet")
        assert not early.asked


def test_the_app_is_imported_without_what_only_a_chart_or_a_model_needs() -> None:
    code = (
        "import sys, genui.ui.watching as _; print({'numpy', 'genui.recipes'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("set()\n", "")


async def test_a_key_pressed_while_there_is_only_a_picture_waits_for_the_log() -> None:
    stage.make_run(name="plays", step=100, steps=400)
    app = WatchApp(seek(None, None), FakeEarly())
    app.watcher.hurry = lambda: None  # type: ignore[method-assign]
    async with app.run_test(size=(120, 40)) as pilot:
        await until_seen(pilot, "drawn early")
        await pilot.press("s")
        assert app.board.board.state.smoothing == ViewState().smoothing
        del app.watcher.hurry
        app.watcher.hurry()
        await until(pilot, lambda: app.board.board.state.smoothing != ViewState().smoothing)
        assert app.board.board.plots()


async def test_keys_wait_no_longer_than_a_second_and_quitting_not_at_all() -> None:
    stage.make_run(name="plays", step=100, steps=400)
    early = FakeEarly()
    app = WatchApp(seek(None, None), early)
    app.watcher.hurry = lambda: None  # type: ignore[method-assign]
    async with app.run_test(size=(120, 40)) as pilot:
        await until_seen(pilot, "drawn early")
        await pilot.press("s")
        await until(pilot, lambda: early.closed)
        await pilot.press("q")
    assert app.return_code == 0
