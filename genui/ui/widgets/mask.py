"""Painting on a small picture what may change of it, by keyboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from rich.style import Style
from textual.strip import Strip

from genui.ui.widgets.colours import colour_mode, run_style
from genui.ui.widgets.lines import LineWidget, strip_of

if TYPE_CHECKING:
    import numpy as np

LARGEST_BRUSH = 9
_TINT = (255, 0, 200)  # what is painted leans towards it


class _Signs(NamedTuple):
    """What marks a cell: all of it, its upper pixel only, its lower pixel only."""

    whole: str
    upper: str
    lower: str


_PAINTED = _Signs("╱", "╹", "╻")
_PAINTED_PLAIN = _Signs("/", "'", ",")  # not among the brightnesses of the ramp
_CURSOR = _Signs("X", "^", "v")  # one cell has two pixels


class MaskPainter(LineWidget):
    """The picture, what is painted of it (tinted, and hatched) and the brush (`[]`, or `^` and
    `v` where a cell has two pixels).

    A key costs the cells that it changed.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "mask--painted", "mask--cursor", "mask--cursor-painted",
    }  # fmt: skip
    DEFAULT_CSS = """
    MaskPainter {
        width: 1fr;
        height: 1fr;
        & > .mask--painted { color: $accent; text-style: bold; }
        & > .mask--cursor { color: black; background: #ffd75f; text-style: bold; }
        & > .mask--cursor-painted { color: white; background: #af0087; text-style: bold; }
    }
    """

    def __init__(self, rgb: np.ndarray) -> None:
        """`rgb`: uint8 [H, W, 3]."""
        import numpy as np

        super().__init__()
        self._rgb = rgb
        self._shape = (int(rgb.shape[0]), int(rgb.shape[1]))  # rows, columns
        self._mask = np.zeros(self._shape, bool)
        self.brush = 1
        self.x, self.y = rgb.shape[1] // 2, rgb.shape[0] // 2

    # --- what is painted --------------------------------------------------------------

    @property
    def painted(self) -> int:
        """How many pixels may change."""
        return int(self._mask.sum())

    @property
    def pixels(self) -> int:
        """How many pixels there are."""
        return self._mask.size

    @property
    def mask(self) -> bytes:
        """One byte a pixel, row by row: 1 where the picture may change."""
        return self._mask.astype("uint8").tobytes()

    @property
    def painted_here(self) -> bool:
        """Whether the pixel in the middle of the brush is painted."""
        return bool(self._mask[self.y, self.x])

    def move(self, dx: int, dy: int, painting: bool = False) -> None:
        """Move the brush by pixels, painting under it where asked."""
        if painting:
            self._mask[self._under()] = True
        height, width = self._shape
        self.x = max(0, min(self.x + dx, width - 1))
        self.y = max(0, min(self.y + dy, height - 1))
        if painting:
            self._mask[self._under()] = True
        self.redraw()

    def toggle(self) -> None:
        """Paint under the brush, or unpaint where its middle is painted already."""
        self._mask[self._under()] = not self.painted_here
        self.redraw()

    def resize_brush(self, by: int) -> None:
        self.brush = max(1, min(self.brush + by, LARGEST_BRUSH))
        self.redraw()

    def clear(self) -> None:
        """Nothing may change."""
        self._mask[:] = False
        self.redraw()

    def invert(self) -> None:
        """What may change and what may not, the other way round."""
        self._mask = ~self._mask
        self.redraw()

    def _under(self) -> tuple[slice, slice]:
        """The pixels under the brush, as far as they are in the picture."""
        left, top = self.x - (self.brush - 1) // 2, self.y - (self.brush - 1) // 2
        return (
            slice(max(top, 0), max(top + self.brush, 0)),
            slice(max(left, 0), max(left + self.brush, 0)),
        )

    # --- drawing ----------------------------------------------------------------------

    def draw(self, width: int, height: int) -> list[Strip]:
        import numpy as np

        from genui.render.halfblocks import Fit, draw

        rows, cols = self._shape
        scale = whole_scale(cols, rows, width, height)
        room = Fit(scale, 1, cols * scale, (rows * scale + 1) // 2)
        tinted = np.where(
            self._mask[..., None], self._rgb // 2 + np.array(_TINT, np.uint8) // 2, self._rgb
        )
        mode = colour_mode(self.app)
        drawing = draw(tinted, room, mode, None)
        signs = _PAINTED_PLAIN if mode == "ascii" else _PAINTED
        coloured = mode in ("truecolor", "256")
        ground = Style(bgcolor=self.rich_style.bgcolor)
        brush = np.zeros_like(self._mask)
        brush[self._under()] = True
        before = (" " * ((width - room.cols) // 2), ground)
        strips = []
        for y, row in enumerate(drawing.rows):
            cells = [
                (char, run_style(fg, bg, drawing.palette, ground))
                for text, fg, bg in row
                for char in text
            ]
            self._hatch(cells, y, scale, signs, coloured)
            self._point(cells, y, scale, signs, brush)
            strips.append(strip_of([before, *_gathered(cells)]))
        return strips

    def _hatch(
        self, cells: list[tuple[str, Style]], y: int, scale: int, signs: _Signs, coloured: bool
    ) -> None:
        """Mark the cells of line `y` that hold painted pixels."""
        upper, lower = _pixel_rows(self._mask, y, scale)
        mark = self.style("mask--painted")
        for x in range(len(cells)):
            sign = _sign(signs, upper[x // scale], lower[x // scale])
            if sign:
                style = cells[x][1]
                # In colour the tint says it too: the hatching stays out of the picture's way.
                faint = style + Style(color="white", bold=False)
                cells[x] = (sign, faint if coloured else mark)

    def _point(
        self, cells: list[tuple[str, Style]], y: int, scale: int, signs: _Signs, brush: np.ndarray
    ) -> None:
        """Draw the part of the brush that lies in line `y`."""
        over, under = _pixel_rows(brush, y, scale)
        upper, lower = _pixel_rows(self._mask, y, scale)
        for x in range(len(cells)):
            pixel = x // scale
            if not (over[pixel] or under[pixel]):
                continue
            painted = upper[pixel] if over[pixel] else lower[pixel]
            if painted:  # hatched still, which tells it where there are no colours
                text = _sign(signs, over[pixel], under[pixel])
            elif scale == 1:
                text = _sign(_CURSOR, over[pixel], under[pixel])
            else:
                text = "[" if x % scale == 0 else "]" if x % scale == scale - 1 else " "
            style = self.style("mask--cursor-painted" if painted else "mask--cursor")
            cells[x] = (text, style)


def whole_scale(cols: int, rows: int, width: int, height: int) -> int:
    """Cells a pixel is wide in that room: 1 or an even number, as a cell is two high."""
    scale = max(1, min(width // cols, 2 * height // rows))
    return scale if scale == 1 else scale - scale % 2


def _pixel_rows(grid: np.ndarray, y: int, scale: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows of pixels in the upper and the lower half of line `y`."""
    last = len(grid) - 1
    return grid[min(2 * y // scale, last)], grid[min((2 * y + 1) // scale, last)]


def _sign(signs: _Signs, upper: bool, lower: bool) -> str:
    if upper and lower:
        return signs.whole
    return signs.upper if upper else signs.lower if lower else ""


def _gathered(cells: list[tuple[str, Style]]) -> list[tuple[str, Style]]:
    """Neighbours of one style as one run."""
    runs: list[tuple[str, Style]] = []
    for char, style in cells:
        if runs and runs[-1][1] == style:
            runs[-1] = (runs[-1][0] + char, style)
        else:
            runs.append((char, style))
    return runs
