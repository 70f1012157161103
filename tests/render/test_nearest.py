import numpy as np
import pytest

from genui.render.series import find_nearest

STEPS, VALUES = np.array([0, 10, 10, 20]), np.array([1.0, 2.0, 3.0, np.nan])


@pytest.mark.parametrize(
    ("x", "step", "value"),
    [(-5, 0, 1.0), (4, 0, 1.0), (5, 10, 3.0), (10, 10, 3.0), (14, 10, 3.0), (99, 20, np.nan)],
)
def test_the_nearest_point_of_those_written_last(x: float, step: float, value: float) -> None:
    assert find_nearest(STEPS, VALUES, x) == pytest.approx((step, value), nan_ok=True)


def test_no_points_and_no_place_have_no_nearest() -> None:
    assert find_nearest(np.empty(0), np.empty(0), 3) is None
    assert find_nearest(STEPS, VALUES, np.nan) is None
