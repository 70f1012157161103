import pytest
from hypothesis import given
from hypothesis import strategies as st

from genui.render.series import VisibleRange, pan, zoom

SHARES = st.floats(0, 1)


@given(
    st.floats(-1e6, 1e6),
    st.floats(1e-3, 1e9),
    st.lists(st.tuples(st.booleans(), st.floats(0.05, 20), SHARES), max_size=12),
    st.booleans(),
)
def test_no_zooming_and_panning_leads_outside(
    start: float, width: float, moves: list[tuple[bool, float, float]], log_x: bool
) -> None:
    start = abs(start) + 1 if log_x else start
    extent = (start, start + width)
    view: VisibleRange | None = None
    for zooms, amount, share in moves:
        if zooms:
            low, high = view or extent
            at = low + share * (high - low)
            view = zoom(view, extent, amount, at, log_x=log_x)
        else:
            view = pan(view, extent, amount - 10, log_x=log_x)
        if view is not None:
            assert extent[0] <= view[0] < view[1] <= extent[1]


def test_the_place_under_the_pointer_keeps_its_share_of_the_width() -> None:
    assert zoom(None, (0, 100), 0.5, 20) == (10, 60)
    assert zoom((10, 60), (0, 100), 0.5, 20) == (15, 40)


def test_zooming_out_past_the_ends_is_everything() -> None:
    assert zoom((10, 60), (0, 100), 4, 20) is None


def test_zooming_out_at_an_end_shows_more_of_the_other_side() -> None:
    assert zoom((0, 40), (0, 100), 2, 40) == (0, 80)


def test_panning_stops_at_the_ends() -> None:
    assert pan((10, 30), (0, 100), 1) == (30, 50)
    assert pan((10, 30), (0, 100), -3) == (0, 20)
    assert pan((10, 30), (0, 100), 99) == (80, 100)


def test_everything_cannot_be_panned() -> None:
    assert pan(None, (0, 100), 1) is None


def test_a_logarithmic_axis_is_zoomed_by_its_own_measure() -> None:
    assert zoom(None, (1, 10_000), 0.5, 100, log_x=True) == pytest.approx((10, 1000))
    assert pan((10, 1000), (1, 10_000), 0.5, log_x=True) == pytest.approx((100, 10_000))


@pytest.mark.parametrize("extent", [(5.0, 5.0), (0.0, 0.0)])
def test_one_point_alone_is_always_everything(extent: VisibleRange) -> None:
    assert zoom(None, extent, 0.5, extent[0]) is None


def test_there_is_a_narrowest_view() -> None:
    view: VisibleRange | None = None
    for _ in range(500):
        view = zoom(view, (0, 1e6), 0.5, 3e5)
    assert view is not None
    assert view[1] - view[0] >= 1e-4
