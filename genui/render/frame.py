"""Where a chart's plot lies among its cells, and what its edges stand for."""

import math
from dataclasses import dataclass

from genui.render.braille import DOTS_DOWN
from genui.render.window import Window


@dataclass(frozen=True)
class Frame:
    """`cols` × `rows` cells whose first is at (`left`, `top`) of the chart, spanning `window`."""

    left: int
    top: int
    cols: int
    rows: int
    window: Window

    def col(self, x: float) -> int:
        """The column of the plot that holds `x`, the nearest one where none does."""
        return min(max(int(self.share(x) * self.cols), 0), self.cols - 1)

    def share(self, x: float) -> float:
        """How far along the axis `x` is: 0 at its start, 1 at its end; -∞ where it has no place."""
        start, end = self.window.start, self.window.end
        if self.window.log_x:
            if x <= 0:
                return -math.inf
            x, start, end = math.log10(x), math.log10(start), math.log10(end)
        return (x - start) / (end - start)

    def x_at(self, share: float) -> float:
        """What is so far along the axis."""
        start, end = self.window.start, self.window.end
        if self.window.log_x:
            return start * (end / start) ** share
        return start + (end - start) * share

    def row(self, value: float) -> int:
        """The row of the plot for a value as the axis has it: log₁₀ of it where that is in logs."""
        share = (self.window.high - value) / (self.window.high - self.window.low)
        return min(max(round(share * (self.rows * DOTS_DOWN - 1)) // DOTS_DOWN, 0), self.rows - 1)
