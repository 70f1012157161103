"""Images written to files, read back."""

import io

import numpy as np
import pytest
from PIL import Image, ImageSequence

from genui.formats import image

NOISE = [np.random.default_rng(i).integers(0, 256, (8, 6, 3)).astype(np.uint8) for i in range(3)]
TEXT = '{"prompt": "red heart"}'


def flat(shade: int) -> np.ndarray:
    return np.full((2, 3, 3), shade, np.uint8)


def durations(data: bytes) -> list[int]:
    """The milliseconds of each frame."""
    return [
        int(one.info["duration"]) for one in ImageSequence.Iterator(Image.open(io.BytesIO(data)))
    ]


def test_a_png_comes_back_pixel_for_pixel_with_its_text() -> None:
    found = image.read(image.png(NOISE[0], TEXT))
    assert found.text == TEXT
    assert len(found.frames) == 1
    assert (found.frames[0] == NOISE[0]).all()


def test_a_text_beyond_latin_1_survives_in_a_png() -> None:
    assert image.read(image.png(NOISE[0], "Herz ♥")).text == "Herz ♥"


def test_an_apng_comes_back_frame_for_frame_and_holds_its_last() -> None:
    written = image.apng(NOISE, TEXT, 50)
    found = image.read(written)
    assert found.text == TEXT
    assert all((a == b).all() for a, b in zip(found.frames, NOISE, strict=True))
    assert durations(written) == [50, 50, image.HOLD]


def test_a_gif_keeps_every_frame_near_and_its_text_whole() -> None:
    text = TEXT + " " * 1000  # a comment is cut into blocks of 255 bytes
    written = image.gif(NOISE, text, 50)
    found = image.read(written)
    assert found.text == text
    assert durations(written) == [50, 50, image.HOLD]
    assert len(found.frames) == len(NOISE)
    apart = image.difference(found.frames, NOISE)
    assert apart is not None
    assert apart[2] < 2  # of 255: there are no more than 48 colours here to choose from 256


def test_a_gif_is_written_to_the_same_bytes_each_time() -> None:
    assert image.gif(NOISE, TEXT) == image.gif(NOISE, TEXT)


def test_enlarging_repeats_pixels() -> None:
    large = image.enlarge(NOISE[0], 3)
    assert large.shape == (24, 18, 3)
    assert (large[::3, ::3] == NOISE[0]).all()
    assert (large[2::3, 2::3] == NOISE[0]).all()


def test_a_sheet_with_a_gap_has_a_thin_line_between_images() -> None:
    strip = image.sheet([flat(1), flat(2), flat(3)], 2, 1, image.GAP_SHADE)
    assert strip.shape == (5, 7, 3)
    assert strip[0, :, 0].tolist() == [1, 1, 1, image.GAP_SHADE, 2, 2, 2]
    assert strip[2, :, 0].tolist() == [image.GAP_SHADE] * 7
    assert strip[3, :3, 0].tolist() == [3, 3, 3]


def test_a_sheet_of_fewer_images_than_columns_is_no_wider_than_they_are() -> None:
    assert image.sheet([flat(1), flat(2)], columns=4).shape == (2, 6, 3)


@pytest.mark.parametrize(
    ("steps", "most", "wanted"),
    [(range(3), 5, (0, 1, 2)), (range(21), 3, (0, 10, 20)), (range(100), 2, (0, 99))],
)
def test_steps_are_spread_evenly_with_both_ends(steps, most: int, wanted: tuple) -> None:
    assert image.pick_evenly(steps, most) == wanted


def test_a_difference_is_counted_in_pixels_and_in_colour_values() -> None:
    other = flat(10)
    other[0, 0] = (10, 10, 70)
    assert image.difference([flat(10)], [flat(10)]) == (0.0, 0, 0.0)
    share, largest, mean = image.difference([flat(10)], [other]) or (0, 0, 0)
    assert share == pytest.approx(1 / 6)
    assert largest == 60
    assert mean == pytest.approx(60 / 18)


def test_images_of_other_sizes_or_numbers_have_no_difference() -> None:
    assert image.difference(NOISE, NOISE[:2]) is None
    assert image.difference([flat(1)], [NOISE[0]]) is None


@pytest.mark.parametrize("write", [image.png, image.apng, image.gif])
def test_a_truncated_image_is_refused(write) -> None:
    data = write(NOISE[0] if write is image.png else NOISE, TEXT)
    for length in (0, 4, len(data) // 2, len(data) * 3 // 4):
        with pytest.raises(ValueError, match=r"truncated|is not an image"):
            image.read(data[:length])


def test_pixels_are_counted_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "MAX_PIXELS", NOISE[0][..., 0].size * len(NOISE) - 1)
    with pytest.raises(ValueError, match=r"over .* pixels"):
        image.read(image.apng(NOISE, TEXT))


def test_a_frame_larger_than_the_header_of_a_gif_says_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = io.BytesIO()
    Image.new("P", (64, 64)).save(file, "GIF")
    large = file.getvalue()[file.getvalue().index(b",\0\0\0\0\x40\0\x40\0") :]
    assert image.read(HEAD + FRAME + large).frames[1].shape == (64, 64, 3)
    monkeypatch.setattr(image, "MAX_PIXELS", 1000)
    with pytest.raises(image.TooLargeError, match="over 1,000 pixels"):
        image.read(HEAD + FRAME + large)


FRAME = b"!\xf9\4\0\1\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0"  # one pixel, and its delay
HEAD = b"GIF89a\1\0\1\0\x80\0\0" + bytes(6)


def test_a_gif_of_more_frames_than_are_read_is_refused() -> None:
    assert len(image.read(HEAD + FRAME * 50 + b";").frames) == 50
    with pytest.raises(ValueError, match="over 10,000 frames"):
        image.read(HEAD + FRAME * (image.MAX_FRAMES + 1) + b";")


def test_frames_of_a_gif_with_tables_of_its_own_are_counted(monkeypatch) -> None:
    monkeypatch.setattr(image, "MAX_FRAMES", len(NOISE) - 1)
    with pytest.raises(ValueError, match=f"over {len(NOISE) - 1} frames"):
        image.read(image.gif(NOISE, TEXT * 100))
    monkeypatch.setattr(image, "MAX_FRAMES", len(NOISE))
    assert len(image.read(image.gif(NOISE, TEXT * 100)).frames) == len(NOISE)


def test_what_is_no_png_or_gif_is_refused() -> None:
    with pytest.raises(ValueError, match="is not an image"):
        image.read(b"BM" + bytes(100))
