"""The Lab's screen: training, stepping, families and data, noise, particles, points, files."""

import os
from pathlib import Path

import pytest
from acting import Opener, each_size, home_of, process, seen, until, until_seen
from canvas_acting import answered
from fake_lab_worker import FakeLab
from fake_process import in_process
from msgspec.structs import replace
from textual.pilot import Pilot

from genui.kinds.lab.pane import LabScreen, LabView
from genui.kinds.lab.view import PlaneView
from genui.protocol import SetSettings
from genui.ui.generate.pane import TracePane
from genui.ui.home import HomeScreen

LAB = in_process(FakeLab)
STEPS = 120


async def enter(pilot: Pilot[None]) -> TracePane:
    """The Lab, opened from the main screen, or as it is."""
    if not isinstance(pilot.app.screen, LabScreen):
        await pilot.press("5")
    await until(pilot, lambda: isinstance(pilot.app.screen, LabScreen))
    lab = lab_of(pilot)
    lab.controller.settings = replace(lab.controller.settings, steps=STEPS)
    return lab


def lab_of(pilot: Pilot[None]) -> TracePane:
    screen = home_of(pilot).screens["lab"]
    assert isinstance(screen, LabScreen)
    return screen.lab


def view_of(pilot: Pilot[None]) -> LabView:
    return lab_of(pilot).query_one(LabView)


async def train_to(pilot: Pilot[None], step: int) -> TracePane:
    """The Lab with a training whose playhead is at a step, and rests."""
    lab = await enter(pilot)
    await pilot.press("right")
    await until(pilot, lambda: lab.trace is not None and lab.trace.computed >= 1)
    assert lab.trace is not None
    lab.trace.seek(step)
    lab.controller.refresh()
    await until(pilot, lambda: at(lab) == step)
    return lab


def at(lab: TracePane) -> int:
    return lab.trace.position if lab.trace is not None else -1


async def test_an_empty_lab_says_what_to_press_and_one_in_training_shows_plane_curve_and_settings(
    open_app: Opener,
) -> None:
    async with open_app(worker=LAB, lists=False) as pilot:
        await enter(pilot)
        async for _ in each_size(pilot):
            assert "Press space to train" in " ".join(seen(pilot).split())
            assert "5 Lab" in seen(pilot)
        await train_to(pilot, 60)
        async for _ in each_size(pilot):
            text = seen(pilot)
            assert "60 of 120" in text
            assert "+× data" in text
            assert "loss 0.0492" in text
            assert any(0x2800 < ord(sign) < 0x2900 for sign in text)


async def test_the_playhead_moves_and_rests(open_app: Opener, usual_pace: None) -> None:
    async with open_app(worker=LAB, lists=False) as pilot:
        lab = await enter(pilot)
        await pilot.press("space")
        await until(pilot, lambda: at(lab) > 5)
        await pilot.press("space")
        before = at(lab)
        assert before < STEPS
        await pilot.pause(0.2)
        assert at(lab) == before
        await train_to(pilot, 30)
        for key, step in (("right", 31), ("left", 30), ("shift+right", 40), ("shift+left", 30)):
            await pilot.press(key)
            await until(pilot, lambda step=step: at(lab) == step)
        await pilot.press("home")
        assert at(lab) == 0
        await pilot.press("end")
        await until(pilot, lambda: at(lab) == STEPS)


async def test_another_family_trains_as_a_branch_and_the_window_shows_the_plane_of_one(
    open_app: Opener,
) -> None:
    async with open_app(worker=LAB, lists=False) as pilot:
        await train_to(pilot, 20)
        await pilot.press("b")

        def preview() -> str:
            (plane,) = pilot.app.screen.query(PlaneView)
            return "".join(plane.render_line(y).text for y in range(plane.size.height))

        await until(pilot, lambda: "→" in preview() and "×" in preview())
        await pilot.press("escape")
        lab = await train_to(pilot, 5)
        await pilot.press("lab.family")
        assert lab.trace is not None
        assert lab.trace.request.model == "lab:meanflow"
        assert lab.trace.request.prompt == "two moons"
        assert len(lab.controller.tree.branches) == 2
        await pilot.press("lab.data")
        assert lab.trace.request.prompt == "eight Gaussians"


