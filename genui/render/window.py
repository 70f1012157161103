"""Which steps and values a chart spans, chosen to keep still while its series grow.

Every move of an edge redraws the whole chart, so edges stand at round numbers and move in
leaps: a chart of a living run then costs its newest columns only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from genui.render.axis import nice_step

_LEAP = 0.05  # of the steps so far: how far the end moves once it is passed
_PARTS = 10  # of the values: the edges are rounded to one
_SLACK = 0.6  # of the window that the values must fill, or it closes on them again


class Points(Protocol):
    """Steps, ascending, and their values, of one length."""

    @property
    def steps(self) -> np.ndarray: ...
    @property
    def values(self) -> np.ndarray: ...


@dataclass(frozen=True)
class Window:
    """From step `start` to `end` and from value `low` to `high`: log₁₀ of it where `log_y`."""

    start: float
    end: float
    low: float
    high: float
    log_y: bool = False


def window(series: Sequence[Points], log_y: bool, before: Window | None = None) -> Window:
    """The window for `series`, of which each has a point; `before` is kept where it still fits."""
    start = float(min(one.steps[0] for one in series))
    end = float(max(one.steps[-1] for one in series))
    low, high = _range(series, log_y)
    if before is None or before.log_y != log_y or before.start != start:
        return Window(start, max(end, start + 1), *_rounded(low, high), log_y)
    if end > before.end:
        end += (end - start) * _LEAP
    elif (end - start) * (1 + 2 * _LEAP) >= before.end - start:
        end = before.end
    inside = before.low <= low and high <= before.high
    if inside and high - low >= _SLACK * (before.high - before.low):
        low, high = before.low, before.high
    else:
        low, high = _rounded(low, high)
    return Window(start, max(end, start + 1), low, high, log_y)


def _rounded(low: float, high: float) -> tuple[float, float]:
    step = nice_step(high - low, _PARTS)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def _range(series: Sequence[Points], log_y: bool) -> tuple[float, float]:
    """The least and greatest finite value, a little apart where they are one."""
    lows, highs = zip(*(_extremes(one.values, log_y) for one in series), strict=True)
    low, high = min(lows), max(highs)
    if low > high:
        return 0.0, 1.0
    if log_y:
        low, high = math.log10(low), math.log10(high)
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        margin = abs(low) * 0.05 or 1.0
        return low - margin, high + margin
    return low, high


def _extremes(values: np.ndarray, positive: bool) -> tuple[float, float]:
    """The least and greatest value that has a place on the axis; +∞ and -∞ where none has."""
    low, high = float(np.min(values)), float(np.max(values))
    if math.isfinite(low) and math.isfinite(high) and not (positive and low <= 0):
        return low, high
    fit = values[np.isfinite(values) & (values > (0 if positive else -np.inf))]
    return (float(fit.min()), float(fit.max())) if len(fit) else (math.inf, -math.inf)
