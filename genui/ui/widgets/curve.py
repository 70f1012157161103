"""Curves of training, with a cursor and zoom by mouse.

Up to eight series differ by a sign as well as by colour, on a dark and on a light background.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from genui.ui.widgets.base import LineWidget, strip_of

if TYPE_CHECKING:
    import numpy as np

    from genui.render.chart import ChartOptions, Curves, Frame
    from genui.render.series import Kind, Trace, View

_SERIES = 8  # as in genui/render/chart.py

LOOKS = (
    *("axis", "label", "cursor", "fault", "overlap", "reading"),
    *(f"series-{number}" for number in range(1, _SERIES + 1)),
    *(f"raw-{number}" for number in range(1, _SERIES + 1)),
)

CSS = """
Curve {
    width: 1fr;
    height: 1fr;
    & > .curve--empty { color: $text-muted; }
    & > .curve--axis { color: $foreground 30%; }
    & > .curve--label { color: $text-muted; }
    & > .curve--reading { color: $foreground; text-style: bold; }
    & > .curve--cursor { color: $warning; }
    & > .curve--overlap { color: $warning; }
    & > .curve--fault { color: $error; text-style: bold; }
    & > .curve--series-1 { color: $primary; }
    & > .curve--series-2 { color: $warning; }
    & > .curve--series-3 { color: $success; }
    & > .curve--series-4 { color: #d2a8ff; }
    & > .curve--series-5 { color: #f778ba; }
    & > .curve--series-6 { color: #56d4dd; }
    & > .curve--series-7 { color: $accent; }
    & > .curve--series-8 { color: $foreground; }
    & > .curve--raw-1 { color: $primary 40%; }
    & > .curve--raw-2 { color: $warning 40%; }
    & > .curve--raw-3 { color: $success 40%; }
    & > .curve--raw-4 { color: #d2a8ff 40%; }
    & > .curve--raw-5 { color: #f778ba 40%; }
    & > .curve--raw-6 { color: #56d4dd 40%; }
    & > .curve--raw-7 { color: $accent 40%; }
    & > .curve--raw-8 { color: $foreground 40%; }
    &:light > .curve--series-4 { color: #8250df; }
    &:light > .curve--series-5 { color: #bf3989; }
    &:light > .curve--series-6 { color: #1b7c83; }
    &:light > .curve--raw-4 { color: #8250df 40%; }
    &:light > .curve--raw-5 { color: #bf3989 40%; }
    &:light > .curve--raw-6 { color: #1b7c83 40%; }
}
"""


# --- The mouse on a chart: click, wheel and drag ----------------------------------------------

_WHEEL = 0.8  # of the visible width, for each notch towards the screen


class ChartMouse(LineWidget):
    """Turns events into calls of `picked` and `view_requested`, which a subclass implements.

    A click picks an x, the wheel zooms at the pointer, a drag pans and a double click fits all.
    An empty chart ignores them.
    """

    ALLOW_SELECT: ClassVar[bool] = False  # a drag pans, and marks no text elsewhere
    _grabbed: tuple[float, View | None] | None = None  # column of the screen, and the view then
    _moved = False

    def last_frame(self) -> Frame | None:
        """The frame of the plot, as last drawn."""
        raise NotImplementedError

    def extent(self) -> View | None:
        """The first and the last x of the data."""
        raise NotImplementedError

    def view_now(self) -> View | None:
        """The current view; None for everything."""
        raise NotImplementedError

    def picked(self, x: float) -> None:
        """The pointer chose this x."""
        raise NotImplementedError

    def view_requested(self, view: View | None) -> None:
        """The pointer chose this view; None for everything."""
        raise NotImplementedError

    def x_at(self, column: float) -> float | None:
        """The x in the middle of a column of cells, within the plot."""
        frame = self.last_frame()
        if frame is None:
            return None
        share = (column - frame.left + 0.5) / frame.cols
        return frame.x_at(min(max(share, 0.0), 1.0))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._wheel(event, _WHEEL)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._wheel(event, 1 / _WHEEL)

    def _wheel(self, event: events.MouseEvent, factor: float) -> None:
        from genui.render.series import zoom

        frame, extent = self.last_frame(), self.extent()
        at = self.x_at(event.x)
        if frame is None or extent is None or at is None:
            return
        event.stop()
        event.prevent_default()
        before = self.view_now()
        view = zoom(before, extent, factor, at, log_x=frame.window.log_x)
        if view != before:
            self.view_requested(view)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self._moved = False
        if event.button == 1 and self.last_frame() is not None:
            self._grabbed = event.screen_x, self.view_now()
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        from genui.render.series import pan

        frame, extent = self.last_frame(), self.extent()
        if self._grabbed is None or frame is None or extent is None:
            return
        start, view = self._grabbed
        cells = event.screen_x - start
        self._moved = self._moved or bool(cells)
        if not self._moved:
            return
        moved = pan(view, extent, -cells / frame.cols, log_x=frame.window.log_x)
        if moved != self.view_now():
            self.view_requested(moved)

    def on_mouse_up(self, event: events.MouseUp) -> None:
        if self._grabbed is not None:
            event.stop()
            self._grabbed = None
            self.release_mouse()

    def on_unmount(self) -> None:
        if self._grabbed is not None:
            self.release_mouse()

    def on_click(self, event: events.Click) -> None:
        x = self.x_at(event.x)
        if event.button != 1 or x is None or self._moved:
            return
        event.stop()
        if event.chain == 2:
            self.view_requested(None)
        elif event.chain == 1:
            self.picked(x)


# --- Curves -----------------------------------------------------------------------------------

# genui.render is imported with the first points, so that the app paints sooner.


class Curve(ChartMouse):
    """Minimum–maximum curves of dots with axes, a legend and a cursor.

    Series differ by a sign on the line as well as by colour, up to eight of them; a NaN or an
    infinity is marked in its column, and a stretch of x that was written again on the axis.

    The mouse posts Picked and Viewed; the widget that shows several curves sets `cursor` and `view`
    of all of them. With `alone` the curve sets its own.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "curve--empty",
        *(f"curve--{look}" for look in LOOKS),
    }
    DEFAULT_CSS = CSS

    log_y: reactive[bool] = reactive(False, repaint=False)
    log_x: reactive[bool] = reactive(False, repaint=False)
    smoothing: reactive[float] = reactive(0.9, repaint=False)
    """0 none … below 1, as W&B's slider: how strongly series of the kind `smoothed` are.

    Relative to the range of all x, so that zooming changes no value.
    """
    cursor: reactive[float | None] = reactive[float | None](None, repaint=False)
    """An x that is marked by a line, and whose values `readout` shows in the legend."""
    view: reactive[tuple[float, float] | None] = reactive[tuple[float, float] | None](
        None, repaint=False
    )
    """The visible range of x; None for everything, following the newest."""
    unit: reactive[str] = reactive("step", repaint=False)
    """What x counts: `step`, `s`, `token`, `epoch`, or another noun that takes an s."""
    overlaps: reactive[Sequence[tuple[float, float]]] = reactive[Sequence[tuple[float, float]]](
        (), repaint=False
    )
    """Stretches of x that were written again, from and to."""

    @dataclass
    class Drawn(Message):
        """The caption changed."""

        curve: Curve
        caption: str

        @property
        def control(self) -> Curve:
            return self.curve

    @dataclass
    class Picked(Message):
        """A click at `x`."""

        curve: Curve
        x: float

        @property
        def control(self) -> Curve:
            return self.curve

    @dataclass
    class Viewed(Message):
        """The wheel, a drag or a double click asks for `view`: None for everything."""

        curve: Curve
        view: View | None

        @property
        def control(self) -> Curve:
            return self.curve

    def __init__(
        self,
        empty: str = "No points yet",
        *,
        legend: bool = True,
        log_y: bool = False,
        readout: bool = False,
        alone: bool = False,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        """`empty` shows until there are points; `legend` gives the names a row of their own.

        With `readout` the legend shows the values at the cursor; for `alone` see the class.
        """
        super().__init__(empty, id=id, classes=classes)
        self._with_legend = legend
        self._readout = readout
        self._alone = alone
        self._curves: Curves | None = None
        self._frame: Frame | None = None
        self._pending = False  # a redraw is queued
        self.caption = ""
        self.set_reactive(Curve.log_y, log_y)

    # --- what is shown ----------------------------------------------------------------

    def set_series(
        self,
        series: Mapping[str, tuple[np.ndarray, np.ndarray]],
        kinds: Mapping[str, Kind] | None = None,
    ) -> None:
        """Show these series: name → (x, values), two arrays of one length, x ascending.

        The arrays are read when the curve is drawn, so they must not change.
        `kinds` says how each is drawn: `line`, `smoothed` (the raw values faint behind
        their moving average) or `marks` (few points, each with a sign). x that goes back is
        put in order, and points without a finite x are left out.
        """
        if series and self._curves is None:
            from genui.render.chart import Curves

            self._curves = Curves()
        if self._curves is not None:
            self._curves.set_series(series, kinds or {})
        self.redraw()

    def clear(self, empty: str | None = None) -> None:
        """Back to the empty state, with another text where one is given."""
        if empty is not None:
            self._empty = empty
        self.set_series({})

    @property
    def legend_text(self) -> str:
        """The legend as plain text, for a border title."""
        return self._curves.legend(self._look()) if self._curves is not None else ""

    def values_at(self, x: float) -> dict[str, tuple[float, float]]:
        """Of each series that has a point, (x, value) of the one nearest to `x`, not smoothed."""
        return self._curves.values_at(x) if self._curves is not None else {}

    def span(self) -> tuple[float, float]:
        """The first and the last visible x; (0, 1) without points."""
        window = self._curves.window(self._look()) if self._curves is not None else None
        return (window.start, window.end) if window is not None else (0.0, 1.0)

    def column(self, at: float | None = None) -> float:
        """The width of one column in x: on a logarithmic axis, at `at` or the cursor."""
        frame = self._frame
        start, end = self.span()
        cols = frame.cols if frame is not None else max(self.size.width, 1)
        if frame is None or not frame.window.log_x:
            return (end - start) / cols
        where = at if at is not None else self.cursor if self.cursor is not None else end
        return max(where, start) * ((end / start) ** (1 / cols) - 1)

    # --- drawing ----------------------------------------------------------------------

    def _redraw_soon(self) -> None:
        """Redraw once, however many reactives are set together."""
        if not self._pending:
            self._pending = self.call_later(self._redraw_pending)

    def _redraw_pending(self) -> None:
        if self._pending:
            self.redraw()

    watch_log_y = watch_log_x = watch_cursor = watch_view = _redraw_soon
    watch_unit = watch_overlaps = watch_smoothing = _redraw_soon

    def redraw(self) -> bool:
        self._pending = False
        return super().redraw()

    def draw(self, width: int, height: int) -> list[Strip]:
        chart = None
        if self._curves is not None:
            chart = self._curves.chart(width, height, self._look())
            self._frame = chart.frame if chart else None
        self._set_caption(chart.caption if chart else "")
        if chart is None:
            empty = "" if any(len(trace.steps) for trace in self._traces) else self._empty
            return self.message(empty, "curve--empty", width, height)
        looks = {look: self.style(f"curve--{look}") for look in LOOKS}
        return [strip_of((text, looks[look]) for text, look in line) for line in chart.lines]

    @property
    def _traces(self) -> Sequence[Trace]:
        return self._curves.traces if self._curves is not None else ()

    def _look(self) -> ChartOptions:
        from genui.render.chart import ChartOptions

        return ChartOptions(
            log_y=self.log_y,
            log_x=self.log_x,
            smoothing=self.smoothing,
            cursor=self.cursor,
            view=self.view,
            unit=self.unit,
            overlaps=self.overlaps,
            legend=self._with_legend,
            readout=self._readout,
        )

    def _set_caption(self, caption: str) -> None:
        if caption != self.caption:
            self.caption = caption
            # Textual takes the painting widget for the sender, and does not bubble beyond it.
            self.post_message(self.Drawn(self, caption).set_sender(self))

    # --- the mouse --------------------------------------------------------------------

    def last_frame(self) -> Frame | None:
        return self._frame

    def extent(self) -> View | None:
        return self._curves.extent(self.log_x) if self._curves is not None else None

    def view_now(self) -> View | None:
        return self.view

    def picked(self, x: float) -> None:
        if self._alone:
            self.cursor = x
        self.post_message(self.Picked(self, x))

    def view_requested(self, view: View | None) -> None:
        if self._alone:
            self.view = view
        self.post_message(self.Viewed(self, view))
