"""The console as it is drawn: time of day, sign, text, and what a search found."""

from collections.abc import Mapping

from rich.style import Style
from textual.strip import Strip

from genui.render import numbers
from genui.ui.board.console_text import ConsoleText, Found, level
from genui.ui.board.row_scroller import RowScroller
from genui.ui.widgets.lines import strip_of

_STAMP, _SIGN = 9, 2  # cells: "12:03:58 ", "✗ "
_NARROW = 34  # cells in which there is no room for the time of day


class ConsoleLines(RowScroller):
    """Draws a ConsoleText from its own width; the owner changes the text and calls `changed`."""

    def __init__(self, empty: str) -> None:
        super().__init__(empty, follows=True)
        self.text = ConsoleText()
        self.found: Mapping[int, Found] = {}  # by line
        self.here = -1  # the line of the hit that was gone to

    @property
    def _lead(self) -> int:
        """Cells before the text."""
        wide = self.scrollable_content_region.width >= _NARROW
        return _SIGN + (_STAMP if wide and self.text.stamped else 0)

    @property
    def _head(self) -> int:
        """Rows above the first line: what is left out is said there."""
        return 1 if self.text.skipped else 0

    @property
    def count(self) -> int:
        return self.text.rows + self._head if self.text.rows else 0

    def changed(self) -> None:
        self.text.resize(self.scrollable_content_region.width - self._lead)
        super().changed()

    def go_to(self, line: int) -> None:
        """Bring a line into view and mark it."""
        self.here = line
        self.reveal(self.text.first_row(line) + self._head)
        self.refresh()

    def line_in_view(self) -> int:
        """The line that the topmost row belongs to."""
        row = max(0, round(self.scroll_y) - self._head)
        return self.text.at(row)[0] if self.text.rows else 0

    def row(self, number: int, width: int) -> Strip:
        style = self.get_component_rich_style
        dim = style("rows--dim")
        if number < self._head:
            skipped = numbers.size(self.text.skipped)
            return strip_of([(f"{skipped} before this are in console.log only", dim)])
        line, start, end = self.text.at(number - self._head)
        pending = line == len(self.text.texts)
        text = self.text.pending if pending else self.text.texts[line]
        stamp = "" if pending else self.text.stamps[line]
        look, sign = level(text)
        words = style(f"rows--{look}") if look in {"bad", "warn"} else style("rows--text")
        first = start == 0
        parts: list[tuple[str, Style]] = []
        if self._lead > _SIGN:
            parts.append((f"{stamp if first else '':<{_STAMP}}", dim))
        parts.append((f"{sign if first else ' '} ", style(f"rows--{look}") + Style(bold=True)))
        found = None if pending else self.found.get(line)
        if found is None:
            parts.append((text[start:end], words))
        else:
            hit = style("rows--hit-here" if line == self.here else "rows--hit")
            shift = len(stamp) + 1 if stamp else 0
            a = min(max(found.start - shift, start), end)
            b = min(max(found.end - shift, a), end)
            parts += [(text[start:a], words), (text[a:b], hit), (text[b:end], words)]
            if first and found.start < shift:  # it begins in the time of day
                parts[0] = (parts[0][0], hit)
        return strip_of(parts)
