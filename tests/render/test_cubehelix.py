"""The colours of spectrograms: evenly lighter, and readable back from files."""

import numpy as np

from genui.render.image import (
    LEVELS,
    apply_colour_map,
    build_colour_map,
    build_magma,
    invert_colour_map,
    is_spectrogram,
    recolour_spectrogram,
)


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


def test_on_screen_every_level_keeps_its_place_in_a_map_that_gets_evenly_lighter() -> None:
    levels = apply_colour_map(np.linspace(-1, 1, LEVELS, dtype=np.float32))
    assert np.array_equal(recolour_spectrogram(levels, "truecolor"), build_magma())
    assert np.diff(build_magma() @ np.array([0.2126, 0.7152, 0.0722])).min() > -0.5
    greys = recolour_spectrogram(levels, "16")
    assert (greys[:, 0] == greys[:, 1]).all()
    assert (np.diff(greys[:, 0].astype(int)) >= 0).all()


def test_a_spectrogram_is_known_by_its_colours() -> None:
    levels = apply_colour_map(np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8))
    assert is_spectrogram(levels)
    other = levels.copy()
    other[0, 0] = 255, 0, 0
    assert not is_spectrogram(other)
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8, 1).repeat(3, axis=2)
    assert not is_spectrogram(grey)
    assert not is_spectrogram(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8))
