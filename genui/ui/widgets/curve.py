"""Curves of training, in which every point counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from genui.ui.widgets.curve_looks import CSS, LOOKS
from genui.ui.widgets.curve_mouse import ChartMouse
from genui.ui.widgets.lines import strip_of

# What computes is imported with the first points: an app that has none yet paints sooner.
if TYPE_CHECKING:
    import numpy as np

    from genui.render.curves import Curves, Look
    from genui.render.frame import Frame
    from genui.render.series import Kind, Trace
    from genui.render.window import View


class Curve(ChartMouse):
    """Minimum–maximum curves of dots with axes, a legend and a cursor.

    Series differ by a sign on the line as well as by colour, up to eight of them; a NaN or an
    infinity is marked in its column, and a stretch of x that was written again on the axis.

    The mouse sends messages and changes nothing here, since what shows several curves moves
    them all together: it sets `cursor` on Picked and `view` on Viewed. With `alone` the curve
    does that by itself too.
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
    """The stretch of x in sight; None for everything, following the newest."""
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
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        """`empty` shows until there are points; `legend` gives the names a row of their own.

        With `readout` the legend tells the values at the cursor; see the class for `alone`.
        """
        super().__init__(name=name, id=id, classes=classes)
        self._empty = empty
        self._with_legend = legend
        self._readout = readout
        self._alone = alone
        self._curves: Curves | None = None
        self._frame: Frame | None = None
        self._awaited = False  # something was set that is still to be drawn
        self.caption = ""
        self.set_reactive(Curve.log_y, log_y)

    # --- what is shown ----------------------------------------------------------------

    def set_series(
        self,
        series: Mapping[str, tuple[np.ndarray, np.ndarray]],
        kinds: Mapping[str, Kind] | None = None,
    ) -> None:
        """Show these series: name → (x, values), two arrays of one length, x ascending.

        The arrays are read when the curve is drawn, so give views that do not change.
        `kinds` says how each is drawn: `line`, `smoothed` (the raw values faint behind
        their moving average) or `marks` (few points, each with a sign). x that goes back is
        put in order, and points without a finite x are left out.
        """
        if series and self._curves is None:
            from genui.render.curves import Curves

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
        """The first and the last x in sight; (0, 1) where there is nothing."""
        window = self._curves.window(self._look()) if self._curves is not None else None
        return (window.start, window.end) if window is not None else (0.0, 1.0)

    def column(self, at: float | None = None) -> float:
        """How much of x one cell stands for: on a logarithmic axis, at `at` or the cursor."""
        frame = self._frame
        start, end = self.span()
        cols = frame.cols if frame is not None else max(self.size.width, 1)
        if frame is None or not frame.window.log_x:
            return (end - start) / cols
        where = at if at is not None else self.cursor if self.cursor is not None else end
        return max(where, start) * ((end / start) ** (1 / cols) - 1)

    # --- drawing ----------------------------------------------------------------------

    def _redraw_soon(self) -> None:
        """Once, however many of the reactives are set together."""
        if not self._awaited:
            self._awaited = self.call_later(self._redraw_awaited)

    def _redraw_awaited(self) -> None:
        if self._awaited:
            self.redraw()

    watch_log_y = watch_log_x = watch_cursor = watch_view = _redraw_soon
    watch_unit = watch_overlaps = watch_smoothing = _redraw_soon

    def redraw(self) -> bool:
        self._awaited = False
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

    def _look(self) -> Look:
        from genui.render.curves import Look

        return Look(
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
            # Whoever paints is taken for the sender, and messages do not rise beyond that one.
            self.post_message(self.Drawn(self, caption).set_sender(self))

    # --- the mouse --------------------------------------------------------------------

    def drawn_frame(self) -> Frame | None:
        return self._frame

    def extent(self) -> View | None:
        return self._curves.extent(self.log_x) if self._curves is not None else None

    def view_now(self) -> View | None:
        return self.view

    def picked(self, x: float) -> None:
        if self._alone:
            self.cursor = x
        self.post_message(self.Picked(self, x))

    def asked(self, view: View | None) -> None:
        if self._alone:
            self.view = view
        self.post_message(self.Viewed(self, view))
