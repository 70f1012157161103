import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genui.render.series import ChartLine, Window, choose_window


def series(count: int, top: float = 4.2) -> list[ChartLine]:
    steps = np.arange(1, count + 1)
    return [ChartLine("loss", steps, 1 + (top - 1) * np.exp(-steps / 200))]


def test_a_first_window_holds_everything_between_round_values() -> None:
    assert choose_window(series(1000), False) == Window(1.0, 1000.0, 1.0, 4.5)


def test_a_window_moves_in_leaps_while_a_run_grows() -> None:
    seen: list[Window] = []
    at = None
    for count in range(1000, 2000):
        at = choose_window(series(count), False, at)
        assert at.end >= count
        if at not in seen:
            seen.append(at)
    assert len(seen) < 20


def test_a_window_opens_for_a_spike_and_closes_when_the_run_is_another() -> None:
    calm = choose_window(series(1000), False)
    spiked = choose_window(series(1000, top=400), False, calm)
    assert spiked.high >= 396
    assert choose_window(series(1000), False, spiked) == calm


def test_a_shorter_series_gets_a_window_of_its_own() -> None:
    assert choose_window(series(100), False, choose_window(series(1000), False)).end == 100


def test_a_view_is_scaled_to_what_is_in_it() -> None:
    run = series(1000)
    seen = choose_window(run, False, view=(501, 1000))
    assert (seen.start, seen.end) == (501, 1000)
    assert seen.low <= run[0].values[-1]
    assert seen.high < 1.5


def test_a_view_between_two_points_is_scaled_to_the_line_between_them() -> None:
    seen = choose_window(
        [ChartLine("x", np.array([0, 100]), np.array([1.0, 5.0]))], False, view=(40, 60)
    )
    assert (seen.low, seen.high) == (1.0, 5.0)


def test_after_a_view_everything_is_shown_without_room_to_spare() -> None:
    run = series(1000)
    zoomed = choose_window(run, False, view=(1, 500))
    assert choose_window(run, False, zoomed) == choose_window(run, False)


def test_log_x_begins_at_the_first_place_above_zero() -> None:
    steps = np.arange(0, 100, 10)
    seen = choose_window([ChartLine("x", steps, steps.astype(float))], False, log_x=True)
    assert (seen.start, seen.end, seen.log_x) == (10, 90, True)
    below = choose_window([ChartLine("x", -steps[::-1], steps.astype(float))], False, log_x=True)
    assert not below.log_x


EXTREME = [0.0, 5e-324, 1e-310, 1.0, -1.0, 1e300, -1e300, 1.7e308, -1.7e308,
           np.nan, np.inf, -np.inf]  # fmt: skip


@given(
    st.lists(st.sampled_from(EXTREME), min_size=1, max_size=8),
    st.booleans(),
    st.booleans(),
)
def test_any_values_have_a_window_with_an_inside(
    values: list[float], log_y: bool, log_x: bool
) -> None:
    trace = ChartLine("x", np.arange(len(values)), np.array(values))
    seen = choose_window([trace], log_y, log_x=log_x)
    assert seen.end > seen.start
    assert np.isfinite([seen.low, seen.high, seen.high - seen.low]).all()
    assert seen.high > seen.low


@pytest.mark.parametrize("view", [(np.nan, 5.0), (5.0, 5.0), (9.0, 3.0), (0.0, np.inf)])
def test_a_view_that_is_none_shows_everything(view: tuple[float, float]) -> None:
    assert choose_window(series(1000), False, view=view) == choose_window(series(1000), False)


def test_a_view_beside_all_points_is_shown_as_asked() -> None:
    seen = choose_window(series(1000), False, view=(5000, 6000))
    assert (seen.start, seen.end) == (5000, 6000)


@pytest.mark.parametrize("view", [(-10.0, 500.0), (-10.0, 0.5), (-10.0, -5.0)])
def test_log_x_of_a_view_from_below_zero_begins_above_it(view: tuple[float, float]) -> None:
    seen = choose_window(series(1000), False, log_x=True, view=view)
    assert 0 < seen.start < seen.end
