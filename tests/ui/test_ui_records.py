"""Home shows something from the start: the records of the package, or what was shown last."""

import dataclasses
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import stage
from acting import Opener, home_of, seen, until, until_seen
from msgspec.structs import replace
from textual.pilot import Pilot

from genui.formats.trees import load_tree, save_tree
from genui.kinds.image import CAPTIONS
from genui.protocol import ImageSettings, SetSeed, kinds
from genui.ui import demo
from genui.ui.demo import Preview, list_demonstrations
from genui.ui.generate.pane import TracePane
from genui.ui.home_panes import TrainingPane
from genui.ui.traces.records import last_path, record_path
from genui.ui.traces.trees import ShownTrace
from genui.ui.widgets.image import ImageView

RECORDS = [path for path in map(record_path, ("canvas", "text", "training")) if path.is_file()]


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, usual_pace: None) -> Path:
    """Shipped models with the records of the package, on a busy machine."""
    folder = tmp_path / "weights"
    stage.ship(folder, "shakespeare", "icons", "video")
    (folder / "records").mkdir()
    for path in RECORDS:
        shutil.copy(path, folder / "records")
    monkeypatch.setattr(kinds, "weights_folders", lambda: [folder])
    monkeypatch.setenv("GENUI_QUIET", "auto")
    busy(monkeypatch)
    return folder


def busy(monkeypatch: pytest.MonkeyPatch, load: float = 99.0) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, load, load))


def pane(pilot: Pilot[None], name: str) -> TracePane:
    return home_of(pilot).query_one(f"#{name}", TracePane)


def trace(pilot: Pilot[None], name: str) -> ShownTrace[Any]:
    shown = pane(pilot, name).trace
    assert shown is not None
    return shown


def list_panes() -> set[str]:
    """The panes that have a demonstration."""
    return {shown.pane for shown in list_demonstrations()}


async def all_shown(pilot: Pilot[None]) -> None:
    """Wait until each pane plays its record."""
    await until(pilot, lambda: seen(pilot).count("· recorded") == len(list_panes()))


