import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genui.render.series import Smoother, round_span


def documented(
    x: Sequence[float], values: Sequence[float], smoothing: float, span: float
) -> list[float]:
    """The sample code of W&B's documentation; what is not finite is passed over."""
    weight = min(math.sqrt(smoothing), 0.999)
    last_y, debias, before = 0.0, 0.0, None
    averages = []
    for at, value in zip(x, values, strict=True):
        if math.isfinite(value):
            change = 0.0 if before is None else (at - before) / span * 1000
            adjusted = weight**change
            last_y = last_y * adjusted + value
            debias = debias * adjusted + 1
            before = at
        averages.append(last_y / debias if debias else math.nan)
    return averages


values = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([math.nan, math.inf, -math.inf]))
series = st.lists(st.tuples(st.floats(0, 500), values), min_size=1, max_size=120)


@settings(max_examples=60, deadline=None)
@given(series, st.sampled_from([0.05, 0.6, 0.9, 0.99, 1.0]))
def test_it_is_the_formula_that_weights_and_biases_documents(
    points: list[tuple[float, float]], smoothing: float
) -> None:
    x = sorted(at for at, _ in points)
    y = [value for _, value in points]
    found = Smoother(smoothing).extend(np.array(x), np.array(y), 512.0)[1]
    expected = documented(x, y, smoothing, round_span(512.0))
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-6, nan_ok=True)


def test_a_long_series_is_averaged_as_a_loop_would() -> None:
    x = np.arange(20_000)
    y = np.random.default_rng(0).normal(size=len(x))
    y[[0, 100, 101, 9000]] = np.nan, np.inf, np.nan, -np.inf
    found = Smoother(0.9).extend(x, y, 2.0**14)[1]
    expected = documented(x.tolist(), y.tolist(), 0.9, 2.0**14)
    assert found == pytest.approx(expected, rel=1e-10, abs=1e-12, nan_ok=True)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 400), min_size=1, max_size=6))
def test_growing_gives_the_same_as_at_once(lengths: list[int]) -> None:
    rng = np.random.default_rng(0)
    x, y = np.cumsum(rng.integers(0, 9, 400)), rng.normal(size=400)
    y[[3, 200]] = np.nan
    smoother = Smoother(0.9)
    for end in sorted(lengths):
        smoother.extend(x[:end], y[:end], 2000.0)
    grown = smoother.extend(x, y, 2000.0)[1]
    assert grown == pytest.approx(Smoother(0.9).extend(x, y, 2000.0)[1], rel=1e-12)


def test_a_changed_past_is_averaged_anew() -> None:
    smoother = Smoother(0.9)
    smoother.extend(np.arange(300), np.ones(300), 300.0)
    x, other = np.arange(200), np.random.default_rng(0).normal(size=200)
    expected = documented(x.tolist(), other.tolist(), 0.9, round_span(300.0))
    assert smoother.extend(x, other, 300.0)[1] == pytest.approx(expected)


def test_the_same_values_at_other_places_are_averaged_anew() -> None:
    smoother, values = Smoother(0.9), np.random.default_rng(0).normal(size=100)
    near = smoother.extend(np.arange(100), values, 100.0)[1].copy()
    assert smoother.extend(np.arange(100) * 0.5, values, 100.0)[1] != pytest.approx(near)


def test_the_past_stands_still_while_the_range_grows_a_little() -> None:
    x, y = np.arange(1200), np.random.default_rng(0).normal(size=1200)
    smoother = Smoother(0.9)
    before = smoother.extend(x[:1050], y[:1050], 1050.0)[1].copy()
    assert np.array_equal(smoother.extend(x, y, 1190.0)[1][:1050], before)


@given(st.floats(1e-300, 1e300))
def test_the_range_is_rounded_up_by_less_than_a_fifth(span: float) -> None:
    assert span * (1 - 1e-9) <= round_span(span) <= span * 2**0.25 * (1 + 1e-9)


def test_huge_and_tiny_values_do_not_overflow() -> None:
    y = np.array([1.7e308, -1.7e308, 1.7e308, 5e-324, 1.7e308])
    assert np.isfinite(Smoother(0.999).extend(np.arange(5), y, 1e9)[1]).all()


def test_a_gap_longer_than_memory_begins_anew() -> None:
    found = Smoother(0.5).extend(np.array([0.0, 1e6]), np.array([100.0, 3.0]), 1e6)[1]
    assert found.tolist() == [100.0, 3.0]


@pytest.mark.parametrize("span", [0.0, math.nan, math.inf, -1.0])
def test_a_range_that_is_none_is_no_trouble(span: float) -> None:
    assert Smoother(0.9).extend(np.zeros(3), np.array([1.0, 2.0, 3.0]), span)[1][-1] == 2.0


def test_a_very_long_series_is_averaged_in_blocks_that_cannot_be_seen() -> None:
    count = 300_001
    x = np.arange(count)
    y = np.sin(x / 20_000) + np.random.default_rng(0).normal(0, 0.2, count)
    y[[5, 6, 7, 8, 100_000]] = np.nan
    ends, averages = Smoother(0.9).extend(x, y, float(count))
    assert len(ends) == len(averages) == count // 4 + 1
    assert (ends[0], ends[-2], ends[-1]) == (3, count - 2, count - 1)
    whole = np.array(documented(x.tolist(), y.tolist(), 0.9, round_span(float(count))))
    late = ends > 1000  # the first thousandths have few points, each of which moves the average
    assert averages[late] == pytest.approx(whole[ends[late].astype(int)], abs=0.002)


def test_blocks_that_fill_up_give_the_same_as_at_once() -> None:
    x, y = np.arange(150_000), np.random.default_rng(0).normal(size=150_000)
    smoother = Smoother(0.9)
    for end in (140_000, 140_001, 149_999):
        smoother.extend(x[:end], y[:end], 150_000.0)
    grown = smoother.extend(x, y, 150_000.0)[1]
    assert grown == pytest.approx(Smoother(0.9).extend(x, y, 150_000.0)[1], rel=1e-12)
