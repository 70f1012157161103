"""Opening the app: what is imported, what is seen at which size, the hint, and leaving."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import stage
from acting import HERE, Opener, home_of, seen, until, until_seen

from genui.runs.layout import RunLock
from genui.ui.app import farewell
from genui.ui.widgets.panes import Pane

IMPORTS = """
import sys
from functools import partial
from genui.ui.app import GenuiApp
from genui.ui.session import launch_process
async def leave(pilot):
    await pilot.press("q")
worker = partial(launch_process, sys.executable, sys.argv[1])
app = GenuiApp(worker)
print([name for name in ("numpy", "genui.recipes") if name in sys.modules])
app.run(headless=True, size=(120, 40), auto_pilot=leave)
print([name for name in ("torch", "httpx", "markdown_it", "PIL") if name in sys.modules])
"""


def visible(pilot) -> list[str]:
    return [p.pane for p in home_of(pilot).query(Pane) if p.region.area and p.display]


def test_opening_and_quitting_imports_nothing_heavy() -> None:
    result = subprocess.run(
        [sys.executable, "-c", IMPORTS, str(HERE / "fake_worker.py")],
        capture_output=True,
        text=True,
        env={**os.environ},
        check=True,
    )
    before_paint, after = result.stdout.splitlines()
    assert before_paint == after == "[]"


async def test_four_panes_share_120_by_40_and_a_resized_terminal_is_laid_out_again(
    shipped, open_app: Opener
) -> None:
    async with open_app(size=(120, 40)) as pilot:
        panes = {p.pane: p.region for p in home_of(pilot).query(Pane)}
        assert set(panes) == {"models", "training", "text", "canvas"}
        regions = list(panes.values())
        assert all(r.width >= 34 and r.height >= 17 for r in regions)
        assert not any(a.overlaps(b) for n, a in enumerate(regions) for b in regions[n + 1 :])
        # Room for a 32×32 image at one column a pixel.
        assert panes["canvas"].width >= 36
        assert panes["canvas"].height >= 20
        for size, panes in (((80, 24), 1), ((30, 8), 0), ((200, 60), 4), ((120, 40), 4)):
            await pilot.resize_terminal(*size)
            await until(pilot, lambda panes=panes: len(visible(pilot)) == panes)
        for digit, pane in (("2", "text"), ("3", "canvas")):
            await pilot.press(digit)
            assert visible(pilot) == [pane]
        await pilot.press("escape")
        assert len(visible(pilot)) == 4
        await pilot.press("z")
        assert visible(pilot) == ["canvas"]
        await pilot.press("1")
        assert len(visible(pilot)) == 4


async def test_one_pane_at_80_by_24_the_others_as_tabs(shipped, open_app: Opener) -> None:
    async with open_app(size=(80, 24)) as pilot:
        assert visible(pilot) == ["models"]
        tabs = seen(pilot).splitlines()[0]
        assert all(name in tabs for name in ("1 Models", "2 Text", "3 Canvas", "4 Training"))
        for expected in ("text", "canvas", "training", "models"):
            await pilot.press("tab")
            assert visible(pilot) == [expected]
        await pilot.press("shift+tab")
        assert visible(pilot) == ["training"]
        await pilot.press("1")
        assert visible(pilot) == ["models"]
        await pilot.press("3", "1")
        assert visible(pilot) == ["models"]


async def test_nothing_at_all_says_what_to_press_and_a_tiny_terminal_what_is_needed(
    open_app: Opener,
) -> None:
    async with open_app(lists=False) as pilot:
        await until_seen(pilot, "press n to train")
        assert "Press n to start one" in seen(pilot)
        await pilot.resize_terminal(40, 10)
        await until_seen(pilot, "needs 60×16")
        assert "40×10" in seen(pilot)
        assert visible(pilot) == []
        await pilot.press("q")
    assert pilot.app.return_code == 0


async def test_the_hint_goes_with_the_first_action_and_the_theme_is_remembered(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        await until_seen(pilot, "Enter opens it")
        await pilot.press("2", "right")
        await until(pilot, lambda: "Enter opens it" not in seen(pilot))
        named = {command.title: command for command in home_of(pilot).commands()}
        named["Choose theme genui-light"].run()
        await until(pilot, lambda: pilot.app.theme == "genui-light")
        await pilot.app.workers.wait_for_complete()
    async with open_app() as pilot:
        await until(pilot, lambda: "cpu bf16" in seen(pilot))
        assert "Enter opens it" not in seen(pilot)
        assert pilot.app.theme == "genui-light"


async def test_only_much_traffic_to_the_terminal_is_shown(
    shipped, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = SimpleNamespace(protocol=None)
    watchdog = SimpleNamespace(beat=lambda: None, handled=lambda: None, stop=lambda: None)
    driver = SimpleNamespace(
        bytes_written=0, busy=False, images=images, forget=lambda: None, watchdog=watchdog
    )
    async with open_app() as pilot:
        monkeypatch.setattr("genui.ui.app.get_metered_driver", lambda _: driver)
        driver.bytes_written = 120 * 1024
        await until_seen(pilot, "↑ 120 KB/s to terminal")
        driver.bytes_written += 20 * 1024
        await until(pilot, lambda: "KB/s" not in seen(pilot))


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"COLORTERM": "", "TERM": "xterm-16color"}])
async def test_it_draws_without_colours(
    shipped, open_app: Opener, monkeypatch: pytest.MonkeyPatch, env: dict[str, str]
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    stage.make_run()
    async with open_app() as pilot:
        await pilot.press("3", "end")
        await until_seen(pilot, "20/20")
        await pilot.press("2", "end", "4")
        await until_seen(pilot, "grad_norm")


def test_the_farewell_names_what_goes_on() -> None:
    run = stage.make_run(name="plays")
    assert farewell() == ""
    with RunLock(run):
        stage.set_state(run, "running", 10, 100)
        assert farewell() == "1 run is still training: plays. Run genui to see it."


def test_watching_is_imported_without_what_only_a_chart_or_a_model_needs() -> None:
    code = "import sys, genui.ui.app as _; print({'numpy', 'genui.recipes'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.stderr) == ("set()\n", "")
