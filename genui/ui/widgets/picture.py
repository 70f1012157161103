"""A picture in the terminal, cheap enough to move."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from rich.style import Style
from textual.strip import Strip

from genui.protocol import ImageFrame
from genui.ui.widgets.colours import colour_mode, run_style
from genui.ui.widgets.lines import LineWidget, strip_of

# What computes is imported with the first picture: an app that has none yet paints sooner.
if TYPE_CHECKING:
    import numpy as np


class Picture(LineWidget):
    """Keeps the picture's aspect at the largest whole scale that fits, in the middle.

    A step costs the rows that changed and never more than `BUDGET` bytes.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"picture--empty"}
    DEFAULT_CSS = """
    Picture {
        width: 1fr;
        height: 1fr;
        & > .picture--empty { color: $text-muted; }
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

    @property
    def has_picture(self) -> bool:
        return self._rgb is not None

    @property
    def scale_text(self) -> str:
        """The picture's size and scale, `32×32 at 2×`; empty where there is no picture."""
        if self._rgb is None or not self.size:
            return ""
        from genui.render.halfblocks import fit

        height, width = self._rgb.shape[:2]
        return f"{width}×{height} at {fit(width, height, *self.size).text}"

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
        self.redraw()
        return True

    def show_frame(self, frame: ImageFrame, view: Literal["x", "guess"] = "guess") -> bool:
        """Show a denoising step: the noisy picture, or the model's guess of the clean one."""
        return self.show(frame.x if view == "x" else frame.guess, frame.width, frame.height)

    def clear(self, empty: str | None = None) -> None:
        """Back to the empty state, with another text where one is given."""
        self._rgb = None
        if empty is not None:
            self._empty = empty
        self.redraw()

    def draw(self, width: int, height: int) -> list[Strip]:
        if self._rgb is None:
            return self.message(self._empty, "picture--empty", width, height)
        from genui.render.halfblocks import BUDGET, draw, fit

        room = fit(self._rgb.shape[1], self._rgb.shape[0], width, height)
        drawing = draw(self._rgb, room, colour_mode(self.app), BUDGET)
        base = self.rich_style
        ground = Style(bgcolor=base.bgcolor)
        left = (" " * ((width - room.cols) // 2), ground)
        strips = [Strip.blank(width, base)] * ((height - room.rows) // 2)
        for row in drawing.rows:
            runs = [(text, run_style(fg, bg, drawing.palette, ground)) for text, fg, bg in row]
            strips.append(strip_of([left, *runs]))
        return strips
