import numpy as np

from genui.render.series import ChartLine, list_lines, sort_points

STEPS = np.arange(3)


def test_points_are_put_in_order_and_what_has_no_place_left_out() -> None:
    x = np.array([3.0, 1.0, np.nan, 2.0, 1e308, 1.0])
    found = sort_points("x", x, np.arange(6), "line")
    assert found.steps.tolist() == [1.0, 1.0, 2.0, 3.0]
    assert found.values.tolist() == [1.0, 5.0, 3.0, 0.0]


def test_points_in_order_are_not_copied() -> None:
    values = np.ones(3)
    found = sort_points("x", STEPS, values, "line")
    assert found.steps is STEPS
    assert found.values is values


def test_what_needs_room_is_every_series_with_points_and_its_average() -> None:
    average = (STEPS, np.zeros(3))
    raw = ChartLine("x", STEPS, np.ones(3), "smoothed", average)
    none = ChartLine("y", STEPS[:0], np.empty(0))
    assert [one.values.tolist() for one in list_lines([raw, none])] == [[1, 1, 1], [0, 0, 0]]
