import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genui.render.axis import choose_log_ticks, choose_ticks


def labels(found) -> list[str]:
    return [tick.label for tick in found]


def test_ticks_are_round_numbers_with_the_decimals_they_need() -> None:
    assert labels(choose_ticks(0, 1240, 6)) == ["0", "500", "1,000"]
    assert labels(choose_ticks(1.2, 4.4, 4)) == ["2", "3", "4"]
    assert labels(choose_ticks(1.2, 2.4, 7)) == ["1.2", "1.4", "1.6", "1.8", "2.0", "2.2", "2.4"]
    assert labels(choose_ticks(0, 3e-4, 4)) == ["0", "1e-4", "2e-4", "3e-4"]


def test_a_log_axis_names_the_numbers_themselves() -> None:
    assert labels(choose_log_ticks(-2, 1, 6)) == ["0.01", "0.1", "1", "10"]


def test_a_short_stretch_of_a_log_axis_has_round_numbers() -> None:
    low, high = math.log10(3.4), math.log10(4.6)
    found = choose_log_ticks(low, high, 4)
    assert labels(found) == ["3.5", "4.0", "4.5"]
    assert all(low <= tick.position <= high for tick in found)


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(1, 12))
def test_there_is_always_a_tick_inside(low: float, span: float, most: int) -> None:
    high = low + span
    found = choose_ticks(low, high, most)
    assert found
    margin = span * 1e-6 + abs(low) * 1e-12
    assert all(low - margin <= tick.position <= high + margin for tick in found)


@pytest.mark.parametrize("most", [1, 2, 3, 8])
def test_log_ticks_are_few_and_never_none(most: int) -> None:
    for low, high in ((-9.5, 6.2), (0.31, 0.35), (2, 2)):
        assert 1 <= len(choose_log_ticks(low, high, most)) <= max(most, 1)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 0.004, ["0", "0.001", "0.002", "0.003", "0.004"]),
        (1.1e-4, 1.3e-4, ["1.10e-4", "1.15e-4", "1.20e-4", "1.25e-4", "1.30e-4"]),
        (0.0, 4e6, ["0", "1M", "2M", "3M", "4M"]),
        (1e6, 1e6 + 8, ["1.000000M", "1.000002M", "1.000004M", "1.000006M", "1.000008M"]),
        (0.0, 1e300, ["0", "5e299", "1.0e300"]),
        (-0.2, 0.2, ["-0.2", "-0.1", "0", "0.1", "0.2"]),
    ],
)
def test_labels_are_short_and_differ(low: float, high: float, expected: list[str]) -> None:
    assert labels(choose_ticks(low, high, 4)) == expected


def test_a_log_axis_of_every_size_a_float_has() -> None:
    assert labels(choose_log_ticks(-323, 308, 3)) == ["1e-323", "1e-112", "1e99"]
    assert labels(choose_log_ticks(-4, -3, 2)) == ["1e-4", "0.001"]
    assert labels(choose_log_ticks(5, 7, 3)) == ["100,000", "1e6", "1e7"]


PREFIXES = str.maketrans({"k": "e3", "M": "e6", "G": "e9", "T": "e12"})


@given(st.floats(-320, 305), st.floats(1e-3, 600), st.integers(1, 12))
def test_log_ticks_lie_on_the_axis_and_say_where(low: float, span: float, most: int) -> None:
    high = min(low + span, 308.0)
    found = choose_log_ticks(low, high, most)
    assert 1 <= len(found) <= max(most, 1)
    for tick in found:
        assert low - 1e-6 <= tick.position <= high + 1e-6
        number = float(tick.label.replace(",", "").translate(PREFIXES))
        if number and tick.position > -300:
            assert math.log10(number) == pytest.approx(tick.position, abs=0.02)


@given(st.floats(-1e15, 1e15), st.floats(1e-9, 1e15), st.integers(2, 12))
def test_no_two_ticks_have_one_label(low: float, span: float, most: int) -> None:
    if span > abs(low) * 1e-6:
        found = labels(choose_ticks(low, low + span, most))
        assert len(set(found)) == len(found)
