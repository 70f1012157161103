import math

import pytest

from genui.base import numbers


def test_counts_have_separated_thousands() -> None:
    assert numbers.count(1240) == "1,240"
    assert numbers.count(1240.0) == "1,240"
    assert numbers.count(2**63 - 1) == "9,223,372,036,854,775,807"
    assert [numbers.quantity(n, "run") for n in (1, 1240)] == ["1 run", "1,240 runs"]
    assert [numbers.quantity(n, "branch", "branches") for n in (1, 0)] == ["1 branch", "0 branches"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"), (7, "7"), (0.25, "0.25"), (12.34, "12.3"), (312, "312"), (999.7, "1.0k"),
        (5800, "5.8k"), (123_456, "123k"), (4_800_000, "4.8M"), (-5800, "-5.8k"),
    ],
)  # fmt: skip
def test_short_numbers_take_a_prefix(number: float, text: str) -> None:
    assert numbers.short(number) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1.7123, "1.712"), (0.0421, "0.0421"), (3e-4, "3.00e-04"), (0, "0"), (1234.5, "1,234"),
        (float("nan"), "NaN"), (float("inf"), "∞"), (float("-inf"), "-∞"),
    ],
)  # fmt: skip
def test_values_have_four_digits(number: float, text: str) -> None:
    assert numbers.value(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00"), (6.2, "0:07"), (252, "4:12"), (3765, "1:02:45"), (183_600, "2 d 3 h"),
        (-1, "–"), (float("nan"), "–"), (float("inf"), "–"),
    ],
)  # fmt: skip
def test_times_read_as_a_clock(seconds: float, text: str) -> None:
    assert numbers.clock(seconds) == text


@pytest.mark.parametrize(
    ("octets", "text"),
    [(512, "512 B"), (2000, "2.0 KB"), (31_400_000, "31 MB"), (999.9, "1.0 KB")],
)
def test_sizes_have_decimal_prefixes(octets: float, text: str) -> None:
    assert numbers.size(octets) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (2, "5 s"), (41, "40 s"), (58, "1 min"), (252, "4 min"), (5000, "83 min"),
        (8000, "2 h"), (9000, "2.5 h"), (21_152, "6 h"), (200_000, "2 d"), (math.inf, "–"),
    ],
)  # fmt: skip
def test_a_rounded_duration(seconds: float, text: str) -> None:
    assert numbers.about(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (8, "10 seconds"), (41, "40 seconds"), (58, "1 minute"), (130, "2 minutes"),
        (3 * 3600, "3 hours"), (9000, "2.5 hours"), (50 * 3600, "2 days"),
    ],
)  # fmt: skip
def test_a_rounded_duration_in_words(seconds: float, text: str) -> None:
    assert numbers.about(seconds, in_words=True) == text
