"""The Walk pane: a GAN's image, and the directions, seeds and captions that lead from it."""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import stage
from acting import Opener, each_size, fault, home_of, seen, until, until_seen
from canvas_acting import answered
from fake_process import in_process
from fake_session import FakeSession, Listener
from fake_walk_worker import DIRECTIONS, FakeWalk
from msgspec.structs import replace
from textual.pilot import Pilot

from genui.base.errors import MisuseError
from genui.kinds.gan.controller import LatentController, parse_grid, parse_seeds
from genui.kinds.gan.pane import DirectionBars
from genui.kinds.gan.sample import seed_latent
from genui.kinds.gan.task import score_text
from genui.kinds.gan.walk import LatentSettings, WalkFrame
from genui.protocol import SetPrompt, SetSettings, kinds
from genui.runs.models import find_model
from genui.ui.generate.pane import TracePane
from genui.ui.home_panes import TrainingPane
from genui.ui.session import launch_process
from genui.ui.traces.controller import parse_whole_number
from genui.ui.traces.trees import ShownTrace
from genui.ui.widgets.curve import Curve
from genui.ui.widgets.timeline import Timeline

pytestmark = pytest.mark.usefixtures("app_stage")

WALKER = in_process(FakeWalk)


@pytest.fixture(autouse=True)
def fashion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "weights"
    stage.ship(folder, "shakespeare", "icons", "fashion-gan")
    monkeypatch.setattr(kinds, "weights_folders", lambda: [folder])


def pane_of(pilot: Pilot[None]) -> TracePane:
    return home_of(pilot).query_one("#walk", TracePane)


def shown(pilot: Pilot[None]) -> ShownTrace[WalkFrame]:
    trace = pane_of(pilot).trace
    assert trace is not None
    return trace


def frame(pilot: Pilot[None]) -> WalkFrame:
    found = shown(pilot).frame
    assert found is not None
    return found


async def walking(pilot: Pilot[None], step: str = "20/40") -> TracePane:
    """A GAN opened, at its seed's own image."""
    home_of(pilot).open_model(find_model("fashion-gan"))
    await until_seen(pilot, f"step {step}")
    return pane_of(pilot)


async def test_a_gan_opens_at_the_seeds_own_image(open_app: Opener) -> None:
    async with open_app(worker=WALKER) as pilot:
        await walking(pilot)
        assert frame(pilot).along == pytest.approx(seed_latent(1, 16)[:8], abs=1e-3)
        text = seen(pilot)
        assert f"score {frame(pilot).score:+.2f}" in text
        assert "“t-shirt”" in text
        assert "direction 1 · seed 1" in text
        assert home_of(pilot).slot == "walk"


async def test_unknown_words_of_a_caption_are_said_while_it_is_typed(open_app: Opener) -> None:
    async with open_app(worker=WALKER) as pilot:
        await walking(pilot)
        for key in ("e", "walk.recaption"):
            await pilot.press(key, "ctrl+u", *"hor ")
            await until_seen(pilot, "not in this model's vocabulary:")
            await pilot.press("escape")


async def test_arrows_walk_along_the_direction_both_ways(open_app: Opener) -> None:
    async with open_app(worker=WALKER) as pilot:
        await walking(pilot)
        own = frame(pilot).along
        await pilot.press("right", "right", "right")
        await until_seen(pilot, "step 23/40")
        gone = [there - here for there, here in zip(frame(pilot).along, own, strict=True)]
        assert gone == pytest.approx([3 * 6 / 40, *[0] * 7], abs=1e-3)
        await pilot.press("left", "left", "left", "left")
        await until_seen(pilot, "step 19/40")
        assert frame(pilot).along[0] < own[0]
        await pilot.press("home")
        await until_seen(pilot, "step 0/40")
        assert frame(pilot).along[0] == pytest.approx(own[0] - 3, abs=1e-3)


async def test_a_path_to_a_seed_plays_and_ends_at_its_image(open_app: Opener) -> None:
    async with open_app(worker=WALKER) as pilot:
        await walking(pilot)
        await pilot.press("walk.interpolate")
        await answered(pilot, "9")
        await until_seen(pilot, "step 40/40")
        assert frame(pilot).along == pytest.approx(seed_latent(9, 16)[:8], abs=1e-3)
        assert "seed 1 → 9" in seen(pilot) or "seed 1 to 9" in seen(pilot)
        assert not shown(pilot).request.edits


