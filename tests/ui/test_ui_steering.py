"""The keys of the Training screen that steer a run, and what it answers."""

import dataclasses
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
import stage
from acting import Opener, fault, seen, until, until_seen
from textual.pilot import Pilot

from genui.runs import control
from genui.runs.control import Control
from genui.runs.layout import RunDir, RunLock, read_info, write_info
from genui.runs.listing import summarise
from genui.ui import windows
from genui.ui.training import steering
from genui.ui.training.screen import TrainingScreen
from genui.ui.watcher import RunView
from genui.ui.widgets.dialogs import ValueScreen
from genui.ui.windows import NewRunScreen


async def board(pilot: Pilot[None]) -> TrainingScreen:
    """The Training screen, once the run has been read."""
    await pilot.press("4")
    await until(pilot, lambda: isinstance(pilot.app.screen, TrainingScreen))
    screen = pilot.app.screen
    assert isinstance(screen, TrainingScreen)
    await until(pilot, lambda: screen.board.first is not None)
    return screen


@pytest.mark.parametrize(
    ("key", "command", "asked", "answer"),
    [
        ("space", "pause", "asked to pause", "paused"),
        ("c", "checkpoint", "asked for a checkpoint", "checkpoint written"),
        ("e", "evaluate", "asked to evaluate", "val_loss 1.7120"),
    ],
)
async def test_what_was_asked_is_said_and_then_what_the_run_did(
    shipped, open_app: Opener, run: RunDir, key: str, command: control.Command, asked: str,
    answer: str,
) -> None:  # fmt: skip
    control.record(run, 50, command, "what was asked before is no answer")
    async with open_app() as pilot:
        await board(pilot)
        await pilot.press(key)
        await until_seen(pilot, asked)
        assert control.poll(run) == [Control(command)]
        control.record(run, 101, command, answer)
        await until_seen(pilot, f"step 101: {answer}")
        assert "no answer" not in seen(pilot)


async def test_a_paused_run_goes_on_by_the_same_key(shipped, open_app: Opener, run: RunDir) -> None:
    stage.set_state(run, "paused", 100, 400)
    async with open_app() as pilot:
        screen = await board(pilot)
        first = screen.board.first
        assert first is not None
        assert first.summary.state == "paused"
        await pilot.press("space")
        await until_seen(pilot, "asked to go on")
        assert control.poll(run) == [Control("resume")]


async def test_the_key_pressed_again_means_the_other_though_the_run_has_not_answered(
    shipped, open_app: Opener, run: RunDir
) -> None:
    async with open_app() as pilot:
        await board(pilot)
        given: list[Control] = []
        for _ in range(3):
            await pilot.press("space")
            await until(pilot, lambda: bool(found := control.poll(run)) and not given.extend(found))
        assert given == [Control("pause"), Control("resume"), Control("pause")]


async def test_stop_asks_first_and_the_end_is_its_answer(shipped, open_app: Opener) -> None:
    run = stage.make_run(name="plays", step=100, steps=400)
    with ExitStack() as held:
        held.enter_context(RunLock(run))
        stage.set_state(run, "running", 100, 400)
        async with open_app() as pilot:
            await board(pilot)
            await pilot.press("x")
            await until_seen(pilot, "Stop plays?")
            await pilot.press("escape")
            assert control.poll(run) == []
            await pilot.press("x", "y")
            await until_seen(pilot, "asked to stop")
            assert control.poll(run) == [Control("stop")]
            stage.set_state(run, "stopped", 107, 400)
            held.close()
            await until_seen(pilot, "stopped at step 107")


async def test_a_run_that_dies_before_it_obeys_says_so(shipped, open_app: Opener) -> None:
    run = stage.make_run(name="plays", step=100, steps=400)
    with ExitStack() as held:
        held.enter_context(RunLock(run))
        stage.set_state(run, "running", 100, 400)
        async with open_app() as pilot:
            await board(pilot)
            await pilot.press("c")
            await until_seen(pilot, "asked for a checkpoint")
            stage.set_state(run, "failed", 100, 400, error="no space left on device")
            held.close()
            await until_seen(pilot, "before it could write the checkpoint: no space left on dev")


