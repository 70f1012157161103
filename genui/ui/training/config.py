"""The settings of a run; of several, side by side, what differs first."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar

from rich.cells import cell_len
from rich.style import Style
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.strip import Strip

from genui.base import numbers
from genui.base.errors import MisuseError
from genui.base.text import clean_line
from genui.ui.training.model import Snapshot, pattern
from genui.ui.training.rows import SEARCH_KEY, RowScroller, SearchLine, SidePanel
from genui.ui.widgets.base import set_border, strip_of

# --- Configurations as lines of text ----------------------------------------------------------

MOST_SETTINGS = 2000
"""Settings of a run that are shown; a configuration with more is not one to read."""

_DEEPEST = 12
_LONGEST = 2000  # characters of a value


@dataclass(frozen=True)
class Setting:
    """One key, and what each of the runs has for it; "" where it has none."""

    key: str
    values: tuple[str, ...]

    @property
    def differs(self) -> bool:
        return len(set(self.values)) > 1


def flatten(config: Mapping[str, Any]) -> dict[str, str]:
    """Nested settings by dotted keys, as text: `{"model": {"width": 256}}` is `model.width`."""
    return dict(islice(_leaves(config, "", 0), MOST_SETTINGS))


def _leaves(value: Any, key: str, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value and depth < _DEEPEST:
        for name, inner in value.items():
            word = clean_line(str(name), 80)
            yield from _leaves(inner, f"{key}.{word}" if key else word, depth + 1)
    elif key:
        yield key, _text(value)


def _text(value: Any) -> str:
    """A value as a person writes it."""
    if isinstance(value, bool) or value is None:
        text = {True: "yes", False: "no", None: "none"}[value]
    elif isinstance(value, float):
        text = f"{value:g}" if value == float(f"{value:g}") else repr(value)
    elif isinstance(value, list | tuple):
        text = ", ".join(_text(one) for one in value[:100]) or "none"
    else:
        # A text may be of spaces or new lines alone, as a prompt can be.
        text = value if isinstance(value, str) else str(value)[:_LONGEST]
        if isinstance(value, str) and (not text.strip() or "\n" in text or text != text.strip()):
            text = repr(text[:_LONGEST])
    return clean_line(text[:_LONGEST])


def settings(configs: Sequence[Mapping[str, Any]]) -> list[Setting]:
    """Of every run, in the order of the first that has them; those that differ come first."""
    tables = [flatten(config) for config in configs]
    keys = dict.fromkeys(key for table in tables for key in table)
    every = [Setting(key, tuple(table.get(key, "") for table in tables)) for key in keys]
    return sorted(every, key=lambda one: not one.differs)


# --- The rows as they are drawn: a column for each run ----------------------------------------

NO_SETTINGS = "No settings are known for this run"
_WIDEST_KEY = 0.45  # of the width
_LEAST_COLUMN = 8  # cells
_GAP = 2

_Row = list[tuple[str, str]]  # texts with their looks


class SettingRows(RowScroller):
    """Draws settings in columns of its own width."""

    def __init__(self) -> None:
        super().__init__(NO_SETTINGS)
        self._names: tuple[str, ...] = ()
        self._settings: Sequence[Setting] = ()
        self._rows: list[_Row] = []
        self._changed_keys: frozenset[str] = frozenset()

    def set(
        self, names: Sequence[str], shown: Sequence[Setting], changed_keys: frozenset[str]
    ) -> None:
        """The runs by name, their settings, and which keys of a single run were changed."""
        self._names, self._settings, self._changed_keys = tuple(names), shown, changed_keys
        self.changed()

    def changed(self) -> None:
        self._rows = list(self._layout(self.scrollable_content_region.width))
        super().changed()

    @property
    def count(self) -> int:
        return len(self._rows)

    def row(self, number: int, width: int) -> Strip:
        looks: dict[str, Style] = {}
        for _, look in self._rows[number]:
            looks[look] = looks.get(look) or self.get_component_rich_style(f"rows--{look}")
        return strip_of((text, looks[look]) for text, look in self._rows[number])

    def _layout(self, width: int) -> list[_Row]:
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
            if heading != (now := "differs" if one.differs else "same"):
                heading = now
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


# --- The panel --------------------------------------------------------------------------------

NO_MATCH = "No setting matches: / then Esc shows all"


class ConfigPanel(SidePanel):
    """Key and value of every setting, to scroll and to filter."""

    BINDINGS: ClassVar[list[BindingType]] = [SEARCH_KEY]

    def __init__(self) -> None:
        super().__init__()
        self._table = SettingRows()
        self._shown: object = None
        self._names: list[str] = []
        self._settings: list[Setting] = []
        self._changed_keys: frozenset[str] = frozenset()
        self._filter = pattern("")
        self._matching = 0
        self._fault = False

    def compose(self) -> ComposeResult:
        yield self._table
        yield SearchLine()

    def on_mount(self) -> None:
        self._draw()

    def enter(self) -> None:
        """Give the rows the keys: arrows scroll, / filters, Esc goes back."""
        self._table.focus()

    def on_descendant_focus(self) -> None:
        self._write_border()

    def on_descendant_blur(self) -> None:
        self.call_later(self._write_border)

    def show(self, shown: Snapshot) -> None:
        """A run's settings are the same at every step: the cursor changes nothing here."""
        views = shown.views
        key = [(view.summary.run, view.config, view.summary.info.overrides) for view in views]
        if key == self._shown:
            return
        self._shown = key
        self._names = [clean_line(view.summary.info.name, 24) for view in views]
        self._settings = settings([view.config for view in views])
        overrides = views[0].summary.info.overrides if views else {}
        self._changed_keys = frozenset(overrides)
        self._draw()

    def action_search(self) -> None:
        """Type which settings to show."""
        self.query_one(SearchLine).open()

    @on(SearchLine.Typed)
    def _search_typed(self, event: SearchLine.Typed) -> None:
        event.stop()
        try:
            self._filter, self._fault = pattern(event.text), False
        except MisuseError:
            self._fault = True
            self._write_border()
        else:
            self._draw()

    def _draw(self) -> None:
        shown = [one for one in self._settings if self._matches(one)]
        self._matching = len(shown)
        self._table.say_empty(NO_MATCH if self._settings else NO_SETTINGS)
        self._table.set(self._names, shown, self._changed_keys)
        self._write_border()

    def _matches(self, one: Setting) -> bool:
        return any(self._filter.search(text) for text in (one.key, *one.values))

    def _write_border(self) -> None:
        count = numbers.count(len(self._settings))
        title = "Config"
        if len(self._names) > 1:
            title += (
                f"  {numbers.count(sum(one.differs for one in self._settings))} of {count} differ"
            )
        elif self._changed_keys:
            title += "  • set by you"
        some = f"{numbers.count(self._matching)} of {count} · " if self._filter.pattern else ""
        keys = "/ filter · esc back" if self.has_focus_within else "i filter, scroll"
        words = Content(f"{some}{keys}" if self._settings else "")
        if self._fault:
            words = Content.assemble(("not a regular expression", "$text-error"))
        set_border(self, title=title, subtitle=words)
