"""A named series as a chart is given it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from genui.render.envelope import faults_in
from genui.render.fault import Fault
from genui.render.window import Window

Kind = Literal["line", "smoothed", "marks"]

_FARTHEST = 1e300  # an x beyond it is no measure of anything, and distances would overflow


@dataclass(frozen=True)
class Trace:
    """A named series. `smoothed`, as (x, averages), is drawn over the faint raw values."""

    name: str
    steps: np.ndarray  # x in any unit: float64 or int64 [N], ascending, finite
    values: np.ndarray  # float64 [N]
    kind: Kind = "line"
    smoothed: tuple[np.ndarray, np.ndarray] | None = None  # float64 [M] each, x ascending


def in_order(name: str, x: np.ndarray, values: np.ndarray, kind: Kind) -> Trace:
    """A trace of points in any order, [N] each: sorted by x, without those whose x
    is no number.

    Of points at one x the order stays as it was. Arrays that are in order are not copied.
    """
    values = np.asarray(values, np.float64)
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        finite = np.isfinite(x)
        x, values = x[finite], values[finite]
    if (x[1:] < x[:-1]).any():  # a resumed run may write steps again
        order = x.argsort(kind="stable")
        x, values = x[order], values[order]
    if len(x) and max(-float(x[0]), float(x[-1])) > _FARTHEST:
        near = np.abs(x) <= _FARTHEST
        x, values = x[near], values[near]
    return Trace(name, x, values, kind)


def drawn_lines(traces: Sequence[Trace]) -> list[Trace]:
    """Everything that needs room on a chart: the values of all that have some, and averages.

    An average lags behind, so a view may show it where no value is.
    """
    shown = [trace for trace in traces if len(trace.steps)]
    averages = [Trace(trace.name, *trace.smoothed) for trace in shown if trace.smoothed is not None]
    return shown + averages


def faults_in_sight(traces: Sequence[Trace], window: Window) -> Fault:
    """What has no place on the axis of values, of all that `window` shows."""
    faults = Fault(0)
    for trace in traces:
        first, last = np.searchsorted(trace.steps, [window.start, window.end])
        faults |= faults_in(trace.values[first : last + 1], window.log_y)
    return faults
