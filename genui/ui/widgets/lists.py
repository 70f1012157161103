"""Lists that scroll, with or without a cursor; only the visible rows are drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.cells import cell_len
from rich.style import Style as RichStyle
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from genui.base.text import clean_line
from genui.ui.keys import list_bindings
from genui.ui.widgets.lines import component_classes, message_strips, set_tooltip, strip_of

_MIN_RIGHT = 14  # cells: "training 100 %"
_MIN_MIDDLE = 12  # cells
_JOINTS = (", ", " of ", " by ")  # where a long text may be cut


@dataclass(frozen=True)
class ListRow:
    """A row with its `key`; a row without a key is a heading and cannot be chosen."""

    key: str
    left: str
    right: str = ""
    mark: str = " "
    mark_kind: str = "dim"  # a component class of RowList, without "rows--"
    lead: str = ""  # drawn before `left`, such as the lines of a tree
    middle: str = ""  # only if there is room between the columns of `left` and `right`
    about: str = ""  # the tip under the mouse
    curve: str = ""  # a sparkline before `right`, if there is room
    brief: str = ""  # in place of `right`, if only that makes room for the sparkline


class RowScroller(ScrollView, can_focus=True, inherit_bindings=False):
    """Draws only the visible rows. A subclass defines their `count` and draws one (`row`).

    With `follows` the end stays in view, unless the user has scrolled up from it.
    """

    ALLOW_SELECT = False
    HEAD = 0  # lines above the rows, which do not scroll
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
        & > .rows--hit-here, & > .rows--chosen {
            color: $block-cursor-foreground;
            background: $block-cursor-background;
            text-style: bold;
        }
        & > .rows--chosen-blurred {
            color: $block-cursor-blurred-foreground;
            background: $block-cursor-blurred-background;
        }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = component_classes(DEFAULT_CSS)
    BINDINGS: ClassVar[list[BindingType]] = [*list_bindings()]

    def __init__(self, empty: str = "", *, follows: bool = False, id: str | None = None) -> None:
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

    def look(self, part: str) -> RichStyle:
        """Return the style of a component class `rows--part`."""
        return self.get_component_rich_style(f"rows--{part}")

    def set_empty_text(self, text: str) -> None:
        """Set the text that is shown while there are no rows."""
        if text != self._empty:
            self._empty = text
            self.refresh()

    def update_rows(self) -> None:
        """Redraw after the rows or their number have changed."""
        self.fit_rows()
        self.refresh()

    def fit_rows(self) -> None:
        """Scroll over as many rows as there are now, with their end in view if it was."""
        at_end = self._at_end
        self.virtual_size = Size(0, self.count + self.HEAD)
        if self._follows and at_end:
            self._jump(self.count)
            self._at_end = True

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

    def action_move(self, by: int) -> None:
        self._jump(self.scroll_offset.y + by)

    def action_page(self, direction: int) -> None:
        self.action_move(direction * max(1, self.size.height - 2))

    def render_line(self, y: int) -> Strip:
        width, height = self.scrollable_content_region.size
        base = self.rich_style
        number = y + self.scroll_offset.y - self.HEAD
        strip = Strip.blank(width, base)
        if not self.count:
            strips = self.draw_empty(width, height)
            strip = strips[y] if y < len(strips) else strip
        elif number < self.count:
            strip = self.row(number, width)
        return strip.adjust_cell_length(width, base)

    def draw_empty(self, width: int, height: int) -> list[Strip]:
        """Draw the text that is shown while there are no rows."""
        return message_strips(self._empty, self.look("dim"), self.rich_style, width, height)


class RowList(RowScroller):
    """A list with one chosen row, which stays chosen, by its key, when the rows change.

    Rows have a text on the left and one on the right; a subclass may draw others, which have a
    `key`, "" of a heading.
    """

    chosen: reactive[str] = reactive("", repaint=False)  # the two rows that change are repainted

    @dataclass(eq=False)
    class Chosen(Message):
        """Another row is chosen."""

        key: str

    class Opened(Message):
        """The chosen row was clicked again."""

    def __init__(self, empty: str = "", *, wraps: bool = False, id: str | None = None) -> None:
        """With `wraps` the first row comes after the last."""
        super().__init__(empty, id=id)
        self._wraps = wraps
        self.rows: Sequence[Any] = ()
        self._places: dict[str, int] = {}  # of the rows that can be chosen, in order
        self._middle_at = 0  # cells from the left

    def set_rows(self, rows: Sequence[ListRow], empty: str = "") -> None:
        """Show `rows`; the chosen key stays, or the first row is chosen if it is gone."""
        rows = tuple(rows)
        self.set_empty_text(empty)
        if rows != self.rows:
            names = [cell_len(row.lead + clean_line(row.left)) for row in rows if row.middle]
            self._middle_at = max(names, default=0) + 5
            self.styles.height = max(1, len(rows))  # as high as its rows, up to max-height
            self.take_rows(rows)
        self.keep_chosen()

    def take_rows(self, rows: Sequence[Any]) -> None:
        """Redraw with these rows. `keep_chosen` has to follow."""
        self.rows = rows
        self._places = {row.key: at for at, row in enumerate(rows) if row.key}
        self.update_rows()

    def keep_chosen(self, first: bool = False) -> None:
        """Show the chosen row; if it is gone, or with `first`, the first row is chosen."""
        if first or self.chosen not in self._places:
            self.chosen = next(iter(self._places), "")
        self._show_chosen()

    @property
    def count(self) -> int:
        return len(self.rows)

    @property
    def chosen_row(self) -> Any:
        """The row at the cursor; None if there is none."""
        at = self._places.get(self.chosen)
        return None if at is None else self.rows[at]

    @property
    def number(self) -> int:
        """The number of the chosen row, from 1; 0 if there is none."""
        return [*self._places].index(self.chosen) + 1 if self.chosen in self._places else 0

    def watch_chosen(self, old: str, new: str) -> None:
        for key in (old, new):
            if key in self._places:
                self.refresh_line(self._places[key] + self.HEAD)
        self._show_chosen()
        if new:
            self.post_message(self.Chosen(new))

    def _show_chosen(self) -> None:
        if not self.size.height or self.chosen not in self._places:
            return
        at = self._places[self.chosen]
        # If the row is the first of a group, show the heading above it too.
        top = at - 1 if at and not self.rows[at - 1].key else at
        self.scroll_to_region(
            Region(0, top, 1, at - top + 1 + self.HEAD), animate=False, force=True, x_axis=False
        )

    def on_resize(self) -> None:
        self._show_chosen()

    def action_move(self, by: int) -> None:
        if keys := [*self._places]:
            at = (keys.index(self.chosen) if self.chosen in keys else 0) + by
            if self._wraps and abs(by) == 1:
                at %= len(keys)
            self.chosen = keys[max(0, min(len(keys) - 1, at))]

    def on_click(self, event: events.Click) -> None:
        at = event.y + self.scroll_offset.y - self.HEAD
        if event.y >= self.HEAD and at < self.count and (key := self.rows[at].key):
            if key == self.chosen:
                self.post_message(self.Opened())
            self.chosen = key

    def on_mouse_move(self, event: events.MouseMove) -> None:
        at = event.y + self.scroll_offset.y - self.HEAD
        row = self.rows[at] if 0 <= at < self.count else None
        set_tooltip(self, getattr(row, "about", ""))

    def cursor_style(self, key: str) -> RichStyle | None:
        """The style of the row at the cursor; None for any other."""
        if key != self.chosen:
            return None
        return self.look("chosen" if self.has_focus else "chosen-blurred")

    def draw_empty(self, width: int, height: int) -> list[Strip]:
        return [strip_of([(clean_line(self._empty, width), self.look("dim"))])]

    def row(self, number: int, width: int) -> Strip:
        row = self.rows[number]
        if not row.key:
            return strip_of([(clean_line(row.left, width), self.look("heading"))])
        base = self.rich_style
        # The left text has priority, but leaves _MIN_RIGHT cells for the right one.
        room = max(1, width - 5 - cell_len(row.lead))
        most = max(_MIN_RIGHT, room - cell_len(clean_line(row.left)))
        right = shorten(row.right, most)
        if row.curve:
            beside = (f"{row.curve} {text}" for text in (row.right, row.brief))
            right = next((text for text in beside if cell_len(text) <= most), right)
        left = clean_line(row.left, max(1, room - cell_len(right)))
        right = clean_line(right, max(0, room - cell_len(left)))
        styles = (self.look(row.mark_kind), self.look("text"), self.look("dim"))
        if (cursor := self.cursor_style(row.key)) is not None:
            styles = (cursor, cursor, cursor + RichStyle(bold=False))
            base = cursor
        parts = [(f" {row.mark} ", styles[0]), (row.lead, styles[2]), (left, styles[1])]
        used = sum(cell_len(text) for text, _ in parts)
        free = width - self._middle_at - cell_len(right) - 3
        if row.middle and free >= _MIN_MIDDLE and used < self._middle_at:
            middle = clean_line(row.middle, free)
            parts += [(" " * (self._middle_at - used), base), (middle, styles[2])]
            used = self._middle_at + cell_len(middle)
        gap = max(1, width - used - cell_len(right) - 1)
        strip = strip_of([*parts, (" " * gap, base), (right, styles[2]), (" ", base)])
        return strip.crop(0, width)


def shorten(text: str, room: int) -> str:
    """Shorten `text` to `room` cells by leaving out its last parts."""
    text = clean_line(text)
    while cell_len(text) > room and (at := max(map(text.rfind, _JOINTS))) > 0:
        text = text[:at].rstrip(",")
    return clean_line(text, room)
