"""Runs are renamed, tagged, noted, deleted and brought back; which run the Training pane shows."""

import asyncio
import threading
from contextlib import ExitStack

import pytest
import stage
from acting import Opener, board_of, fault, home_of, seen, until, until_seen

from genui.base import paths
from genui.base.errors import MisuseError
from genui.runs import labels
from genui.runs.labels import Labels
from genui.runs.layout import RunDir, RunLock
from genui.runs.listing import RunSummary, list_runs, summarise
from genui.ui import messages, organise
from genui.ui.app import GenuiApp
from genui.ui.app import run as run_app
from genui.ui.home_panes import TrainingPane
from genui.ui.organise import parse_labels
from genui.ui.widgets.dialogs import ConfirmScreen, FormScreen
from genui.ui.widgets.lists import RowList


def test_the_form_takes_tags_with_spaces_or_commas_between() -> None:
    assert parse_labels([" wide ", "a, b  a", " twice\tthe width "]) == Labels(
        name="wide", tags=("a", "b"), note="twice the width"
    )
    for lines in (["two words", "", ""], ["", "x" * 40, ""], ["", "", "n" * 3000]):
        with pytest.raises(MisuseError):
            parse_labels(lines)


async def test_a_run_is_renamed_tagged_and_noted_and_undo_brings_the_name_back(
    shipped, open_app: Opener
) -> None:
    run = stage.make_run(name="plays")
    async with open_app() as pilot:
        await until_seen(pilot, "plays")
        await pilot.press("e")
        await until(pilot, lambda: isinstance(pilot.app.screen, FormScreen))
        name, tags, note = pilot.app.screen.query("LineInput")
        name.value = "two words"  # type: ignore[attr-defined]
        await pilot.press("enter", "enter", "enter")
        await until(pilot, lambda: "'two words': use up to" in fault(pilot))
        name.value, tags.value, note.value = "wider", "base", "twice as wide"  # type: ignore[attr-defined]
        await pilot.press("enter")
        await until_seen(pilot, "wider")
        await until_seen(pilot, "twice as wide")
        assert summarise(run).labels == Labels(name="wider", tags=("base",), note="twice as wide")
        await pilot.press("ctrl+z")
        await until(pilot, lambda: summarise(run).labels == Labels())
        await until(pilot, lambda: "wider" not in seen(pilot))


async def test_keys_are_heard_while_something_is_undone_and_an_error_of_it_is_one_line(
    shipped, open_app: Opener
) -> None:
    async def fail() -> str:
        raise RuntimeError("two\nlines")

    done = asyncio.Event()

    async def undo() -> str:
        await done.wait()
        return "as it was"

    async with open_app((160, 40)) as pilot:
        pilot.app.post_message(messages.Undoable(fail))
        await pilot.pause()
        await pilot.press("u")
        await until_seen(pilot, "unexpected RuntimeError: two lines; this is a bug")
        pilot.app.post_message(messages.Undoable(undo))
        await pilot.pause()
        await pilot.press("u", "2")
        await until(pilot, lambda: home_of(pilot).view == "text")
        done.set()
        await until_seen(pilot, "as it was")


async def test_a_deleted_run_can_be_brought_back_until_the_app_closes(
    shipped, open_app: Opener
) -> None:
    kept, run = stage.make_run(name="other"), stage.make_run(name="plays", state="failed")
    async with open_app() as pilot:
        home = home_of(pilot)
        await until(pilot, lambda: home.watched == run)
        await pilot.press("d")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen))
        assert "Delete plays?" in seen(pilot)
        assert "freeing" in seen(pilot)
        await pilot.press("escape")
        assert run.path.exists()
        await pilot.press("d")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen))
        await pilot.press("y")
        await until(pilot, lambda: [each.run for each in home.runs] == [kept])
        assert home.watched == kept
        await until_seen(pilot, "deleted plays")
        await pilot.press("u")
        await until_seen(pilot, "plays is back")
        assert {each.run for each in list_runs()} == {kept, run}
        await pilot.press("u")
        await until_seen(pilot, "nothing to undo")


async def test_a_run_that_trains_is_not_deleted(shipped, open_app: Opener, run: RunDir) -> None:
    async with open_app() as pilot:
        await until_seen(pilot, "plays")
        await pilot.press("d")
        await until_seen(pilot, "stop it first")
        assert run.path.exists()


