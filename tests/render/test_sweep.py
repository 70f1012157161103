"""Scatter and parallel coordinates of runs."""

import math

import numpy as np
import pytest

from genui.render.sweep import POINT, Part, Scale, draw_parallel, draw_scatter, scale


def text(lines: list[list[Part]]) -> list[str]:
    return ["".join(part for part, _ in line) for line in lines]


def where(lines: list[str], sign: str) -> tuple[int, int]:
    """The row and column of a sign."""
    return next((row, line.index(sign)) for row, line in enumerate(lines) if sign in line)


def test_values_far_apart_have_a_logarithmic_scale() -> None:
    rates = scale([1e-5, 1e-4, 1e-3, None, math.nan])
    assert rates.log
    np.testing.assert_allclose(rates.places, [0, 0.5, 1, np.nan, np.nan])
    assert (rates.low, rates.high) == ("1e-05", "0.001")
    np.testing.assert_allclose(scale([1.0, 2.0, 3.0]).places, [0, 0.5, 1])
    np.testing.assert_allclose(scale([2.0, 2.0]).places, [0.5, 0.5])
    np.testing.assert_allclose(scale(["sgd", "adam", None]).places, [1, 0, np.nan])
    assert np.isfinite(scale([-1.7e308, 1.7e308]).places).all()


def test_the_run_at_the_cursor_is_at_its_values() -> None:
    x, y = scale([0.0, 1.0, 2.0]), scale([5.0, 1.0, 3.0])
    first = where(text(draw_scatter(x, y, ("x", "y"), 40, 12, here=0)), POINT)
    second = where(text(draw_scatter(x, y, ("x", "y"), 40, 12, here=1)), POINT)
    assert first[0] < second[0]  # higher
    assert first[1] < second[1]


def test_every_run_has_a_dot() -> None:
    x, y = scale([0.0, 1.0, 2.0]), scale([5.0, 1.0, 3.0])
    lines = text(draw_scatter(x, y, ("lr", "loss"), 40, 12))
    dots = sum(bin(ord(sign) - 0x2800).count("1") for sign in "".join(lines) if ord(sign) > 0x2800)
    assert dots == 3
    assert "lr" in lines[-1]
    assert "loss" in lines[0]


@pytest.mark.parametrize(("width", "height"), [(1, 1), (12, 3), (40, 9), (200, 40)])
def test_charts_keep_to_their_room(width: int, height: int) -> None:
    scales = [scale([1.0, 2.0, None]), scale(["a", "b", "c"]), scale([1e-6, 1.0, 3.0])]
    names = ["a long name of a column", "b", "c"]
    for lines in (
        draw_scatter(scales[0], scales[2], ("a", "b"), width, height, shown=[0], here=1),
        draw_parallel(scales, names, width, height, best=[0], here=1),
    ):
        assert len(lines) <= max(height, 1)
        if width > 40:
            assert all(len(line) <= width for line in text(lines))


def test_a_line_goes_through_the_values_of_its_run() -> None:
    scales = [scale([0.0, 1.0]), scale([1.0, 0.0])]
    lines = draw_parallel(scales, ["a", "b"], 40, 13, here=0)
    kinds = [{kind for part, kind in line if part.strip()} for line in lines[2:-1]]
    assert all("here" in row for row in kinds)  # from the bottom to the top
    empty = Scale("", "", np.full(2, np.nan))
    gap = text(draw_parallel([scales[0], empty], ["a", "b"], 40, 13, here=0))
    assert not any(0x2800 < ord(sign) <= 0x28FF for sign in "".join(gap))
