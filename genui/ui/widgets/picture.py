"""A picture in the terminal, cheap enough to move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from rich.cells import cell_len
from rich.style import Style
from textual.strip import Strip

from genui.protocol import ImageFrame
from genui.render.sanitise import clean_line
from genui.ui.widgets.colours import colour_mode, run_style
from genui.ui.widgets.lines import LineWidget, strip_of

# What computes is imported with the first picture: an app that has none yet paints sooner.
if TYPE_CHECKING:
    import numpy as np

    from genui.render.halfblocks import Fit

View = Literal["guess", "x", "noise"]
"""Which picture of a step: the guess of the clean one, the noisy one, or the noise in it."""

MOST_LABEL = 12  # cells of a row's label
SHARP = 4  # times the budget of a step that a picture may cost once it stands still
MOST_RUNS = 1100  # of one colour each, in a picture of noise within the budget


class Picture(LineWidget):
    """Keeps the picture's aspect at the largest whole scale that fits, in the middle.

    A step costs the rows that changed and never more than `BUDGET` bytes; where that makes it
    coarse, `sharpen` draws it finer once it stands still. A grid has its values
    along the top and the left edge where they leave the picture as large as it is.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"picture--empty", "picture--label"}
    DEFAULT_CSS = """
    Picture {
        width: 1fr;
        height: 1fr;
        & > .picture--empty { color: $text-muted; }
        & > .picture--label { color: $text-muted; }
    }
    """

    def __init__(
        self,
        empty: str = "No picture yet",
        *,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._empty = empty
        self._rgb: np.ndarray | None = None
        self._labels: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
        self._coarse = False  # drawn with less detail, or fewer colours, than there could be
        self._sharp = False  # to be drawn with all of it

    @property
    def has_picture(self) -> bool:
        return self._rgb is not None

    @property
    def scale_text(self) -> str:
        """The picture's size and scale, `32×32 at 2×`; empty where there is no picture."""
        room = self._room()
        if self._rgb is None or room is None:
            return ""
        return f"{self._rgb.shape[1]}×{self._rgb.shape[0]} at {room.text}"

    @property
    def labelled(self) -> bool:
        """Whether the values of a grid have room along its edges."""
        return self._margins(*self.size) != (0, 0)

    def label(self, columns: Sequence[str] = (), rows: Sequence[str] = ()) -> None:
        """The picture is a grid with these values along the top and the left edge."""
        labels = (tuple(map(clean_line, columns)), tuple(map(clean_line, rows)))
        if labels != self._labels:
            self._labels = labels
            self.redraw()

    def show(self, rgb: bytes | np.ndarray, width: int = 0, height: int = 0) -> bool:
        """Show uint8 [H, W, 3], or `width` × `height` × 3 bytes row by row.

        False where it is the picture already shown, and nothing is sent. Raises ValueError
        on any other shape.
        """
        import numpy as np

        pixels = np.asarray(rgb) if isinstance(rgb, np.ndarray) else np.frombuffer(rgb, np.uint8)
        if pixels.ndim == 1:
            pixels = pixels.reshape(height, width, 3)
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
            found = f"{pixels.dtype} {list(pixels.shape)}"
            raise ValueError(f"a picture is uint8 [H, W, 3], not {found}")
        if self._rgb is not None and np.array_equal(self._rgb, pixels):
            return False
        self._rgb = pixels.copy()
        self._sharp = False
        self.redraw()
        return True

    def sharpen(self) -> None:
        """Draw finer, until it changes, what was drawn coarser to keep within the budget."""
        if self._coarse and not self._sharp:
            self._sharp = True
            self.redraw()

    def show_frame(self, frame: ImageFrame, view: View = "guess", moment: int = 0) -> bool:
        """Show one picture of a denoising step; of a clip that of a moment, counted from 0."""
        rgb = {"guess": frame.guess, "x": frame.x, "noise": frame.noise}[view]
        if rgb:
            size = frame.width * frame.height * 3
            start = moment % frame.pictures * size
            return self.show(rgb[start : start + size], frame.width, frame.height)
        had, self._rgb = self.has_picture, None
        return self.redraw() if had else False

    def clear(self, empty: str | None = None) -> None:
        """Back to the empty state, with another text where one is given."""
        self._rgb = None
        if empty is not None:
            self._empty = empty
        self.redraw()

    def _room(self, left: int = 0, top: int = 0) -> Fit | None:
        """How the picture fits beside margins of that many cells; None where there is none."""
        if self._rgb is None or not self.size:
            return None
        from genui.render.halfblocks import fit

        height, width = self._rgb.shape[:2]
        cols, rows = self.size.width - left, self.size.height - top
        room = fit(width, height, cols, rows)
        # Enlarged so much that noise would have to be drawn coarser it would show less.
        while room.scale > 2 and width * room.rows > MOST_RUNS:
            scale = room.scale - 1
            room = fit(width, height, width * scale, (height * scale + 1) // 2)
        return room

    def _margins(self, width: int, height: int) -> tuple[int, int]:
        """Cells kept free at the left and the top for labels: none where they cost size."""
        columns, rows = self._labels
        left = min(max(map(cell_len, rows)), MOST_LABEL) + 1 if rows else 0
        top = 1 if columns else 0
        if left >= width or top >= height or self._room() != self._room(left, top):
            return 0, 0
        return left, top

    def draw(self, width: int, height: int) -> list[Strip]:
        if self._rgb is None:
            return self.message(self._empty, "picture--empty", width, height)
        from genui.render.halfblocks import BUDGET, draw

        left, top = self._margins(width, height)
        room = self._room(left, top)
        assert room is not None
        budget = SHARP * BUDGET if self._sharp else BUDGET
        mode = colour_mode(self.app)
        drawing = draw(self._rgb, room, mode, budget)
        fewer = drawing.palette and mode == "truecolor"
        self._coarse = self._sharp or fewer or drawing.coarser > 1
        base, label = self.rich_style, self.style("picture--label")
        ground = Style(bgcolor=base.bgcolor)
        before = (width - left - room.cols) // 2
        strips = [Strip.blank(width, base)] * ((height - top - room.rows) // 2)
        if top:
            words = _along(self._labels[0], room.cols)
            strips.append(strip_of([(" " * (before + left), ground), (words, label)]))
        beside = _down(self._labels[1], room.rows, left) if left else {}
        for y, row in enumerate(drawing.rows):
            runs = [(text, run_style(fg, bg, drawing.palette, ground)) for text, fg, bg in row]
            words = beside.get(y, " " * left)
            strips.append(strip_of([(" " * before, ground), (words, label), *runs]))
        return strips


def _along(labels: Sequence[str], cells: int) -> str:
    """Each label in the middle of its column, in a line of `cells`."""
    line = ""
    for i, label in enumerate(labels):
        start, end = cells * i // len(labels), cells * (i + 1) // len(labels)
        shown = clean_line(label, max(1, end - start - 1))
        indent = (end - start - cell_len(shown)) // 2
        line += (" " * indent + shown).ljust(end - start - cell_len(shown) + len(shown))
    return line


def _down(labels: Sequence[str], rows: int, width: int) -> dict[int, str]:
    """Each label, right-aligned in `width` cells with one free, by the middle line of its row."""
    lines = {}
    for i, label in enumerate(labels):
        shown = clean_line(label, width - 1)
        lines[(2 * i + 1) * rows // (2 * len(labels))] = (
            " " * (width - 1 - cell_len(shown)) + shown + " "
        )
    return lines
