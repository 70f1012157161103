"""The System panel: the load of the machine while a run trained."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.strip import Strip

from genui.base import numbers
from genui.base.text import clean_line
from genui.render.axis import UNITS
from genui.render.series import VisibleRange
from genui.render.shades import draw_shades
from genui.ui.lifecycle import guard
from genui.ui.training.axes import start_time, unit_of_axis, x_positions
from genui.ui.training.ranks import rank_lines
from genui.ui.training.rows import SidePanel
from genui.ui.training.state import XAxis
from genui.ui.watcher import RunView
from genui.ui.widgets.bars import Line
from genui.ui.widgets.borders import set_border
from genui.ui.widgets.curve import Curve
from genui.ui.widgets.lines import LineWidget, strip_of

if TYPE_CHECKING:
    from genui.ui.watcher import Points

# --- Groups of measurements, and their x on the axis of the curves ----------------------------

_GPU = re.compile(r"((?:gpu|core)\d+) (.+)")
_GPU_GROUPS = {
    "%": "gpu busy",
    "memory GB": "gpu memory",
    "memory %": "gpu memory used",
    "power W": "gpu power",
    "°C": "gpu temperature",
    "clock MHz": "gpu clock",
    "throttled": "gpu throttled",
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

_MAX_RECORDS = 4096
_NO_POINTS: Points = (np.empty(0, np.int64), np.empty(0), np.empty(0))


class Group(NamedTuple):
    """Measurements of one kind; `series` maps the label of each line to its name in the log."""

    title: str
    unit: str
    series: Mapping[str, str]


def make_groups(names: Mapping[str, object]) -> list[Group]:
    """Group the measurements of system.jsonl, named as "cpu cores" or "gpu0 power W"; the GPUs
    come first."""
    series: dict[tuple[str, str], dict[str, str]] = {}
    known = [name for name in _GROUPS if name in names]
    for name in [*known, *(name for name in names if name not in _GROUPS)]:
        gpu = _GPU.fullmatch(name)
        if gpu is not None:
            kind = gpu[1].rstrip("0123456789")
            known_title = _GPU_GROUPS.get(gpu[2]) if kind == "gpu" else None
            title, label = known_title or f"{kind} {gpu[2].rpartition(' ')[0]}".strip(), gpu[1]
        else:
            title, label = _GROUPS.get(name, (name.rpartition(" ")[0] or name, ""))
        unit = clean_line(name.rpartition(" ")[2], 8) if " " in name else ""
        series.setdefault((clean_line(title, 24), unit), {})[label] = name
    groups = [Group(title, unit, names) for (title, unit), names in series.items()]
    order = {title: number for number, title in enumerate(_ORDER)}
    return sorted(groups, key=lambda group: order.get(group.title, len(order)))


def select_groups(groups: Sequence[Group], filter: re.Pattern[str]) -> list[Group]:
    """The groups whose title matches the filter whole, and of the others the series whose name
    in the log or label does."""
    selected = []
    for group in groups:
        if not filter.search(group.title):
            matches = {
                label: name
                for label, name in group.series.items()
                if filter.search(name) or filter.search(label)
            }
            group = group._replace(series=matches)
        if group.series:
            selected.append(group)
    return selected


class Clock:
    """Converts times of a run to x on the axis of its curves.

    It interpolates between some thousands of the run's records, which have a step and a time.
    """

    def __init__(self, view: RunView, axis: XAxis) -> None:
        longest = max(view.series.values(), key=lambda points: len(points[0]), default=_NO_POINTS)
        stride = max(len(longest[0]) // _MAX_RECORDS, 1)
        steps, values, times = (np.append(one[::stride], one[-1:]) for one in longest)
        records = (steps, values, times)
        x = x_positions(axis, view, records, start_time(view)) if len(steps) else None
        known = np.isfinite(times)
        self._x = x
        self._times = np.maximum.accumulate(times[known])  # the clock may have been set back
        self._x_of_times = x[known] if x is not None else np.empty(0)

    def places(self, times: np.ndarray) -> np.ndarray | None:
        """The x of unix times, both float64 [N] and ascending; NaN before the first record. None
        if no record has a time."""
        x = self._x_of_times
        return np.interp(times, self._times, x, left=np.nan) if len(x) else None

    def extent(self) -> VisibleRange | None:
        """The x of the first and the last record."""
        if self._x is None or self._x[0] >= self._x[-1]:
            return None
        return float(self._x[0]), float(self._x[-1])


def curve_points(points: Points, x: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The x and values of a measurement for a Curve; without `x`, over its own time in seconds.

    Values have three digits, as beside the curve: some megabytes less on a disk are no cliff.
    """
    known = np.isfinite(points[2] if x is None else x)
    values = points[1][known]
    largest = float(np.abs(values[np.isfinite(values)]).max(initial=1e-9))
    values = np.round(values, 2 - int(np.floor(np.log10(largest))))
    if x is not None:
        return x[known], values
    times = points[2][known]
    return times - times[:1].sum(), values


