"""A canvas of dots, 2 × 4 to a character cell.

A cell has one colour, so every layer remembers which cells it touched and the last
layer drawn wins them.
"""

from itertools import pairwise

import numpy as np

from genui.render.envelope import Columns

DOTS_ACROSS, DOTS_DOWN = 2, 4

_BLANK = 0x2800
_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], dtype=np.int32)


class Canvas:
    """`cols` × `rows` cells, each of one layer: the last that drew in it, -1 for none.

    A faint layer leaves the cells another one drew in, so a line stays thin on a cloud.
    """

    def __init__(self, cols: int, rows: int) -> None:
        self.cols, self.rows = cols, rows
        self._layers = np.full((rows, cols), -1, dtype=np.int32)
        self._faint = np.zeros((rows, DOTS_DOWN, cols, DOTS_ACROSS), dtype=bool)
        self._strong = self._faint.copy()
        self._signs: dict[tuple[int, int], str] = {}

    def spans(
        self, top: np.ndarray, bottom: np.ndarray, layer: int, *, faint: bool = False
    ) -> None:
        """Fill each dot column from row `top` to `bottom`, both included; NaN leaves it empty.

        `top` and `bottom` are float64 [cols * 2] in dot rows, 0 at the top.
        """
        row = np.arange(self.rows * DOTS_DOWN)[:, None]
        dots = (row >= np.round(top)) & (row <= np.round(bottom))  # NaN compares false
        dots = dots.reshape(self._strong.shape)
        touched = dots.any(axis=(1, 3))
        if faint:
            self._faint |= dots
            touched &= ~self._strong.any(axis=(1, 3))
        else:
            self._strong |= dots
        self._layers[touched] = layer

    def put(self, row: int, col: int, sign: str, layer: int) -> None:
        """One character instead of the dots of its cell."""
        self._signs[row, col] = sign
        self._layers[row, col] = layer

    def lines(self) -> list[list[tuple[str, int]]]:
        """Each row as texts with the layer they belong to; a cell without dots is a space."""
        crossed = self._strong.any(axis=(1, 3), keepdims=True)
        dots = np.where(crossed, self._strong, self._faint)
        codes = np.einsum("rdca,da->rc", dots.astype(np.int32), _BITS)
        codes = np.where(codes, _BLANK + codes, ord(" ")).astype(np.uint32)
        for (row, col), sign in self._signs.items():
            codes[row, col] = ord(sign)
        lines = []
        for row, layers in zip(codes, self._layers, strict=True):
            text = "".join(map(chr, row.tolist()))
            edges = [0, *(np.flatnonzero(np.diff(layers)) + 1).tolist(), self.cols]
            lines.append([(text[a:b], int(layers[a])) for a, b in pairwise(edges)])
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
