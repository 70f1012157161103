"""The keys that move about in the curves: cursor, zoom, pan, axes, smoothing, which curve."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from textual import on

from genui.errors import MisuseError
from genui.ui.board import reel
from genui.ui.board.actions import BoardActions
from genui.ui.board.grid import CurveGrid
from genui.ui.board.moves import following, showing
from genui.ui.board.pointing import Pointed
from genui.ui.widgets.curve import Curve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from genui.render.window import View
    from genui.ui.board.plots import Plot

SMOOTHINGS = (0.0, 0.5, 0.9, 0.97, 0.99)
_COUNTS = {"step": "steps", "time": "the time since the first record", "tokens": "tokens",
           "epochs": "epochs"}  # fmt: skip
_ZOOM = 2.0  # a key: so many times wider, or narrower
_PAN = 0.25  # a key: this share of what is in sight


class Navigation(BoardActions):
    """Actions that change the view of a board; the screen that has them paints it."""

    @property
    def grid(self) -> CurveGrid:
        return self.query_one(CurveGrid)

    def _curve(self) -> tuple[Curve, View] | None:
        """The chosen curve and the first and last x it has; None, and said so, without points."""
        cell = self.grid.chosen
        extent = cell.curve.extent() if cell is not None else None
        if cell is None or extent is None:
            self.say("there are no points yet", "note")
            return None
        return cell.curve, extent

    def _plots(self) -> Sequence[Plot]:
        """Those to choose from; where there is none, that is said."""
        plots = self.board.plots()
        if not plots:
            self.say("there are no curves yet", "note")
        return plots

    # --- the cursor -------------------------------------------------------------------

    def action_cursor(self, columns: int) -> None:
        """Move the cursor; the first move puts it on the newest."""
        if (found := self._curve()) is None:
            return
        curve, (first, last) = found
        x = self.board.state.cursor
        if x is None:
            x = min(curve.span()[1], last)
        x += columns * curve.column()
        if self.board.state.axis == "step":  # a column may be less than a step
            x = round(x) if abs(curve.column()) >= 1 else self._next_step(x, columns)
        self._point(min(max(x, first), last))

    def _next_step(self, x: float, columns: int) -> float:
        return math.ceil(x) if columns > 0 else math.floor(x)

    def action_ends(self, direction: int) -> None:
        """The cursor to the first or the last point in sight."""
        if (found := self._curve()) is not None:
            curve, (first, last) = found
            start, end = curve.span()
            self._point(max(start, first) if direction < 0 else min(end, last))

    def _point(self, x: float) -> None:
        view = self.board.state.view
        if view is not None and not view[0] <= x <= view[1]:
            self.change(cursor=x, view=showing(view, x), follow=False)
        else:
            self.change(cursor=x)

    @on(Curve.Picked)
    def _picked(self, event: Curve.Picked) -> None:
        event.stop()
        self._point(event.x)

    @on(Pointed)
    def _pointed(self, event: Pointed) -> None:
        event.stop()
        x = self.board.place_of(event.step) if event.step is not None else None
        if x is None:
            self.change(cursor=None)
        else:
            self._point(x)

    def action_sample(self, by: int) -> None:
        """The cursor to the sample before, or after; from the last the newest is followed."""
        cursor = self.board.state.cursor
        at = self.board.step_at(cursor) if cursor is not None else None
        steps = reel.frames(self.board.shown) if self.board.shown else []
        before, after = reel.beside(steps, at)
        step = before if by < 0 else after
        if step is not None:
            self.post_message(Pointed(None if step == steps[-1] else step))
        elif not steps:
            self.say("this run has no samples yet", "note")

    # --- zoom and pan -----------------------------------------------------------------

    def action_zoom(self, direction: int) -> None:
        """Closer, or further away, about the cursor or else the newest in sight."""
        from genui.render.view import zoomed

        if (found := self._curve()) is not None:
            curve, extent = found
            state = self.board.state
            about = state.cursor if state.cursor is not None else min(curve.span()[1], extent[1])
            factor = _ZOOM**-direction
            view = zoomed(state.view, extent, factor, about, log_x=state.log_x)
            follow = view is None or (state.follow and state.cursor is None)
            self.change(view=view, follow=follow)

    def action_pan(self, direction: int) -> None:
        """Earlier, or later."""
        from genui.render.view import panned

        if (found := self._curve()) is not None:
            state = self.board.state
            if state.view is None:
                self.say("everything is in sight: + zooms in", "note")
                return
            view = panned(state.view, found[1], _PAN * direction, log_x=state.log_x)
            self.change(view=view, follow=view is None)

    def action_everything(self) -> None:
        """All of the x axis in sight."""
        self.change(view=None, follow=True)

    def action_follow(self) -> None:
        """Without a cursor at the newest, as close as it is."""
        self.board.change(follow=True)
        self.follow()
        self.change(cursor=None)
        self.say("following the newest", "note")

    def follow(self) -> None:
        """Move the view on where it follows and the newest has left it."""
        state = self.board.state
        plots = self.board.plots()
        if state.view is None or not state.follow or not plots:
            return
        ends = [float(line.x[-1]) for line in self.board.lines(plots[self.board.chosen()])]
        if ends:
            self.board.change(view=following(state.view, max(ends)))

    @on(Curve.Viewed)
    def _viewed(self, event: Curve.Viewed) -> None:
        event.stop()
        self.change(view=event.view, follow=event.view is None)

    # --- axes and smoothing -----------------------------------------------------------

    def action_axis(self) -> None:
        """The next of the x axes that are known; the cursor stays at its step."""
        board = self.board
        axes = board.axes()
        if len(axes) < 2:
            self.say("only steps are known of this run", "note")
            return
        now = board.state.axis
        cursor = board.state.cursor
        step = board.step_at(cursor) if cursor is not None else None
        axis = axes[(axes.index(now) + 1) % len(axes)] if now in axes else axes[0]
        board.change(axis=axis, view=None, follow=True)
        self.change(cursor=board.place_of(step) if step is not None else None)
        self.say(f"the x axis counts {_COUNTS[axis]}", "note")

    def action_log(self, axis: Literal["x", "y"]) -> None:
        """A logarithmic axis, or back."""
        state = self.board.state
        if axis == "y":
            self.change(log_y=not state.log_y)
        else:
            self.change(log_x=not state.log_x, view=None, follow=True)

    def action_smooth(self) -> None:
        """The next of the usual smoothings."""
        now = self.board.state.smoothing
        self._smooth(next((one for one in SMOOTHINGS if one > now + 1e-9), SMOOTHINGS[0]))

    def action_smooth_by(self) -> None:
        """Ask for a smoothing."""
        from genui.ui.screens.value import ValueScreen

        def given(value: float | None) -> None:
            if value is not None:
                self._smooth(value)

        hint = "0 is off, towards 1 is smoother: as W&B's time-weighted average"
        now = f"{self.board.state.smoothing:g}"
        self.app.push_screen(ValueScreen("Smoothing", now, hint, _smoothing), given)

    def _smooth(self, value: float) -> None:
        self.change(smoothing=value)
        self.say(f"smoothing {value:g}" if value else "smoothing off", "note")

    # --- which curve ------------------------------------------------------------------

    def action_choose(self, by: int) -> None:
        """The next curve, or the one before, on the next page after the last of this."""
        if plots := self._plots():
            self.change(chosen=plots[(self.board.chosen() + by) % len(plots)].key)

    def action_page(self, by: int) -> None:
        """The next page of curves, or the one before."""
        if plots := self._plots():
            each = 1 if self.board.state.alone else self.grid.room.capacity
            first = self.board.chosen() // each * each + by * each
            if 0 <= first < len(plots):
                self.change(chosen=plots[first].key)

    def action_open(self) -> None:
        """The chosen curve alone, or all of them again."""
        if self._plots():
            self.change(alone=not self.board.state.alone)

    def action_pin(self) -> None:
        """Pin the chosen curve to the front, or let it go."""
        if plots := self._plots():
            key, pins = plots[self.board.chosen()].key, self.board.state.pins
            kept = tuple(pin for pin in pins if pin != key)
            self.change(pins=kept if key in pins else (*pins, key), chosen=key)


def _smoothing(text: str) -> float:
    """Raises MisuseError for what is no smoothing."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1:
        raise MisuseError(f"'{text.strip()[:20]}' is no smoothing: from 0, off, to below 1")
    return value
