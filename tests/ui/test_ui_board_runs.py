"""Several runs on the Training screen, how it is left and found again, and runs that go away."""

import json
import os
import shutil
import threading
import time
from pathlib import Path

import pytest
import stage
from acting import Opener, board_of, home_of, seen, until, until_seen
from waiting import wait_for

from genui.base.errors import GenuiError
from genui.runs.layout import RunDir
from genui.runs.listing import RunSummary, list_runs, summarise
from genui.ui import messages
from genui.ui.app import WatchApp, run_watch
from genui.ui.home_panes import TrainingPane
from genui.ui.training import screen
from genui.ui.training.curves import CurveGrid
from genui.ui.training.shown import ShownRuns
from genui.ui.training.state import ViewState, recall, remember
from genui.ui.watcher import WatchTarget
from genui.ui.widgets.bars import StatusLine


def made(name: str, loss: float, age: float = 0.0) -> RunDir:
    """A run with a constant loss, created so many seconds ago."""
    run = stage.make_run(name=name, step=1)
    records = ({"step": n, "time": time.time(), "loss": loss, "lr": 0.5} for n in range(1, 101))
    run.metrics.write_text("".join(json.dumps(record) + "\n" for record in records))
    info = json.loads(run.run_json.read_text())
    run.run_json.write_text(json.dumps({**info, "created": time.time() - age}))
    return run


def labels(pilot) -> list[str]:
    """The lines of the first curve."""
    cell = board_of(pilot).query_one(CurveGrid).cells[0]
    return [trace.name for trace in cell.curve._traces]


async def test_runs_lie_over_each_other_with_signs_in_the_legend(open_watch: Opener) -> None:
    made("new", 1.5)
    made("old", 2.5, age=60)
    async with open_watch(listing=True) as pilot:
        await until_seen(pilot, "Runs  2")
        await pilot.press("down", "space")
        await until_seen(pilot, "○ ◆   old")
        await pilot.press("escape")
        await until_seen(pilot, "loss  ━ new 1.500  ◆ old 2.500")
        assert "━ new  ○ stopped   ◆ old" in seen(pilot).splitlines()[1]
        await pilot.press("right_square_bracket")
        await until_seen(pilot, "loss  ━ old 2.500  ◆ new 1.500")
        await pilot.press("left_square_bracket")
        await until_seen(pilot, "loss  ━ new 1.500  ◆ old 2.500")
        await pilot.press("o", "up", "space", "down", "space")
        await until_seen(pilot, "one run must be shown: add another first")
        await pilot.press("escape")
        await until_seen(pilot, "loss  2.500")
        await pilot.press("plus")
        await until(pilot, lambda: board_of(pilot).board.state.view is not None)
        board_of(pilot).post_message(messages.OpenRun(made("newest", 1.5)))  # started from it
        await until(pilot, lambda: labels(pilot) == ["newest", "old"])
        assert board_of(pilot).board.state.view is None  # it is in sight


async def test_a_narrow_legend_has_whole_values_of_the_first_run(open_watch: Opener) -> None:
    for name, loss in (("a-long-name-of-a-run", 1.5), ("another-long-name", 2.5)):
        run = made(name, loss, age=loss)
        row = {"step": 100, "time": time.time(), "val_loss": 3.5, "a": 1.0, "b": 1.0}
        with run.metrics.open("a") as file:
            file.write(json.dumps(row) + "\n" + json.dumps({**row, "step": 101}) + "\n")
    async with open_watch(listing=True) as pilot:
        await until_seen(pilot, "Runs  2")
        await pilot.press("down", "space", "escape")
        await until_seen(pilot, "loss train ━ 1.500 val ╌+ 3.500 ─")
        await until_seen(pilot, "lr ━ 0.5000 ◆ 0.5000 ─")


