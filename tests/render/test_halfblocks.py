import tracemalloc

import numpy as np
import pytest

from genui.render import image
from genui.render.image import Drawing, Fit, draw, fit


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def octets(drawing: Drawing) -> int:
    """What a terminal is sent: a code, the text and a reset for each run."""
    total = 0
    for row in drawing.rows:
        for text, fg, bg in row:
            codes = [
                f"{ground};5;{colour}"
                if drawing.palette
                else f"{ground};2;{colour >> 16};{colour >> 8 & 255};{colour & 255}"
                for ground, colour in ((38, fg), (48, bg))
                if colour is not None
            ]
            total += len(f"\x1b[{';'.join(codes)}m{text}\x1b[0m".encode())
    return total


@pytest.mark.parametrize(
    ("size", "room", "expected"),
    [
        ((32, 32), (64, 32), Fit(2, 2, 64, 32)),
        ((32, 32), (64, 31), Fit(1.5, 1.5, 48, 24)),
        ((32, 32), (120, 50), Fit(3, 3, 96, 48)),
        ((32, 32), (90, 50), Fit(2.5, 2.5, 80, 40)),
        ((32, 32), (20, 40), Fit(0.625, 0.625, 20, 10)),
        ((128, 128), (74, 34), Fit(0.53125, 0.53125, 68, 34)),
        ((3, 3), (3, 2), Fit(1, 1, 3, 2)),
        ((131, 66), (64, 30), Fit(64 / 131, 64 / 131, 64, 17)),
        ((32, 32), (0, 0), Fit(1 / 32, 1 / 32, 1, 1)),
    ],
)
def test_an_image_is_enlarged_by_half_steps_or_shrunk_to_fill_its_room(
    size: tuple[int, int], room: tuple[int, int], expected: Fit
) -> None:
    assert fit(*size, *room) == expected


def test_a_half_step_copies_pixels_and_mixes_none() -> None:
    rgb = np.array([[[9, 0, 0], [0, 9, 0]], [[0, 0, 9], [9, 9, 9]]], np.uint8)
    upper, lower = draw(rgb, fit(2, 2, 3, 2), "truecolor").rows
    assert [tuple(run) for run in upper] == [("  ", None, 0x090000), (" ", None, 0x000900)]
    assert [tuple(run) for run in lower] == [("  ", None, 0x000009), (" ", None, 0x090909)]


def test_shrinking_takes_the_means_of_the_pixels_that_a_cell_covers() -> None:
    ramp = np.arange(0, 90, 10, dtype=np.uint8)[None, :, None].repeat(2, axis=0).repeat(3, axis=2)
    for cols, expected in ((3, [10, 40, 70]), (2, [18, 62])):  # 4.5 pixels each: the fifth is split
        (row,) = draw(ramp, Fit(cols / 9, 1, cols, 1), "truecolor").rows
        assert [run.bg for run in row] == [0x10101 * value for value in expected]


@pytest.mark.parametrize("mode", ["truecolor", "256", "16", "ascii"])
@pytest.mark.parametrize("room", [(64, 32), (40, 20), (7, 3), (1, 1)])
def test_every_row_is_as_wide_as_the_drawing(mode, room: tuple[int, int]) -> None:
    place = fit(31, 17, *room)
    drawing = draw(noise(17, 31), place, mode)
    assert len(drawing.rows) == place.rows
    assert {sum(len(run.text) for run in row) for row in drawing.rows} == {place.cols}


def test_two_pixels_share_a_cell() -> None:
    rgb = np.array([[[255, 0, 0], [9, 9, 9]], [[0, 0, 255], [9, 9, 9]]], np.uint8)
    (row,) = draw(rgb, fit(2, 2, 2, 1), "truecolor").rows
    assert [tuple(run) for run in row] == [("▀", 0xFF0000, 0x0000FF), (" ", None, 0x090909)]


def test_equal_neighbours_are_one_run() -> None:
    rgb = np.full((32, 32, 3), 77, np.uint8)
    assert all(len(row) == 1 for row in draw(rgb, fit(32, 32, 64, 32), "truecolor").rows)


def test_a_large_image_is_drawn_in_less_memory_than_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    rgb = noise(1500, 2100)
    room = fit(2100, 1500, 80, 30)
    whole = draw(rgb, room, "truecolor")
    monkeypatch.setattr(image, "_BAND", 1 << 16)
    tracemalloc.start()
    assert draw(rgb, room, "truecolor") == whole
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < rgb.nbytes


@pytest.mark.parametrize("size", [32, 64, 256])
@pytest.mark.parametrize("room", [(64, 32), (100, 54), (200, 60)])
@pytest.mark.parametrize("mode", ["truecolor", "256"])
def test_full_noise_stays_in_the_budget(size: int, room: tuple[int, int], mode) -> None:
    drawing = draw(noise(size, size), fit(size, size, *room), mode, 25_000)
    assert octets(drawing) <= 25_000


def test_a_cheap_image_is_drawn_exactly() -> None:
    rgb = np.zeros((32, 32, 3), np.uint8)
    rgb[8:24, 8:24] = (201, 103, 57)
    drawing = draw(rgb, fit(32, 32, 64, 32), "truecolor")
    assert {run.bg for row in drawing.rows for run in row} == {0, 201 << 16 | 103 << 8 | 57}


def test_no_more_is_rounded_than_the_budget_asks() -> None:
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None] * 4, 64, axis=0).repeat(3, axis=2)
    place = fit(64, 64, 64, 32)
    exact, tight = draw(ramp, place, "truecolor", None), draw(ramp, place, "truecolor", 25_000)
    assert not tight.palette
    assert octets(tight) <= 25_000 < octets(exact)


def test_without_colour_brightness_is_a_character() -> None:
    rgb = np.array([[[0, 0, 0], [120, 120, 120], [255, 255, 255]]] * 2, np.uint8)
    (row,) = draw(rgb, fit(3, 2, 3, 1), "ascii").rows
    assert [tuple(run) for run in row] == [(" =@", None, None)]
