"""Clips in files: GIF, APNG, MP4 and filmstrips, each with its recipe."""

import io
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image
from saved_samples import MACHINE, START, STARTED

from genui.base.errors import GenuiError
from genui.formats import codec
from genui.formats import recipe as saved
from genui.formats.codec import Sample
from genui.formats.recipe import ExportView, TraceRecipe
from genui.kinds.video import mp4
from genui.protocol import ImageFrame
from genui.ui.traces.compare import image_difference

TIMES, SIDE, STEPS = 16, 6, 3
ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


def clip_frames(seed: int = 0) -> list[ImageFrame]:
    """The steps of a clip in which every image is of one colour of its own."""
    rng = np.random.default_rng(seed)
    frames = []
    for step in range(STEPS):
        colours = rng.integers(0, 256, (TIMES, 1, 1, 3)).astype(np.uint8)
        rgb = np.broadcast_to(colours, (TIMES, SIDE, SIDE, 3)).tobytes()
        frames.append(
            ImageFrame(
                trace=3, step=step, sigma=1.0, width=SIDE, height=SIDE, images=TIMES,
                x=rgb, denoised=rgb,
            )
        )  # fmt: skip
    return frames


def recipe_for(frames: list[ImageFrame], view: ExportView) -> TraceRecipe:
    result = saved.result_of(frames)
    return saved.recipe_of(START, STARTED, MACHINE, result, view=view)


def written(folder: Path, kind: str, view: ExportView) -> Path:
    frames = clip_frames()
    path = folder / f"clip.{kind}"
    path.write_bytes(codec.encode(path.suffix, [Sample(7, "x", frames)], recipe_for(frames, view)))
    return path


def colours_of(frame: ImageFrame) -> np.ndarray:
    return np.frombuffer(frame.x, np.uint8).reshape(TIMES, SIDE * SIDE, 3)[:, 0]


@pytest.mark.parametrize("kind", ["gif", "apng"])
def test_a_clip_moves_through_the_images_of_its_last_step_without_a_rest(
    tmp_path: Path, kind: str
) -> None:
    file = codec.read(written(tmp_path, kind, ExportView(kind="clip", scale=2)))
    assert isinstance(file.content, list)
    assert len(file.content) == TIMES
    assert file.content[0].shape == (2 * SIDE, 2 * SIDE, 3)
    seen = np.array([image[0, 0] for image in file.content])
    assert np.array_equal(seen, colours_of(clip_frames()[-1]))
    with Image.open(tmp_path / f"clip.{kind}") as image:
        image.seek(TIMES - 1)
        assert image.info["duration"] == 100


def test_a_clip_of_an_earlier_step_is_that_steps(tmp_path: Path) -> None:
    file = codec.read(written(tmp_path, "apng", ExportView(kind="clip", steps=(1,))))
    assert isinstance(file.content, list)
    seen = np.array([image[0, 0] for image in file.content])
    assert np.array_equal(seen, colours_of(clip_frames()[1]))


def test_a_png_of_a_clip_has_all_its_images(tmp_path: Path) -> None:
    file = codec.read(written(tmp_path, "png", ExportView(kind="frame")))
    assert isinstance(file.content, list)
    (sheet,) = file.content
    assert sheet.shape == (4 * (SIDE + 1) - 1, 4 * (SIDE + 1) - 1, 3)
    corners = sheet[:: SIDE + 1, :: SIDE + 1].reshape(TIMES, 3)
    assert np.array_equal(corners, colours_of(clip_frames()[-1]))


def test_a_filmstrip_of_a_clip_has_a_row_a_step(tmp_path: Path) -> None:
    file = codec.read(written(tmp_path, "png", ExportView(kind="film", steps=(0, 1, 2))))
    assert isinstance(file.content, list)
    (strip,) = file.content
    assert strip.shape == (STEPS * (SIDE + 1) - 1, TIMES * (SIDE + 1) - 1, 3)
    for row, frame in zip(strip[:: SIDE + 1], clip_frames(), strict=True):
        assert np.array_equal(row[:: SIDE + 1], colours_of(frame))


def test_the_denoising_of_a_clip_moves_through_its_steps(tmp_path: Path) -> None:
    file = codec.read(written(tmp_path, "apng", ExportView(kind="animation")))
    assert isinstance(file.content, list)
    assert len(file.content) == STEPS