def test_a_slow_answer_is_said_once_and_waited_for(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = steering.AnswerWatch(run, Control("pause"))
    assert waiting.look() is None
    monkeypatch.setattr(steering, "SLOW", -1.0)
    answer = waiting.look()
    assert answer is not None
    assert answer.line.startswith("not yet")
    assert not answer.last
    assert waiting.look() is None
    monkeypatch.setattr(steering, "PATIENCE", -1.0)
    answer = waiting.look()
    assert answer is not None
    assert answer.last


async def test_the_learning_rate_is_asked_for_and_checked_in_place(
    shipped, open_app: Opener, run: RunDir
) -> None:
    async with open_app() as pilot:
        await board(pilot)
        await pilot.press("r")
        await until(pilot, lambda: isinstance(pilot.app.screen, ValueScreen))
        await until_seen(pilot, "0.003 is due")
        for typed, line in (("fast", "'fast' is no number"), ("-1", "above 0"), ("nan", "above 0")):
            pilot.app.screen.query_one("LineInput").value = typed  # type: ignore[attr-defined]
            await pilot.press("enter")
            await until(pilot, lambda line=line: line in fault(pilot))
        pilot.app.screen.query_one("LineInput").value = "3e-4"  # type: ignore[attr-defined]
        await pilot.press("enter")
        await until_seen(pilot, "asked to train on at 0.0003")
        assert control.poll(run) == [Control("set_lr", 3e-4)]
        control.record(run, 101, "set_lr", "learning rate 0.003 → 0.0003")
        await until_seen(pilot, "step 101: learning rate 0.003 → 0.0003")
        await pilot.press("r")  # the rate in force now is offered
        await until(pilot, lambda: isinstance(pilot.app.screen, ValueScreen))
        value = pilot.app.screen.query_one("LineInput").value  # type: ignore[attr-defined]
        assert value == "0.0003"


def view_of(run: RunDir, format: str = "genui") -> RunView:
    return RunView(dataclasses.replace(summarise(run), format=format))


@pytest.mark.parametrize("command", ["pause", "checkpoint", "evaluate", "set_lr"])
def test_a_script_is_only_asked_to_stop(run: RunDir, command: control.Command) -> None:
    write_info(run, msgspec.structs.replace(read_info(run), kind="script"))
    assert "run.stop_requested" in steering.refusal(view_of(run), command)
    assert steering.refusal(view_of(run), "stop") == ""
    assert "only read" in steering.refusal(view_of(run, "wandb"), "stop")


@pytest.mark.parametrize("state", ["finished", "stopped"])
def test_a_script_that_has_ended_is_not_said_to_have_a_checkpoint(state: str) -> None:
    run = stage.make_run(name="plays", state=state)
    write_info(run, msgspec.structs.replace(read_info(run), kind="script"))
    for command in ("stop", "pause"):
        line = steering.refusal(view_of(run), command)
        assert line == f"this run is {state}: start its script again yourself"


@pytest.mark.parametrize(
    ("state", "line"),
    [
        ("stopped", "this run is stopped: u resumes it"),
        ("finished", "this run is finished: n starts another from its"),
    ],
)
async def test_a_run_that_does_not_train_says_what_can_be_done(
    shipped, open_app: Opener, state: str, line: str
) -> None:
    run = stage.make_run(name="plays", state=state)
    async with open_app() as pilot:
        await board(pilot)
        await pilot.press("space")
        await until_seen(pilot, line)
        assert control.poll(run) == []


async def test_a_script_cannot_be_resumed_nor_branched(shipped, open_app: Opener) -> None:
    run = stage.make_run(name="plays", state="stopped")
    write_info(run, msgspec.structs.replace(read_info(run), kind="script"))
    async with open_app() as pilot:
        await board(pilot)
        await pilot.press("u")
        await until_seen(pilot, "start its script again yourself")
        await pilot.press("n")
        await until_seen(pilot, "no checkpoint of genui's to start from")


# --- another run from a checkpoint ------------------------------------------------------


async def test_another_run_starts_from_the_checkpoint_before_the_cursor(
    shipped, open_app: Opener, run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[dict[str, str], str, str]] = []

    def launch(recipe, overrides, name, start_from):
        asked.append((overrides, name, start_from))
        return stage.make_run(recipe.name, name, step=1)

    monkeypatch.setattr(windows, "launch", launch)
    for step in (40, 80):
        run.checkpoint(step).write_bytes(stage.safetensors("shakespeare", step))
    async with open_app() as pilot:
        screen = await board(pilot)
        screen.change(cursor=79.0)
        await pilot.press("n")
        await until_seen(pilot, "New run from plays")
        for text in ("step 100", "newest", "step 80", "step 40", "The weights fix tokenizer"):
            assert text in seen(pilot)
        await pilot.press("enter", *"mine", "enter", "enter", "enter")
        await pilot.press(*"batch=8", "enter")
        await until(pilot, lambda: bool(asked))
        assert asked == [({"batch": "8"}, "mine", str(run.checkpoint(40)))]
        await until(pilot, lambda: screen.board.runs[0].info.name == "mine")


async def test_what_does_not_fit_the_weights_is_refused_in_place(
    shipped, open_app: Opener, run: RunDir
) -> None:
    async with open_app() as pilot:
        await board(pilot)
        await pilot.press("n")
        await until(pilot, lambda: isinstance(pilot.app.screen, NewRunScreen))
        field = pilot.app.screen.query_one("#field-set")
        field.value = "width=128"  # type: ignore[attr-defined]
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "width=128 does not fit the weights" in fault(pilot))
        assert len(list(run.path.parent.iterdir())) == 1


async def test_without_a_checkpoint_it_says_how_to_get_one(
    shipped, open_app: Opener, run: RunDir
) -> None:
    for path in Path(run.checkpoints).iterdir():
        path.unlink()
    async with open_app() as pilot:
        await board(pilot)
        await pilot.press("n")
        await until_seen(pilot, "no checkpoint yet: c asks for one")
