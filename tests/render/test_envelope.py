import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genui.render.series import Fault, compute_edges, compute_envelope, detect_faults

ANY = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.just(0.0))


def test_a_spike_of_one_step_is_in_its_column() -> None:
    values = np.zeros(100_000)
    values[70_123] = 9.0
    columns = compute_envelope(np.arange(100_000), values, 0, 99_999, 240)
    assert np.nanmax(columns.high) == 9.0
    assert columns.high[int(70_123 / 99_999 * 240)] == 9.0
    assert np.nanmax(columns.low) == 0.0
    assert columns.most == 417


@given(
    st.lists(st.tuples(st.floats(0.001, 1000), ANY), min_size=1, max_size=60),
    st.integers(1, 40),
    st.booleans(),
    st.booleans(),
)
def test_no_extreme_and_no_fault_is_lost(
    points: list[tuple[float, float]], count: int, log_x: bool, log_y: bool
) -> None:
    x = np.array(sorted(at for at, _ in points))
    values = np.array([value for _, value in points])
    start, end = float(x[0]), float(x[-1]) + 1.0
    found = compute_envelope(x, values, start, end, count, log_x=log_x, log_y=log_y)
    edges = compute_edges(start, end, count, log_x)
    for column in range(count):
        inside = values[(x >= edges[column]) & (x < edges[column + 1])]
        fits = inside[np.isfinite(inside) & ((inside > 0) | (not log_y))]
        if len(fits):
            least, most = fits.min(), fits.max()
            if log_y:
                least, most = np.log10(least), np.log10(most)
            assert (found.low[column], found.high[column]) == (least, most)
        else:
            assert np.isnan(found.low[column])
            assert np.isnan(found.high[column])
        assert Fault(int(found.faults[column])) == detect_faults(inside, log_y)


def test_the_last_point_belongs_to_the_last_column() -> None:
    columns = compute_envelope(np.arange(11), np.arange(11.0), 0, 10, 5)
    assert columns.high.tolist() == [1, 3, 5, 7, 10]


def test_what_is_not_finite_marks_its_column_only() -> None:
    values = np.array([1.0, np.nan, 3.0, np.inf, 5.0, -np.inf, 7.0, 8.0])
    columns = compute_envelope(np.arange(8), values, 0, 7, 4)
    assert columns.faults.tolist() == [Fault.NAN, Fault.ABOVE, Fault.BELOW, 0]
    assert columns.broken.tolist() == [True, True, True, False]
    assert columns.low.tolist() == [1.0, 3.0, 5.0, 7.0]
    assert columns.high.tolist() == [1.0, 3.0, 5.0, 8.0]


def test_in_logs_what_is_not_positive_has_no_place_but_the_rest_has() -> None:
    columns = compute_envelope(
        np.arange(4), np.array([0.0, 100.0, 0.001, 10.0]), 0, 3, 2, log_y=True
    )
    assert columns.faults.tolist() == [Fault.NOT_POSITIVE, 0]
    assert columns.low.tolist() == [2.0, -3.0]
    assert columns.high.tolist() == [2.0, 1.0]


def test_zoomed_in_only_what_is_in_view_counts_and_the_neighbours_are_known() -> None:
    columns = compute_envelope(np.arange(100), np.arange(100.0), 20, 29, 2)
    assert columns.low[0] == 20
    assert columns.high[1] == 29
    assert columns.before == pytest.approx((-1 / 4.5 - 0.5, 19.0))
    assert columns.after == pytest.approx((10 / 4.5 - 0.5, 30.0))


def test_between_two_points_both_neighbours_are_known() -> None:
    columns = compute_envelope(np.array([0, 100]), np.array([1.0, np.nan]), 40, 50, 4)
    assert np.isnan(columns.low).all()
    assert columns.before == pytest.approx((-16.5, 1.0))
    assert math.isnan(columns.after[0])


@pytest.mark.parametrize(
    ("values", "faults"),
    [
        ([1.0, 2.0], Fault(0)),
        ([-1.0, 0.0], Fault.NOT_POSITIVE),
        ([np.nan, np.inf], Fault.NAN | Fault.ABOVE),
        ([-np.inf, 1.0], Fault.BELOW),
        ([], Fault(0)),
    ],
)
def test_faults_are_told_apart(values: list[float], faults: Fault) -> None:
    assert detect_faults(np.array(values), log_y=True) == faults
