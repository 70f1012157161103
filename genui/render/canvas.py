"""A canvas of braille dots, 2 × 4 per character cell, and lines drawn on it.

A cell has the colour of the last layer drawn in it.
"""

from collections.abc import Iterable
from itertools import groupby, pairwise
from operator import itemgetter
from typing import TypeVar

import numpy as np

from genui.render.series import GREATEST, Columns

S = TypeVar("S")

DOTS_ACROSS, DOTS_DOWN = 2, 4

BLANK = 0x2800  # the braille character without a dot
_HALF_UP = 0.5 + 1e-6
# The dots of a cell, counted row by row, in the order of their bits in the character code.
_BIT_ORDER = [0, 2, 4, 1, 3, 5, 6, 7]


def pack_dots(dots: np.ndarray) -> np.ndarray:
    """Pack dots, bool [rows * 4, cols * 2], to uint8 [rows, cols]: character codes minus BLANK."""
    rows, cols = dots.shape[0] // DOTS_DOWN, dots.shape[1] // DOTS_ACROSS
    cells = dots.reshape(rows, DOTS_DOWN, cols, DOTS_ACROSS).swapaxes(1, 2)
    bits = cells.reshape(rows, cols, -1)[..., _BIT_ORDER]
    return np.packbits(bits, axis=2, bitorder="little")[..., 0]


def merge_runs(cells: Iterable[tuple[str, S]]) -> list[tuple[str, S]]:
    """Join neighbouring texts that have the same style."""
    groups = groupby(cells, key=itemgetter(1))
    return [("".join(text for text, _ in group), style) for style, group in groups]


class Canvas:
    """`cols` × `rows` cells, each with the number of the layer last drawn in it, -1 for none.

    A faint layer is a halftone and never takes over a cell of another layer, so that a line on a
    faint band is visible without colour.
    """

    def __init__(self, cols: int, rows: int) -> None:
        self.cols, self.rows = cols, rows
        self._layers = np.full((rows, cols), -1, dtype=np.int32)
        self._faint = np.zeros((rows, cols), dtype=np.uint8)
        self._strong = np.zeros((rows, cols), dtype=np.uint8)
        self._signs: dict[tuple[int, int], str] = {}

    def spans(
        self, top: np.ndarray, bottom: np.ndarray, layer: int, *, faint: bool = False
    ) -> None:
        """Fill each dot column from row `top` to `bottom` inclusive; NaN leaves it empty.

        `top` and `bottom` are float64 [cols * 2] in dot rows, 0 at the top.
        """
        row = np.arange(self.rows * DOTS_DOWN)[:, None]
        top, bottom = np.round(top), np.round(bottom)
        dots = (row >= top) & (row <= bottom)  # NaN compares false
        if faint:
            # Every other dot, and both ends, which are the extreme values.
            column = np.arange(self.cols * DOTS_ACROSS)
            dots &= ((row + column) % 2 == 0) | (row == top) | (row == bottom)
        codes = pack_dots(dots)
        if faint:
            self._faint |= codes
            self._layers[(codes != 0) & (self._strong == 0)] = layer
        else:
            self._strong |= codes
            self._layers[codes != 0] = layer

    def put(self, row: int, col: int, sign: str, layer: int) -> None:
        """Replace the dots of a cell by a character."""
        self._signs[row, col] = sign
        self._layers[row, col] = layer

    def rule(self, col: int, sign: str, layer: int) -> None:
        """Draw a vertical line behind lines and signs, but in front of faint layers."""
        for row in np.flatnonzero(self._strong[:, col] == 0).tolist():
            if (row, col) not in self._signs:
                self.put(row, col, sign, layer)

    def lines(self) -> list[list[tuple[str, int]]]:
        """Return each row as texts with their layers; a cell without dots is a space."""
        dots = np.where(self._strong, self._strong, self._faint)
        codes = np.where(dots, BLANK + dots.astype(np.uint32), ord(" ")).astype("<u4")
        for (row, col), sign in self._signs.items():
            codes[row, col] = ord(sign)
        changes = self._layers[:, 1:] != self._layers[:, :-1]
        lines = []
        for row in range(self.rows):
            text = codes[row].tobytes().decode("utf-32-le")
            edges = [0, *(np.flatnonzero(changes[row]) + 1).tolist(), self.cols]
            layers = self._layers[row, edges[:-1]].tolist()
            spans = zip(pairwise(edges), layers, strict=True)
            lines.append([(text[a:b], layer) for (a, b), layer in spans])
        return lines


def connect_columns(
    columns: Columns, scale: tuple[float, float], dots: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the top and bottom dot row of every column of an envelope, as a connected line.

    `scale` has the values at the lowest and highest of `dots` rows. Columns without points are
    bridged by a straight line between the points on both sides, visible or not. Columns that hold
    only NaN or infinity stay empty. Neighbouring columns always touch: where they are apart, both
    are extended to meet half-way, as Bresenham's line does.
    """
    low = np.clip(columns.low, -GREATEST, GREATEST)
    high = np.clip(columns.high, -GREATEST, GREATEST)
    missing = np.isnan(low)
    if missing.any():
        middle, bridged = _bridge_gaps(columns, missing)
        middle = np.clip(middle, -GREATEST, GREATEST)
        low[bridged] = high[bridged] = middle[bridged]
    bottom_value, top_value = scale
    per_dot = (dots - 1) / (top_value - bottom_value)
    # A value between two rows is drawn in the lower one, with some tolerance, so that a constant
    # is a straight line in spite of rounding errors.
    top = np.floor((top_value - high) * per_dot + _HALF_UP)
    bottom = np.floor((top_value - low) * per_dot + _HALF_UP)
    rising, falling = _half_gaps(bottom[1:], top[:-1]), _half_gaps(bottom[:-1], top[1:])
    first, last = top.copy(), bottom.copy()
    first[:-1] -= rising
    last[:-1] += falling
    # The next column begins one row after the end of the one before.
    last[1:] = np.where(rising > 0, np.fmax(last[1:], top[:-1] - rising - 1), last[1:])
    first[1:] = np.where(falling > 0, np.fmin(first[1:], bottom[:-1] + falling + 1), first[1:])
    return first, last


def _half_gaps(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Return half the rows between the `upper` and the `lower` dot, float64 [N]; 0 if they touch
    or one is NaN."""
    gap = lower - upper
    return np.where(gap > 1, np.floor(gap / 2), 0)


def _bridge_gaps(columns: Columns, missing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return values interpolated between known columns, and which missing columns to fill."""
    every = np.arange(len(missing))
    known = np.flatnonzero(~missing)
    # Halves are added because the sum of two huge values would overflow.
    places, values = known.astype(float), columns.low[known] / 2 + columns.high[known] / 2
    if not np.isnan(columns.before[0]):
        places, values = np.append(columns.before[0], places), np.append(columns.before[1], values)
    if not np.isnan(columns.after[0]):
        places, values = np.append(places, columns.after[0]), np.append(values, columns.after[1])
    if len(places) < 2:
        return columns.low, np.zeros(len(missing), dtype=bool)
    bridged = missing & (every > places[0]) & (every < places[-1])
    # Gaps that contain a NaN or an infinity are not bridged.
    breaks = np.cumsum(columns.broken & missing)
    left = np.maximum.accumulate(np.where(missing, -1, every))
    right = np.minimum.accumulate(np.where(missing, len(every), every)[::-1])[::-1]
    until_left = np.where(left < 0, 0, breaks[left])
    until_right = breaks[np.minimum(right, len(every) - 1)]
    bridged &= until_left == until_right
    return np.interp(every, places, values), bridged
