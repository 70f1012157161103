"""What the machine did while a run trained, in groups that share a unit, and along steps."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from genui.render.axis_names import Axis
from genui.render.sanitise import clean_line
from genui.render.window import View
from genui.ui.board.axes import along, began
from genui.ui.looking import RunView

if TYPE_CHECKING:
    from genui.ui.looking import Points

_GPU = re.compile(r"(gpu\d+) (.+)")
_GPU_GROUPS = {
    "%": "gpu busy",
    "memory GB": "gpu memory",
    "power W": "gpu power",
    "°C": "gpu temperature",
}
_GROUPS = {
    "cpu cores": ("cpu", "run"),
    "machine cpu cores": ("cpu", "machine"),
    "memory GB": ("memory", "run"),
    "machine memory GB": ("memory", "machine"),
    "disk read MB/s": ("disk", "read"),
    "disk write MB/s": ("disk", "write"),
    "disk free GB": ("disk free", ""),
}
_ORDER = (*_GPU_GROUPS.values(), "cpu", "memory", "disk", "disk free")

_RECORDS = 4096
_NOTHING: "Points" = (np.empty(0, np.int64), np.empty(0), np.empty(0))


class Group(NamedTuple):
    """Measures of one kind: `series` maps what a line is called to the name in the log."""

    title: str
    unit: str
    series: Mapping[str, str]


def groups(names: Mapping[str, object]) -> list[Group]:
    """The measures of system.jsonl, such as "cpu cores" or "gpu0 power W", the GPUs first."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    known = [name for name in _GROUPS if name in names]
    for name in [*known, *(name for name in names if name not in _GROUPS)]:
        gpu = _GPU.fullmatch(name)
        if gpu is not None:
            title, label = _GPU_GROUPS.get(gpu[2], f"gpu {gpu[2]}"), gpu[1]
        else:
            title, label = _GROUPS.get(name, (name.rpartition(" ")[0] or name, ""))
        unit = clean_line(name.rpartition(" ")[2], 8)
        found.setdefault((clean_line(title, 24), unit), {})[label] = name
    made = [Group(title, unit, series) for (title, unit), series in found.items()]
    place = {title: number for number, title in enumerate(_ORDER)}
    return sorted(made, key=lambda group: place.get(group.title, len(place)))


class Clock:
    """Where the moments and the steps of a run lie on the axis of its curves.

    By the run's own records, which have both a step and a time; some thousands of them say it
    as well as a million.
    """

    def __init__(self, view: RunView, axis: Axis) -> None:
        longest = max(view.series.values(), key=lambda points: len(points[0]), default=_NOTHING)
        stride = max(len(longest[0]) // _RECORDS, 1)
        last = slice(-1, None) if len(longest[0]) else slice(0)
        steps, values, times = (np.append(one[::stride], one[last]) for one in longest)
        x = along(axis, view, (steps, values, times), began(view)) if len(steps) else None
        known = np.isfinite(times)
        self._steps, self._x = steps, x
        self._times = np.maximum.accumulate(times[known])  # the clock may have been set back
        self._at = x[known] if x is not None else np.empty(0)

    def places(self, times: np.ndarray) -> np.ndarray | None:
        """Of unix times float64 [N], ascending: float64 [N]; NaN before the first record. None
        where no record says when it was made."""
        return np.interp(times, self._times, self._at, left=np.nan) if len(self._at) else None

    def place_of(self, step: float) -> float | None:
        """Of a step."""
        return None if self._x is None else float(np.interp(step, self._steps, self._x))

    def extent(self) -> View | None:
        """The places of the first and the last record."""
        if self._x is None or self._x[0] >= self._x[-1]:
            return None
        return float(self._x[0]), float(self._x[-1])


def drawn(points: "Points", x: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """What a Curve draws of a measure: the places that are known, and the values there."""
    if x is None:
        times = points[2]
        known = np.isfinite(times)
        return times[known] - (times[known][0] if known.any() else 0.0), points[1][known]
    known = np.isfinite(x)
    return x[known], points[1][known]
