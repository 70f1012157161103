"""The point of a series at a place on its axis."""

import math

import numpy as np


def nearest(steps: np.ndarray, values: np.ndarray, x: float) -> tuple[float, float] | None:
    """(x, value) of the point nearest to `x`, the later of two at one distance; None without any.

    `steps` ascend, float64 or int64 [N]; of several at one x the last written counts.
    """
    if not len(steps) or math.isnan(x):
        return None
    after = min(int(np.searchsorted(steps, x, side="left")), len(steps) - 1)
    before = max(after - 1, 0)
    near = after if steps[after] - x <= x - steps[before] else before
    last = int(np.searchsorted(steps, steps[near], side="right")) - 1
    return float(steps[last]), float(values[last])
