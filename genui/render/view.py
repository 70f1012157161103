"""Zooming and panning along x: a view is the stretch of x in sight, None everything.

A view never leaves the data, and one that holds all of it is None, so that it follows what is
still to come.
"""

import math

from genui.render.window import View

_NARROWEST = 1e-9  # of the extent, and of the size of x: what a float can still tell apart


def zoomed(
    view: View | None, extent: View, factor: float, at: float, *, log_x: bool = False
) -> View | None:
    """The view `factor` times as wide in which `at` keeps its place; above 1 it shows more.

    `extent` is the first and last x there is, above zero with `log_x`.
    """
    start, end = _on_axis(view or extent, log_x)
    least, most = _on_axis(extent, log_x)
    place = min(max(_on_axis((at, at), log_x)[0], start), end)
    narrowest = max((most - least) * _NARROWEST, abs(place) * _NARROWEST)
    width = max((end - start) * factor, narrowest)
    share = (place - start) / (end - start) if end > start else 0.5
    return _fitted(place - share * width, width, extent, log_x)


def panned(view: View | None, extent: View, shares: float, *, log_x: bool = False) -> View | None:
    """The view moved by so many of its own widths, to later x where that is above zero."""
    if view is None:
        return None
    start, end = _on_axis(view, log_x)
    return _fitted(start + shares * (end - start), end - start, extent, log_x)


def _fitted(start: float, width: float, extent: View, log_x: bool) -> View | None:
    """From `start`, `width` wide, on the axis, moved to where there is data; as x."""
    least, most = _on_axis(extent, log_x)
    if not math.isfinite(width) or width >= (most - least) * (1 - 1e-12):
        return None
    start = min(max(start, least), most - width)
    end = start + width
    if log_x:
        start, end = 10.0**start, 10.0**end
    start, end = max(start, extent[0]), min(end, extent[1])
    return (start, end) if end > start else None


def _on_axis(view: View, log_x: bool) -> View:
    return (math.log10(view[0]), math.log10(view[1])) if log_x and view[0] > 0 else view
