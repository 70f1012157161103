"""The x axes of runs: which are known, and where points, steps and places are on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genui.base.text import clean_line
from genui.render.axis import AXES, UNITS, compute_x
from genui.runs.layout import RunDir
from genui.ui.training.shown import ShownRuns
from genui.ui.training.state import METRIC, XAxis, metric_of
from genui.ui.watcher import RunView

if TYPE_CHECKING:
    from genui.ui.watcher import Points

_COUNTERS = {
    "tokens": ("tokens", "num_tokens", "tokens_seen", "num_input_tokens_seen"),
    "epochs": ("epoch", "epochs", "train/epoch"),
}
"""The names that tools give to metrics that count tokens or epochs."""


def unit_of_axis(axis: XAxis) -> str:
    """The unit of an x axis, as `Curve.unit` takes it: for a metric its name."""
    return next((UNITS[one] for one in AXES if one == axis), clean_line(metric_of(axis), 24))


def known_axes(view: RunView) -> list[XAxis]:
    """The x axes that this run's log allows, and those that its tool asks for."""
    own = dict.fromkeys(METRIC + name for name in view.extras.axes.values() if name in view.series)
    return [*(axis for axis in AXES if axis == "step" or _is_known(view, axis)), *own]


def x_positions(
    axis: XAxis, view: RunView, points: Points, since: float | None
) -> np.ndarray | None:
    """The x of each point, float64 [N], ascending; None if the axis is not known.

    `since` is the unix time of the run's first record. A metric counts by its greatest value so
    far.
    """
    if axis == "step":
        return points[0]
    if name := metric_of(axis):
        counts = view.series.get(name)
        return None if counts is None else compute_x(points, "tokens", counts=counts)
    per_step = _per_step(view, axis) or None
    known = AXES[AXES.index(axis)]
    return compute_x(points, known, since=since, per_step=per_step, counts=_counter(view, axis))


def pair(points: Points, others: Points) -> tuple[np.ndarray, np.ndarray]:
    """The values of `others` and of `points` at the steps that both have, float64 [N] each, in
    ascending order of the first, without NaN and infinities there."""
    _, own, at = np.intersect1d(points[0], others[0], assume_unique=True, return_indices=True)
    x, values = others[1][at], points[1][own]
    finite = np.isfinite(x)
    order = np.argsort(x[finite], kind="stable")
    return x[finite][order], values[finite][order]


def start_time(view: RunView) -> float | None:
    """The unix time of the run's first record; None if no record has one."""
    firsts = [float(points[2][0]) for points in view.series.values() if len(points[2])]
    return min((first for first in firsts if first == first), default=None)


def _is_known(view: RunView, axis: XAxis) -> bool:
    if axis == "time":
        return start_time(view) is not None
    return _per_step(view, axis) > 0 or _counter(view, axis) is not None


def _counter(view: RunView, axis: XAxis) -> Points | None:
    names = _COUNTERS.get(axis, ())
    return next((view.series[name] for name in names if name in view.series), None)


def _per_step(view: RunView, axis: XAxis) -> float:
    """Tokens or epochs per step; 0 if not known."""
    scale = view.summary.info.scale
    units, whole = _positive(scale.get("units_per_step")), _positive(scale.get("units_per_epoch"))
    if axis == "tokens":
        return units if str(scale.get("unit", "")).startswith("tok") else 0.0
    return units / whole if axis == "epochs" and whole > 0 else 0.0


def _positive(value: object) -> float:
    return float(value) if isinstance(value, int | float) and 0 < value < 1e18 else 0.0


# --- Where the points of several runs are -----------------------------------------------------


class Places:
    """Where the points of the runs are on the x axes, cached until there are new points."""

    def __init__(self, runs: ShownRuns) -> None:
        self._runs = runs
        self._start_times: dict[RunDir, float | None] = {}
        # By run, metric and axis: the points of the metric and of the axis, and the x.
        self._known: dict[
            tuple[RunDir, str, XAxis], tuple[tuple[Points, Points | None], np.ndarray | None]
        ] = {}

    def forget(self) -> None:
        """Free the places: another axis is shown."""
        self._known.clear()

    def of(self, view: RunView, name: str, points: Points, axis: XAxis) -> np.ndarray | None:
        """The x of the points of a metric, float64 [N]; None if the axis is not known."""
        run = view.summary.run
        if axis == "step":
            return points[0]
        if self._start_times.get(run) is None:
            self._start_times[run] = start_time(view)
        source = (points, view.series.get(metric_of(axis)))
        known = self._known.get((run, name, axis))
        if known is None or known[0][0] is not points or known[0][1] is not source[1]:
            known = (source, x_positions(axis, view, points, self._start_times[run]))
            self._known[run, name, axis] = known
        return known[1]

    def place_of(self, step: float, axis: XAxis) -> float:
        """The x of a step of the first run."""
        steps, x = self._reference(axis) or (None, None)
        return step if steps is None or x is None else _at_or_before(steps, x, step)

    def step_at(self, x: float, axis: XAxis) -> float:
        """The first run's last step at or before `x`."""
        steps, places = self._reference(axis) or (None, None)
        return x if steps is None or places is None else _at_or_before(places, steps, x)

    def _reference(self, axis: XAxis) -> tuple[np.ndarray, np.ndarray] | None:
        """The steps of the first run's longest series, and their x; None if that is the step."""
        view = self._runs.first
        if axis == "step" or view is None or not view.series:
            return None
        name, points = max(view.series.items(), key=lambda item: len(item[1][0]))
        x = self.of(view, name, points, axis)
        return None if x is None or not len(x) else (points[0], x)

    def steps_and_x(self, axis: XAxis) -> tuple[np.ndarray, np.ndarray] | None:
        """The steps of the metric that is an axis and its greatest values up to them, of the first
        run that has it."""
        name = metric_of(axis)
        for view in self._runs.views:
            if name in view.series:
                steps, values, _ = view.series[name]
                finite = np.isfinite(values)
                if finite.any():
                    return steps[finite], np.maximum.accumulate(values[finite])
        return None


def _at_or_before(places: np.ndarray, values: np.ndarray, place: float) -> float:
    """The value at the last of the ascending places up to `place`, or at the first."""
    return float(values[max(int(places.searchsorted(place, side="right")) - 1, 0)])
