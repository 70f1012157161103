"""A run's points along another axis than its steps: which are known, and what says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genui.render.axis_names import AXES, Axis
from genui.ui.looking import RunView

if TYPE_CHECKING:
    import numpy as np

    from genui.render.xaxis import Points

_COUNTED = {
    "tokens": ("tokens", "num_tokens", "tokens_seen", "num_input_tokens_seen"),
    "epochs": ("epoch", "epochs", "train/epoch"),
}
"""Metrics that tell how much was done by a step, by the names other tools give them."""


def known_axes(view: RunView) -> list[Axis]:
    """Those along which this run's points have a place."""
    return [axis for axis in AXES if axis == "step" or _says(view, axis)]


def along(axis: Axis, view: RunView, points: Points, since: float | None) -> np.ndarray | None:
    """Where the points are on the axis, ascending, [N]; None where that is not known.

    `since` is the unix time at which the run began.
    """
    if axis == "step":
        return points[0]
    from genui.render.xaxis import x_of

    return x_of(
        points,
        axis,
        since=since,
        per_step=_per_step(view, axis) or None,
        counted=_counted(view, axis),
    )


def began(view: RunView) -> float | None:
    """The unix time of the run's first record; None where none is known."""
    firsts = [float(points[2][0]) for points in view.series.values() if len(points[2])]
    return min((first for first in firsts if first == first), default=None)


def _says(view: RunView, axis: Axis) -> bool:
    if axis == "time":
        return began(view) is not None
    return _per_step(view, axis) > 0 or _counted(view, axis) is not None


def _counted(view: RunView, axis: Axis) -> Points | None:
    names = _COUNTED.get(axis, ())
    return next((view.series[name] for name in names if name in view.series), None)


def _per_step(view: RunView, axis: Axis) -> float:
    """Tokens or epochs of one step; 0 where they are not known."""
    scale = view.summary.info.scale
    units, whole = _number(scale.get("units_per_step")), _number(scale.get("units_per_epoch"))
    if axis == "tokens":
        return units if str(scale.get("unit", "")).startswith("tok") else 0.0
    return units / whole if axis == "epochs" and whole > 0 else 0.0


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and 0 < value < 1e18 else 0.0
