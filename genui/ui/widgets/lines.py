"""Lines of styled cells, and the base of widgets that draw all their lines at once."""

import re
import textwrap
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, ClassVar

from rich.cells import cell_len
from rich.color import Color, ColorType
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style as RichStyle
from textual.content import Content
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Tooltip

from genui.base.text import clean_line

_TIP_CELLS = 48


def component_classes(css: str) -> set[str]:
    """Return the component classes that have a rule in a widget's DEFAULT_CSS."""
    return set(re.findall(r"> \.([\w-]+)", css))


class LineWidget(Widget):
    """A widget made of strips, which are kept until something changes.

    Subclasses implement `draw`, and call `redraw` when their contents have changed. `empty` is the
    text that they show without contents. The component classes of a subclass are those that have a
    rule in its DEFAULT_CSS.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"line-widget--empty"}
    DEFAULT_CSS = """
    LineWidget {
        width: 1fr;
        height: 1fr;
        & > .line-widget--empty { color: $text-muted; }
    }
    """

    def __init_subclass__(cls, **options: Any) -> None:
        cls.COMPONENT_CLASSES = component_classes(cls.__dict__.get("DEFAULT_CSS", ""))
        super().__init_subclass__(**options)

    def __init__(self, empty: str = "", *, classes: str | None = None) -> None:
        super().__init__(classes=classes)
        self._empty = empty
        self._strips: list[Strip] = []
        self._stale = True
        self._base: RichStyle | None = None

    @property
    def rich_style(self) -> RichStyle:
        """The style of the widget, kept until styles change: Textual works it out from all nodes
        above each time, which took most of the drawing of a list of candidates."""
        if self._base is None:
            self._base = super().rich_style
        return self._base

    def draw(self, width: int, height: int) -> list[Strip]:
        """Return at most `height` strips of at most `width` cells; missing lines are blank."""
        raise NotImplementedError

    def clear(self, empty: str | None = None) -> None:
        """Remove the contents; `empty` is the new text to show without any, if given."""
        if empty is not None:
            self._empty = empty
        self.redraw()

    def redraw(self) -> bool:
        """Draw again and repaint the lines that differ; return whether any does. Only cells that
        differ are sent."""
        resized = len(self._strips) != self.size.height  # the Resize event comes later
        if not self.is_mounted or not self.size or self._stale or resized:
            self._stale = True
            self.refresh()
            return True
        before, self._strips = self._strips, self._draw_all()
        changed = [
            Region(0, y, self.size.width, 1)
            for y, (old, new) in enumerate(zip(before, self._strips, strict=True))
            if old != new
        ]
        if changed:
            self.refresh(*changed)
        return bool(changed)

    def _draw_all(self) -> list[Strip]:
        width, height = self.size
        base = self.rich_style
        strips = [
            strip.adjust_cell_length(width, base) for strip in self.draw(width, height)[:height]
        ]
        blank = Strip.blank(width, base)
        return strips + [blank] * (height - len(strips))

    def render_line(self, y: int) -> Strip:
        if self._stale or len(self._strips) != self.size.height:
            self._strips, self._stale = self._draw_all(), False
        if y < len(self._strips):
            return self._strips[y]
        return Strip.blank(self.size.width, self.rich_style)

    def notify_style_update(self) -> None:
        """Draw again after a change of the theme or of a class."""
        super().notify_style_update()
        self._stale = True
        self._base = None

    def on_resize(self) -> None:
        self._stale = True

    def style(self, component: str) -> RichStyle:
        """Return the style of a component class, with foreground and background."""
        return self.get_component_rich_style(component)

    def message(self, text: str, width: int, height: int) -> list[Strip]:
        """Return strips with `text` in the middle, for a widget without contents."""
        style = self.style("line-widget--empty")
        return message_strips(text, style, self.rich_style, width, height)


def strip_of(parts: Iterable[tuple[str, RichStyle]]) -> Strip:
    """Return a strip of styled texts; empty ones are left out."""
    return Strip([Segment(text, style) for text, style in parts if text])


def set_tooltip(widget: Widget, text: str) -> None:
    """Say this once the mouse rests on the widget; "" for nothing."""
    lines = textwrap.wrap(text, _TIP_CELLS)
    for tip in widget.screen.query_children(Tooltip):  # Textual keeps the size of the tip before
        tip.styles.width = max(map(cell_len, lines), default=0) + 4  # border and padding
        tip.styles.height = len(lines) + 2
    about = Content("\n".join(lines)) if text else None
    if about != widget.tooltip:
        widget.tooltip = about


def message_strips(
    text: str, style: RichStyle, base: RichStyle, width: int, height: int
) -> list[Strip]:
    """Return `text`, its lines wrapped and centred, in `width` × `height` cells of style `base`."""
    wrapped = (textwrap.wrap(clean_line(line), max(width - 2, 1)) for line in text.split("\n"))
    lines = [part for parts in wrapped for part in parts][:height]
    above = [Strip.blank(width, base)] * ((height - len(lines)) // 2)
    return above + [
        strip_of([(" " * ((width - cell_len(line)) // 2), base), (line, style)]) for line in lines
    ]


@lru_cache(maxsize=8192)
def run_style(fg: int | None, bg: int | None, palette: bool, ground: RichStyle) -> RichStyle:
    """Return the style of a run of image cells; `ground` replaces colours that are None."""
    return ground + RichStyle(color=_colour(fg, palette), bgcolor=_colour(bg, palette))


def _colour(colour: int | None, palette: bool) -> Color | None:
    if colour is None:
        return None
    if not palette:
        return Color.from_triplet(ColorTriplet(colour >> 16, colour >> 8 & 255, colour & 255))
    plain = Color.from_ansi(colour)
    # Without a triplet, Textual's ANSI filter would turn it into truecolour, which takes more
    # bytes in the terminal.
    kind = ColorType.STANDARD if colour < 16 else ColorType.EIGHT_BIT
    return Color(plain.name, kind, colour, plain.get_truecolor())
