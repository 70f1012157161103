import pytest
from hypothesis import given
from hypothesis import strategies as st

from genui.render.axis import choose_x_ticks, format_amount, format_duration, format_place


def labels(low: float, high: float, most: int, unit: str, log: bool = False) -> list[str]:
    return [tick.label for tick in choose_x_ticks(low, high, most, unit, log)]


def test_seconds_are_marked_as_on_a_clock() -> None:
    assert labels(0, 12, 6, "s") == ["0", "2 s", "4 s", "6 s", "8 s", "10 s", "12 s"]
    assert labels(0, 240, 5, "s") == ["0", "1:00", "2:00", "3:00", "4:00"]
    assert labels(0, 5 * 3600, 5, "s") == ["0", "1 h", "2 h", "3 h", "4 h", "5 h"]
    assert labels(3600, 7200, 2, "s") == ["1 h", "1 h 30", "2 h"]
    assert labels(18_000, 18_060, 2, "s") == ["5:00:00", "5:00:30", "5:01:00"]
    assert labels(0, 3 * 86_400, 3, "s") == ["0", "1 d", "2 d", "3 d"]
    assert labels(0, 0.4, 2, "s") == ["0", "0.2 s", "0.4 s"]


def test_no_mark_is_between_two_steps() -> None:
    assert labels(0, 1, 5, "step") == ["0", "1"]
    assert labels(7, 10, 9, "step") == ["7", "8", "9", "10"]
    assert labels(0, 40, 4, "step") == ["0", "10", "20", "30", "40"]


def test_tokens_have_the_prefixes_people_say() -> None:
    assert labels(0, 3e6, 6, "token") == ["0", "500k", "1.0M", "1.5M", "2.0M", "2.5M", "3.0M"]
    assert labels(0, 2e9, 2, "token") == ["0", "1B", "2B"]


def test_a_logarithmic_axis_of_seconds_and_of_tokens_too() -> None:
    assert labels(0, 4, 5, "s", log=True) == ["1 s", "10 s", "1:40", "16:40", "2:46:40"]
    assert labels(3, 6, 4, "token", log=True) == ["1k", "10k", "100k", "1M"]


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [
        (640, "step", "640 steps"),
        (1, "step", "1 step"),
        (0.24, "step", "0.24 steps"),
        (12_345, "step", "12,345 steps"),
        (0.5, "s", "0.5 s"),
        (12, "s", "12 s"),
        (200, "s", "3:20"),
        (7200, "s", "2 h"),
        (1.2e6, "token", "1.2M tokens"),
        (0.05, "epoch", "0.05 epochs"),
        (3, "game", "3 games"),
        (3, "frame", "3 frame"),  # the name of a metric
    ],
)
def test_an_amount_has_its_unit(number: float, unit: str, text: str) -> None:
    assert format_amount(number, unit) == text


@pytest.mark.parametrize(
    ("x", "unit", "text"),
    [
        (1240, "step", "step 1,240"),
        (46_687.4, "step", "step 46,687"),
        (200, "s", "3:20"),
        (1.5, "s", "1.50 s"),
        (1.2e6, "token", "1.2M tokens"),
        (2.5, "epoch", "epoch 2.5"),
    ],
)
def test_a_place_has_its_unit(x: float, unit: str, text: str) -> None:
    assert format_place(x, unit) == text


def test_long_times_and_times_before_the_start() -> None:
    assert format_duration(2 * 86_400 + 6 * 3600) == "2 d 6 h"
    assert format_duration(2 * 86_400 + 60, 60) == "2 d 0:01"
    assert format_duration(-200) == "-3:20"
    assert format_duration(3765) == "1:02:45"


@given(st.floats(-1e9, 1e9), st.floats(1e-3, 1e9), st.integers(1, 20))
def test_ticks_of_seconds_are_inside_and_never_none(low: float, span: float, most: int) -> None:
    found = choose_x_ticks(low, low + span, most, "s", False)
    margin = span * 1e-6 + abs(low) * 1e-9
    assert found
    assert all(low - margin <= tick.position <= low + span + margin for tick in found)