async def test_on_a_busy_machine_each_pane_plays_a_record_until_a_key_leaves_the_last_frames(
    recorded: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        await all_shown(pilot)
        previews = [preview.controller.trace for preview in home_of(pilot).query(Preview)]
        for shown in (trace(pilot, "text"), trace(pilot, "canvas"), *previews):
            assert shown is not None
            at = shown.position
            await until(pilot, lambda shown=shown, at=at: shown.position != at)
            assert shown.id == 0  # the worker was asked for nothing
        assert "busy" in seen(pilot)
        assert "space plays live" in seen(pilot)
        await pilot.press("down")
        assert not home_of(pilot).demo.playing
        for name in ("text", "canvas"):
            assert trace(pilot, name).finished


async def test_a_key_plays_a_record_live_with_the_same_inputs(
    recorded: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        await all_shown(pilot)
        start = trace(pilot, "text").request
        await pilot.press("2", "space")
        await until(pilot, lambda: trace(pilot, "text").started)
        shown = trace(pilot, "text")
        assert (shown.request.prompt, shown.request.seed) == (start.prompt, start.seed)
        assert not shown.is_read
        assert "recorded" not in seen(pilot)
        assert len(pane(pilot, "text").controller.tree.branches) == 1


async def test_what_the_user_asks_for_takes_the_place_of_a_record(
    recorded: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        await all_shown(pilot)
        await pilot.press("down", "up", "space")  # the video model is highlighted
        await until(pilot, lambda: trace(pilot, "canvas").source == "user")
        assert len(pane(pilot, "canvas").controller.tree.branches) == 1


async def test_after_two_minutes_the_last_frames_stand_still(
    recorded: Path, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_app() as pilot:
        await all_shown(pilot)
        monkeypatch.setattr(demo, "LONGEST", 0.0)
        await until(pilot, lambda: not home_of(pilot).demo.playing)
        assert trace(pilot, "text").finished
        assert trace(pilot, "canvas").finished
        assert pane(pilot, "canvas")._clock is None  # the clip does not move


async def test_when_quiet_the_last_frames_stand_still(
    recorded: Path, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENUI_QUIET", "on")
    async with open_app() as pilot:
        await all_shown(pilot)
        assert not home_of(pilot).demo.playing
        assert trace(pilot, "text").finished
        assert pane(pilot, "canvas").query_one(".large", ImageView).has_image


async def test_an_idle_machine_computes_after_the_record(
    recorded: Path, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy(monkeypatch, 0.0)
    monkeypatch.setattr(demo, "REST", 0.0)
    fast = [dataclasses.replace(shown, pace=0.01) for shown in list_demonstrations()]
    monkeypatch.setattr(demo, "list_demonstrations", lambda: fast)
    async with open_app() as pilot:
        await until(pilot, lambda: pane(pilot, "canvas").trace is not None)
        await until(pilot, lambda: trace(pilot, "canvas").source == "demo")
        assert pane(pilot, "canvas").controller.prompt in CAPTIONS


async def test_a_run_has_the_training_pane_and_the_others_play(
    recorded: Path, open_app: Opener
) -> None:
    stage.make_run()
    async with open_app() as pilot:
        await until(pilot, lambda: all(pane(pilot, name).trace for name in ("text", "canvas")))
        await until_seen(pilot, "plays-2")
        assert not home_of(pilot).query_one(TrainingPane).has_class("-preview")


async def test_a_damaged_record_is_left_out(recorded: Path, open_app: Opener) -> None:
    (recorded / "records/canvas.trace").write_bytes(b"{")
    async with open_app() as pilot:
        others = len(list_panes()) - 1
        await until(pilot, lambda: seen(pilot).count("· recorded") == others)
        assert pane(pilot, "canvas").trace is None


# --- what was shown last ----------------------------------------------------------------------


async def generate(pilot: Pilot[None], name: str, key: str) -> None:
    """Play in a pane, and wait until it is kept."""
    await pilot.press(key, "space")
    await until(pilot, lambda: last_path(name).is_file() and trace(pilot, name).finished)
    await until(pilot, lambda: trace(pilot, name).computed == trace(pilot, name).total)


@pytest.mark.parametrize("name", ["text", "canvas"])
async def test_the_next_start_shows_what_was_generated_last(
    name: str, shipped: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        controller = pane(pilot, name).controller
        controller.prompt, controller.seed = "my own words", 77
        await generate(pilot, name, "2" if name == "text" else "3")
        before = trace(pilot, name)
    async with open_app() as pilot:
        await until_seen(pilot, "· last time")
        shown = trace(pilot, name)
        assert shown.is_read
        assert [frame.identity for frame in shown.frames] == [
            frame.identity for frame in before.frames
        ]
        controller = pane(pilot, name).controller
        assert (controller.prompt, controller.seed) == ("my own words", 77)
        assert controller.model is not None
        await pilot.press("2" if name == "text" else "3", "space")
        await until(pilot, lambda: trace(pilot, name).started)
        assert trace(pilot, name).request.seed == 77


async def test_the_last_step_of_a_fork_is_shown(shipped: Path, open_app: Opener) -> None:
    async with open_app() as pilot:
        await pilot.press("2", "right", "right", "right")
        await until(pilot, lambda: trace(pilot, "text").computed == 3)
        pane(pilot, "text").controller.fork(SetSeed(5), "seed 5", play=False)
        await pilot.press("right")
        await until(pilot, lambda: trace(pilot, "text").computed == 4)
        total = trace(pilot, "text").total
        last = last_path("text")
        await until(pilot, lambda: last.is_file() and load_tree(last).playhead == 4)
    async with open_app() as pilot:
        await until_seen(pilot, "· last time")
        assert (trace(pilot, "text").position, trace(pilot, "text").total) == (4, total)


async def test_a_record_leaves_the_usual_settings(recorded: Path, open_app: Opener) -> None:
    name = "canvas"
    file = record_path(name)
    saved = load_tree(file)
    few = replace(saved.recipe, settings=replace(saved.recipe.settings, steps=6))
    save_tree(replace(saved, recipe=few), file)
    async with open_app() as pilot:
        await all_shown(pilot)
        assert trace(pilot, name).request.settings == few.settings
        assert pane(pilot, name).controller.settings == ImageSettings()


async def test_the_demo_is_not_kept(
    recorded: Path, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy(monkeypatch, 0.0)
    shutil.rmtree(recorded / "records")
    async with open_app() as pilot:
        await until(pilot, lambda: pane(pilot, "canvas").trace is not None)
        await until(pilot, lambda: trace(pilot, "canvas").finished)
        await pilot.press("down")
        await pilot.pause(0.6)
    assert not last_path("canvas").exists()


async def test_a_large_image_keeps_its_inputs_only(
    shipped: Path, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    from genui.formats import frames

    monkeypatch.setattr(frames, "MAX_BYTES", 1000)
    async with open_app() as pilot:
        pane(pilot, "canvas").controller.seed = 77
        await generate(pilot, "canvas", "3")
    async with open_app() as pilot:
        await until(pilot, lambda: pane(pilot, "canvas").controller.seed == 77)
        assert not trace(pilot, "canvas").frames
        await until_seen(pilot, "space plays it live")
