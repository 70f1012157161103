import numpy as np
import pyte
import pytest

from genui.render.image import draw_ansi

RGB = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], np.uint8)


def screen_of(text: str) -> pyte.Screen:
    screen = pyte.Screen(20, 10)
    pyte.Stream(screen).feed(text.replace("\n", "\r\n"))
    return screen


def test_truecolour_half_blocks_show_both_pixels() -> None:
    screen = screen_of(draw_ansi(RGB, "truecolor", 2))
    first, second = screen.buffer[0][0], screen.buffer[0][1]
    assert (first.data, first.fg, first.bg) == ("▀", "ff0000", "0000ff")
    assert (second.fg, second.bg) == ("00ff00", "ffffff")


@pytest.mark.parametrize("mode", ["truecolor", "256", "16"])
def test_every_line_ends_without_colour(mode) -> None:
    lines = draw_ansi(RGB, mode, 8).splitlines()
    assert lines
    assert all(line.endswith("\x1b[0m") for line in lines)


def test_sixteen_colours_use_the_short_codes() -> None:
    rows = np.array([[(255, 0, 0)] * 2, [(0, 0, 0)] * 2], np.uint8)
    cell = screen_of(draw_ansi(rows, "16", 2)).buffer[0][0]
    assert (cell.data, cell.fg, cell.bg) == ("▀", "brightred", "black")
    assert "38;5" not in draw_ansi(rows, "16", 2)


def test_without_colour_there_is_no_escape_code() -> None:
    assert "\x1b" not in draw_ansi(RGB, "ascii", 8)
