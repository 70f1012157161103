"""The keys of the Training screen that steer a run, and what it answers."""

from contextlib import ExitStack

import pytest
import stage
from acting import Opener, fault, seen, until, until_seen
from textual.pilot import Pilot

from genui.runs import control
from genui.runs.control import Control
from genui.runs.layout import RunDir, RunLock
from genui.runs.models import Origin
from genui.ui import new_run
from genui.ui.new_run import NewRunScreen
from genui.ui.training.screen import TrainingScreen
from genui.ui.widgets.dialogs import FormScreen


async def board(pilot: Pilot[None]) -> TrainingScreen:
    """The Training screen, once the run has been read."""
    await until(pilot, lambda: isinstance(pilot.app.screen, TrainingScreen))
    screen = pilot.app.screen
    assert isinstance(screen, TrainingScreen)
    await until(pilot, lambda: screen.board.runs.first is not None)
    return screen


async def test_stop_asks_first_and_the_end_is_its_answer(open_watch: Opener) -> None:
    run = stage.make_run(name="plays", step=100, steps=400)
    with ExitStack() as held:
        held.enter_context(RunLock(run))
        stage.set_state(run, "running", 100, 400)
        async with open_watch() as pilot:
            await board(pilot)
            await pilot.press("ctrl+x")
            await until_seen(pilot, "Stop plays?")
            await pilot.press("escape")
            assert control.poll(run) == []
            await pilot.press("ctrl+x", "y")
            await until_seen(pilot, "stop requested")
            assert control.poll(run) == [Control("stop")]
            stage.set_state(run, "stopped", 107, 400)
            held.close()
            await until_seen(pilot, "stopped at step 107")


async def test_the_learning_rate_is_asked_for_and_checked_in_place(
    open_watch: Opener, run: RunDir
) -> None:
    async with open_watch() as pilot:
        await board(pilot)
        await pilot.press("board.rate")
        await until(pilot, lambda: isinstance(pilot.app.screen, FormScreen))
        await until_seen(pilot, "Now: 0.003")
        for typed, line in (
            ("fast", "'fast' is not a number"),
            ("-1", "above 0"),
            ("nan", "above 0"),
        ):
            pilot.app.screen.query_one("LineInput").value = typed  # type: ignore[attr-defined]
            await pilot.press("enter")
            await until(pilot, lambda line=line: line in fault(pilot))
        pilot.app.screen.query_one("LineInput").value = "3e-4"  # type: ignore[attr-defined]
        await pilot.press("enter")
        await until_seen(pilot, "learning rate 0.0003 requested")
        assert control.poll(run) == [Control("set_lr", 3e-4)]
        control.record(run, 101, "set_lr", "learning rate 0.003 → 0.0003")
        await until_seen(pilot, "learning rate 0.003 → 0.0003 at step 101")
        await pilot.press("board.rate")  # the rate in force now is offered
        await until(pilot, lambda: isinstance(pilot.app.screen, FormScreen))
        value = pilot.app.screen.query_one("LineInput").value  # type: ignore[attr-defined]
        assert value == "0.0003"


# --- another run from a checkpoint ------------------------------------------------------


async def test_another_run_starts_from_the_checkpoint_before_the_cursor_if_it_fits_the_weights(
    open_watch: Opener, run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[dict[str, str], str, Origin]] = []

    def launch(recipe, overrides, name, start_from):
        asked.append((overrides, name, start_from))
        return stage.make_run(recipe.name, name, step=1)

    for step in (40, 80):
        run.checkpoint(step).write_bytes(stage.safetensors("shakespeare", step))
    async with open_watch() as pilot:
        await board(pilot)
        await pilot.press("n")
        await until(pilot, lambda: isinstance(pilot.app.screen, NewRunScreen))
        field = pilot.app.screen.query_one("#field-set")
        field.value = "width=128"  # type: ignore[attr-defined]
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "width=128 does not fit the weights" in fault(pilot))
        assert len(list(run.path.parent.iterdir())) == 1
        await pilot.press("escape")
        monkeypatch.setattr(new_run, "launch", launch)
        screen = await board(pilot)
        screen.change(cursor=79.0)
        await pilot.press("n")
        await until_seen(pilot, "New run from plays")
        for text in ("step 100", "newest", "step 80", "step 40", "Fixed by the weights: tokenizer"):
            assert text in seen(pilot)
        await pilot.press("enter", *"mine", "enter", "enter", "enter")
        await pilot.press(*"batch=8", "enter")
        await until(pilot, lambda: bool(asked))
        (overrides, name, start), *_ = asked
        assert (overrides, name, start.weights) == ({"batch": "8"}, "mine", run.checkpoint(40))
        assert not start.keeps_state
        await until(pilot, lambda: screen.board.runs.listed[0].info.name == "mine")


async def test_a_run_is_forked_at_a_step_whose_state_it_keeps(
    open_watch: Opener, run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[dict[str, str], Origin]] = []

    def launch(recipe, overrides, name, start_from):
        asked.append((overrides, start_from))
        return stage.make_run(recipe.name, name, step=1)

    monkeypatch.setattr(new_run, "launch", launch)
    for path in (run.checkpoint(40), run.checkpoint_state(40)):
        path.write_bytes(stage.safetensors("shakespeare", 40))
    async with open_watch() as pilot:
        screen = await board(pilot)
        screen.change(cursor=79.0)
        await pilot.press("n")
        await until_seen(pilot, "step 40 with its state")
        await pilot.press("down", "enter", "enter", "enter", "enter", *"grad_clip=0.5", "ctrl+s")
        await until(pilot, lambda: bool(asked))
        ((overrides, start),) = asked
        assert overrides == {"grad_clip": "0.5"}
        assert (start.keeps_state, start.step, start.run) == (True, 40, run.id)
