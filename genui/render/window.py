"""Which x and values a chart spans, chosen to keep still while its series grow.

Every move of an edge redraws the whole chart, so edges stand at round numbers and move in
leaps: a chart of a living run then costs its newest columns only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from genui.render.axis import nice_step

_LEAP = 0.1  # of the steps so far: how far the end moves once it is passed
_PARTS = 10  # of the values: the edges are rounded to one
_SLACK = 0.6  # of the window that the values must fill, or it closes on them again
_LEAST = 1e-300  # a distance that can be divided by what a plot divides by
_ALIKE = 1e-9  # of their size: values closer than that are drawn as one

GREATEST = 8e307
"""Values beyond it are drawn as if they were it: the distance of two such is still a number."""

View = tuple[float, float]


class Points(Protocol):
    """x, ascending, and their values, of one length."""

    @property
    def steps(self) -> np.ndarray: ...
    @property
    def values(self) -> np.ndarray: ...


@dataclass(frozen=True)
class Window:
    """From x `start` to `end` and from value `low` to `high`: log₁₀ of it where `log_y`.

    `following` where it was chosen to hold everything rather than asked for.
    """

    start: float
    end: float
    low: float
    high: float
    log_y: bool = False
    log_x: bool = False
    following: bool = True


def window(
    series: Sequence[Points],
    log_y: bool,
    before: Window | None = None,
    *,
    log_x: bool = False,
    view: View | None = None,
) -> Window:
    """The window for `series`, of which each has a point; `before` is kept where it still fits.

    `view` is the stretch of x to show, by itself or where it is none all there is. With `log_x`
    it begins above zero; where no x is, the axis is linear all the same.
    """
    if view is not None and not -math.inf < view[0] < view[1] < math.inf:
        view = None
    full = extent(series, log_x)
    log_x = log_x and full[0] > 0
    if before is not None and (
        (before.log_y, before.log_x, before.following) != (log_y, log_x, view is None)
        or (view is None and before.start != full[0])
    ):
        before = None
    if view is None:
        start, end = full[0], _leap(full, before)
    else:
        start, end = view
        if log_x and start <= 0:
            start = min(full[0], end / 10) if end > 0 else full[0]
    if not end > start:
        end = start + (abs(start) or 1.0)
    low, high = _range(series, log_y, None if view is None else (start, end))
    if before is not None and _still_fits(low, high, before):
        low, high = before.low, before.high
    else:
        low, high = _rounded(low, high)
    return Window(start, end, low, high, log_y, log_x, view is None)


def _still_fits(low: float, high: float, before: Window) -> bool:
    inside = before.low <= low and high <= before.high
    return inside and high - low >= _SLACK * (before.high - before.low)


def extent(series: Sequence[Points], positive: bool = False) -> View:
    """The first and last x of all; the first above zero where `positive` and there is one."""
    start = min(float(one.steps[0]) for one in series)
    end = max(float(one.steps[-1]) for one in series)
    if positive and start <= 0 < end:
        above = (one.steps[int(np.searchsorted(one.steps, 0, side="right")) :] for one in series)
        start = min(float(steps[0]) for steps in above if len(steps))
    return start, end


def _leap(full: View, before: Window | None) -> float:
    """The right edge: where it was while the points still reach into its last few per cent."""
    start, end = full
    if end == start:
        return start + 1
    if before is None:
        return end
    if end > before.end:
        return end + (end - start) * _LEAP
    if (end - start) * (1 + 2 * _LEAP) >= before.end - start:
        return before.end
    return end


def _rounded(low: float, high: float) -> tuple[float, float]:
    step = nice_step(high - low, _PARTS)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def _range(series: Sequence[Points], log_y: bool, view: View | None) -> tuple[float, float]:
    """The least and greatest value in sight that has a place, a little apart where they are one."""
    lows, highs = zip(*(_extremes(_seen(one, view), log_y) for one in series), strict=True)
    low, high = min(lows), max(highs)
    if low > high:
        return 0.0, 1.0
    if log_y:
        low, high = math.log10(low), math.log10(high)
    if high - low <= max(_ALIKE * max(abs(low), abs(high)), _LEAST):
        margin = abs(low) * 0.05
        margin = margin if margin > _LEAST else 1.0
        return low - margin, high + margin
    return low, high


def _seen(one: Points, view: View | None) -> np.ndarray:
    """Its values in `view`, or those beside it, between which the line runs, where none is."""
    if view is None:
        return one.values
    first = int(np.searchsorted(one.steps, view[0], side="left"))
    last = int(np.searchsorted(one.steps, view[1], side="right"))
    return one.values[first:last] if last > first else one.values[max(first - 1, 0) : last + 1]


def _extremes(values: np.ndarray, positive: bool) -> tuple[float, float]:
    """The least and greatest value that has a place on the axis; +∞ and -∞ where none has."""
    if not len(values):
        return math.inf, -math.inf
    low, high = float(np.min(values)), float(np.max(values))
    if not (math.isfinite(low) and math.isfinite(high)) or (positive and low <= 0):
        fit = values[np.isfinite(values) & (values > (0 if positive else -np.inf))]
        if not len(fit):
            return math.inf, -math.inf
        low, high = float(fit.min()), float(fit.max())
    if positive:
        return low, high
    return min(max(low, -GREATEST), GREATEST), max(min(high, GREATEST), -GREATEST)