async def test_the_list_of_the_training_screen_deletes_the_run_that_is_shown(
    open_watch: Opener,
) -> None:
    kept, run = stage.make_run(name="other"), stage.make_run(name="plays", state="failed")
    async with open_watch(listing=True) as pilot:
        board = board_of(pilot).board
        assert [each.run for each in board.runs.listed] == [run]
        await until_seen(pilot, "d delete")  # the footer has the keys of the list
        await pilot.press("d")
        await until_seen(pilot, "Delete plays?")
        await pilot.press("enter")
        await until(pilot, lambda: not run.path.exists())
        await until(pilot, lambda: [each.run for each in board.runs.listed] == [kept])
        await pilot.press("escape")
        await until_seen(pilot, "run from here")
        await pilot.press("ctrl+z")
        await until(pilot, run.path.exists)
    labels.empty()


async def test_a_run_whose_list_is_closed_while_it_is_deleted_can_be_brought_back(
    shipped, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, closed = stage.make_run(name="plays", state="failed"), threading.Event()

    def look(run: RunDir) -> RunSummary:
        closed.wait()
        return summarise(run)

    async with open_app() as pilot:
        home = home_of(pilot)
        await until(pilot, lambda: home.watched == run)
        await pilot.press("o")
        await until_seen(pilot, "d delete")
        board = board_of(pilot)
        await pilot.press("d")
        await until_seen(pilot, "Delete plays?")
        monkeypatch.setattr(organise, "summarise", look)
        await pilot.press("enter", "1")
        await until(pilot, lambda: pilot.app.screen is home and not board.is_attached)
        closed.set()
        await until(pilot, lambda: not run.path.exists())
        await until_seen(pilot, "deleted plays")
        await pilot.press("u")
        await until(pilot, run.path.exists)


# --- which run the Training pane shows --------------------------------------------------------


async def test_a_run_that_starts_elsewhere_is_shown_unless_one_that_trains_is(
    shipped, open_app: Opener
) -> None:
    old = stage.make_run(name="old", state="failed", step=5, error="out of memory")
    with ExitStack() as held:
        async with open_app() as pilot:
            home = home_of(pilot)
            await until(pilot, lambda: home.watched == old)
            for name in ("first", "second"):
                run = stage.make_run(name=name, step=10)
                held.enter_context(RunLock(run))
                stage.set_state(run, "running", 10, 400)
                home.watcher.refresh()
                await until(pilot, lambda run=run: any(r.run == run and r.alive for r in home.runs))
            assert home.watched is not None
            assert summarise(home.watched).info.name == "first"


async def test_the_training_pane_follows_enter_and_neither_the_cursor_nor_the_filter(
    shipped, open_app: Opener, run: RunDir
) -> None:
    dead = stage.make_run(name="crashed", state="failed", step=5)
    async with open_app() as pilot:
        home, rows = home_of(pilot), home_of(pilot).query_one(RowList)
        await until(pilot, lambda: home.watched == run)
        await until(pilot, lambda: rows.chosen == f"run:{run.id}")
        await pilot.press("down")  # the one that trains is on top
        assert rows.chosen == f"run:{dead.id}"
        await pilot.press("slash", *"emoj")
        await until(pilot, lambda: rows.chosen == "model:emoji")
        assert home.watched == run
        await pilot.press("escape")
        assert rows.chosen == f"run:{dead.id}"
        assert rows.scroll_offset.y == 0
        await pilot.press("enter")
        assert home.watched == dead
        pane = home.query_one(TrainingPane)
        await until(pilot, lambda: pane.run is not None and pane.run.summary.run == dead)


@pytest.mark.parametrize("step", [0, 50])
async def test_the_error_of_a_failed_run_is_said_once(shipped, open_app: Opener, step: int) -> None:
    error = "needs a download"
    stage.make_run(name="plays", state="failed", step=step, error=error, checkpoint=False)
    async with open_app() as pilot:
        pane = home_of(pilot).query_one(TrainingPane)
        await until(pilot, lambda: pane.run is not None)
        await until(pilot, lambda: seen(pilot).count(error) == 1)
        assert "space start again" in seen(pilot)
        assert "g generate" not in seen(pilot)
        await pilot.resize_terminal(80, 24)  # only the card is on the screen
        await until(pilot, lambda: seen(pilot).count(error) == 1)


def test_deleted_runs_are_gone_once_the_app_has_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, run = stage.make_run(name="other"), stage.make_run(name="plays")
    monkeypatch.setattr(GenuiApp, "run", lambda self: labels.remove(run))
    run_app()
    assert list(paths.runs_dir().iterdir()) == [kept.path]