async def test_until_a_run_is_read_no_values_of_the_run_before_are_shown(
    open_watch: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    made("new", 1.5)
    old = made("old", 2.5, age=60)
    async with open_watch() as pilot:
        await until_seen(pilot, "train 1.500")
        await until_seen(pilot, "KING RICHARD")
        board = board_of(pilot)
        monkeypatch.setattr(board.watcher, "watch", lambda *runs: None)
        board.act_on_runs(ShownRuns.pick, [summarise(old)])
        await until_seen(pilot, "reading …")
        await until(pilot, lambda: "KING RICHARD" not in seen(pilot))
        assert not any(text in seen(pilot) for text in ("1.500", "step 1"))


async def test_the_list_of_runs_is_filtered(open_watch: Opener) -> None:
    for number in range(12):
        made(f"run-{number}", 1.0, age=number)
    async with open_watch() as pilot:
        await pilot.press("o")
        await until_seen(pilot, "Runs  12")
        await pilot.press("slash", *"run-1[01]", "enter")
        await until_seen(pilot, "Runs  2 of 12  /run-1[01]")
        await pilot.press("space", "slash", "ctrl+u", *"/(")
        await until_seen(pilot, "'(' is not a regular expression")
        await pilot.press("escape")
        await until_seen(pilot, "Runs  2 of 12")
        await pilot.press("o")
        await until(pilot, lambda: labels(pilot) == ["run-0", "run-10"])


async def test_everything_is_as_it_was_in_the_next_app(open_watch: Opener) -> None:
    made("new", 1.5)
    made("old", 2.5, age=60)
    async with open_watch(key="here") as pilot:
        await pilot.press(
            "o", "down", "space", "escape", "down", "board.pin", "enter", "plus", "end"
        )
        await pilot.press("left", "board.log_y", "board.smooth", "tab", "slash", *"l", "enter")
        await until(pilot, lambda: len(labels(pilot)) == 2)
        left = board_of(pilot).board.state
        await until(pilot, lambda: b"log_y" in b"".join(map(Path.read_bytes, views())))
    async with open_watch(key="here") as pilot:
        assert board_of(pilot).board.state == left
        await until_seen(pilot, "lr (learning rate)  ━ new 0.5000  ◆ old 0.5000")
        assert left.alone
        assert left.cursor is not None
        assert left.view is not None
        assert left.pins == ("lr",)
        curve = board_of(pilot).query_one(CurveGrid).cells[0].curve
        assert curve.options.log_y
        assert curve.options.cursor == left.cursor
        assert curve.span() == left.view
    async with open_watch(key="elsewhere") as pilot:
        await until_seen(pilot, "loss  1.500")
        assert labels(pilot) == ["loss"]


async def test_a_slow_write_of_the_view_does_not_replace_a_later_one(
    open_watch: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    made("new", 1.5)
    begun, ended = threading.Event(), threading.Event()

    def remember_slowly(key: str, state: ViewState) -> None:
        is_first = not begun.is_set()
        begun.set()
        if is_first:
            time.sleep(0.5)
        remember(key, state)
        if is_first:
            ended.set()

    monkeypatch.setattr(screen, "remember", remember_slowly)
    monkeypatch.setattr(screen, "SAVE_DELAY", 0.01)
    async with open_watch(key="here") as pilot:
        await pilot.press("board.log_y")
        await until(pilot, begun.is_set)
        await pilot.press("board.smooth")
        left = board_of(pilot).board.state
    assert ended.wait(60)
    wait_for(lambda: recall("here") == left)  # the later write may still be on its way
    async with open_watch(key="here") as pilot:
        assert board_of(pilot).board.state == left
        assert left.smoothing


def views() -> list[Path]:
    from genui.base import paths

    return list((paths.state_dir() / "views").glob("*.json"))


async def test_a_log_that_is_replaced_is_read_anew_and_one_that_is_deleted_keeps_its_curves(
    open_watch: Opener,
) -> None:
    run = made("plays", 1.5)
    async with open_watch() as pilot:
        await until_seen(pilot, "loss  1.500")
        aside = run.path / "aside"
        rows = [{"step": step, "time": step, "loss": 7.25} for step in range(1, 101)]
        aside.write_text("".join(json.dumps(row) + "\n" for row in rows))
        os.replace(aside, run.metrics)
        await until_seen(pilot, "loss  7.250")
        shutil.rmtree(run.path)
        await until_seen(pilot, "cannot read")
        await until_seen(pilot, "1 column =")
        await pilot.press("end", "plus", "board.log_y")
        await until_seen(pilot, "loss  7.250")


async def test_the_first_run_is_the_one_that_home_shows_next(shipped, open_app: Opener) -> None:
    made("new", 1.5)
    made("old", 2.5, age=60)
    async with open_app() as pilot:
        pane = home_of(pilot).query_one(TrainingPane)
        await until(pilot, lambda: pane.run is not None and pane.run.summary.info.name == "new")
        await pilot.press("4")
        await until_seen(pilot, "loss  1.500")
        await pilot.press("o", "down", "space", "escape", "right_square_bracket")
        await until_seen(pilot, "loss  ━ old 2.500  ◆ new 1.500")
        await pilot.press("escape")
        await until(pilot, lambda: pane.run is not None and pane.run.summary.info.name == "old")
        await until_seen(pilot, "train 2.500")


async def test_the_run_that_is_opened_is_shown_whatever_was_shown_from_it_before(
    shipped, open_app: Opener
) -> None:
    new, old = made("new", 1.5), made("old", 2.5, age=60)
    async with open_app() as pilot:
        pane = home_of(pilot).query_one(TrainingPane)
        for left, found in (([old], [new]), ([old, new], [new, old])):
            await until(pilot, lambda: pane.run is not None and pane.run.summary.run == new)
            remember(new.id, ViewState(runs=tuple(str(one.path) for one in left)))
            await pilot.press("4")
            await until_seen(pilot, "1.500")
            assert [one.run for one in board_of(pilot).board.runs.listed] == found
            await pilot.press("escape")


async def test_without_any_run_keys_about_curves_say_so_and_it_waits_for_one(
    open_watch: Opener,
) -> None:
    async with open_watch() as pilot:
        await until_seen(pilot, "No log yet")
        for key in ("enter", "down", "board.pin"):
            await pilot.press(key)
            await until_seen(pilot, "there are no curves yet")
            await pilot.press("escape")
        assert not board_of(pilot).board.state.alone
        await pilot.press("slash")
        await until_seen(pilot, "type to filter metrics")
        await pilot.press("escape")
        made("plays", 1.5)
        await until_seen(pilot, "loss  1.500")


async def test_lists_that_cannot_be_read_are_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made("plays", 1.5)
    looks: list[int] = []

    def gone() -> list[RunSummary]:
        looks.append(1)
        raise GenuiError("there is no /logs: name a log, or a folder of logs")

    app = WatchApp(WatchTarget("", list_runs(), gone, listing=False))
    async with app.run_test(size=(120, 40)) as pilot:
        await until_seen(pilot, "there is no /logs")
        await pilot.press("escape")
        count = len(looks)
        app.watcher.refresh()
        await until(pilot, lambda: len(looks) > count)
        await pilot.pause(0.1)
        assert "there is no /logs" not in seen(pilot)


async def test_what_was_not_looked_at_is_said(tmp_path: Path) -> None:
    runs = list_runs()
    app = WatchApp(WatchTarget("", runs, list_runs, False, "only the first 3 files were read"))
    async with app.run_test(size=(120, 40)) as pilot:
        await until_seen(pilot, "only the first 3 files were read")


def test_a_path_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"there is no .*nowhere"):
        run_watch([tmp_path / "nowhere"], None)


async def test_steps_written_again_after_a_resume_are_marked_on_the_axis(
    open_watch: Opener,
) -> None:
    run = stage.make_run(name="plays", step=100, steps=400)
    with run.metrics.open("a") as file:
        file.write(json.dumps({"step": 60, "time": time.time(), "rewind": True}) + "\n")
        for step in range(61, 120):
            file.write(json.dumps({"step": step, "time": time.time(), "loss": 1.5}) + "\n")
    async with open_watch() as pilot:
        await until_seen(pilot, "↺")
        assert "steps 61–100 written again" in seen(pilot)


async def test_keys_over_the_table_leave_what_it_covers_as_it_is(open_watch: Opener) -> None:
    made("new", 1.5)
    made("old", 2.5, age=60)
    async with open_watch() as pilot:
        await until_seen(pilot, "train 1.500")
        await pilot.press("enter")
        await until(pilot, lambda: board_of(pilot).board.state.alone)
        await pilot.press("o")
        await until_seen(pilot, "Runs  2")
        await pilot.press("down")
        board, screen = board_of(pilot), pilot.app.screen
        before = board.board.state
        await pilot.press("tab", "plus", "n", "ctrl+x", "i", "comma", "G", "w", "board.smooth")
        assert board.board.state == before
        assert pilot.app.screen is screen
        assert not board.query_one(StatusLine).text
        assert not [one for one in board.commands() if one.title.startswith("Training screen: ")]
        board.set_focus(None)
        await pilot.press("escape")
        assert not board.table.display
        assert board.board.state == before
        await pilot.press("o")
        board.post_message(messages.Pointed(1, board.board.runs.listed[0].run))
        await until(pilot, lambda: not board.table.display)
        await until_seen(pilot, "cursor step 1")
