"""What a curve is drawn along: steps, seconds, tokens or epochs."""

import numpy as np
from numpy.typing import NDArray

from genui.render.axis_names import Axis

Points = tuple[np.ndarray, np.ndarray, np.ndarray]
"""(steps int64 [N] ascending, values float64 [N], unix times float64 [N], NaN where unknown)"""

_LATEST = 1e11  # a unix time beyond the year 5000 is no time
_MOST = 1e18  # tokens or epochs; a number beyond it counts nothing


def x_of(
    points: Points,
    axis: Axis,
    *,
    since: float | None = None,
    per_step: float | None = None,
    counted: Points | None = None,
) -> NDArray[np.float64] | None:
    """Where each of `points` lies along `axis`: float64 [N], ascending and finite.

    step: the step itself.
    time: seconds since `since`, a unix time; by itself, since the first time known here. A
        clock set back repeats the last value and never goes backwards, a pause stays as the
        gap it was, a time not known is interpolated between its neighbours by step.
    tokens, epochs: `counted`, the points of a metric that tells how many were done by a step,
        is interpolated between its steps and goes on at its average rate outside them;
        without it, `per_step` times the step.

    None where the points do not say: no time is known, or neither `counted` nor `per_step`.
    """
    steps, _, times = points
    if axis == "step":
        return steps.astype(np.float64)
    if axis == "time":
        return _seconds(steps, times, since)
    if counted is not None:
        along = _interpolated(steps, counted)
        if along is not None:
            return along
    return steps * float(per_step) if per_step is not None and per_step > 0 else None


def _seconds(
    steps: np.ndarray, times: np.ndarray, since: float | None
) -> NDArray[np.float64] | None:
    known = np.abs(times) < _LATEST
    if not known.any():
        return np.empty(0) if not len(steps) else None
    if not known.all():
        times = np.interp(steps, steps[known], times[known])
    start = float(times[0]) if since is None else since
    return np.maximum.accumulate(times - start)


def _interpolated(steps: np.ndarray, counted: Points) -> NDArray[np.float64] | None:
    """How many were done by each of `steps`; None where the metric counts nothing."""
    fits = np.abs(counted[1]) < _MOST
    at, done = counted[0][fits], counted[1][fits]
    if not len(at):
        return None
    done = np.maximum.accumulate(done)
    along = np.interp(steps, at, done)
    first, last = float(at[0]), float(at[-1])
    rate = float(done[-1] - done[0]) / (last - first) if last > first else 0.0
    if not rate and last > 0:
        rate = float(done[-1]) / last  # one known place: as if it began with nothing at step 0
    # The ends go on, but not below nothing.
    along = np.where(steps > last, done[-1] + (steps - last) * rate, along)
    along = np.where(steps < first, np.maximum(done[0] - (first - steps) * rate, 0.0), along)
    return np.maximum.accumulate(along)
