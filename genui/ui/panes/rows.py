"""A list of rows with a word on the left and one on the right, drawn line by line."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from genui.render.sanitise import clean_line
from genui.ui.keys import list_bindings

_LEAST_RIGHT = 13  # cells: "training 31 %"
_JOINTS = (", ", " of ", " by ")  # before what a longer text can be understood without


@dataclass(frozen=True)
class Row:
    """`key` names the row; an empty one makes it a heading, which cannot be chosen."""

    key: str
    left: str
    right: str = ""
    mark: str = " "
    mark_kind: str = "dim"  # a component class of RowList, without "rows--"
    lead: str = ""  # before `left`, drawn as it is: the lines of a tree

    @property
    def is_heading(self) -> bool:
        return not self.key


class RowList(ScrollView, can_focus=True, inherit_bindings=False):
    """Rows, one of them chosen; it stays chosen by key when the rows change."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "rows--heading", "rows--name", "rows--dim", "rows--chosen", "rows--chosen-blurred",
        "rows--good", "rows--warn", "rows--bad",
    }  # fmt: skip

    BINDINGS: ClassVar[list[BindingType]] = [
        *list_bindings("move", "move(-100000)", "move(100000)")
    ]

    chosen: reactive[str] = reactive("")

    class Chosen(Message):
        """Another row is chosen."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    class Opened(Message):
        """The chosen row was clicked again."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def __init__(self, *, id: str | None = None, empty: str = "") -> None:
        super().__init__(id=id)
        self.rows: tuple[Row, ...] = ()
        self._empty = empty

    def set_rows(self, rows: Sequence[Row], empty: str = "") -> None:
        """Show these rows; the chosen one is kept, or the first that can be is taken."""
        rows = tuple(rows)
        if rows != self.rows or empty != self._empty:
            self._empty = empty
            self.rows = rows
            self.virtual_size = Size(0, len(rows))
            self.styles.height = max(1, len(rows))  # as high as its rows, up to max-height
            self.refresh()
        keys = self._keys()
        if self.chosen not in keys:
            self.chosen = keys[0] if keys else ""
        self._show_chosen()

    def _keys(self) -> list[str]:
        return [row.key for row in self.rows if not row.is_heading]

    def _line_of(self, key: str) -> int:
        for line, row in enumerate(self.rows):
            if row.key and row.key == key:
                return line
        return -1

    def watch_chosen(self, old: str, new: str) -> None:
        for key in (old, new):
            line = self._line_of(key)
            if line >= 0:
                self.refresh_line(line)
        self._show_chosen()
        if new:
            self.post_message(self.Chosen(new))

    def _show_chosen(self) -> None:
        line = self._line_of(self.chosen)
        if line < 0 or not self.size.height:
            return
        # The heading above the first row of a group belongs to it.
        top = line - 1 if line and self.rows[line - 1].is_heading else line
        self.scroll_to_region(
            Region(0, top, 1, line - top + 1), animate=False, force=True, x_axis=False
        )

    def on_resize(self) -> None:
        self._show_chosen()

    # --- moving -----------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        keys = self._keys()
        if keys:
            at = keys.index(self.chosen) if self.chosen in keys else 0
            self.chosen = keys[max(0, min(len(keys) - 1, at + by))]

    def action_page(self, direction: int) -> None:
        self.action_move(direction * max(1, self.size.height - 2))

    def on_click(self, event: events.Click) -> None:
        line = event.y + self.scroll_offset.y
        if 0 <= line < len(self.rows) and (key := self.rows[line].key):
            if key == self.chosen:
                self.post_message(self.Opened(key))
            self.chosen = key

    # --- drawing ----------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        line = y + self.scroll_offset.y
        base = self.rich_style
        if not self.rows and y == 0 and self._empty:
            text = clean_line(self._empty, width)
            return _padded([Segment(text, self._style("dim"))], width, base)
        if line >= len(self.rows):
            return Strip.blank(width, base)
        row = self.rows[line]
        if row.is_heading:
            text = clean_line(row.left, width)
            return _padded([Segment(text, self._style("heading"))], width, base)
        # The name comes first, but for the few words a state needs.
        room = max(1, width - 5 - cell_len(row.lead))
        right = fitting(row.right, max(_LEAST_RIGHT, room - cell_len(clean_line(row.left))))
        left = clean_line(row.left, max(1, room - cell_len(right)))
        right = clean_line(right, max(0, room - cell_len(left)))
        mark = f" {row.mark} "
        styles = (self._style(row.mark_kind), self._style("name"), self._style("dim"))
        if row.key == self.chosen:
            cursor = self._style("chosen" if self.has_focus else "chosen-blurred")
            styles = (cursor, cursor, cursor + Style(bold=False))
            base = cursor
        left_strip = Strip(
            [Segment(mark, styles[0]), Segment(row.lead, styles[2]), Segment(left, styles[1])]
        )
        gap = max(1, width - left_strip.cell_length - cell_len(right) - 1)
        return Strip(
            [*left_strip, Segment(" " * gap, base), Segment(right, styles[2]), Segment(" ", base)]
        ).crop(0, width)

    def _style(self, part: str) -> Style:
        return self.get_component_rich_style(f"rows--{part}")


def fitting(text: str, room: int) -> str:
    """The text in so many cells: without its last parts where it is longer."""
    text = clean_line(text)
    while cell_len(text) > room and (at := max(map(text.rfind, _JOINTS))) > 0:
        text = text[:at].rstrip(",")
    return clean_line(text, room)


def _padded(segments: list[Segment], width: int, style: Style) -> Strip:
    return Strip(segments).adjust_cell_length(width, style)
