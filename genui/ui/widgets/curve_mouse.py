"""The mouse on a chart: click, wheel and drag as places and views along x."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events

from genui.ui.widgets.lines import LineWidget

if TYPE_CHECKING:
    from genui.render.frame import Frame
    from genui.render.window import View

_WHEEL = 0.8  # of the width in sight, for each notch towards the screen


class ChartMouse(LineWidget):
    """Turns events into `picked` and `asked`, which a subclass answers.

    A click picks the x under it, the wheel zooms about the pointer, a drag pans and a double
    click asks for everything. Nothing happens where nothing is drawn.
    """

    ALLOW_SELECT: ClassVar[bool] = False  # a drag pans, and marks no text elsewhere
    _grabbed: tuple[float, View | None] | None = None  # column of the screen, and the view then
    _moved = False

    def drawn_frame(self) -> Frame | None:
        """Where the plot is and what it spans, as last drawn."""
        raise NotImplementedError

    def extent(self) -> View | None:
        """The first and last x there is."""
        raise NotImplementedError

    def view_now(self) -> View | None:
        """The view in force; None for everything."""
        raise NotImplementedError

    def picked(self, x: float) -> None:
        """The pointer chose this x."""
        raise NotImplementedError

    def asked(self, view: View | None) -> None:
        """The pointer asks for this view; None for everything."""
        raise NotImplementedError

    def x_at(self, column: float) -> float | None:
        """The x in the middle of a cell of the widget; that of an end beside the plot."""
        frame = self.drawn_frame()
        if frame is None:
            return None
        share = (column - frame.left + 0.5) / frame.cols
        return frame.x_at(min(max(share, 0.0), 1.0))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._wheel(event, _WHEEL)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._wheel(event, 1 / _WHEEL)

    def _wheel(self, event: events.MouseEvent, factor: float) -> None:
        from genui.render.view import zoomed

        frame, extent = self.drawn_frame(), self.extent()
        at = self.x_at(event.x)
        if frame is None or extent is None or at is None:
            return
        event.stop()
        event.prevent_default()
        before = self.view_now()
        view = zoomed(before, extent, factor, at, log_x=frame.window.log_x)
        if view != before:
            self.asked(view)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self._moved = False
        if event.button == 1 and self.drawn_frame() is not None:
            self._grabbed = event.screen_x, self.view_now()
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        from genui.render.view import panned

        frame, extent = self.drawn_frame(), self.extent()
        if self._grabbed is None or frame is None or extent is None:
            return
        start, view = self._grabbed
        cells = event.screen_x - start
        self._moved = self._moved or bool(cells)
        if not self._moved:
            return
        moved = panned(view, extent, -cells / frame.cols, log_x=frame.window.log_x)
        if moved != self.view_now():
            self.asked(moved)

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
            self.asked(None)
        elif event.chain == 1:
            self.picked(x)
