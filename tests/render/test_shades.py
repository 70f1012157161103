import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from genui.render.shades import BARS, BROKEN, SHADES, draw_levels, draw_shades, find_levels

X = np.arange(11.0)


def test_each_device_is_a_row_and_each_fifth_a_shade() -> None:
    series = {"gpu0": (X, 10 * X), "gpu10": (X, np.full(11, 100.0))}
    rows = draw_shades(series, 16, 4, (0.0, 10.0))
    assert rows == [("gpu0  ", "··░░▒▒▓▓██"), ("gpu10 ", "██████████")]


def test_devices_share_rows_if_there_are_too_few() -> None:
    series = {f"gpu{number}": (X, np.full(11, value)) for number, value in enumerate((0.0, 100, 0))}
    rows = draw_shades(series, 30, 2, (0.0, 10.0))
    assert [(label.strip(), set(text)) for label, text in rows] == [
        ("gpu0–gpu1", {SHADES[2]}),
        ("gpu2", {SHADES[0]}),
    ]


def test_gaps_are_bridged_but_not_the_time_before_and_after() -> None:
    values = np.array([0.0, np.nan, 100.0])
    ((_, text),) = draw_shades({"a": (np.array([4.0, 5.0, 6.0]), values)}, 12, 1, (0.0, 10.0))
    assert (text[:4].strip(), text[7:].strip()) == ("", "")
    assert text[4:7] == "·▓█"
    assert draw_shades({"a": (X[:0], X[:0])}, 8, 1, (0.0, 1.0)) == [("a ", " " * 6)]


def test_no_room_is_no_row() -> None:
    assert draw_shades({"gpu0": (X, X)}, 5, 2, (0.0, 1.0)) == []
    assert draw_shades({}, 50, 2, (0.0, 1.0)) == []


@given(st.lists(st.floats(width=64), max_size=50))
def test_a_sparkline_has_a_bar_for_each_part_whatever_the_values(values: list[float]) -> None:
    text = draw_levels(find_levels(np.array(values, np.float64), 8))
    assert len(text) == min(8, len(values))
    assert set(text) <= {*BARS, BROKEN}


def test_a_sparkline_falls_with_its_curve() -> None:
    assert draw_levels(find_levels(11 - np.arange(10), 5)) == "█▇▅▃▁"
    assert draw_levels(find_levels(np.ones(11), 4)) == "▁▁▁▁"
    assert draw_levels(find_levels(np.array([1, np.nan, 2]), 3)) == "▁×█"
