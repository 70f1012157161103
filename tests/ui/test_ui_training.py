"""The Training pane and the window that starts a run."""

import time
from contextlib import ExitStack

import pytest
import stage
from acting import Opener, fault, home_of, seen, until, until_seen

from genui.base import paths
from genui.recipes import RECIPES
from genui.runs import control
from genui.runs.control import Control
from genui.runs.layout import RunDir, RunLock
from genui.ui import new_run
from genui.ui.home_panes import TrainingPane
from genui.ui.training.samples import SamplesPanel
from genui.ui.widgets.curve import Curve
from genui.ui.widgets.image import ImageView
from genui.ui.widgets.inputs import LineInput


async def test_a_run_that_has_ended_is_shown_and_takes_no_commands(
    shipped, open_app: Opener
) -> None:
    run = stage.make_run(name="plays", step=1240, steps=4000)
    async with open_app() as pilot:
        await until_seen(pilot, "1,240")
        await until_seen(pilot, "KING RICHARD")
        screen = seen(pilot)
        for text in ("/4,000", "31 %", "train 1.4", "last written", "stopped"):
            assert text in screen
        assert "ETA" not in screen
        await pilot.press("tab")
        await until(pilot, lambda: home_of(pilot).query_one(TrainingPane).run is not None)
        for keys in (("ctrl+s",), ("escape", "ctrl+x")):
            await pilot.press(*keys)
            await until_seen(pilot, "this run is stopped: space resumes it")
        assert control.poll(run) == []


async def test_a_sample_of_images_is_drawn(shipped, open_app: Opener) -> None:
    stage.make_run(recipe="emoji", name="faces", step=400)
    async with open_app() as pilot:
        await pilot.press("tab")
        await until_seen(pilot, "step 400")
        image = home_of(pilot).query_one(SamplesPanel).query_one(ImageView)
        await until(pilot, lambda: image.has_image)
        assert image.display


async def test_comma_and_full_stop_walk_through_the_samples(shipped, open_app: Opener) -> None:
    run = stage.make_run(name="plays", step=300, steps=400)
    for step in (100, 200):
        run.sample(step, ".txt").write_text(f"as it was at {step}")
    async with open_app() as pilot:
        await pilot.press("tab")
        await until_seen(pilot, "step 300 of 300")
        curve = home_of(pilot).query_one(TrainingPane).query_one(Curve)
        for key, text, cursor in (
            ("comma", "as it was at 200", 200),
            ("comma", "as it was at 100", 100),
            ("comma", "as it was at 100", 100),  # there is none before
            ("full_stop", "as it was at 200", 200),
            ("full_stop", "KING RICHARD", None),
        ):
            await pilot.press(key)
            await until_seen(pilot, text)
            await until(pilot, lambda cursor=cursor: curve.options.cursor == cursor)
        await pilot.press("full_stop")
        await until_seen(pilot, "there is no later sample")


async def test_before_the_first_step_it_says_what_takes_so_long(shipped, open_app: Opener) -> None:
    run = stage.make_run(name="plays", step=0, steps=400)
    run.metrics.write_text("")
    with RunLock(run):
        stage.set_state(run, "running", 0, 400)
        async with open_app() as pilot:
            await until_seen(pilot, "measuring and sampling before the first step")


async def test_a_run_that_trains_is_followed_and_takes_commands(
    shipped, open_app: Opener, run: RunDir
) -> None:
    async with open_app() as pilot:
        pane = home_of(pilot).query_one(TrainingPane)
        await until_seen(pilot, "1 training")
        await until_seen(pilot, "s ago")
        with run.metrics.open("a") as file:
            file.write(f'{{"step":101,"time":{time.time()},"loss":0.125}}\n')
        stage.set_state(run, "running", 101, 400)
        await until_seen(pilot, "0.125")
        await pilot.press("tab")
        await until(pilot, lambda: pane.run is not None and pane.run.summary.alive)
        for key, command in (("space", "pause"), ("ctrl+s", "checkpoint")):
            await pilot.press(key)
            await until_seen(pilot, f"{command} requested")
            assert [each.command for each in control.poll(run)] == [command]
        await pilot.press("ctrl+x")
        await until_seen(pilot, "Stop plays?")
        await pilot.press("escape")
        assert control.poll(run) == []
        await pilot.press("ctrl+x", "y")
        await until_seen(pilot, "stop requested")
        assert control.poll(run) == [Control("stop")]
        stage.set_state(run, "paused", 101, 400)
        await until_seen(pilot, "paused")
        await pilot.press("space")
        await until_seen(pilot, "resume requested")
        assert control.poll(run) == [Control("resume")]


async def test_a_killed_trainer_is_seen_as_dead_and_can_be_resumed(
    shipped, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    resumed: list[RunDir] = []
    monkeypatch.setattr("genui.runs.launch.resume", resumed.append)
    run = stage.make_run(name="plays", step=100, steps=400)
    with RunLock(run):
        stage.set_state(run, "running", 100, 400)
        async with open_app() as pilot:
            await pilot.press("tab")
            await until_seen(pilot, "running")
    async with open_app() as pilot:  # the lock is free now, the status as it was
        await pilot.press("tab")
        await until_seen(pilot, "dead")
        await until(pilot, lambda: home_of(pilot).query_one(TrainingPane).run is not None)
        await pilot.press("space")
        await until(pilot, lambda: resumed == [run])


async def test_a_new_run_that_cannot_be_says_why_in_place(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        await pilot.press("n")
        await until_seen(pilot, "New run")
        window = pilot.app.screen
        assert isinstance(window, new_run.NewRunScreen)
        for field, text, line in (
            ("steps", "many", "steps=many"),
            ("set", "widht=384", "did you mean 'width'?"),
            ("set", "width", "expected KEY=VALUE"),
            ("set", "width=250 heads=4", "not a multiple of heads"),
            ("name", "a/b", "run name 'a/b'"),
            ("data", "/no/such/file", "/no/such/file: no such file or folder"),
            ("data", "x" * 300, "no such file or folder"),
            ("data", "~nobody-of-that-name/x", "no such file or folder"),
        ):
            one = window.query_one(f"#field-{field}", LineInput)
            one.value = text
            await pilot.press("ctrl+s")
            await until(pilot, lambda line=line: line in fault(pilot))
            one.value = ""
        assert pilot.app.screen is window
        assert not list(paths.runs_dir().glob("*"))
        await pilot.press("escape")
        assert pilot.app.screen is home_of(pilot)


async def test_a_new_run_is_started_and_shown(
    shipped, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, dict[str, str], str]] = []
    training = ExitStack()

    def launch(recipe, overrides, name, start_from):
        asked.append((recipe.name, overrides, name))
        run = stage.make_run(recipe.name, name, state="running", step=1, steps=500)
        training.enter_context(RunLock(run))
        return run

    monkeypatch.setattr(new_run, "launch", launch)
    async with open_app() as pilot:
        await pilot.press("n", "down", "enter", *"mine", "enter", *"500", "enter", "enter")
        await pilot.press(*"width=128", "enter")
        await until(pilot, lambda: bool(asked))
        second = list(RECIPES)[1]
        assert asked == [(second, {"width": "128", "steps": "500"}, "mine")]
        await until_seen(pilot, "it keeps training after you quit")
        await until(pilot, lambda: home_of(pilot).current == "training")
        await until_seen(pilot, "mine")
    training.close()
