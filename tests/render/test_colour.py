import numpy as np
import pytest

from genui.render.colours import ColourMode, detect_colours
from genui.render.image import quantize_16, quantize_256


@pytest.mark.parametrize(
    ("env", "isatty", "mode"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, True, "truecolor"),
        ({"TERM": "xterm-256color"}, True, "256"),
        ({"TERM": "xterm"}, True, "16"),
        ({"TERM": "xterm-kitty"}, True, "truecolor"),
        ({"TERM": "dumb"}, True, "ascii"),
        ({}, True, "ascii"),
        ({"WT_SESSION": "1"}, True, "truecolor"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, False, "ascii"),
        ({"TERM": "xterm-256color", "FORCE_COLOR": "3"}, False, "truecolor"),
        ({"TERM": "xterm-256color", "FORCE_COLOR": "yes"}, False, "256"),
        ({"TERM": "xterm-256color", "FORCE_COLOR": "0"}, True, "ascii"),
        ({"TERM": "xterm-256color", "FORCE_COLOR": "3", "NO_COLOR": "1"}, True, "ascii"),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, True, "256"),
    ],
)
def test_the_environment_says_which_colours(
    env: dict[str, str], isatty: bool, mode: ColourMode
) -> None:
    assert detect_colours(env, isatty) == mode


def test_palette_colours_are_found_exactly() -> None:
    rgb = np.array([(0, 0, 0), (255, 255, 255), (255, 0, 0), (95, 135, 175), (8, 8, 8)], np.uint8)
    assert quantize_256(rgb).tolist() == [16, 231, 196, 67, 232]
    assert quantize_16(np.array([(250, 10, 10), (0, 0, 0)], np.uint8)).tolist() == [9, 0]