async def test_the_ends_of_the_timeline_say_how_far_the_walk_goes(open_app: Opener) -> None:
    def ends() -> tuple[str, str]:
        timeline = pane_of(pilot).query_one(Timeline)
        return timeline.left, timeline.right

    async with open_app(worker=WALKER) as pilot:
        await walking(pilot)
        assert ends() == ("−3σ", "+3σ")
        await pilot.press("right", "right")
        await until_seen(pilot, "step 22/40")
        await pilot.press("right_square_bracket")  # direction 2, through this point
        await until(pilot, lambda: len(pane_of(pilot).controller.tree.branches) == 2)
        await until(pilot, lambda: shown(pilot).frame is not None)
        assert ends() == ("−3σ", "+3σ")
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: ends() == ("−2.7σ", "+3.3σ"))
        await pilot.press("right")
        await until(pilot, lambda: shown(pilot).frame is not None and shown(pilot).position == 21)
        await pilot.press("f")
        await until(pilot, lambda: ends()[0] == "start" and ends()[1].startswith("seed "))
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: ends() == ("start", "direction 2"))


async def test_full_screen_shows_directions_score_and_settings(open_app: Opener) -> None:
    async with open_app(worker=WALKER) as pilot:
        await walking(pilot)
        await pilot.press("enter")
        async for _ in each_size(pilot):
            await until_seen(pilot, "Directions")
            text = seen(pilot)
            assert "Settings" in text
            assert "truncation" in text
            assert "Discriminator's score" in text
            assert "▸1" in text
            assert pane_of(pilot).query_one(DirectionBars).size.height >= len(DIRECTIONS)
        # What cannot be is said in the window.
        await pilot.press("walk.direction")
        await answered(pilot, "99")
        await until(pilot, lambda: "a number from 1 to 8" in fault(pilot))
        await pilot.press("escape")
        await pilot.press("walk.grid", "ctrl+u", "ctrl+k", *"guidance 1, 2", "enter", "enter")
        await until(pilot, lambda: "a walk has no guidance" in fault(pilot))
        await pilot.press("escape")


async def test_keys_without_an_image_yet_do_no_harm(open_app: Opener) -> None:
    async with open_app(
        worker=partial(launch_process, sys.executable, "-c", "import time; time.sleep(60)")
    ) as pilot:
        home_of(pilot).open_model(find_model("fashion-gan"))
        await until(pilot, lambda: bool(home_of(pilot).query("#walk")))
        await pilot.press("right_square_bracket", "f", "left", "right", "walk.basis", "enter")
        await until_seen(pilot, "loading fashion-gan")


async def test_home_shows_both_sides_of_the_game_while_a_gan_trains(open_app: Opener) -> None:
    run = stage.make_run(recipe="fashion-gan", name="game", step=40, steps=100)
    with run.metrics.open("w") as file:
        for step in range(1, 41):
            told = {"generator_loss": 1.2, "discriminator_loss": 0.4, "real_wins": 0.75}
            file.write(json.dumps({"step": step, "time": 1.0 * step, **told}) + "\n")
    run.sample(40, ".txt").write_text(
        score_text(np.array([1.0, 2.0], np.float32), np.array([-1.0, 0.5], np.float32))
    )
    async with open_app(size=(200, 60)) as pilot:
        await until_seen(pilot, "real wins 75% of pairs")
        curve = home_of(pilot).query_one(TrainingPane).query_one(Curve)
        await until(pilot, lambda: curve.frame is not None)
        assert "no points yet" not in seen(pilot)
        await until_seen(pilot, "real is higher: 100%")


# --- the controller, without the app ----------------------------------------------------


class Walk:
    """A walk that stands at its seed's own image."""

    def __init__(self) -> None:
        self.listener = Listener()
        self.session = FakeSession(self.listener, FakeWalk())
        self.controller = LatentController(self.session, self.listener)
        self.listener.controller = self.controller
        self.controller.open_model(find_model("fashion-gan"))
        self.session.deliver()

    @property
    def frame(self) -> WalkFrame:
        self.session.deliver()
        frame = self.controller.frame
        assert frame is not None
        return frame

    @property
    def trace(self) -> ShownTrace[WalkFrame]:
        trace = self.controller.trace
        assert trace is not None
        return trace

    def step(self, by: int) -> WalkFrame:
        self.controller.step(by)
        return self.frame

    def end(self) -> WalkFrame:
        self.session.deliver()
        self.controller.ends(1)
        return self.frame


