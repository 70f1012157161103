import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genui.render.chart import ChartOptions, Curves
from genui.render.series import round_span, smooth


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


@given(series, st.sampled_from([0.05, 0.6, 0.9, 0.99, 1.0]))
def test_it_is_the_formula_that_weights_and_biases_documents(
    points: list[tuple[float, float]], smoothing: float
) -> None:
    x = sorted(at for at, _ in points)
    y = [value for _, value in points]
    found = smooth(np.array(x), np.array(y), smoothing, 512.0)[1]
    expected = documented(x, y, smoothing, round_span(512.0))
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-6, nan_ok=True)


def test_a_long_series_is_averaged_as_a_loop_would() -> None:
    x = np.arange(16_000)
    y = np.random.default_rng(0).normal(size=len(x))
    y[[0, 100, 101, 9000]] = np.nan, np.inf, np.nan, -np.inf
    found = smooth(x, y, 0.9, 2.0**14)[1]
    expected = documented(x.tolist(), y.tolist(), 0.9, 2.0**14)
    assert found == pytest.approx(expected, rel=1e-10, abs=1e-12, nan_ok=True)


def test_the_past_stands_still_while_the_range_grows_a_little() -> None:
    x, y = np.arange(1200), np.random.default_rng(0).normal(size=1200)
    before = smooth(x[:1050], y[:1050], 0.9, 1050.0)[1]
    assert smooth(x, y, 0.9, 1190.0)[1][:1050] == pytest.approx(before, rel=1e-12)


@given(st.floats(1e-300, 1e300))
def test_the_range_is_rounded_up_by_less_than_a_fifth(span: float) -> None:
    assert span * (1 - 1e-9) <= round_span(span) <= span * 2**0.25 * (1 + 1e-9)


def test_huge_and_tiny_values_do_not_overflow() -> None:
    y = np.array([1.7e308, -1.7e308, 1.7e308, 5e-324, 1.7e308])
    assert np.isfinite(smooth(np.arange(5), y, 0.999, 1e9)[1]).all()


def test_a_gap_longer_than_memory_begins_anew() -> None:
    found = smooth(np.array([0.0, 1e6]), np.array([100.0, 3.0]), 0.5, 1e6)[1]
    assert found.tolist() == [100.0, 3.0]


@pytest.mark.parametrize("span", [0.0, math.nan, math.inf, -1.0])
def test_a_range_that_is_none_is_no_trouble(span: float) -> None:
    assert smooth(np.zeros(3), np.array([1.0, 2.0, 3.0]), 0.9, span)[1][-1] == 2.0


def test_a_very_long_series_is_averaged_in_blocks_that_cannot_be_seen() -> None:
    count = 300_001
    x = np.arange(count)
    y = np.sin(x / 20_000) + np.random.default_rng(0).normal(0, 0.2, count)
    y[[5, 6, 7, 8, 100_000]] = np.nan
    ends, averages = smooth(x, y, 0.9, float(count))
    assert len(ends) == len(averages) == count // 32 + 1
    assert (ends[0], ends[-2], ends[-1]) == (31, count - 2, count - 1)
    whole = np.array(documented(x.tolist(), y.tolist(), 0.9, round_span(float(count))))
    late = ends > 1000  # the first thousandths have few points, each of which moves the average
    assert averages[late] == pytest.approx(whole[ends[late].astype(int)], abs=0.002)


def test_the_average_in_a_chart_is_kept_until_its_points_change() -> None:
    x, y = np.arange(300), np.random.default_rng(0).normal(size=300)
    halves = np.concatenate((x[:150] * 0.5, x[150:]))
    options, curves = ChartOptions(smoothing=0.9), Curves()

    def lines(chosen: Curves, at: np.ndarray, values: np.ndarray) -> object:
        chosen.set_series({"loss": (at, values)}, {"loss": "smoothed"})
        chart = chosen.chart(60, 12, options)
        assert chart is not None
        return chart.lines

    first = lines(curves, x, y)
    assert lines(curves, x.copy(), y.copy()) == first
    for at, values in ((x, -y), (halves, y), (x[:200], y[:200])):
        assert lines(curves, at, values) == lines(Curves(), at, values) != first