# --- The panel --------------------------------------------------------------------------------

MIN_CURVE_HEIGHT = 5  # rows
NONE_YET = "No measurements yet: a running trainer takes them every two seconds"
NONE = "This run has no measurements of its machine"
NO_MATCH = "No measurement matches: / then Esc shows all"
NO_FOREIGN_SYSTEM = "A log of another tool: it has no measurements of its machine"


MAX_LINES = 4  # percentages; more, as of eight GPUs, are a heat map


class HeatMap(LineWidget):
    """Percentages over time, a row for each device or layer."""

    DEFAULT_CSS = """
    HeatMap {
        & > .heat-map--label { color: $text-muted; }
        & > .heat-map--shade { color: $primary; }
        & > .heat-map--cursor { color: $warning; text-style: bold; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._series: Mapping[str, tuple[np.ndarray, np.ndarray]] = {}
        self._view: VisibleRange = (0.0, 1.0)
        self._cursor: float | None = None
        self._chosen = ""

    def show(
        self,
        series: Mapping[str, tuple[np.ndarray, np.ndarray]],
        view: VisibleRange,
        cursor: float | None,
        chosen: str = "",
    ) -> None:
        """Show the x and per cent of each device; `view` and `cursor` are in units of x. With one
        `chosen`, its label is marked and a column shows its most unusual point."""
        self._series, self._view, self._cursor, self._chosen = series, view, cursor, chosen
        self.redraw()

    def draw(self, width: int, height: int) -> list[Strip]:
        first, last = self._view
        looks = [self.style(f"heat-map--{name}") for name in ("label", "shade", "cursor")]
        strips: list[Strip] = []
        rows = draw_shades(self._series, width, height, self._view, bool(self._chosen))
        names = [*self._series] if len(rows) == len(self._series) else [""] * len(rows)
        for name, (label, text) in zip(names, rows, strict=True):
            at = len(text)
            if self._cursor is not None and first <= self._cursor <= last:
                at = min(int((self._cursor - first) / (last - first) * len(text)), len(text) - 1)
            parts = (label, text[:at], text[at : at + 1], text[at + 1 :])
            marked = looks[2] if name and name == self._chosen else looks[0]
            strips.append(strip_of(zip(parts, [marked, *looks[1:], looks[1]], strict=True)))
        return strips


@guard
class MeasureView(Vertical):
    """A line with the values of a group and, if there is room, its curve."""

    DEFAULT_CSS = """
    MeasureView {
        height: 1;
        & > Line { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
        & > Curve, & > HeatMap { display: none; }
        &.-curve { height: 1fr; }
        &.-curve > Curve { display: block; }
        &.-curve.-map > Curve { display: none; }
        &.-curve.-map > HeatMap { display: block; }
    }
    """

    def compose(self) -> ComposeResult:
        yield Line()
        yield Curve(" ", legend=False)
        yield HeatMap()

    def show(
        self, group: Group, view: RunView, clock: Clock, axis: XAxis, visible: VisibleRange | None,
        cursor: float | None,
    ) -> None:  # fmt: skip
        """Show a group of the run's measurements; `visible` and `cursor` are in units of `axis`."""
        curve = self.query_one(Curve)
        series = {}
        unit = unit_of_axis(axis)
        for label, name in group.series.items():
            points = view.system[name]
            x = clock.places(points[2])
            if x is None:
                unit = UNITS["time"]
            series[label or group.title] = curve_points(points, x)
        shown = (visible or clock.extent()) if unit == unit_of_axis(axis) else None
        curve.set(unit=unit, view=shown, cursor=cursor)
        curve.set_series(series)
        is_map = group.unit == "%" and len(series) > MAX_LINES
        self.set_class(is_map, "-map")
        if is_map:
            self.query_one(HeatMap).show(series, curve.span(), cursor)
        self._write_line(group, curve, cursor)

    def _write_line(self, group: Group, curve: Curve, cursor: float | None) -> None:
        _, last = curve.span()
        values = curve.values_at(last if cursor is None else cursor)
        line = Content.assemble((group.title, "$text-muted"))
        unit = Content.assemble((f" {group.unit}", "$text-muted"))
        for label, (_, value) in values.items():
            name = "" if label == group.title else f"{clean_line(label, 16)} "
            number = (numbers.short(value), "bold $foreground")
            longer = Content.assemble(line, "  ", (name, "$text-muted"), number)
            if (longer + unit).cell_length > self.size.width:
                break  # a number that is cut off would be a wrong one
            line = longer
        self.query_one(Line).show(line + unit)


class SystemPanel(SidePanel, can_focus=True):
    """Shows the first run that has measurements: a line for each group, with as many curves as
    fit. Measurements can be filtered by name."""

    DEFAULT_CSS = """
    SystemPanel {
        & > .ranks { display: none; text-wrap: nowrap; text-overflow: ellipsis; }
        & > .system-none { height: 1fr; display: none; color: $text-muted; text-wrap: wrap; }
        & > SearchLine { dock: bottom; }
        &.-none > .system-none { display: block; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._shown_key: object = None
        self._counts = 0, 0  # of the groups that match, and of all

    def compose(self) -> ComposeResult:
        yield Line(classes="ranks", markup=False)
        yield Line(classes="system-none", markup=False)
        yield self.filter

    def on_mount(self) -> None:
        self.border_title = "System"

    def write_border(self) -> None:
        set_border(self, subtitle=self.filter.describe(*self._counts, self.has_focus_within))

    def on_resize(self) -> None:
        self.draw_matches()

    def draw_matches(self) -> None:
        views, *place = self.snapshot
        view = next((view for view in views if view.system), None)
        count = view and max(len(points[0]) for points in view.system.values())
        step = view and view.summary.status.step
        filter = self.filter.pattern
        seen = (view and view.summary.run, count, step, *place, len(views))
        error = view and view.summary.status.error
        key = (*seen, error, self.size, filter, self.filter.is_bad)
        if key == self._shown_key:
            return
        self._shown_key = key
        groups: list[Group] = []
        if view is not None:
            known = make_groups(view.system)
            groups = select_groups(known, filter)
            self._counts = len(groups), len(known)
            name, host = view.summary.info.name, view.summary.info.host
            source = f"{name} on {host}" if len(views) > 1 else host
            set_border(self, title=f"System  {clean_line(source, 40)}".rstrip())
        else:
            self._counts = 0, 0
        self.write_border()
        self.set_class(not groups, "-none")
        if not groups:
            why = NO_MATCH if view is not None else _why_no_system(views)
            self.query_one(".system-none", Line).show(Content(why))
        self._lay_out(groups, view, self._show_ranks(views))

    def _show_ranks(self, views: Sequence[RunView]) -> int:
        """Show the processes of the first run that has several; returns the rows that they take."""
        lines = next(filter(None, map(rank_lines, views)), None)
        line = self.query_one(".ranks", Line)
        line.display = lines is not None
        if lines is None:
            return 0
        rows = lines.plain.count("\n") + 2  # and an empty one
        line.styles.height = rows
        line.show(lines)
        return rows

    def _lay_out(self, groups: Sequence[Group], view: RunView | None, taken: int) -> None:
        """Show a line for every group; the first groups get a curve while there is room beside the
        `taken` rows."""
        measures = list(self.query(MeasureView))
        missing = [MeasureView() for _ in range(len(groups) - len(measures))]
        if missing:
            self.mount_all(missing)
            self.call_after_refresh(self._draw_again)
            return
        for unused in measures[len(groups) :]:
            unused.display = False
        curves = max(0, self.size.height - taken - len(groups)) // MIN_CURVE_HEIGHT
        if view is None:
            return
        axis, visible, cursor = self.snapshot.axis, self.snapshot.visible, self.snapshot.x
        clock = Clock(view, axis)
        for number, (group, measure) in enumerate(zip(groups, measures, strict=False)):
            measure.display = True
            measure.set_class(number < curves, "-curve")
            measure.show(group, view, clock, axis, visible, cursor)

    def _draw_again(self) -> None:
        self._shown_key = None
        self.draw_matches()


def _why_no_system(views: Sequence[RunView]) -> str:
    if not views:
        return ""
    summary = views[0].summary
    if not summary.native:
        return NO_FOREIGN_SYSTEM
    return NONE_YET if summary.alive else NONE
