"""The table of runs: every run a row, with its metrics and config, to be compared and chosen."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from msgspec.structs import replace
from rich.cells import cell_len, set_cell_size
from rich.style import Style as RichStyle
from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.strip import Strip
from textual.style import Style

from genui.base import numbers
from genui.base.errors import MisuseError
from genui.base.late import late_imports
from genui.base.schema import Setting
from genui.base.text import clean_line, shorten_middle
from genui.render.chart import choose_sign
from genui.runs.listing import RunSummary
from genui.runs.table import (
    Heading,
    Line,
    RunFilter,
    Survey,
    TableRow,
    arrange,
    check_column,
    format_value,
    is_curve,
    sort_rows,
    starts_descending,
    survey,
    sweep_of,
    title,
    view_of_sweep,
)
from genui.runs.table_state import TABLE_SETTINGS, TableState
from genui.ui import keys, messages
from genui.ui.lifecycle import is_usable
from genui.ui.screens import Copyable
from genui.ui.training.board import Board
from genui.ui.training.controls import control_sweep
from genui.ui.watcher import MARKS
from genui.ui.widgets.borders import Framed, set_border
from genui.ui.widgets.inputs import SearchLine
from genui.ui.widgets.lines import LineWidget, strip_of
from genui.ui.widgets.lists import RowList, RowScroller
from genui.ui.widgets.settings import Option, option_of

with late_imports():
    from genui.render import sweep as render_sweep
    from genui.runs import table_formats

PIN = "★"

_MIN_NAME, _MAX_NAME = 12, 36  # cells
_MAX_CELL, _MAX_NOTE = 18, 40  # cells of a value or the head of a column, and of a note
_SAMPLE = 200  # rows that are measured for the widths of the columns
_MOST_COPIED = 300  # lines of the table
_LEAD = 7  # cells before a name: state, overlay, pin
_NONE = "no runs yet: press 1, then n to start one"


# --- The rows ---------------------------------------------------------------------------------


class TableRows(RowList):
    """The head and the visible rows; only these are drawn, however many there are."""

    HEAD = 1
    COMPONENT_CLASSES: ClassVar[set[str]] = {"rows--sorted", "rows--pin"}
    DEFAULT_CSS = """
    TableRows {
        scrollbar-size-vertical: 0;
        & > .rows--sorted { color: $text-primary; text-style: bold; }
        & > .rows--pin { color: $text-accent; }
    }
    """

    def __init__(self) -> None:
        super().__init__(_NONE)
        self.columns: Sequence[str] = ()
        self._state = TableState()
        self.order: dict[str, int] = {}  # the places of the runs that are overlaid, from 0
        self.style_of: Callable[[int], Style] = lambda hue: Style()  # of such a place
        self._widths: dict[str, int] = {}
        self._name_width = _MIN_NAME
        self._texts: set[str] = set()  # columns with texts, which are aligned at the left
        self._first = 0  # the first visible column

    def measure(self, rows: Sequence[TableRow], columns: Sequence[str]) -> None:
        """Choose the widths of the columns for these rows."""
        sample = rows[:: max(1, len(rows) // _SAMPLE)]
        self.columns = columns
        self._texts, self._widths = set(), {}
        for key in columns:
            values = [row.get(key) for row in sample]
            if any(isinstance(value, str) for value in values):
                self._texts.add(key)
            widest = max((cell_len(format_value(key, value)) for value in values), default=0)
            most = _MAX_NOTE if key == "note" else _MAX_CELL
            self._widths[key] = min(max(widest, cell_len(title(key)) + 2, 4), most)
        names = (cell_len(clean_line(row.run.info.name)) for row in rows)
        self._name_width = min(max(max(names, default=0), _MIN_NAME), _MAX_NAME)

    def show(self, lines: Sequence[Line], state: TableState, empty: str, first: bool) -> None:
        """Show these lines. With `first` the cursor goes to the first row."""
        self._state = state
        self._show_sorted()
        self.set_empty_text(empty)
        self.take_rows(lines)
        self.keep_chosen(first)

    def _show_sorted(self) -> None:
        """Bring the sorted column into view."""
        if self._state.sort in self.columns:
            at = self.columns.index(self._state.sort)
            self._first = min(self._first, at)
            while self._first < at and at not in self._visible():
                self._first += 1
        else:
            self._first = 0

    def _visible(self) -> range:
        """The indices of the columns that have room."""
        room = self.size.width - _LEAD - self._names
        at = self._first
        while at < len(self.columns):
            room -= self._widths.get(self.columns[at], 0) + 2
            if room < 0:
                break
            at += 1
        return range(self._first, at)

    @property
    def _names(self) -> int:
        """The cells of a name: less where the terminal is narrow."""
        return min(self._name_width, max(_MIN_NAME, self.size.width // 3))

    def on_resize(self) -> None:
        self._show_sorted()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        event.prevent_default()
        self.action_move(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        event.prevent_default()
        self.action_move(-3)

    # --- drawing ----------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        if y or not self.rows:
            return super().render_line(y)
        return self._draw_head().adjust_cell_length(self.size.width, self.rich_style)

    draw_empty = RowScroller.draw_empty  # in the middle, not in the place of the first row

    def _draw_head(self) -> Strip:
        names = self._names
        head = self.look("heading")
        parts = [(f"{'':{_LEAD}}{'name':{names}}", head)]
        for at in self._visible():
            key = self.columns[at]
            text = title(key)
            if key == self._state.sort:
                text = f"{text} {'↓' if self._state.descending else '↑'}"
            style = self.look("sorted") if key == self._state.sort else head
            parts.append((f"  {self._cell(key, text)}", style))
        return strip_of(parts)

    def _cell(self, key: str, text: str) -> str:
        width = self._widths[key]
        text = shorten_middle(text, width)
        gap = " " * (width - cell_len(text))
        return text + gap if key in self._texts else gap + text

    def row(self, number: int, width: int) -> Strip:
        line: Line = self.rows[number]
        if isinstance(line, Heading):
            text = f" {clean_line(line.text)}  {numbers.quantity(line.runs, 'run')}"
            text += f"  {clean_line(line.summary)}" if line.summary else ""
            return strip_of([(text, self.look("heading"))])
        sign, kind = MARKS.get(line.run.state, ("·", "dim"))
        text, dim, mark, pin = map(self.look, ("text", "dim", kind, "pin"))
        base, heads = self.rich_style, text
        if (cursor := self.cursor_style(line.key)) is not None:
            base = text = dim = mark = pin = heads = cursor
        order = self.order.get(line.key)
        overlay = "  " if order is None else f"{choose_sign(order) or '━'} "
        colour = base
        if order is not None and (own := self.style_of(order).foreground) is not None:
            colour = base + RichStyle(color=own.rich_color, bold=True)
        pinned = f"{PIN} " if line.key in self._state.pins else "  "
        name = shorten_middle(clean_line(line.run.info.name), self._names)
        parts = [(f" {sign} ", mark), (overlay, colour), (pinned, pin)]
        parts.append((set_cell_size(name, self._names), heads))
        for at in self._visible():
            key = self.columns[at]
            style = text if key == self._state.sort else dim
            parts.append((f"  {self._cell(key, format_value(key, line.get(key)))}", style))
        return strip_of(parts).extend_cell_length(width, base)


# --- The chart of a sweep ---------------------------------------------------------------------

_BEST_LINES = 5  # that stand out in parallel coordinates
_MAX_AXES = 7


class SweepChart(LineWidget):
    """A scatter of two columns or parallel coordinates of the runs in the table."""

    DEFAULT_CSS = """
    SweepChart {
        & > .sweep--dim { color: $foreground 60%; }
        & > .sweep--shown { color: $text-primary; text-style: bold; }
        & > .sweep--best { color: $text-success; text-style: bold; }
        & > .sweep--here { color: $text-warning; text-style: bold; }
        & > .sweep--axis { color: $foreground 30%; }
        & > .sweep--label { color: $text-muted; }
    }
    """

    def __init__(self) -> None:
        super().__init__("")
        self._rows: Sequence[TableRow] = ()
        self._columns: Sequence[str] = ()
        self._kind = ""
        self._here: int | None = None
        self._shown: Sequence[int] = ()

    def show(
        self,
        rows: Sequence[TableRow],
        columns: Sequence[str],
        kind: str,
        chosen: str,
        order: dict[str, int],
    ) -> None:
        """Draw these rows, the best first, by these columns; `chosen` is that at the cursor."""
        self._rows, self._columns, self._kind = rows, columns, kind
        index = {row.key: at for at, row in enumerate(rows)}
        self._here = index.get(chosen)
        self._shown = [index[key] for key in order if key in index]
        self.redraw()

    def draw(self, width: int, height: int) -> list[Strip]:
        if not self._rows or len(self._columns) < 2:
            text = "a chart needs runs with two columns of values"
            return self.message(text, width, height)
        scales = [render_sweep.scale([row.get(key) for row in self._rows]) for key in self._columns]
        names = [title(key) for key in self._columns]
        if self._kind == "scatter":
            lines = render_sweep.draw_scatter(
                scales[0], scales[1], (names[0], names[1]), width, height,
                shown=self._shown, here=self._here,
            )  # fmt: skip
        else:
            best = range(min(_BEST_LINES, len(self._rows)))
            lines = render_sweep.draw_parallel(
                scales, names, width, height, best=best, here=self._here
            )
        return [
            strip_of([(text, self.style(f"sweep--{kind}")) for text, kind in line])
            for line in lines
        ]


# --- The table --------------------------------------------------------------------------------


class RunTable(Framed, Vertical):
    """All runs, over the whole screen; those that are overlaid have their signs."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("runs")]

    @dataclass(eq=False)
    class Toggled(Message):
        """Overlay this run with the others, or remove it."""

        run: RunSummary

    @dataclass(eq=False)
    class Picked(Message):
        """Show these runs, the first in front, in place of the others."""

        runs: Sequence[RunSummary]

    @dataclass(eq=False)
    class Changed(Message):
        """The user has changed what the table shows."""

        state: TableState

    def __init__(self) -> None:
        super().__init__(classes="box runs")
        self.state = TableState()
        self._rows: Sequence[TableRow] = ()  # newest first
        self._survey = Survey([], [], "")
        self._progress = (0, 0)
        self._before_sweep = TableState()  # what was shown before a sweep alone
        self._sweeps: Mapping[str, str] = {}  # their states by name
        self._filter_is_bad = False  # the text that was typed last
        self._unfinished: str | None = None  # a filter that is typed and not applied yet
        self._matches: list[TableRow] = []
        self._sweep_shown = ""  # the sweep of all runs that match, if it is the same
        self._before_filter: set[str] = set()  # the runs that were listed when the filter was set

    def compose(self) -> ComposeResult:
        yield SearchLine("a name, tag:…, has:…, lr>1e-4 and val_loss<1.5", restores=True)
        yield TableRows()
        yield SweepChart()

    def on_mount(self) -> None:
        self.query_one(SweepChart).display = bool(self.state.chart)

    @property
    def rows(self) -> TableRows:
        return self.query_one(TableRows)

    def focus_rows(self) -> None:
        self.rows.focus()

    # --- what is shown ----------------------------------------------------------------

    def list_runs(self, runs: Sequence[RunSummary]) -> None:
        """Take the list of runs; the data of a run stay until there are more."""
        known = {row.key: row for row in self._rows}
        rows = []
        for run in runs:
            row = known.get(str(run.run.path))
            rows.append(TableRow(run, row.metrics, row.config, row.step) if row else TableRow(run))
        self._rows = rows
        if not self._survey.columns:
            self._survey = survey(rows)
        self._measure()

    def set_rows(self, event: messages.TableChanged) -> None:
        """Take the data of the runs, and the columns that distinguish them."""
        self._rows, self._survey, self._progress = event.rows, event.survey, event.progress
        self._sweeps = event.sweeps
        self._measure()
        self.fill()

    def _measure(self) -> None:
        self._before_filter = self._before_filter or {row.key for row in self._rows}
        self.rows.measure(self._rows, self.state.columns or self._survey.columns)

    def show(self, board: Board, style_of: Callable[[int], Style]) -> None:
        """Show the runs of a board with the signs of those that are overlaid."""
        columns, self.state = self.state.columns, board.state.table
        self.rows.order = {str(one.run.path): at for at, one in enumerate(board.runs.listed)}
        self.rows.style_of = style_of
        if columns != self.state.columns:
            self._measure()
        self.fill()

    def fill(self, first: bool = False) -> None:
        """Show the rows; with `first` the cursor goes to the first one."""
        if not is_usable(self) or not self.display:
            return
        state = self.state
        try:
            lines = arrange(self._rows, state)
        except MisuseError:  # saved by a later version
            lines = arrange(self._rows, replace(state, filter=""))
        if state.group == "sweep":
            lines = [
                line._replace(summary=self._sweeps.get(line.text.partition(" ")[2], ""))
                if isinstance(line, Heading)
                else line
                for line in lines
            ]
        self._matches = [line for line in lines if isinstance(line, TableRow)]
        names = {sweep_of(row.run) for row in self._matches}
        self._sweep_shown = names.pop() if len(names) == 1 else ""
        empty = "no run matches" if state.filter else _NONE
        self.rows.show(lines, state, empty, first)
        self.query_one(SweepChart).display = bool(state.chart)
        self._draw_around()

    @on(TableRows.Chosen)
    def _draw_around(self) -> None:
        """Update the border and the chart, which show where the cursor is."""
        count = numbers.count(len(self._matches))
        total = numbers.count(len(self._rows))
        parts = [f"Runs  {count}" if count == total else f"Runs  {count} of {total}"]
        if self.state.filter:
            parts.append(f"/{clean_line(self.state.filter, 40)}")
            shown = self._before_filter.union(row.key for row in self._matches)
            if new := sum(row.key not in shown for row in self._rows):
                parts.append(f"{numbers.quantity(new, 'new run')} hidden")
        if (sweep := self._sweep_shown) and (known := self._sweeps.get(sweep)):
            parts.append(known)
        done, all_of_them = self._progress
        if done < all_of_them:
            parts.append(f"reading {numbers.count(done)} of {numbers.count(all_of_them)}")
        where = f"{numbers.count(self.rows.number)}/{count}"
        set_border(
            self, title="  ".join(parts), subtitle=f"{where} · ←→ sort · space overlay · esc"
        )
        if self.state.chart:
            self.query_one(SweepChart).show(
                self._by_value(), self._axes(), self.state.chart, self.rows.chosen, self.rows.order
            )

    def _by_value(self) -> list[TableRow]:
        """The rows of the chart, the best first."""
        key = self._value_column()
        return sort_rows(self._matches, key, starts_descending(key)) if key else self._matches

    def _value_column(self) -> str:
        """The column that a chart explains: the sorted one, if it is of a metric, or the best."""
        sort = self.state.sort
        if (
            sort
            and not is_curve(sort)
            and sort not in self._survey.varied
            and sort not in ("name", "state", "tags", "age", "step")
        ):
            return sort
        return f"best.{self._survey.main}" if self._survey.main else ""

    @property
    def _x(self) -> str:
        """The column along the x axis of the scatter."""
        return self.state.x or next(iter(self._survey.varied), "step")

    def _axes(self) -> list[str]:
        configs = self._survey.varied
        value = self._value_column()
        ends = [value] if value else []
        if self.state.chart == "scatter":
            return [self._x, *ends]
        room = max(2, min(_MAX_AXES, self.size.width // 13))
        return [*configs[: room - 1], *ends]

    # --- keys -------------------------------------------------------------------------

    def _change(self, first: bool = False, **fields: object) -> None:
        """Change what the table shows; with `first` the cursor goes to the first row."""
        self.state = replace(self.state, **fields)
        if "filter" in fields:
            self._before_filter = {row.key for row in self._rows}
        if "columns" in fields:
            self._measure()
        self.fill(first)
        self.post_message(self.Changed(self.state))

    @property
    def chosen(self) -> RunSummary | None:
        """The run at the cursor."""
        row = self.rows.chosen_row
        return None if row is None else row.run

    def action_change(self, by: int) -> None:
        """Sort by the next column, its best value first, or by the one before; before the first
        column the order is the order of the list."""
        columns = ["", *self._sortable()]
        at = columns.index(self.state.sort) if self.state.sort in columns else 0
        key = columns[max(0, min(len(columns) - 1, at + by))]
        self.sort_by(key)

    def _sortable(self) -> list[str]:
        return [key for key in self.rows.columns if not is_curve(key)]

    def sort_by(self, key: str) -> None:
        self._change(first=True, sort=key, descending=starts_descending(key))

    def action_order(self, by: int) -> None:
        """Sort from the smallest value or from the largest."""
        if not self.state.sort:
            self.sort_by("step")
        self._change(first=True, descending=by > 0)

    def action_toggle_run(self) -> None:
        """Overlay the run at the cursor, or remove it."""
        if (run := self.chosen) is not None:
            self.post_message(self.Toggled(run))

    @on(TableRows.Opened)
    def action_open(self) -> None:
        """Show the run at the cursor: with the others if it is one of them, or else with those
        that are pinned."""
        run = self.chosen
        if run is None:
            return
        by_key = {row.key: row.run for row in self._rows}
        key = str(run.run.path)
        others = self.rows.order if key in self.rows.order else self.state.pins
        runs = [by_key[one] for one in others if one in by_key and one != key]
        self.post_message(self.Picked([run, *runs]))

    def action_all(self) -> None:
        """Overlay every run that matches the filter."""
        if self._matches:
            self.post_message(self.Picked([row.run for row in self._matches]))

    def action_pin(self) -> None:
        """Keep the run at the cursor on top of the table, or no longer."""
        key = self.rows.chosen
        if key:
            others = tuple(pin for pin in self.state.pins if pin != key)
            self._change(pins=others if key in self.state.pins else (*self.state.pins, key))

    def action_sweep(self) -> None:
        """Show only the sweep of the run at the cursor, the best first, or all runs again."""
        name = self._sweep_at_cursor()
        if not name:
            return
        view = view_of_sweep(self._rows, name)
        if self.state.filter != view["filter"]:
            self._before_sweep = self.state
        else:
            before = self._before_sweep
            view = {field: getattr(before, field) for field in view}
        self._change(first=True, **view)

    def action_control_sweep(self, command: Literal["stop", "resume"]) -> None:
        """Stop the sweep of the run at the cursor, if the user confirms it, or continue it."""
        if name := self._sweep_at_cursor():
            control_sweep(self, name, command)

    def _sweep_at_cursor(self) -> str:
        """The sweep of the run at the cursor; "", with a line for the user, if it is of none."""
        run = self.chosen
        name = "" if run is None else sweep_of(run)
        if not name:
            self.post_message(messages.ShowStatus("this run is not a trial of a sweep", "note"))
        return name

    def action_edit_run(self) -> None:
        """Edit the name, tags and note of the run at the cursor."""
        if (run := self._organisable()) is not None:
            self.post_message(messages.OrganiseRun(run))

    def action_delete_run(self) -> None:
        """Delete the run at the cursor, if the user confirms it."""
        if (run := self._organisable()) is not None:
            self.post_message(messages.OrganiseRun(run, delete=True))

    def _organisable(self) -> RunSummary | None:
        """The run at the cursor; None, with a line for the user, if it is another tool's log."""
        run = self.chosen
        if run is not None and not run.native:
            self.post_message(
                messages.ShowStatus("this is a log of another tool: genui reads it", "note")
            )
            return None
        return run

    def copyables(self) -> list[Copyable]:
        """The table as it is shown, at most its first lines, in each format for documents."""
        formats = table_formats.FORMATS.items() if self._matches else ()
        lines, columns = self.rows.rows[:_MOST_COPIED], self.rows.columns
        which = "table" if len(lines) == len(self.rows.rows) else f"first {_MOST_COPIED} lines"
        return [Copyable(f"{which} as {name}", write(lines, columns)) for name, write in formats]

    # --- the filter -------------------------------------------------------------------

    def action_search(self) -> None:
        self.query_one(SearchLine).open(self.state.filter)

    @on(SearchLine.Typed)
    def _search_typed(self, event: SearchLine.Typed) -> None:
        event.stop()
        try:
            filter = RunFilter(event.text)
            if self._progress[0] == self._progress[1] and self._rows:
                for key in sorted(filter.keys):
                    check_column(key, self._rows)
        except MisuseError as error:
            self._filter_is_bad = True
            self.post_message(messages.ShowStatus(str(error)))
            return
        if self._filter_is_bad:
            self._filter_is_bad = False
            self.post_message(messages.Acted())
        self._unfinished = None
        if event.text == self.state.filter:
            return
        if self._is_unfinished(filter):
            self._unfinished = event.text
        else:
            self._change(first=True, filter=event.text)

    def _is_unfinished(self, filter: RunFilter) -> bool:
        """Whether a filter matches nothing, and ends with a word that may become a key or `and`.

        The runs that matched stay until more is typed.
        """
        word = filter.text.rpartition(" ")[2].lower()
        words = ["and", "or", "not", "best.", *(key.lower() for key in self.rows.columns)]
        may_go_on = bool(word) and any(one.startswith(word) for one in words)
        return may_go_on and not any(map(filter.matches, self._rows))

    def on_descendant_blur(self) -> None:
        """Apply the typed text, now that the line is closed."""
        text, self._unfinished = self._unfinished, None
        if text is not None:
            self._change(first=True, filter=text)

    # --- the settings -----------------------------------------------------------------

    def _groups_runs(self, key: str) -> bool:
        """Whether runs share the values of a column, so that it can be a group's."""
        values = [value for row in self._rows if (value := row.get(key)) is not None]
        return 1 < len(set(values)) <= max(1, len(values) // 2)

    def settings(self) -> list[Setting]:
        """The settings of the table, with the choices that these runs allow."""
        state, varied = self.state, self._survey.varied
        groups = filter(self._groups_runs, ["sweep", "setting", *varied, "tags", "state"])
        choices = {
            "sort": _titles("sort", ["", *self._sortable(), state.sort]),
            "group": _titles("group", ["", *groups, state.group]),
            "x": _titles("x", [*varied, self._x]),
        }
        reads: dict[str, Callable[[str], Any]] = dict.fromkeys(choices, self._column)
        reads["columns"] = self._columns
        return [
            replace(one, choices=choices.get(name, one.choices), read=reads.get(name))
            for name, one in TABLE_SETTINGS.items()
        ]

    def _column(self, text: str) -> str:
        """The key of the column that was typed, or "". Raises MisuseError."""
        return check_column(text.strip(), self._rows) if text.strip() else ""

    def _columns(self, text: str) -> tuple[str, ...]:
        return tuple(filter(None, map(self._column, text.split(","))))

    def set(self, name: str, value: Any) -> None:
        """Set a field that is a setting."""
        match name:
            case "sort":
                self.sort_by(value)
            case "descending":
                self.action_order(1 if value else -1)
            case _:
                self._change(**{name: value})

    def options(self) -> list[Option]:
        """The rows of the Settings panel."""
        values = replace(self.state, x=self._x)
        rows = [option_of(one, lambda: values, self.set) for one in self.settings()]
        columns = ", ".join(self.rows.columns)
        return [row._replace(text=columns) if row.name == "columns" else row for row in rows]


def _titles(name: str, keys: Iterable[str]) -> dict[str, str]:
    """The choices of a setting that is the key of a column."""
    return {key: title(key) if key else TABLE_SETTINGS[name].about.off_title for key in keys}
