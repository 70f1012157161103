"""The window in which a mask is painted: what of the picture may be drawn again."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Size
from textual.widgets import Static

from genui.ui.screens.window import Window
from genui.ui.widgets.mask import MaskPainter

if TYPE_CHECKING:
    import numpy as np

SMALLEST = Size(42, 23)  # for a picture of 32×32 at a cell a column, its lines and its border
_LINES = 6  # of the border and of words
_KEYS = (
    (("arrows", "move"), ("⇧arrows", "paint"), ("space", "paint/unpaint"), ("+ −", "brush")),
    (("x", "clear"), ("n", "invert"), ("⏎", "draw again"), ("esc", "leave")),
)
_MOVES = (("left", "h", -1, 0), ("right", "l", 1, 0), ("up", "k", 0, -1), ("down", "j", 0, 1))


class MaskScreen(Window[bytes | None]):
    """Dismissed with the mask, one byte a pixel and 1 where it may change, or None on Esc."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(f"{arrow},{letter}", f"move({dx},{dy})", show=False)
          for arrow, letter, dx, dy in _MOVES),
        *(Binding(f"shift+{arrow},{letter.upper()}", f"move({dx},{dy},True)", show=False)
          for arrow, letter, dx, dy in _MOVES),
        Binding("space", "paint", "Paint or unpaint", show=False),
        Binding("plus,equals_sign", "brush(1)", "Larger brush", show=False),
        Binding("minus", "brush(-1)", "Smaller brush", show=False),
        Binding("x", "clear", "Clear", show=False),
        Binding("n", "invert", "Invert", show=False),
        Binding("enter", "done", "Done", show=False),
        Binding("escape,q", "leave_it", "Leave", show=False),
    ]  # fmt: skip

    def __init__(self, rgb: np.ndarray) -> None:
        """`rgb`: uint8 [H, W, 3], the picture to paint on."""
        super().__init__()
        self._painter = MaskPainter(rgb)

    def compose(self) -> ComposeResult:
        with Vertical(classes="window mask"):
            yield self._painter
            yield Static(classes="state")
            yield Static(_keys_content(), classes="mask-keys")

    def on_mount(self) -> None:
        window = self.query_one(".window")
        window.border_title = "Mask: paint what may change"
        self._fit(self.app.size)
        self._tell()

    def on_resize(self) -> None:
        self._fit(self.app.size)

    def _fit(self, size: Size) -> None:
        """As many lines as the picture takes at its largest whole scale."""
        rows = 32 if size.height - _LINES >= 32 and size.width >= 72 else 16
        self._painter.styles.height = rows

    def _tell(self, fault: str = "") -> None:
        painter = self._painter
        state = Content.assemble(
            (f"{painter.painted}", "bold $foreground"),
            (f" of {painter.pixels} pixels may change", "$text-muted"),
            ("  brush ", "$text-muted"),
            (f"{painter.brush}", "bold $foreground"),
            (f"  at {painter.x},{painter.y} ", "$text-muted"),
            ("painted" if painter.painted_here else "kept", "$foreground"),
        )
        line = Content.assemble((f"✗ {fault}", "$text-error")) if fault else state
        self.query_one(".state", Static).update(line)

    # --- keys -------------------------------------------------------------------------

    def action_move(self, dx: int, dy: int, painting: bool = False) -> None:
        self._painter.move(dx, dy, painting)
        self._tell()

    def action_paint(self) -> None:
        self._painter.toggle()
        self._tell()

    def action_brush(self, by: int) -> None:
        self._painter.resize_brush(by)
        self._tell()

    def action_clear(self) -> None:
        self._painter.clear()
        self._tell()

    def action_invert(self) -> None:
        self._painter.invert()
        self._tell()

    def action_done(self) -> None:
        """Leave with the mask, unless there is nothing or everything in it."""
        painter = self._painter
        if not painter.painted:
            self._tell("nothing is painted: move, and press space where it may change")
        elif painter.painted == painter.pixels:
            self._tell("everything is painted: unpaint some, or leave and press a")
        else:
            self.leave(painter.mask)

    def action_leave_it(self) -> None:
        self.leave(None)


def _keys_content() -> Content:
    parts: list[str | tuple[str, str]] = []
    for line in _KEYS:
        for key, word in line:
            parts += [(key, "bold $primary"), (f" {word}  ", "$text-muted")]
        parts.append("\n")
    return Content.assemble(*parts[:-1])
