import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genui.render.axis import log_ticks, ticks


def labels(found) -> list[str]:
    return [tick.label for tick in found]


def test_ticks_are_round_numbers_with_the_decimals_they_need() -> None:
    assert labels(ticks(0, 1240, 6)) == ["0", "500", "1,000"]
    assert labels(ticks(1.2, 4.4, 4)) == ["2", "3", "4"]
    assert labels(ticks(1.2, 2.4, 7)) == ["1.2", "1.4", "1.6", "1.8", "2.0", "2.2", "2.4"]
    assert labels(ticks(0, 3e-4, 4)) == ["0", "1e-4", "2e-4", "3e-4"]


def test_a_log_axis_names_the_numbers_themselves() -> None:
    assert labels(log_ticks(-2, 1, 6)) == ["0.01", "0.1", "1", "10"]


def test_a_short_stretch_of_a_log_axis_has_round_numbers() -> None:
    low, high = math.log10(3.4), math.log10(4.6)
    found = log_ticks(low, high, 4)
    assert labels(found) == ["3.5", "4.0", "4.5"]
    assert all(low <= tick.position <= high for tick in found)


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(1, 12))
def test_there_is_always_a_tick_inside(low: float, span: float, most: int) -> None:
    high = low + span
    found = ticks(low, high, most)
    assert found
    margin = span * 1e-6 + abs(low) * 1e-12
    assert all(low - margin <= tick.position <= high + margin for tick in found)


@pytest.mark.parametrize("most", [1, 2, 3, 8])
def test_log_ticks_are_few_and_never_none(most: int) -> None:
    for low, high in ((-9.5, 6.2), (0.31, 0.35), (2, 2)):
        assert 1 <= len(log_ticks(low, high, most)) <= max(most, 1)