async def test_a_csv_is_trained_on_and_before_it_a_choice_starts_nothing(
    open_app: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with open_app(worker=LAB, lists=False) as pilot:
        lab = await enter(pilot)
        await pilot.press("lab.family", "lab.family", "lab.noise")
        await until_seen(pilot, "autoregressive has no noise levels")
        assert view_of(pilot).planes.noise == 0.0
        await pilot.press("lab.data")
        assert lab.trace is None
        assert "autoregressive on eight Gaussians" in " ".join(seen(pilot).split())
        for name, content, said in (
            ("a", "x,y\n1,2\n", "has one point"),
            ("b", "1,2\n3,nan\n", "is no point; give x,y"),
            ("c", "", "has no points"),
        ):
            (tmp_path / f"{name}.csv").write_text(content)
            await pilot.press("lab.open")
            await answered(pilot, f"{name}.csv")
            await until_seen(pilot, said)
            assert f"{name}.csv" in seen(pilot)
            assert lab.trace is None
        (tmp_path / "mine.csv").write_text("a,b\n100,200\n300,400\n")
        await pilot.press("lab.open")
        await answered(pilot, "mine.csv")
        await until(pilot, lambda: lab.trace is not None)
        assert lab.trace is not None
        assert lab.trace.request.prompt == "x,y,class\n100,200,0\n300,400,0"


async def test_another_learning_rate_forks_and_another_width_begins_again(open_app: Opener) -> None:
    async with open_app(worker=LAB, lists=False) as pilot:
        lab = await train_to(pilot, 40)
        await pilot.press("plus")
        await until(pilot, lambda: len(lab.controller.tree.branches) == 2)
        assert lab.trace is not None
        (edit,) = lab.trace.request.edits
        assert edit.step == 40
        assert isinstance(edit.edit, SetSettings)
        assert lab.controller.settings.learning_rate == pytest.approx(0.008)
        await pilot.press("lab.width")
        await pilot.press("home", "ctrl+k", *"32", "enter")
        await until(pilot, lambda: len(lab.controller.tree.branches) == 3)
        assert lab.trace is not None
        assert lab.trace.request.edits == ()
        assert lab.trace.request.settings.width == 32  # type: ignore[union-attr]


async def test_noise_levels_particles_and_layers_go_round(open_app: Opener) -> None:
    async with open_app(worker=LAB, lists=False) as pilot:
        lab = await train_to(pilot, 33)
        trace = lab.trace
        assert trace is not None
        assert trace.frame is not None
        assert trace.frame.plane is None  # between two looks: asked for once the playhead rests
        await until(pilot, lambda: view_of(pilot).planes.cache.exact(trace, 0.0) is not None)
        await pilot.press("lab.noise")
        assert view_of(pilot).planes.noise == 0.25
        await until(pilot, lambda: view_of(pilot).planes.cache.exact(trace, 0.25) is not None)
        for _ in range(4):
            await pilot.press("lab.noise")
        assert view_of(pilot).planes.noise == 0.0
        await train_to(pilot, 20)
        await pilot.press("semicolon")
        await until(pilot, lambda: view_of(pilot).planes.particles is not None)
        await until_seen(pilot, "particles at noise")
        await pilot.press("left")
        assert view_of(pilot).planes.particles is None
        assert at(lab) == 19
        await train_to(pilot, 20)
        await until_seen(pilot, "→ flow to data")
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "→ flow to data" not in seen(pilot))
        assert "∴ samples" in seen(pilot)
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "░ density" in seen(pilot))
        assert "∴ samples" not in seen(pilot)


