"""The Config panel: the settings of a run, or of several runs side by side."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from rich.cells import cell_len, chop_cells
from textual.app import ComposeResult
from textual.strip import Strip

from genui.base import numbers
from genui.base.text import clean_line, shorten_middle
from genui.runs.table import iterate_settings
from genui.ui.training.rows import SidePanel
from genui.ui.training.snapshot import Snapshot
from genui.ui.widgets.borders import set_border
from genui.ui.widgets.lines import strip_of
from genui.ui.widgets.lists import RowScroller

# --- Configurations as lines of text ----------------------------------------------------------

MAX_SETTINGS = 2000  # of a run
_MAX_CHARS = 2000  # of a value


@dataclass(frozen=True)
class Setting:
    """A key and its value in each run; "" if a run has no such key."""

    key: str
    values: tuple[str, ...]

    @property
    def differs(self) -> bool:
        return len(set(self.values)) > 1


def flatten(config: Mapping[str, Any]) -> dict[str, str]:
    """Flatten nested settings to text by dotted key: `{"model": {"width": 256}}` becomes
    `{"model.width": "256"}`."""
    settings = islice(iterate_settings(config), MAX_SETTINGS)
    return {key: _format(value) for key, value in settings}


def _format(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        text = {True: "yes", False: "no", None: "none"}[value]
    elif isinstance(value, float):
        text = f"{value:g}" if value == float(f"{value:g}") else repr(value)
    elif isinstance(value, list | tuple):
        text = ", ".join(_format(one) for one in value[:100]) or "none"
    else:
        text = str(value)[:_MAX_CHARS]
        # Quotes show the spaces and line breaks of a prompt.
        if isinstance(value, str) and (not text.strip() or "\n" in value or value != value.strip()):
            text = repr(text)
    return clean_line(text[:_MAX_CHARS])


def compare_settings(configs: Sequence[Mapping[str, Any]]) -> list[Setting]:
    """The settings of all runs in the order they first occur, those that differ first."""
    tables = [flatten(config) for config in configs]
    keys = dict.fromkeys(key for table in tables for key in table)
    settings = [Setting(key, tuple(table.get(key, "") for table in tables)) for key in keys]
    return sorted(settings, key=lambda setting: not setting.differs)


# --- The rows: a column for each run ----------------------------------------------------------

NO_SETTINGS = "No settings are known for this run"
_MAX_KEY = 0.45  # of the width
_MIN_COLUMN = 8  # cells
_GAP = 2

_Row = list[tuple[str, str]]  # texts and the names of their styles


class SettingRows(RowScroller):
    """Draws settings in columns that fit its width."""

    def __init__(self) -> None:
        super().__init__(NO_SETTINGS)
        self._names: tuple[str, ...] = ()
        self._settings: Sequence[Setting] = ()
        self._rows: list[_Row] = []
        self._changed_keys: frozenset[str] = frozenset()

    def set(
        self, names: Sequence[str], settings: Sequence[Setting], changed_keys: frozenset[str]
    ) -> None:
        """Show the settings of the runs of these names; `changed_keys` are marked if there is
        only one run."""
        self._names, self._settings, self._changed_keys = tuple(names), settings, changed_keys
        self.update_rows()

    def update_rows(self) -> None:
        self._rows = self._layout(self.scrollable_content_region.width)
        super().update_rows()

    @property
    def count(self) -> int:
        return len(self._rows)

    def row(self, number: int, width: int) -> Strip:
        return strip_of((text, self.look(name)) for text, name in self._rows[number])

    def _layout(self, width: int) -> list[_Row]:
        if not self._settings or width < 2 * _MIN_COLUMN:
            return []
        longest_key = max(len(setting.key) for setting in self._settings) + 2
        key_width = max(_MIN_COLUMN, min(longest_key, int(width * _MAX_KEY)))
        rows: list[_Row] = []
        if len(self._names) < 2:
            for setting in self._settings:
                rows += self._wrap_setting(setting, key_width, width - key_width - _GAP)
            return rows
        # The first runs, as many as have room.
        count = min(max(1, (width - key_width) // (_MIN_COLUMN + _GAP)), len(self._names))
        widths = key_width, (width - key_width) // count - _GAP
        names = [shorten_middle(name, widths[1]) for name in self._names[:count]]
        rows.append(_columns("", names, *widths, "heading"))
        if hidden := len(self._names) - count:
            rows.append([(f"{numbers.quantity(hidden, 'more run')} without room", "dim")])
        heading = ""
        for setting in self._settings:
            if heading != (new := "differs" if setting.differs else "same"):
                heading = new
                rows.append([(heading, "heading")])
            style = "text" if setting.differs else "dim"
            rows.append(_columns(setting.key, setting.values[:count], *widths, style))
        return rows

    def _wrap_setting(self, setting: Setting, key_width: int, width: int) -> list[_Row]:
        """The rows of a setting of a single run; a long value takes several."""
        changed = setting.key in self._changed_keys
        value = setting.values[0]
        lines = [value]
        if len(value) > width or not value.isascii():  # characters may be two cells wide
            wrapped = textwrap.wrap(value, max(width, 1))
            lines = [part for line in wrapped for part in chop_cells(line, max(width, 2))]
        key = f"{'•' if changed else ' '} {clean_line(setting.key, key_width - 2)}"
        style = "key" if changed else "text"
        return [
            [(_pad("" if number else key, key_width + _GAP), "dim"), (line, style)]
            for number, line in enumerate(lines)
        ]


def _columns(key: str, values: Sequence[str], key_width: int, width: int, style: str) -> _Row:
    row: _Row = [(_pad(clean_line(key, key_width), key_width), "dim")]
    for value in values:
        row.append((" " * _GAP + _pad(clean_line(value, width) or "–", width), style))
    return row


def _pad(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


# --- The panel --------------------------------------------------------------------------------

NO_MATCH = "No setting matches: / then Esc shows all"


class ConfigPanel(SidePanel):
    """The key and value of every setting, which can be scrolled and filtered."""

    def __init__(self) -> None:
        super().__init__()
        self._table = SettingRows()
        self._shown_key: object = None
        self._names: list[str] = []
        self._settings: list[Setting] = []
        self._changed_keys: frozenset[str] = frozenset()
        self._match_count = 0

    def compose(self) -> ComposeResult:
        yield self._table
        yield self.filter

    def on_mount(self) -> None:
        self.draw_matches()

    def enter(self) -> None:
        """Focus the rows: arrows scroll, / filters, Esc goes back."""
        self._table.focus()

    def show(self, snapshot: Snapshot) -> None:
        """Show the settings of the runs; they do not depend on the cursor."""
        views = snapshot.views
        key = [(view.summary.run, view.config, view.summary.info.overrides) for view in views]
        if key == self._shown_key:
            return
        self._shown_key = key
        self._names = [view.summary.info.name for view in views]
        self._settings = compare_settings([view.config for view in views])
        overrides = views[0].summary.info.overrides if views else {}
        self._changed_keys = frozenset(overrides)
        self.draw_matches()

    def draw_matches(self) -> None:
        matches = [
            setting
            for setting in self._settings
            if any(map(self.filter.pattern.search, (setting.key, *setting.values)))
        ]
        self._match_count = len(matches)
        self._table.set_empty_text(NO_MATCH if self._settings else NO_SETTINGS)
        self._table.set(self._names, matches, self._changed_keys)
        self.write_border()

    def write_border(self) -> None:
        count = numbers.count(len(self._settings))
        title = "Config"
        if len(self._names) > 1:
            differing = numbers.count(sum(setting.differs for setting in self._settings))
            title += f"  {differing} of {count} differ" if self._settings else ""
        elif self._changed_keys:
            title += "  • set by you"
        subtitle = self.filter.describe(
            self._match_count, len(self._settings), self.has_focus_within, ", scroll"
        )
        set_border(self, title=title, subtitle=subtitle)
