"""Curves of training, with a cursor, and the mouse: click, wheel and drag."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from genui.base.late import late_imports
from genui.render.options import ChartOptions
from genui.ui.widgets.lines import LineWidget, strip_of

with late_imports():
    from genui.render import chart as render_chart
    from genui.render import series as render_series

if TYPE_CHECKING:
    import numpy as np

    from genui.render.chart import Curves, Frame
    from genui.render.series import ChartLine, Kind, Look, VisibleRange

# genui.render is imported with the first points, so that the app paints sooner.

_HUES = (  # of as many series as SERIES_LOOKS in genui/render/chart.py
    *("$primary", "$warning", "$success", "#d2a8ff", "#f778ba", "#56d4dd"),
    *("$accent", "$foreground"),
)
_LIGHT_HUES = {4: "#8250df", 5: "#bf3989", 6: "#1b7c83"}  # on a light background

LOOKS = (
    *("axis", "label", "cursor", "fault", "overlap", "reading"),
    *(f"series-{number}" for number in range(1, len(_HUES) + 1)),
    *(f"raw-{number}" for number in range(1, len(_HUES) + 1)),
)

_WHEEL = 0.8  # zooming in by one notch multiplies the visible width by this


def _series_css(selector: str, hues: Iterable[tuple[int, str]]) -> str:
    """Return the rules for the lines and raw values of series, given by number and colour."""
    return "".join(
        f"{selector} > .curve--series-{number} {{ color: {hue}; }}\n"
        f"{selector} > .curve--raw-{number} {{ color: {hue} 40%; }}\n"
        for number, hue in hues
    )


class Curve(LineWidget):
    """Minimum–maximum curves of dots with axes, a legend and a cursor.

    Up to eight hues differ by a sign on the line as well as by colour. A NaN or an infinity is
    marked in its column, and a range of x that was logged twice on the axis.

    A click picks an x, the wheel zooms at the pointer, a drag pans and a double click shows
    everything. They post Picked and Viewed; the owner sets `cursor` and `view` of its options.
    """

    ALLOW_SELECT: ClassVar[bool] = False  # a drag pans, and selects no text
    DEFAULT_CSS = f"""
    Curve {{
        & > .curve--axis {{ color: $foreground 30%; }}
        & > .curve--label {{ color: $text-muted; }}
        & > .curve--reading {{ color: $foreground; text-style: bold; }}
        & > .curve--cursor {{ color: $warning; }}
        & > .curve--overlap {{ color: $warning; }}
        & > .curve--fault {{ color: $error; text-style: bold; }}
        {_series_css("&", enumerate(_HUES, 1))}
        {_series_css("&:light", _LIGHT_HUES.items())}
    }}
    """

    options: reactive[ChartOptions] = reactive(ChartOptions(), repaint=False)

    @dataclass
    class Drawn(Message):
        """The caption has changed."""

        caption: str

    @dataclass
    class Picked(Message):
        """The user clicked at `x`."""

        x: float
        curve: Curve

    @dataclass
    class Viewed(Message):
        """The user requested a view with the mouse; None shows everything."""

        view: VisibleRange | None
        curve: Curve

    def __init__(self, empty: str = "No points yet", **options: Any) -> None:
        """`empty` is shown until there are points; `options` are fields of ChartOptions."""
        super().__init__(empty)
        self.set_reactive(Curve.options, ChartOptions(**options))
        self._curves: Curves | None = None
        self.frame: Frame | None = None  # of the plot, as it was last drawn
        self._pending = False  # a redraw is queued
        self._drag_start: tuple[float, VisibleRange | None] | None = (
            None  # column of the screen, and view
        )
        self._dragged = False
        self.caption = ""

    def set(self, **options: Any) -> None:
        """Change how it is drawn: fields of ChartOptions."""
        self.options = replace(self.options, **options)

    # --- series -----------------------------------------------------------------------

    def set_series(
        self,
        series: Mapping[str, tuple[np.ndarray, np.ndarray]],
        kinds: Mapping[str, Kind] | None = None,
        looks: Mapping[str, tuple[int, bool] | Look] | None = None,
    ) -> None:
        """Show these series: name → (x, values), both [N].

        The arrays are read when the curve is drawn, so they must not change. `kinds` says how
        each series is drawn: `line`, `smoothed` (a moving average over the faint raw values) or
        `marks` (few points, each with a sign). `looks` (see Look) gives the series of one run one
        hue, and dashes to those on held-out data; by default each has its own hue. Points are
        sorted by x if necessary, and those without a finite x are left out.
        """
        if series and self._curves is None:
            self._curves = render_chart.Curves()
        if self._curves is not None:
            self._curves.set_series(series, kinds or {}, looks or {})
        self.redraw()

    def clear(self, empty: str | None = None) -> None:
        if self._curves is not None:
            self._curves.set_series({}, {})
        super().clear(empty)

    def values_at(self, x: float) -> dict[str, tuple[float, float]]:
        """Return the (x, value) nearest to `x`, not smoothed, of each series that has points."""
        return self._curves.values_at(x) if self._curves is not None else {}

    def extent(self) -> VisibleRange | None:
        """Return the first and last x of the data; with `log_x`, of those above zero."""
        return self._curves.extent(self.options.log_x) if self._curves is not None else None

    def span(self) -> tuple[float, float]:
        """Return the first and last visible x; (0, 1) without points."""
        window = self._curves.window(self.options) if self._curves is not None else None
        return (window.start, window.end) if window is not None else (0.0, 1.0)

    def column(self) -> float:
        """Return the width of a column in x; on a logarithmic axis, at the cursor."""
        frame = self.frame
        start, end = self.span()
        cols = frame.cols if frame is not None else max(self.size.width, 1)
        if frame is None or not frame.window.log_x:
            return (end - start) / cols
        cursor = self.options.cursor
        x = cursor if cursor is not None else end
        return max(x, start) * ((end / start) ** (1 / cols) - 1)

    # --- drawing ----------------------------------------------------------------------

    def watch_options(self) -> None:
        """Redraw once, however often they are set together."""
        if not self._pending:
            self._pending = self.call_later(self._redraw_pending)

    def _redraw_pending(self) -> None:
        if self._pending:
            self.redraw()

    def redraw(self) -> bool:
        self._pending = False
        return super().redraw()

    def draw(self, width: int, height: int) -> list[Strip]:
        chart = None
        if self._curves is not None:
            chart = self._curves.chart(width, height, self.options)
            self.frame = chart.frame if chart else None
        self._set_caption(chart.caption if chart else "")
        if chart is None:
            empty = "" if any(len(trace.steps) for trace in self._traces) else self._empty
            return self.message(empty, width, height)
        looks = {look: self.style(f"curve--{look}") for look in LOOKS}
        return [strip_of((text, looks[look]) for text, look in line) for line in chart.lines]

    @property
    def _traces(self) -> Sequence[ChartLine]:
        return self._curves.traces if self._curves is not None else ()

    def _set_caption(self, caption: str) -> None:
        if caption != self.caption:
            self.caption = caption
            # By default the sender is the widget that is being painted, and the message would not
            # bubble beyond it.
            self.post_message(self.Drawn(caption).set_sender(self))

    # --- the mouse --------------------------------------------------------------------

    def x_at(self, column: float) -> float | None:
        """Return the x in the middle of a column of cells, clipped to the plot."""
        frame = self.frame
        if frame is None:
            return None
        share = (column - frame.left + 0.5) / frame.cols
        return frame.x_at(min(max(share, 0.0), 1.0))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._zoom(event, _WHEEL)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._zoom(event, 1 / _WHEEL)

    def _zoom(self, event: events.MouseEvent, factor: float) -> None:
        extent, at = self.extent(), self.x_at(event.x)
        if self.frame is None or extent is None or at is None:
            return
        event.stop()
        event.prevent_default()
        view = render_series.zoom(
            self.options.view, extent, factor, at, log_x=self.frame.window.log_x
        )
        if view != self.options.view:
            self.post_message(self.Viewed(view, self))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self._dragged = False
        if event.button == 1 and self.frame is not None:
            self._drag_start = event.screen_x, self.options.view
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        extent = self.extent()
        if self._drag_start is None or self.frame is None or extent is None:
            return
        start, view = self._drag_start
        cells = event.screen_x - start
        self._dragged = self._dragged or bool(cells)
        if not self._dragged:
            return
        view = render_series.pan(
            view, extent, -cells / self.frame.cols, log_x=self.frame.window.log_x
        )
        if view != self.options.view:
            self.post_message(self.Viewed(view, self))

    def on_mouse_up(self, event: events.MouseUp) -> None:
        if self._drag_start is not None:
            event.stop()
            self._drag_start = None
            self.release_mouse()

    def on_unmount(self) -> None:
        if self._drag_start is not None:
            self.release_mouse()

    def on_click(self, event: events.Click) -> None:
        x = self.x_at(event.x)
        if event.button != 1 or x is None or self._dragged:
            return
        event.stop()
        if event.chain == 2:
            self.post_message(self.Viewed(None, self))
        elif event.chain == 1:
            self.post_message(self.Picked(x, self))
