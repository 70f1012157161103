"""What the machine did while a run trained: processors, memory, disk and GPUs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content

from genui.base import numbers
from genui.base.text import clean_line
from genui.render.axis import UNITS, Axis
from genui.render.series import View
from genui.ui.training.model import Snapshot, start_time, x_positions
from genui.ui.training.rows import SidePanel
from genui.ui.watcher import RunView
from genui.ui.widgets.base import LifecycleGuard, Line, set_border
from genui.ui.widgets.curve import Curve

if TYPE_CHECKING:
    from genui.ui.watcher import Points

# --- Measures in groups that share a unit, and their places on the axis of the curves ---------

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
_NOTHING: Points = (np.empty(0, np.int64), np.empty(0), np.empty(0))


class Group(NamedTuple):
    """Measures of one kind: `series` maps what a line is called to the name in the log."""

    title: str
    unit: str
    series: Mapping[str, str]


def groups(names: Mapping[str, object]) -> list[Group]:
    """The measures of system.jsonl, such as "cpu cores" or "gpu0 power W", the GPUs first."""
    series: dict[tuple[str, str], dict[str, str]] = {}
    known = [name for name in _GROUPS if name in names]
    for name in [*known, *(name for name in names if name not in _GROUPS)]:
        gpu = _GPU.fullmatch(name)
        if gpu is not None:
            title, label = _GPU_GROUPS.get(gpu[2], f"gpu {gpu[2]}"), gpu[1]
        else:
            title, label = _GROUPS.get(name, (name.rpartition(" ")[0] or name, ""))
        unit = clean_line(name.rpartition(" ")[2], 8)
        series.setdefault((clean_line(title, 24), unit), {})[label] = name
    made = [Group(title, unit, names) for (title, unit), names in series.items()]
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
        x = (
            x_positions(axis, view, (steps, values, times), start_time(view))
            if len(steps)
            else None
        )
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


def curve_points(points: Points, x: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """What a Curve draws of a measure: the places that are known, and the values there."""
    if x is None:
        times = points[2]
        known = np.isfinite(times)
        return times[known] - (times[known][0] if known.any() else 0.0), points[1][known]
    known = np.isfinite(x)
    return x[known], points[1][known]


# --- The panel --------------------------------------------------------------------------------

LEAST_CURVE = 5  # rows
NONE_YET = "No measurements yet: a running trainer takes them every two seconds"
NONE_KEPT = "This run has no measurements of its machine"
NO_FOREIGN_SYSTEM = "A log of another tool: genui reads no measurements of its machine"


class MeasureView(LifecycleGuard, Vertical):
    """A line that tells the values, and the curve below it where there is room."""

    DEFAULT_CSS = """
    MeasureView {
        height: 1;
        & > Line { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
        & > Curve { display: none; }
        &.-curve { height: 1fr; }
        &.-curve > Curve { display: block; }
    }
    """

    def compose(self) -> ComposeResult:
        yield Line()
        yield Curve(" ", legend=False)

    def show(
        self, group: Group, view: RunView, clock: Clock, axis: Axis, span: View | None,
        cursor: float | None,
    ) -> None:  # fmt: skip
        """The group's measures of that run; `cursor` is a place on the axis."""
        curve = self.query_one(Curve)
        series = {}
        unit = UNITS[axis]
        for label, name in group.series.items():
            points = view.system[name]
            x = clock.places(points[2])
            if x is None:
                unit = UNITS["time"]
            series[label or group.title] = curve_points(points, x)
        curve.unit = unit
        curve.view = (span or clock.extent()) if unit == UNITS[axis] else None
        curve.cursor = cursor
        curve.set_series(series)
        self._write_line(group, curve, cursor)

    def _write_line(self, group: Group, curve: Curve, cursor: float | None) -> None:
        _, last = curve.span()
        there = curve.values_at(last if cursor is None else cursor)
        line = Content.assemble((group.title, "$text-muted"))
        unit = Content.assemble((f" {group.unit}", "$text-muted"))
        for label, (_, value) in there.items():
            name = "" if label == group.title else f"{clean_line(label, 16)} "
            shown = (numbers.short(value), "bold $foreground")
            more = Content.assemble(line, "  ", (name, "$text-muted"), shown)
            if (more + unit).cell_length > self.size.width:
                break  # half a number would be another number
            line = more
        self.query_one(Line).show(line + unit)


class SystemPanel(SidePanel):
    """Of the first run that has measures: every group a line, and as many curves as fit."""

    DEFAULT_CSS = """
    SystemPanel {
        & > .system-none { height: 1fr; display: none; color: $text-muted; text-wrap: wrap; }
        &.-none > .system-none { display: block; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._shown = Snapshot()
        self._shown_key: object = None

    def compose(self) -> ComposeResult:
        yield Line(classes="system-none", markup=False)

    def on_mount(self) -> None:
        self.border_title = "System"

    def show(self, shown: Snapshot) -> None:
        """The machine at the cursor, along the axis of the curves."""
        self._shown = shown
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        views, cursor, axis, span = self._shown
        view = next((view for view in views if view.system), None)
        newest = view and max(len(points[0]) for points in view.system.values())
        steps = view and view.summary.status.step
        now = (view and view.summary.run, newest, steps, cursor, axis, span, len(views), self.size)
        if now == self._shown_key:
            return
        self._shown_key = now
        self.set_class(view is None, "-none")
        if view is None:
            self.query_one(".system-none", Line).show(Content(_why_no_system(views)))
            measures: list[Group] = []
        else:
            measures = groups(view.system)
            name, host = view.summary.info.name, view.summary.info.host
            which = f"{name} on {host}" if len(views) > 1 else host
            set_border(self, title=f"System  {clean_line(which, 40)}".rstrip())
        self._lay_out(measures, view)

    def _lay_out(self, measures: Sequence[Group], view: RunView | None) -> None:
        """A line for every group; the first ones get the curves that there is room for."""
        shown = list(self.query(MeasureView))
        missing = [MeasureView() for _ in range(len(measures) - len(shown))]
        if missing:
            self.mount_all(missing)
            self.call_after_refresh(self._again)
            return
        for extra in shown[len(measures) :]:
            extra.display = False
        curves = max(0, self.size.height - len(measures)) // LEAST_CURVE
        if view is None:
            return
        _, cursor, axis, span = self._shown
        clock = Clock(view, axis)
        place = clock.place_of(cursor) if cursor is not None else None
        for number, (group, measure) in enumerate(zip(measures, shown, strict=False)):
            measure.display = True
            measure.set_class(number < curves, "-curve")
            measure.show(group, view, clock, axis, span, place)

    def _again(self) -> None:
        """There are places for all of them now."""
        self._shown_key = None
        self._draw()


def _why_no_system(views: Sequence[RunView]) -> str:
    if not views:
        return ""
    summary = views[0].summary
    if not summary.native:
        return NO_FOREIGN_SYSTEM
    return NONE_YET if summary.alive else NONE_KEPT
