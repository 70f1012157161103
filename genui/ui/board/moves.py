"""A view that is moved to keep something in sight."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genui.render.window import View

_AHEAD = 0.1  # of its width: how far a following view is ahead of the newest


def following(view: View, newest: float) -> View:
    """The view at the newest: moved on once that has left it, or lies far from its end.

    Every move of an edge redraws the whole chart, so it moves in leaps.
    """
    width = view[1] - view[0]
    if view[1] - 2 * _AHEAD * width <= newest <= view[1]:
        return view
    return newest - (1 - _AHEAD) * width, newest + _AHEAD * width


def showing(view: View, x: float) -> View:
    """The view moved as little as it takes for `x` to be in it."""
    width = view[1] - view[0]
    first = min(max(view[0], x - width), x)
    return first, first + width
