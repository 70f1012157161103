"""Rows to scroll through, of which those in view are drawn and no other."""

from typing import ClassVar

from textual.binding import BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from genui.ui.keys import list_bindings
from genui.ui.widgets.lines import message_strips


class RowScroller(ScrollView, can_focus=True, inherit_bindings=False):
    """Subclasses say how many rows there are (`count`) and draw one (`row`).

    With `follows` the end stays in view until someone scrolls up, and again once they are back.
    """

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "rows--text", "rows--dim", "rows--heading", "rows--good", "rows--warn", "rows--bad",
        "rows--key", "rows--hit", "rows--hit-here",
    }  # fmt: skip
    DEFAULT_CSS = """
    RowScroller {
        width: 1fr;
        height: 1fr;
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        & > .rows--text { color: $foreground; }
        & > .rows--dim { color: $text-muted; }
        & > .rows--heading { color: $text-muted; text-style: bold; }
        & > .rows--good { color: $text-success; }
        & > .rows--warn { color: $text-warning; }
        & > .rows--bad { color: $text-error; }
        & > .rows--key { color: $primary; }
        & > .rows--hit { color: $accent; text-style: underline; }
        & > .rows--hit-here {
            color: $block-cursor-foreground;
            background: $block-cursor-background;
            text-style: bold;
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*list_bindings("by", "scroll_home", "scroll_end")]

    def __init__(self, empty: str, *, follows: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self._empty = empty
        self._follows = follows
        self._at_end = follows

    @property
    def count(self) -> int:
        """How many rows there are, at the present width."""
        raise NotImplementedError

    def row(self, number: int, width: int) -> Strip:
        """One of them, at most `width` cells."""
        raise NotImplementedError

    def say_empty(self, text: str) -> None:
        """What is shown while there is no row."""
        if text != self._empty:
            self._empty = text
            self.refresh()

    def changed(self) -> None:
        """There are other rows, or another number of them."""
        at_end = self._at_end
        self.virtual_size = Size(0, self.count)
        if self._follows and at_end:
            self._jump(self.count)
            self._at_end = True
        self.refresh()

    @property
    def at_end(self) -> bool:
        """Whether it follows."""
        return self._at_end

    def reveal(self, number: int) -> None:
        """Scroll so that the row is in view, in the middle where it was not."""
        top, height = self.scroll_offset.y, self.scrollable_content_region.height
        if not top <= number < top + height:
            self._jump(number - height // 2)

    def _jump(self, y: int) -> None:
        self.scroll_to(y=y, animate=False, immediate=True, force=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._at_end = self._follows and round(new_value) >= self.max_scroll_y

    def on_resize(self) -> None:
        self.changed()

    def action_by(self, rows: int) -> None:
        self.scroll_relative(y=rows, animate=False)

    def action_page(self, direction: int) -> None:
        self.action_by(direction * max(1, self.size.height - 2))

    def action_scroll_home(self) -> None:
        self._jump(0)

    def action_scroll_end(self) -> None:
        self._jump(self.count)

    def render_line(self, y: int) -> Strip:
        width, height = self.scrollable_content_region.size
        base = self.rich_style
        number = y + self.scroll_offset.y
        if not self.count:
            dim = self.get_component_rich_style("rows--dim")
            strips = message_strips(self._empty, dim, base, width, height)
            strip = strips[y] if y < len(strips) else Strip.blank(width, base)
        elif number < self.count:
            strip = self.row(number, width)
        else:
            strip = Strip.blank(width, base)
        return strip.adjust_cell_length(width, base)
