"""Moving the cursor and the view along the x axis: the effects of a chart's keys on a ViewState."""

from __future__ import annotations

import math
from typing import NamedTuple

from msgspec.structs import replace

from genui.base.errors import MisuseError
from genui.render import series
from genui.render.series import VisibleRange
from genui.ui.training.state import ViewState

_AHEAD = 0.1  # of its width: how far a following view extends beyond the newest point
_ZOOM_FACTOR = 2.0
_PAN_SHARE = 0.25  # of the visible range


class ChartRange(NamedTuple):
    """The visible part of the chosen curve, in units of the x axis."""

    visible: VisibleRange  # the first and last visible x
    extent: VisibleRange  # the first and last x of the data
    column: float  # the width of a terminal column

    @property
    def newest(self) -> float:
        """The newest visible point."""
        return min(self.visible[1], self.extent[1])


def follow_x(view: VisibleRange, newest: float) -> VisibleRange:
    """Move the view to the newest point once that is outside, or far from the view's end.

    Each move redraws the whole chart, so the view moves in leaps.
    """
    width = view[1] - view[0]
    if view[1] - 2 * _AHEAD * width <= newest <= view[1]:
        return view
    return newest - (1 - _AHEAD) * width, newest + _AHEAD * width


def bring_into_view(view: VisibleRange, x: float) -> VisibleRange:
    """Move the view as little as possible so that it contains `x`."""
    width = view[1] - view[0]
    first = min(max(view[0], x - width), x)
    return first, first + width


def point(state: ViewState, x: float) -> ViewState:
    """Put the cursor at `x`, and move the view if that is outside."""
    view = state.view
    if view is not None and not view[0] <= x <= view[1]:
        return replace(state, cursor=x, view=bring_into_view(view, x), follow=False)
    return replace(state, cursor=x)


def look_at(state: ViewState, view: VisibleRange | None) -> ViewState:
    """Show this part of the x axis; None for all of it, following the newest point."""
    return replace(state, view=view, follow=view is None)


def move_cursor(state: ViewState, columns: int, chart: ChartRange) -> ViewState:
    """Move the cursor by columns, starting at the newest visible point."""
    first, last = chart.extent
    x = chart.newest if state.cursor is None else state.cursor
    x += columns * chart.column
    if state.base_axis == "step":  # a column may be narrower than a step
        next_whole = math.ceil if columns > 0 else math.floor
        x = round(x) if abs(chart.column) >= 1 else next_whole(x)
    return point(state, min(max(x, first), last))


def move_to_end(state: ViewState, direction: int, chart: ChartRange) -> ViewState:
    """Move the cursor to the first or the last visible point; from the last, remove it."""
    if direction < 0:
        return point(state, max(chart.visible[0], chart.extent[0]))
    if state.cursor == chart.newest:
        return replace(state, cursor=None, follow=True)
    return point(state, chart.newest)


def zoom(state: ViewState, direction: int, chart: ChartRange) -> ViewState:
    """Zoom in or out about the cursor, or else about the newest visible point."""
    center = chart.newest if state.cursor is None else state.cursor
    factor = _ZOOM_FACTOR**-direction
    view = series.zoom(state.view, chart.extent, factor, center, log_x=state.log_x)
    follow = view is None or (state.follow and state.cursor is None)
    return replace(state, view=view, follow=follow)


def pan(state: ViewState, direction: int, chart: ChartRange) -> ViewState:
    """Move the view to earlier or later points. Raises MisuseError if there are no others."""
    if state.view is None:
        raise MisuseError("all points are shown: + zooms in")
    view = series.pan(state.view, chart.extent, _PAN_SHARE * direction, log_x=state.log_x)
    return look_at(state, view)
