"""What the machine did: processors, memory, disk and GPUs along the axis of the curves."""

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content

from genui.render import numbers
from genui.render.axis_names import UNITS, Axis
from genui.render.sanitise import clean_line
from genui.render.window import View
from genui.ui.board import machine
from genui.ui.board.machine import Clock, Group
from genui.ui.chrome import Line
from genui.ui.frame import Framed, set_border
from genui.ui.leaving import DeafWhenLeaving
from genui.ui.looking import RunView
from genui.ui.widgets.curve import Curve

LEAST_CURVE = 5  # rows
NONE_YET = "Nothing measured yet: a running training measures its machine every other second"
NONE_KEPT = "Nothing was recorded of the machine while this run trained"
NONE_FOREIGN = "A log of another tool: nothing of its machine is read from it"


class MeasureView(DeafWhenLeaving, Vertical):
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
            series[label or group.title] = machine.drawn(points, x)
        curve.unit = unit
        curve.view = (span or clock.extent()) if unit == UNITS[axis] else None
        curve.cursor = cursor
        curve.set_series(series)
        self._tell(group, curve, cursor)

    def _tell(self, group: Group, curve: Curve, cursor: float | None) -> None:
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


class SystemPanel(DeafWhenLeaving, Framed, Vertical):
    """Of the first run that has measures: every group a line, and as many curves as fit."""

    DEFAULT_CSS = """
    SystemPanel {
        width: 1fr;
        height: 1fr;
        & > .system-none { height: 1fr; display: none; color: $text-muted; text-wrap: wrap; }
        &.-none > .system-none { display: block; }
    }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._axis: Axis = "step"
        self._span: View | None = None
        self._views: Sequence[RunView] = ()
        self._cursor: float | None = None
        self._drawn: object = None

    def compose(self) -> ComposeResult:
        yield Line(classes="system-none", markup=False)

    def on_mount(self) -> None:
        self.border_title = "System"

    def look_along(self, axis: Axis, span: View | None) -> None:
        """Draw along this axis, and this stretch of it (None: all), as the curves do."""
        if (axis, span) != (self._axis, self._span):
            self._axis, self._span = axis, span
            self._draw()

    def show(self, views: Sequence[RunView], cursor: float | None) -> None:
        """The machine at the step `cursor`; None for the newest."""
        self._views, self._cursor = views, cursor
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        view = next((view for view in self._views if view.system), None)
        newest = view and max(len(points[0]) for points in view.system.values())
        steps = view and view.summary.status.step
        now = (view and view.summary.run, newest, steps, self._cursor, self._axis, self._span)
        now = (*now, len(self._views), self.size)
        if now == self._drawn:
            return
        self._drawn = now
        self.set_class(view is None, "-none")
        if view is None:
            self.query_one(".system-none", Line).show(Content(_why_none(self._views)))
            found: list[Group] = []
        else:
            found = machine.groups(view.system)
            name, host = view.summary.info.name, view.summary.info.host
            which = f"{name} on {host}" if len(self._views) > 1 else host
            set_border(self, title=f"System  {clean_line(which, 40)}".rstrip())
        self._lay_out(found, view)

    def _lay_out(self, found: Sequence[Group], view: RunView | None) -> None:
        """A line for every group; the first ones get the curves that there is room for."""
        shown = list(self.query(MeasureView))
        missing = [MeasureView() for _ in range(len(found) - len(shown))]
        if missing:
            self.mount_all(missing)
            self.call_after_refresh(self._again)
            return
        for extra in shown[len(found) :]:
            extra.display = False
        curves = max(0, self.size.height - len(found)) // LEAST_CURVE
        if view is None:
            return
        clock = Clock(view, self._axis)
        place = clock.place_of(self._cursor) if self._cursor is not None else None
        for number, (group, measure) in enumerate(zip(found, shown, strict=False)):
            measure.display = True
            measure.set_class(number < curves, "-curve")
            measure.show(group, view, clock, self._axis, self._span, place)

    def _again(self) -> None:
        """There are places for all of them now."""
        self._drawn = None
        self._draw()


def _why_none(views: Sequence[RunView]) -> str:
    if not views:
        return ""
    summary = views[0].summary
    if summary.format != "genui":
        return NONE_FOREIGN
    return NONE_YET if summary.alive else NONE_KEPT