def test_another_direction_leads_through_this_very_point() -> None:
    walk = Walk()
    here = walk.step(2)
    walk.controller.turn(1)
    assert walk.controller.settings.direction == 2
    assert walk.frame.step == 20
    assert walk.frame.along == pytest.approx(here.along, abs=1e-3)
    along = walk.step(1).along
    pairs = enumerate(zip(along, here.along, strict=True))
    assert [i for i, (a, b) in pairs if abs(a - b) > 1e-3] == [1]
    walk.controller.turn(-1)
    walk.session.deliver()
    walk.controller.turn(-1)
    assert walk.controller.settings.direction == len(DIRECTIONS)


def test_a_fork_turns_off_to_a_random_seed_as_a_branch() -> None:
    walk = Walk()
    here = walk.step(2)
    walk.controller.fork_here()
    end = walk.end()
    (made,) = walk.trace.request.edits
    assert isinstance(made.edit, SetSettings)
    assert isinstance(made.edit.settings, LatentSettings)
    assert (made.step, end.step) == (22, 42)
    assert walk.trace.frames[22].x == here.x
    goal = made.edit.settings.to
    assert goal is not None
    assert end.along == pytest.approx(seed_latent(goal, 16)[:8], abs=1e-3)


def test_from_the_seeds_own_image_a_path_begins_anew() -> None:
    walk = Walk()
    walk.controller.walk_to(9)
    assert walk.trace.playing
    assert walk.end().along == pytest.approx(seed_latent(9, 16)[:8], abs=1e-3)
    assert not walk.trace.request.edits


def test_a_path_asked_for_before_the_first_image_begins_at_the_seed_too() -> None:
    walk = Walk()
    walk.controller.start_over(play=False)
    assert walk.controller.frame is None
    walk.controller.walk_to(9)
    assert walk.end().along == pytest.approx(seed_latent(9, 16)[:8], abs=1e-3)
    assert walk.trace.frames[0].along == pytest.approx(seed_latent(1, 16)[:8], abs=1e-3)
    assert not walk.trace.request.edits


def test_truncation_holds_for_the_whole_walk_and_keeps_the_place() -> None:
    walk = Walk()
    before = walk.step(4)
    walk.controller.change(replace(walk.controller.settings, truncation=0.5))
    walk.controller.apply("truncation 0.5")
    assert walk.frame.step == 24
    assert not walk.trace.request.edits
    assert walk.frame.along == before.along
    assert walk.frame.score == pytest.approx(0.5 * (before.score or 0), abs=1e-3)


def test_seeds_are_blended_and_no_longer() -> None:
    walk = Walk()
    walk.controller.blend((7, 12))
    mean = sum(seed_latent(seed, 16) for seed in (1, 7, 12)) / 3**0.5
    assert walk.frame.along == pytest.approx(mean[:8], abs=1e-3)  # type: ignore[index]
    walk.controller.blend(())
    assert walk.frame.along == pytest.approx(seed_latent(1, 16)[:8], abs=1e-3)


def test_another_caption_from_here_is_a_branch() -> None:
    walk = Walk()
    walk.controller.recaption(walk.trace, "bag", 20)
    (made,) = walk.trace.request.edits
    assert (made.step, made.edit) == (20, SetPrompt("bag"))


@pytest.mark.parametrize(
    ("parse", "text", "line"),
    [
        (lambda text: parse_whole_number(text, 1, 8), "99", "a number from 1 to 8"),
        (lambda text: parse_whole_number(text, 1, 8), "two", "a number from 1 to 8"),
        (parse_seeds, "-3", "expected a whole number"),
        (parse_seeds, "1, x", "expected a whole number"),
        (parse_seeds, "1 " * 16, "at most 15 can be blended"),
        (lambda text: parse_grid([text, ""]), "guidance 1, 2", "a walk has no guidance"),
    ],
)
def test_what_is_typed_and_cannot_be_is_one_line(
    parse: Callable[[str], object], text: str, line: str
) -> None:
    with pytest.raises(MisuseError, match=line):
        parse(text)