async def test_points_are_set_by_keys_and_trained_on(open_app: Opener) -> None:
    async with open_app(worker=LAB, lists=False) as pilot:
        lab = await enter(pilot)
        await pilot.press("e", "enter", "escape")
        await until_seen(pilot, "set points in two places or more")
        assert lab.trace is None
        assert len(view_of(pilot).controller.own) == 1
        await pilot.press("e", "backspace")
        assert not view_of(pilot).editor.points
        await until_seen(pilot, "done: train")
        await pilot.press("enter", "shift+right", "l", "right_square_bracket", "shift+up", "enter")
        assert [point.label for point in view_of(pilot).editor.points] == [0, 1]
        left, right = view_of(pilot).editor.points
        assert right.x > left.x
        assert right.y > left.y
        await pilot.press("enter", "backspace")
        assert len(view_of(pilot).editor.points) == 2
        await pilot.press("escape")
        await until(pilot, lambda: lab.trace is not None)
        assert lab.trace is not None
        assert lab.trace.request.prompt.startswith("x,y,class\n")
        await until_seen(pilot, "your 2 points")
        assert pilot.app.focused is lab


async def test_a_training_is_exported_saved_and_opened_again(
    open_app: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from genui.formats.codec import read

    monkeypatch.chdir(tmp_path)
    async with open_app(worker=LAB, lists=False) as pilot:
        await train_to(pilot, 40)
        await pilot.press("x", "down", "down", "enter")
        await until_seen(pilot, "y computes the rest first")
        await pilot.press("n")
        await until_seen(pilot, "wrote")
        file = read(tmp_path / "lab-flow-1.png")
        assert file.recipe.model == "lab:flow"
        assert file.recipe.view.steps == (40,)
        lab = await train_to(pilot, 40)
        await pilot.press("ctrl+s")
        await until_seen(pilot, "saved 1 branch")
        (file,) = Path(os.environ["GENUI_HOME"]).rglob("*.trace")
        home = pilot.app.screen_stack[0]
        assert isinstance(home, HomeScreen)
        home.open_saved(file, "lab")
        await until(pilot, lambda: len(lab.controller.tree.branches) == 2)
        await until(pilot, lambda: at(lab) == 40)


async def test_the_lab_is_as_it_was_left(open_app: Opener) -> None:
    async with open_app(worker=LAB, lists=False) as pilot:
        lab = await train_to(pilot, 25)
        await pilot.press("1")
        await until(pilot, lambda: isinstance(pilot.app.screen, HomeScreen))
        await pilot.press("5")
        await until(pilot, lambda: isinstance(pilot.app.screen, LabScreen))
        assert lab_of(pilot) is lab
        assert at(lab) == 25
        assert pilot.app.focused is lab
        await pilot.press("question_mark")
        await until_seen(pilot, "Watch particles move")
        await pilot.press("escape", "ctrl+p")
        await pilot.press(*"particles")
        await until_seen(pilot, "Watch particles move from noise to data  ")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, LabScreen))
        await pilot.press("4")
        await until(pilot, lambda: home_of(pilot).board is not None)
        await pilot.press("5")
        await until(pilot, lambda: isinstance(pilot.app.screen, LabScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, HomeScreen))


async def test_the_worker_dies_and_the_training_goes_on(open_app: Opener) -> None:
    async with open_app(worker=process(script="fake_lab_worker.py"), lists=False) as pilot:
        lab = await train_to(pilot, 25)
        pid = pilot.app.session.pid  # type: ignore[attr-defined]
        os.kill(pid, 9)
        await until_seen(pilot, "the worker was killed")
        assert at(lab) == 25
        await pilot.press("right")
        await until(pilot, lambda: at(lab) == 26)


async def test_without_colour_the_marks_differ(
    open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with open_app(worker=LAB, lists=False) as pilot:
        await train_to(pilot, 20)
        plane = pilot.app.screen.query_one(".plane", PlaneView)
        drawn = "".join(plane.render_line(y).text for y in range(plane.size.height))
        assert "+" in drawn
        assert "×" in drawn
        assert "→" in drawn
        assert "▓" in drawn