@ffmpeg
def test_an_mp4_carries_the_recipe_and_looks_like_the_clip(tmp_path: Path) -> None:
    path = written(tmp_path, "mp4", ExportView(kind="clip", scale=8))
    file = codec.read(path)
    assert file.recipe == recipe_for(clip_frames(), ExportView(kind="clip", scale=8))
    assert isinstance(file.content, list)
    seen = np.array([image[20, 20] for image in file.content]).astype(int)
    assert np.abs(seen - colours_of(clip_frames()[-1])).max() < 40  # a quarter of its colours


@ffmpeg
def test_an_mp4_of_a_recipe_longer_than_a_command_line_is_written(tmp_path: Path) -> None:
    frames = clip_frames()
    long = msgspec.structs.replace(START, prompt="=;#\\ é" * 40_000)
    recipe = saved.recipe_of(
        long, STARTED, MACHINE, saved.result_of(frames), view=ExportView(kind="clip")
    )
    path = tmp_path / "long.mp4"
    path.write_bytes(codec.encode(".mp4", [Sample(7, "x", frames)], recipe))
    assert codec.read(path).recipe == recipe


@ffmpeg
def test_without_ffmpeg_an_mp4_still_says_how_it_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, "mp4", ExportView(kind="clip"))
    monkeypatch.setenv("PATH", str(tmp_path))
    file = codec.read(path)
    assert file.recipe.prompt == START.prompt
    assert file.content == []


def test_without_ffmpeg_writing_an_mp4_is_one_line_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GenuiError, match=r"needs ffmpeg.*or end the name in \.gif") as raised:
        written(tmp_path, "mp4", ExportView(kind="clip"))
    assert "\n" not in str(raised.value)


@ffmpeg
@pytest.mark.parametrize("kept", [3, 40, 300])
def test_a_cut_off_mp4_is_one_line(tmp_path: Path, kept: int) -> None:
    path = written(tmp_path, "mp4", ExportView(kind="clip"))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(GenuiError) as raised:
        codec.read(path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


@ffmpeg
def test_an_mp4_of_somebody_else_carries_no_recipe(tmp_path: Path) -> None:
    path = tmp_path / "holiday.mp4"
    path.write_bytes(mp4.encode([np.zeros((8, 8, 3), np.uint8)] * 3, "on the beach", 10))
    with pytest.raises(GenuiError, match="has no recipe"):
        codec.read(path)


def test_a_comment_that_says_it_is_longer_than_the_file_is_refused() -> None:
    size = (2**31).to_bytes(4, "big")
    data = b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x20\xa9cmt" + size + b"data\0\0\0\1\0\0\0\0{"
    with pytest.raises(ValueError, match="truncated"):
        mp4.comment(data)


def test_a_gif_of_a_hundred_million_pixels_is_refused_before_it_is_decoded(
    tmp_path: Path,
) -> None:
    path = tmp_path / "huge.gif"
    file = io.BytesIO()
    first, second = (Image.new("P", (4000, 4000), colour) for colour in (0, 1))
    first.save(file, "GIF", save_all=True, append_images=[second, first] * 3)
    path.write_bytes(file.getvalue())
    with pytest.raises(GenuiError, match="over 64,000,000 pixels"):
        codec.read(path)


def test_clips_drawn_too_large_are_refused(tmp_path: Path) -> None:
    frames = [
        msgspec.structs.replace(frame, width=512, height=512, x=bytes(TIMES * 512 * 512 * 3))
        for frame in clip_frames()
    ]
    recipe = recipe_for(frames, ExportView(kind="clip", scale=32))
    with pytest.raises(GenuiError, match="pixels; draw it smaller or take fewer steps"):
        codec.encode(".gif", [Sample(7, "x", frames)], recipe)


def test_how_far_two_clips_are_apart_counts_all_their_images() -> None:
    one = clip_frames()[0]
    changed = one.x[: -SIDE * SIDE * 3] + bytes(255 - b for b in one.x[-SIDE * SIDE * 3 :])
    found = image_difference(one, msgspec.structs.replace(one, x=changed), "x")
    assert found is not None
    assert found.share == pytest.approx(1 / TIMES)
    assert (
        image_difference(
            one, msgspec.structs.replace(one, images=1, x=one.x[: SIDE * SIDE * 3]), "x"
        )
        is None
    )
