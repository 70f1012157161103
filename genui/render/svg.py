"""Curves as SVG, for a document."""

from collections.abc import Callable, Mapping
from html import escape

import numpy as np

from genui.render.axis import choose_ticks, choose_x_ticks
from genui.render.series import (
    GREATEST,
    ChartLine,
    Window,
    choose_window,
    compute_envelope,
    sort_points,
)

WIDTH, HEIGHT = 640, 220  # pixels
LEFT, BOTTOM, TOP = 56, 22, 8  # pixels of the margins
COLUMNS = 300
"""A longer series is drawn as the least and the greatest value of as many parts."""

COLOURS = "#3b7dd8", "#d9822b", "#2f9e68", "#c2417c", "#8a63d2", "#7d8590", "#b08d00", "#d64545"


def draw_curves(
    series: Mapping[str, tuple[np.ndarray, np.ndarray]], hide: Callable[[str], str] = str
) -> str:
    """Draw curves, x and values [N] each, with axes and a legend: an element `svg`.

    Values that are not finite are counted in the legend. `hide` is applied to the names. "" if
    there is nothing to draw.
    """
    lines = [sort_points(name, *points, "line") for name, points in series.items()]
    lines = [line for line in lines if np.isfinite(line.values).any()]
    if not lines:
        return ""
    window = choose_window(lines, log_y=False)
    parts = [_draw_axes(window)]
    for number, line in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        path, faint = _draw_path(line, window), 0.55 if len(line.steps) > 2 * COLUMNS else 1
        parts.append(
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.4" '
            f'stroke-opacity="{faint}"/>'
        )
    height = HEIGHT + 16 * len(lines)
    for number, line in enumerate(lines):
        y, broken = HEIGHT + 16 * number + 10, int((~np.isfinite(line.values)).sum())
        name = hide(line.name) + (f" ({broken:,} values are not finite)" if broken else "")
        parts.append(
            f'<rect x="{LEFT}" y="{y - 8}" width="10" height="8" '
            f'fill="{COLOURS[number % len(COLOURS)]}"/>'
            f'<text x="{LEFT + 16}" y="{y}">{escape(name)}</text>'
        )
    return f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}">{"".join(parts)}</svg>'


def _place(x: np.ndarray, values: np.ndarray, window: Window) -> list[tuple[float, float]]:
    """Places in pixels of points [N]."""
    across = (x - window.start) / (window.end - window.start) * (WIDTH - LEFT - 8) + LEFT
    values = np.clip(values, -GREATEST, GREATEST)
    share = (values - window.low) / (window.high - window.low)
    down = HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)
    return list(zip(across.tolist(), down.tolist(), strict=True))


def _draw_path(line: ChartLine, window: Window) -> str:
    x, values = line.steps.astype(np.float64), line.values
    if len(x) > 2 * COLUMNS:
        columns = compute_envelope(x, values, window.start, window.end, COLUMNS)
        edges = np.linspace(window.start, window.end, COLUMNS + 1)
        x = np.repeat((edges[1:] + edges[:-1]) / 2, 2)
        values = np.stack((columns.low, columns.high), axis=1).reshape(-1)
    finite = np.isfinite(values)
    places = _place(x[finite], values[finite], window)
    if len(places) == 1:
        places *= 2
    return "M" + " L".join(f"{left:.1f} {top:.1f}" for left, top in places)


def _draw_axes(window: Window) -> str:
    bottom = HEIGHT - BOTTOM
    parts = []
    for tick in choose_ticks(window.low, window.high, 5):
        ((_, y),) = _place(np.array([window.start]), np.array([tick.position]), window)
        parts.append(
            f'<path d="M{LEFT} {y:.1f} H{WIDTH - 8}" stroke="#8884" fill="none"/>'
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(tick.label)}</text>'
        )
    for tick in choose_x_ticks(window.start, window.end, 6, "step", False):
        ((x, _),) = _place(np.array([tick.position]), np.array([window.low]), window)
        parts.append(
            f'<text x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{escape(tick.label)}</text>'
        )
    return "".join(parts)
