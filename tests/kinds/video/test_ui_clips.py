"""Canvas with a model of video: its clips play, are stepped through and lie side by side."""

from pathlib import Path

import numpy as np
import pytest
import stage
from acting import SLOW, Opener, each_size, seen, until, until_seen
from canvas_acting import pane_of, shown, view_of
from textual.pilot import Pilot

from genui.formats.image import clip_pixels
from genui.protocol import ImageFrame, kinds
from genui.protocol import RgbImage as Given
from genui.ui.compare import CompareScreen, VariationsScreen
from genui.ui.generate.image import tile_largest
from genui.ui.manual import topic_of
from genui.ui.traces.compare import ROUNDS, ClipHead
from genui.ui.widgets.columns import ColumnView
from genui.ui.widgets.image import ImageView, MaskPainter


@pytest.fixture
def video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "weights"
    stage.ship(folder, "video")
    monkeypatch.setattr(kinds, "weights_folders", lambda: [folder])
    return folder


async def clip_drawn(pilot: Pilot[None], *keys: str) -> None:
    """A finished clip in Canvas, and then these keys."""
    await pilot.press("3", "end")
    await until_seen(pilot, "20/20")
    await pilot.press(*keys)


def frame_at(pilot: Pilot[None], moment: int) -> np.ndarray:
    frame = shown(pilot).frame
    assert isinstance(frame, ImageFrame)
    return clip_pixels(frame, "denoised")[moment]


# --- the frames -----------------------------------------------------------------------


async def test_a_clip_plays_by_itself_is_held_and_lies_side_by_side(
    video: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        await clip_drawn(pilot)
        before = view_of(pilot).frame_index
        await until(pilot, lambda: view_of(pilot).frame_index not in (before, (before + 1) % 16))
        assert "/16 ▸" in seen(pilot)
        assert "20/20" in seen(pilot)
        await clip_drawn(pilot, "full_stop")
        at = view_of(pilot).frame_index
        await pilot.press("full_stop", "full_stop", "comma")
        assert view_of(pilot).frame_index == (at + 1) % 16
        await pilot.pause(0.3)
        assert view_of(pilot).frame_index == (at + 1) % 16
        assert f"frame {(at + 1) % 16 + 1:>2}/16 ‖" in seen(pilot)
        # A step back along the denoising keeps the frame.
        at = view_of(pilot).frame_index
        await pilot.press("left", "left")
        assert "18/20" in seen(pilot)
        assert view_of(pilot).frame_index == at
        await pilot.press("semicolon")  # it goes on
        await until(pilot, lambda: view_of(pilot).frame_index != at)
        await clip_drawn(pilot, "canvas.layout", "canvas.layout")
        await until(pilot, lambda: view_of(pilot).spread)
        async for _ in each_size(pilot):
            await until_seen(pilot, "all 16 frames")
        await pilot.press("canvas.layout")
        await until(pilot, lambda: not view_of(pilot).spread)


async def test_an_image_has_no_frames_and_says_so(shipped: Path, open_app: Opener) -> None:
    async with open_app() as pilot:
        await clip_drawn(pilot, "full_stop")
        await until_seen(pilot, "it has no frames to play")
        assert "/16" not in seen(pilot)


async def test_a_mask_is_painted_on_the_frame_shown_and_the_forward_process_begins_from_all(
    video: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        await clip_drawn(pilot, "full_stop", "full_stop", "full_stop")
        wanted = frame_at(pilot, view_of(pilot).frame_index)
        await pilot.press("canvas.mask")
        await until(pilot, lambda: len(pilot.app.screen_stack) > 1)
        painter = pilot.app.screen.query_one(MaskPainter)
        assert np.array_equal(painter._rgb, wanted)
        await pilot.press("escape")
        await clip_drawn(pilot, "canvas.drown")
        init = pane_of(pilot).controller.opening.init
        assert isinstance(init, Given)
        assert (init.width, init.height) == (32, 32 * 16)
        assert len(init.rgb) == 32 * 32 * 16 * 3


async def test_clips_are_compared_at_the_same_frame(video: Path, open_app: Opener) -> None:
    async with open_app() as pilot:
        await clip_drawn(pilot, "f")
        await until(pilot, lambda: len(pane_of(pilot).controller.tree.branches) == 2)
        await pilot.press("c")
        await until(pilot, lambda: len(pilot.app.screen_stack) > 1)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen))
        screen = pilot.app.screen
        assert isinstance(screen, CompareScreen)
        await until(pilot, lambda: screen.traces.clip.at > 1)
        await pilot.press("full_stop")
        assert f"frame {screen.traces.clip.at + 1:>2}/16 ‖" in seen(pilot)
        left, right = screen.query(ImageView)
        assert left._rgb is not None
        assert right._rgb is not None
        assert np.array_equal(left._rgb[:, :, 0] > 0, right._rgb[:, :, 0] > 0)


async def test_a_slow_worker_does_not_keep_the_clip_from_playing(
    video: Path, open_app: Opener
) -> None:
    async with open_app(worker=SLOW) as pilot:
        await pilot.press("3", "space")
        await until_seen(pilot, "/16 ▸")
        at = view_of(pilot).frame_index
        await until(pilot, lambda: view_of(pilot).frame_index != at)


# --- the head and the arrangement -------------------------------------------------------


def test_a_clip_left_alone_rests_after_its_rounds() -> None:
    head = ClipHead()
    moves = 0
    while head.tick(16):
        moves += 1
        assert moves <= ROUNDS * 16
    assert moves == ROUNDS * 16
    head.restart()
    assert head.tick(16)


def test_an_image_never_moves() -> None:
    assert not ClipHead().tick(1)


def test_its_page_of_the_manual_is_that_of_clips() -> None:
    assert topic_of("canvas", "video") == "video"


def test_frames_go_round_both_ways() -> None:
    head = ClipHead()
    head.step(-1, 16)
    assert head.at == 15
    head.step(1, 16)
    assert head.at == 0
    assert not head.is_moving(16)


def test_frames_are_arranged_to_be_as_large_as_they_can() -> None:
    clip = np.zeros((16, 32, 32, 3), np.uint8)
    wide = tile_largest(clip, 560, 20)
    assert wide.shape[:2] == (32, 16 * 33 - 1)
    square = tile_largest(clip, 140, 70)
    assert square.shape[:2] == (4 * 33 - 1, 4 * 33 - 1)


async def test_variations_of_a_clip_play_in_step_and_are_held(
    video: Path, open_app: Opener
) -> None:
    async with open_app() as pilot:
        await clip_drawn(pilot, "v")
        await until(pilot, lambda: isinstance(pilot.app.screen, VariationsScreen))
        screen = pilot.app.screen
        assert isinstance(screen, VariationsScreen)
        await until(pilot, lambda: all(column.trace.finished for column in screen.columns))
        before = screen.traces.clip.at
        await until(pilot, lambda: screen.traces.clip.at != before)
        await pilot.press("full_stop")
        held = screen.traces.clip.at
        await until_seen(pilot, "‖")
        for column, view in zip(screen.columns, screen.query(ColumnView), strict=True):
            clip, image = column.frame_at(column.trace.computed), view.query_one(ImageView)
            assert isinstance(clip, ImageFrame)
            assert not image.show(clip_pixels(clip, "denoised")[held])  # it is the one shown
