"""Percentages of many devices over time as a heat map of text: a row for each, or for several.

Also a curve as a sparkline: a few bars in one line of text.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from genui.base.text import shorten_middle
from genui.render.series import VisibleRange

SHADES = "·░▒▓█"
"""The shades of 0–20, 20–40 … 80–100 %; a column before the first or after the last point is
empty."""

BARS = "▁▂▃▄▅▆▇█"
BROKEN = "×"
"""The bars of a sparkline, from its least to its greatest value, and a part without finite ones."""

_LABEL = 12  # cells


def draw_shades(
    series: Mapping[str, tuple[np.ndarray, np.ndarray]],
    width: int,
    height: int,
    view: VisibleRange,
    peaks: bool = False,
) -> list[tuple[str, str]]:
    """Draw rows of (label, shades), together `width` cells wide, `height` rows at most.

    `series` maps labels to x, ascending, and per cent, both [N]. Each column has the mean of its
    points, or with `peaks` the one furthest from 50 %. With fewer rows than series a row has the
    mean of several neighbours.
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
        means = np.stack([_values_of_columns(*series[label], edges, peaks) for label in group])
        known = ~np.isnan(means)
        counts = np.sum(known, axis=0)
        mean = np.sum(np.where(known, means, 0), axis=0) / np.maximum(counts, 1)
        levels = np.clip(mean * len(SHADES) / 100, 0, len(SHADES) - 1).astype(int)
        cells = zip(levels.tolist(), (counts > 0).tolist(), strict=True)
        text = "".join(SHADES[level] if is_known else " " for level, is_known in cells)
        rows.append((f"{name:<{room}}", text))
    return rows


def find_levels(values: np.ndarray, cells: int) -> list[float | None]:
    """Return the medians of up to `cells` equal parts of values [N], scaled to 0..1; None for a
    part without finite numbers."""
    parts = np.array_split(values, min(cells, len(values))) if len(values) else []
    finite = [part[np.isfinite(part)] for part in parts]
    medians = [float(np.median(part)) if len(part) else None for part in finite]
    known = [median for median in medians if median is not None]
    low, span = (min(known), max(known) - min(known)) if known else (0.0, 0.0)
    if not math.isfinite(span):  # the largest floats of both signs
        return [None if m is None else m / max(map(abs, known)) / 2 + 0.5 for m in medians]
    return [None if m is None else (m - low) / span if span else 0.0 for m in medians]


def draw_levels(levels: Sequence[float | None], bars: str = BARS, broken: str = BROKEN) -> str:
    """Draw a sparkline: a bar for each level from 0 to 1, `broken` for None."""
    return "".join(
        broken if level is None else bars[min(int(level * len(bars)), len(bars) - 1)]
        for level in levels
    )


def _values_of_columns(
    x: np.ndarray, values: np.ndarray, edges: np.ndarray, peaks: bool
) -> np.ndarray:
    """The mean of the points between edges, or the one furthest from 50, interpolated if there are
    none; NaN outside."""
    finite = np.isfinite(values)
    x, values = x[finite], values[finite]
    centres = (edges[1:] + edges[:-1]) / 2
    if not len(x):
        return np.full(len(centres), np.nan)
    at = np.searchsorted(x, edges)
    at[-1] = np.searchsorted(x, edges[-1], side="right")
    counts = np.diff(at)
    if peaks:
        inside = np.array([_furthest(values[a:b]) for a, b in pairwise(at.tolist())])
    else:
        sums = np.concatenate(([0.0], np.cumsum(values)))
        inside = np.diff(sums[at]) / np.maximum(counts, 1)
    between = np.interp(centres, x, values, left=np.nan, right=np.nan)
    return np.where(counts > 0, inside, between)


def _furthest(values: np.ndarray) -> float:
    """The value that is furthest from 50; NaN without any."""
    return float(values[np.abs(values - 50).argmax()]) if len(values) else np.nan
