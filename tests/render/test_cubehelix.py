"""The colours of spectrograms: evenly lighter, and readable back."""

import numpy as np

from genui.render.image import LEVELS, apply_colour_map, build_colour_map, invert_colour_map


def test_it_goes_from_black_to_white_and_never_darker() -> None:
    luminance = build_colour_map() @ np.array([0.30, 0.59, 0.11])
    assert tuple(build_colour_map()[0]) == (0, 0, 0)
    assert tuple(build_colour_map()[-1]) == (255, 255, 255)
    assert np.diff(luminance).min() > -1  # of 255: colours are rounded


def test_values_come_back_from_their_colours() -> None:
    values = np.linspace(-1, 1, LEVELS, dtype=np.float32)
    np.testing.assert_allclose(
        invert_colour_map(apply_colour_map(values)), values, atol=1.01 / LEVELS
    )


def test_what_lies_beyond_is_an_end() -> None:
    ends = apply_colour_map(np.array([-9.0, 9.0], np.float32))
    assert ends.tolist() == [[0, 0, 0], [255, 255, 255]]
