"""Percentages of many devices over time as a heat map of text: a row for each, or for several."""

from collections.abc import Mapping

import numpy as np

from genui.base.text import shorten_middle
from genui.render.series import VisibleRange

SHADES = "·░▒▓█"
"""The shades of 0–20, 20–40 … 80–100 %; a column before the first or after the last point is
empty."""

_LABEL = 12  # cells


def draw_shades(
    series: Mapping[str, tuple[np.ndarray, np.ndarray]], width: int, height: int, view: VisibleRange
) -> list[tuple[str, str]]:
    """Draw rows of (label, shades), together `width` cells wide, `height` rows at most.

    `series` maps labels to x, ascending, and per cent, both [N]. Each column has the mean of its
    points. With fewer rows than series a row has the mean of several neighbours.
    """
    labels = list(series)
    each = max(1, -(-len(labels) // max(height, 1)))
    groups = [labels[first : first + each] for first in range(0, len(labels), each)]
    names = [one[0] if len(one) == 1 else f"{one[0]}–{one[-1]}" for one in groups]
    names = [shorten_middle(name, _LABEL) for name in names]
    room = max(map(len, names), default=0) + 1
    if width <= room:
        return []
    edges = np.linspace(*view, width - room + 1)
    rows: list[tuple[str, str]] = []
    for name, group in zip(names, groups, strict=True):
        means = np.stack([_mean_of_columns(*series[label], edges) for label in group])
        known = ~np.isnan(means)
        counts = np.sum(known, axis=0)
        mean = np.sum(np.where(known, means, 0), axis=0) / np.maximum(counts, 1)
        levels = np.clip(mean * len(SHADES) / 100, 0, len(SHADES) - 1).astype(int)
        cells = zip(levels.tolist(), (counts > 0).tolist(), strict=True)
        text = "".join(SHADES[level] if is_known else " " for level, is_known in cells)
        rows.append((f"{name:<{room}}", text))
    return rows


def _mean_of_columns(x: np.ndarray, values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The mean of the points between edges, interpolated if there are none; NaN outside."""
    finite = np.isfinite(values)
    x, values = x[finite], values[finite]
    centres = (edges[1:] + edges[:-1]) / 2
    if not len(x):
        return np.full(len(centres), np.nan)
    at = np.searchsorted(x, edges)
    at[-1] = np.searchsorted(x, edges[-1], side="right")
    sums = np.concatenate(([0.0], np.cumsum(values)))
    counts = np.diff(at)
    between = np.interp(centres, x, values, left=np.nan, right=np.nan)
    return np.where(counts > 0, np.diff(sums[at]) / np.maximum(counts, 1), between)
