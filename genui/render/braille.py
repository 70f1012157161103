"""A canvas of dots, 2 × 4 to a character cell.

A cell has one colour, so every layer remembers which cells it touched and the last
layer drawn wins them.
"""

from itertools import pairwise

import numpy as np

from genui.render.envelope import Columns

DOTS_ACROSS, DOTS_DOWN = 2, 4

_BLANK = 0x2800
# The dots of a cell, row by row, in the order of their bits in the character's code.
_BIT_ORDER = [0, 2, 4, 1, 3, 5, 6, 7]


class Canvas:
    """`cols` × `rows` cells, each of one layer: the last that drew in it, -1 for none.

    A faint layer leaves the cells another one drew in, so a line stays thin on a cloud.
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
        """Fill each dot column from row `top` to `bottom`, both included; NaN leaves it empty.

        `top` and `bottom` are float64 [cols * 2] in dot rows, 0 at the top.
        """
        row = np.arange(self.rows * DOTS_DOWN)[:, None]
        dots = (row >= np.round(top)) & (row <= np.round(bottom))  # NaN compares false
        cells = dots.reshape(self.rows, DOTS_DOWN, self.cols, DOTS_ACROSS).swapaxes(1, 2)
        bits = cells.reshape(self.rows, self.cols, -1)[..., _BIT_ORDER]
        codes = np.packbits(bits, axis=2, bitorder="little")[..., 0]
        if faint:
            self._faint |= codes
            self._layers[(codes != 0) & (self._strong == 0)] = layer
        else:
            self._strong |= codes
            self._layers[codes != 0] = layer

    def put(self, row: int, col: int, sign: str, layer: int) -> None:
        """One character instead of the dots of its cell."""
        self._signs[row, col] = sign
        self._layers[row, col] = layer

    def lines(self) -> list[list[tuple[str, int]]]:
        """Each row as texts with the layer they belong to; a cell without dots is a space."""
        dots = np.where(self._strong, self._strong, self._faint)
        codes = np.where(dots, _BLANK + dots.astype(np.uint32), ord(" ")).astype("<u4")
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


def joined(
    columns: Columns, scale: tuple[float, float], dots: int
) -> tuple[np.ndarray, np.ndarray]:
    """An envelope as a connected line: the top and bottom dot row of every column.

    `scale` is the values at the lowest and the highest of `dots` rows. Columns without a
    point between two that have one are bridged by a straight line, columns that hold only
    NaN or infinity are left open, and neighbours always touch.
    """
    low, high = columns.low.copy(), columns.high.copy()
    known = np.flatnonzero(~np.isnan(low))
    if len(known) > 1:
        every = np.arange(len(low))
        middle = np.interp(every, known, (low[known] + high[known]) / 2)
        bridged = np.isnan(low) & (every > known[0]) & (every < known[-1])
        # A gap is open when anything in it was not finite.
        breaks = np.cumsum(columns.broken & np.isnan(columns.low))
        left = np.maximum.accumulate(np.where(np.isnan(columns.low), 0, every))
        right = np.minimum.accumulate(np.where(np.isnan(columns.low), len(low) - 1, every)[::-1])
        bridged &= breaks[right[::-1]] == breaks[left]
        low[bridged] = high[bridged] = middle[bridged]
    bottom_value, top_value = scale
    per_dot = (dots - 1) / (top_value - bottom_value)
    top = np.round((top_value - high) * per_dot)
    bottom = np.round((top_value - low) * per_dot)
    # Let each column reach towards the one before it.
    before_top, before_bottom = top[:-1].copy(), bottom[:-1].copy()
    top[1:] = np.where(top[1:] > before_bottom + 1, before_bottom + 1, top[1:])
    bottom[1:] = np.where(bottom[1:] < before_top - 1, before_top - 1, bottom[1:])
    return top, bottom
