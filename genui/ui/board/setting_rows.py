"""The settings of runs as they are drawn: one a row, in a column for each run."""

import textwrap
from collections.abc import Sequence

from rich.cells import cell_len
from rich.style import Style
from textual.strip import Strip

from genui.render.sanitise import clean_line
from genui.ui.board.row_scroller import RowScroller
from genui.ui.board.settings_table import Setting
from genui.ui.widgets.lines import strip_of

EMPTY = "No settings are known of this run"
_WIDEST_KEY = 0.45  # of the width
_LEAST_COLUMN = 8  # cells
_GAP = 2

_Row = list[tuple[str, str]]  # texts with their looks


class SettingRows(RowScroller):
    """Draws settings in columns of its own width."""

    def __init__(self) -> None:
        super().__init__(EMPTY)
        self._names: tuple[str, ...] = ()
        self._settings: Sequence[Setting] = ()
        self._rows: list[_Row] = []
        self._changed_keys: frozenset[str] = frozenset()

    def set(
        self, names: Sequence[str], found: Sequence[Setting], changed_keys: frozenset[str]
    ) -> None:
        """The runs by name, their settings, and which keys of a single run were changed."""
        self._names, self._settings, self._changed_keys = tuple(names), found, changed_keys
        self.changed()

    def changed(self) -> None:
        self._rows = list(self._laid_out(self.scrollable_content_region.width))
        super().changed()

    @property
    def count(self) -> int:
        return len(self._rows)

    def row(self, number: int, width: int) -> Strip:
        looks: dict[str, Style] = {}
        for _, look in self._rows[number]:
            looks[look] = looks.get(look) or self.get_component_rich_style(f"rows--{look}")
        return strip_of((text, looks[look]) for text, look in self._rows[number])

    def _laid_out(self, width: int) -> list[_Row]:
        if not self._settings or width < 2 * _LEAST_COLUMN:
            return []
        longest = max(len(one.key) for one in self._settings) + 2
        key = max(_LEAST_COLUMN, min(longest, int(width * _WIDEST_KEY)))
        if len(self._names) < 2:
            rows: list[_Row] = []
            for one in self._settings:
                rows += self._alone(one, key, width - key - _GAP)
            return rows
        # As many runs as have room: the first ones.
        most = max(1, (width - key) // (_LEAST_COLUMN + _GAP))
        each = (width - key) // min(most, len(self._names)) - _GAP
        rows = [self._columns("", self._names[:most], key, each, "heading")]
        heading = ""
        for one in self._settings:
            wanted = "differs" if one.differs else "same"
            if wanted != heading:
                heading = wanted
                rows.append([(heading, "heading")])
            look = "text" if one.differs else "dim"
            rows.append(self._columns(one.key, one.values[:most], key, each, look))
        return rows

    def _alone(self, one: Setting, key: int, width: int) -> list[_Row]:
        """A setting of the only run: a long value takes several rows."""
        changed = one.key in self._changed_keys
        value = one.values[0]
        fits = len(value) <= width and value.isascii()
        lines = [value] if fits else textwrap.wrap(value, max(width, 1))
        name = f"{'•' if changed else ' '} {clean_line(one.key, key - 2)}"
        heads = [_padded(name, key + _GAP)]
        heads += [" " * (key + _GAP)] * (len(lines) - 1)
        look = "key" if changed else "text"
        return [[(head, "dim"), (line, look)] for head, line in zip(heads, lines, strict=True)]

    def _columns(self, name: str, values: Sequence[str], key: int, each: int, look: str) -> _Row:
        row: _Row = [(_padded(clean_line(name, key), key), "dim")]
        for value in values:
            text = clean_line(value, each) or "–"
            row.append((f"{' ' * _GAP}{_padded(text, each)}", look))
        return row


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))
