"""Images as PNG and sixel data: decoded again, they are the image; and they keep to a budget."""

import base64
import re
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from genui.render.pixels import encode_png, encode_sixel, encode_stretched_png, fit_pixels

SIZE = (320, 336)  # columns and rows of pixels on the screen
ROUNDING = 2  # levels: sixel colours are in percent


def smooth(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return (np.stack((x, y, 1 - x), axis=2) * 255).astype(np.uint8)


def flat(height: int, width: int) -> np.ndarray:
    """Three colours."""
    colours = np.array([(250, 10, 30), (0, 0, 0), (20, 200, 90)], np.uint8)
    return colours[np.random.default_rng(1).integers(0, 3, (height, width))]


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (height, width, 3), dtype=np.uint8)


def decode_png(data: str) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(base64.b64decode(data))))


def decode_sixel(data: str) -> np.ndarray:
    """Decode into uint8 [H, W, 3]; pixels that are not drawn are magenta."""
    match = re.fullmatch(r'\x1bPq"1;1;(\d+);(\d+)(.*)\x1b\\', data)
    assert match
    width, height = int(match[1]), int(match[2])
    image = np.full((-(-height // 6) * 6, width, 3), (255, 0, 255), np.uint8)
    palette: dict[int, tuple[int, ...]] = {}
    colour, x, y = 0, 0, 0
    token = re.compile(r"#(\d+)(?:;2;(\d+);(\d+);(\d+))?|!(\d+)([?-~])|([?-~])|(\$)|(-)")
    end = 0
    for found in token.finditer(match[3]):
        assert found.start() == end
        end = found.end()
        number, red, green, blue, repeat, repeated, char, back, following = found.groups()
        if number and red:
            palette[int(number)] = tuple(round(255 * int(c) / 100) for c in (red, green, blue))
        elif number:
            colour = int(number)
        elif back:
            x = 0
        elif following:
            x, y = 0, y + 6
        else:
            times = int(repeat or 1)
            bits = ord(repeated or char) - 63
            for row in range(6):
                if bits >> row & 1:
                    assert x + times <= width
                    image[y + row, x : x + times] = palette[colour]
            x += times
    assert end == len(match[3])
    return image[:height]


def enlarge(rgb: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    rows = np.arange(size[1]) * rgb.shape[0] // size[1]
    columns = np.arange(size[0]) * rgb.shape[1] // size[0]
    return rgb[rows][:, columns]


@pytest.mark.parametrize("make", [smooth, flat, noise])
def test_a_png_has_each_pixel_a_whole_number_of_times(
    make: Callable[[int, int], np.ndarray],
) -> None:
    rgb = make(24, 32)
    encoded = encode_png(rgb, SIZE, 100_000)
    assert encoded is not None
    decoded = decode_png(encoded.data)
    factor = decoded.shape[0] // 24
    assert factor > 1  # the terminal would blur them
    assert np.array_equal(decoded, rgb.repeat(factor, 0).repeat(factor, 1))
    assert not encoded.is_reduced


def test_a_png_over_its_budget_has_fewer_copies_and_then_fewer_pixels() -> None:
    rgb = noise(64, 64)
    whole = encode_png(rgb, (2000, 2000), 100_000)
    fewer = encode_png(rgb, (2000, 2000), 18_000)
    coarse = encode_png(rgb, (2000, 2000), 8_000)
    assert whole
    assert fewer
    assert coarse
    assert decode_png(whole.data).shape > decode_png(fewer.data).shape
    assert (fewer.is_reduced, fewer.is_coarse) == (True, False)
    assert (coarse.is_reduced, coarse.is_coarse) == (True, True)
    assert decode_png(coarse.data).shape < rgb.shape
    assert len(fewer.data) <= 18_000
    assert len(coarse.data) <= 8_000
    assert encode_png(rgb, SIZE, 50) is None


def test_a_png_has_no_more_pixels_than_its_place() -> None:
    encoded = encode_png(smooth(400, 600), (300, 200), 10**6)
    assert encoded is not None
    assert decode_png(encoded.data).shape == (200, 300, 3)


@pytest.mark.parametrize("size", [SIZE, (32, 24), (101, 67), (20, 11)])
def test_sixel_data_is_the_enlarged_or_shrunk_image(size: tuple[int, int]) -> None:
    rgb = flat(24, 32)
    encoded = encode_sixel(rgb, size, 10**6)
    assert encoded is not None
    decoded = decode_sixel(encoded.data).astype(int)
    if size[0] >= 32 and size[1] >= 24:
        assert np.abs(decoded - enlarge(rgb, size)).max() <= ROUNDING
    assert decoded.shape == (size[1], size[0], 3)
    assert not (decoded == (255, 0, 255)).all(axis=2).any()  # every pixel is drawn


def test_sixel_data_has_at_most_the_colours_of_the_terminal() -> None:
    encoded = encode_sixel(noise(32, 32), SIZE, 10**6, colours=16)
    assert encoded is not None
    assert len(np.unique(decode_sixel(encoded.data).reshape(-1, 3), axis=0)) <= 16
    assert not encoded.is_reduced  # with a larger budget it would be no better


def test_sixel_data_over_its_budget_has_fewer_colours_or_is_left_out() -> None:
    rgb = smooth(32, 32)
    whole = encode_sixel(rgb, SIZE, 10**6)
    assert whole
    reduced = encode_sixel(rgb, SIZE, len(whole.data) - 1)
    assert reduced
    assert len(whole.data) > len(reduced.data)
    assert encode_sixel(rgb, SIZE, len(whole.data)) == whole
    assert (whole.is_reduced, reduced.is_reduced) == (False, True)
    assert np.abs(decode_sixel(reduced.data).astype(int) - enlarge(rgb, SIZE)).mean() < 20
    assert encode_sixel(noise(64, 64), SIZE, 5_000) is None


@pytest.mark.parametrize(("cols", "rows"), [(80, 20), (20, 80), (3, 3), (1, 1)])
def test_an_image_fills_its_place_in_one_direction_and_keeps_its_proportions(
    cols: int, rows: int
) -> None:
    fit = fit_pixels(48, 32, cols, rows, aspect=2.2)
    assert fit.cols <= cols
    assert fit.rows <= rows
    assert fit.cols == cols or fit.rows == rows
    assert abs(fit.cols - fit.rows * 2.2 * 48 / 32) <= max(1, 2.2 * 48 / 32)


@pytest.mark.parametrize("size", [(600, 200), (300, 700), (40, 90)])
@pytest.mark.parametrize("budget", [10**6, 4_000])
def test_a_stretched_image_has_the_proportions_of_its_place(
    size: tuple[int, int], budget: int
) -> None:
    encoded = encode_stretched_png(noise(48, 64), size, budget)
    assert encoded is not None
    assert len(encoded.data) <= budget
    height, width = decode_png(encoded.data).shape[:2]
    assert width / height == pytest.approx(size[0] / size[1], rel=0.03)
    assert width <= size[0]
    assert encoded.is_reduced == (budget == 4_000)
