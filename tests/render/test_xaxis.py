import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genui.render.axis import AXES, UNITS, Points, compute_x


def points(steps: list[int], times: list[float] | None = None) -> Points:
    known = np.array(times, np.float64) if times is not None else np.full(len(steps), np.nan)
    return np.array(steps, np.int64), np.zeros(len(steps)), known


def counted(steps: list[int], values: list[float]) -> Points:
    return np.array(steps, np.int64), np.array(values), np.full(len(steps), np.nan)


def listed(x: np.ndarray | None) -> list[float]:
    assert x is not None
    return x.tolist()


def test_steps_are_themselves() -> None:
    assert listed(compute_x(points([0, 5, 9]), "step")) == [0.0, 5.0, 9.0]


def test_time_is_seconds_since_the_first_and_keeps_the_gap_of_a_pause() -> None:
    found = compute_x(points([1, 2, 3, 4], [100.0, 101.0, 4101.0, 4102.0]), "time")
    assert listed(found) == [0.0, 1.0, 4001.0, 4002.0]


def test_time_counts_from_where_it_is_told_to() -> None:
    assert listed(compute_x(points([1, 2], [100.0, 101.0]), "time", since=90.0)) == [10.0, 11.0]


def test_a_clock_set_back_stands_still_and_never_goes_backwards() -> None:
    found = compute_x(points([1, 2, 3, 4], [100.0, 110.0, 50.0, 112.0]), "time")
    assert listed(found) == [0.0, 10.0, 10.0, 12.0]


def test_a_time_not_known_lies_between_its_neighbours() -> None:
    found = compute_x(points([0, 1, 2, 4], [10.0, np.nan, 14.0, np.nan]), "time")
    assert listed(found) == [0.0, 2.0, 4.0, 4.0]


def test_where_no_time_is_known_there_is_no_axis_of_time() -> None:
    assert compute_x(points([0, 1]), "time") is None


def test_tokens_by_a_scale_for_each_step() -> None:
    assert listed(compute_x(points([0, 2, 3]), "tokens", per_step=512)) == [0.0, 1024.0, 1536.0]


def test_epochs_by_a_metric_that_tells_them_and_on_at_its_rate() -> None:
    epochs = counted([10, 20, 30], [1.0, 2.0, 3.0])
    found = compute_x(points([0, 10, 15, 30, 40]), "epochs", counts=epochs)
    assert listed(found) == [0.0, 1.0, 1.5, 3.0, 4.0]


def test_a_metric_told_once_is_taken_as_begun_with_nothing() -> None:
    found = compute_x(points([0, 50, 100, 200]), "tokens", counts=counted([100], [4096.0]))
    assert listed(found) == [0.0, 2048.0, 4096.0, 8192.0]


def test_a_metric_without_a_number_leaves_the_scale() -> None:
    empty = counted([1, 2], [np.nan, np.inf])
    assert listed(compute_x(points([3]), "epochs", counts=empty, per_step=0.5)) == [1.5]
    assert compute_x(points([3]), "epochs", counts=empty) is None


@pytest.mark.parametrize("axis", AXES)
def test_no_points_are_no_trouble(axis: str) -> None:
    found = compute_x(points([]), axis, per_step=1.0)  # type: ignore[arg-type]
    assert listed(found) == []
    assert axis in UNITS


@given(
    st.lists(st.integers(0, 10**6), unique=True, min_size=1, max_size=40),
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=40, max_size=40),
    st.sampled_from(AXES),
)
def test_x_never_goes_backwards_and_is_always_a_number(
    steps: list[int], numbers: list[float], axis: str
) -> None:
    made = np.sort(np.array(steps)), np.zeros(len(steps)), np.array(numbers[: len(steps)])
    metric = made[0], np.array(numbers[-len(steps) :]), made[2]
    found = compute_x(made, axis, counts=metric)  # type: ignore[arg-type]
    if found is not None:
        assert np.isfinite(found).all()
        assert (np.diff(found) >= 0).all()
