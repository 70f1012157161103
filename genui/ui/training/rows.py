"""The parts of the side panels: rows that scroll, and the panel itself."""

from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from genui.base import numbers
from genui.base.errors import MisuseError
from genui.ui.keys import list_bindings
from genui.ui.training.snapshot import Snapshot, pattern
from genui.ui.widgets.base import Framed, LifecycleGuard, SearchLine, message_strips


class RowScroller(ScrollView, can_focus=True, inherit_bindings=False):
    """Draws only the visible rows. A subclass defines their `count` and draws one (`row`).

    With `follows` the end stays in view, unless the user has scrolled up from it.
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
        """The number of rows at the current width."""
        raise NotImplementedError

    def row(self, number: int, width: int) -> Strip:
        """Draw a row, at most `width` cells."""
        raise NotImplementedError

    def set_empty_text(self, text: str) -> None:
        """Set the text that is shown while there are no rows."""
        if text != self._empty:
            self._empty = text
            self.refresh()

    def update_rows(self) -> None:
        """Redraw after the rows or their number have changed."""
        at_end = self._at_end
        self.virtual_size = Size(0, self.count)
        if self._follows and at_end:
            self._jump(self.count)
            self._at_end = True
        self.refresh()

    def reveal(self, number: int) -> None:
        """Scroll a row that is not visible to the middle."""
        top, height = self.scroll_offset.y, self.scrollable_content_region.height
        if not top <= number < top + height:
            self._jump(number - height // 2)

    def _jump(self, y: int) -> None:
        self.scroll_to(y=y, animate=False, immediate=True, force=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._at_end = self._follows and round(new_value) >= self.max_scroll_y

    def on_resize(self) -> None:
        self.update_rows()

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


SEARCH_KEY: BindingType = Binding("slash", "search", "Search", show=False)


class FilterLine(SearchLine):
    """The filter of a panel's rows: a regular expression or a glob, typed after /.

    Typed reaches the panel after `pattern` and `is_bad` are set; the panel then draws its rows.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pattern = pattern("")  # the last valid one: text that is not one changes no rows
        self.is_bad = False

    @on(SearchLine.Typed)
    def _typed(self, event: SearchLine.Typed) -> None:
        try:
            self.pattern, self.is_bad = pattern(event.text), False
        except MisuseError:
            self.is_bad = True

    def describe(self, matches: int, count: int, focused: bool, scrolls: str = "") -> Content:
        """The keys of the panel and, with a filter, how many of `count` rows match."""
        if self.is_bad:
            return Content.assemble(("not a regular expression", "$text-error"))
        if not count:
            return Content("")
        keys = "/ filter · esc back" if focused else f"i filter{scrolls}"
        if self.pattern.pattern:
            keys = f"{numbers.count(matches)} of {numbers.count(count)} · {keys}"
        return Content(keys)


# --- A panel beside the curves ----------------------------------------------------------------


class SidePanel(LifecycleGuard, Framed, Vertical):
    """A panel that shows the runs at the cursor."""

    ALLOW_SELECT = False  # a drag of the border resizes
    DEFAULT_CSS = "SidePanel { width: 1fr; height: 1fr; }"

    def __init__(self) -> None:
        super().__init__(classes="box")

    def show(self, snapshot: Snapshot) -> None:
        raise NotImplementedError

    def enter(self) -> None:
        """Focus what can be scrolled and searched, if anything."""

    def play(self) -> None:
        """Play the history of the samples, if there are any, or stop."""


class FilteredPanel(SidePanel):
    """A panel whose rows are filtered by a line that / opens."""

    BINDINGS: ClassVar[list[BindingType]] = [SEARCH_KEY]

    def __init__(self) -> None:
        super().__init__()
        self.filter = FilterLine()

    def draw_matches(self) -> None:
        """Draw what matches the filter."""
        raise NotImplementedError

    def write_border(self) -> None:
        """Write the title and the keys."""
        raise NotImplementedError

    def on_descendant_focus(self) -> None:
        self.write_border()

    def on_descendant_blur(self) -> None:
        self.call_later(self.write_border)  # the line of the filter may have the focus then

    def action_search(self) -> None:
        self.filter.open()

    @on(SearchLine.Typed)
    def _filter_typed(self, event: SearchLine.Typed) -> None:
        event.stop()
        self.draw_matches()
