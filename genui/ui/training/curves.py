"""One curve of the grid in its border: what it shows, with the values at the cursor."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.style import Style
from textual.widgets import Input

from genui.base import numbers
from genui.base.errors import MisuseError
from genui.base.text import clean_line
from genui.render import axis
from genui.render.axis import UNITS
from genui.render.chart import look_of, sign_of
from genui.runs.listing import RunSummary
from genui.ui import messages
from genui.ui.training.model import (
    Board,
    Plot,
    SeriesLine,
    ViewState,
    looked_at,
    pattern,
    series_of,
    stats_line,
)
from genui.ui.watcher import MARKS, Part, RunView, mark, progress
from genui.ui.widgets.base import (
    DeafWhenLeaving,
    Framed,
    Line,
    LineInput,
    Row,
    RowList,
    StepBar,
    set_border,
)
from genui.ui.widgets.curve import Curve

_BORDER_RULES = (
    *("border_top", "border_right", "border_bottom", "border_left"),
    *("border_title_color", "border_title_style"),
)
PIN = "★"
LATEST = 2.0  # seconds after which a curve is drawn again though little has come


class Cell(DeafWhenLeaving, Framed, Vertical):
    """A curve with its name and newest values above it, and below what one column stands for."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"cell--chosen"}
    DEFAULT_CSS = """
    Cell {
        width: 1fr;
        height: 1fr;
        & > .cell--chosen {
            border: round $border; border-title-color: $text-primary; border-title-style: bold;
        }
        &:nocolor > .cell--chosen { border: heavy $border; }
    }
    """

    def __init__(self, empty: str = "reading …") -> None:
        super().__init__(classes="box")
        self.curve = Curve(empty, legend=False)
        self.plot: Plot | None = None
        self._lines: Sequence[SeriesLine] = ()
        self._sources: object = None
        self._drawn_at, self._drawn_to = 0.0, [0]  # when, and how many points of each line
        self._waiting: Callable[[], None] | None = None  # what to show once it is mounted
        self.chosen = False
        self._titled: tuple[ViewState, int] | None = None  # what the title was written for
        self._ready = False  # there is a curve, with its colours

    def compose(self) -> ComposeResult:
        yield self.curve

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self._redress())
        self._ready = True
        if self.chosen:
            self._mark()
        if self._waiting is not None:
            self._waiting()

    def show(
        self,
        plot: Plot,
        lines: Sequence[SeriesLine],
        state: ViewState,
        runs: int,
        flowing: bool = False,
    ) -> None:
        """This plot's lines, of so many runs, looked at in this way. Cheap where nothing is new.

        While data are `flowing`, the values in the title are the newest, and the curve is
        drawn anew once that would show.
        """
        if not self._ready:
            self._waiting = partial(self.show, plot, lines, state, runs)
            return
        self._waiting = None
        if flowing and plot is self.plot and self._may_wait(lines):
            self._lines = lines
            self._write_title(state, runs)
            return
        curve = self.curve
        for name, value in looked_at(state).items():
            setattr(curve, name, value)
        sources = (plot, state.axis, [(line.label, line.kind, id(line.points)) for line in lines])
        fresh = sources != self._sources  # a series that has grown hands out other arrays
        self.plot, self._lines, self._sources = plot, lines, sources
        if fresh:
            self._drawn_at, self._drawn_to = time.monotonic(), [len(line.x) for line in lines]
            if lines:
                curve.set_series(*series_of(lines))
            else:
                curve.clear("no points on this axis")
        self._write_title(state, runs)

    def _may_wait(self, lines: Sequence[SeriesLine]) -> bool:
        """Whether what these lines have beyond the drawn ones takes less room than a dot."""
        if len(lines) != len(self._drawn_to) or time.monotonic() - self._drawn_at > LATEST:
            return False
        room = self.curve.column() / 4
        for line, drawn in zip(lines, self._drawn_to, strict=True):
            new = line.values[drawn:]
            if not 0 < drawn <= len(line.x) or not math.isfinite(float(new.sum())):
                return False
            if line.x[-1] - line.x[drawn - 1] > room:
                return False
        return True

    def say(self, text: str) -> None:
        """There is nothing to show: why not, or what to press."""
        self.plot, self._lines, self._sources = None, (), None
        self.curve.clear(text)
        set_border(self, title="", subtitle="")

    def mark_chosen(self, chosen: bool) -> None:
        """Look like the curve that the keys are about, or not."""
        if chosen != self.chosen:
            self.chosen = chosen
            if self._ready:
                self._mark()

    def _mark(self) -> None:
        """Through a class, Textual would set every rule anew and draw the curve again."""
        look = self.get_component_styles("cell--chosen")
        for rule in _BORDER_RULES:
            self.styles.set_rule(rule, look.get_rule(rule) if self.chosen else None)
        self.refresh()

    def look(self, index: int) -> Style:
        """The colour of the curve's series of that number."""
        style = self.curve.get_visual_style(f"curve--{look_of(index)}")
        return Style(foreground=style.foreground)

    def _redress(self) -> None:
        """Another theme: the border and the words in it name their colours when they are made."""
        self._mark()
        if self._titled is not None:
            self._write_title(*self._titled)

    def _write_title(self, state: ViewState, runs: int) -> None:
        self._titled = state, runs
        if self.plot is None:
            return
        title = self._title(state)
        whole = len(self._lines) == runs * len(self.plot.metrics)
        ways = [(False, " ")]
        if runs > 1 and whole:  # the head says which sign is which run's
            ways += [(True, "  "), (True, " ")]
        for short, gap in ways:
            if title.cell_length > self.size.width - 4:
                title = self._title(state, short, gap)
        set_border(self, title=title)

    def _title(self, state: ViewState, short: bool = False, gap: str = "  ") -> Content:
        assert self.plot is not None
        name = clean_line(self.plot.key, 60)
        parts: list[str | tuple[str, str | Style]] = [name]
        if self.plot.key in state.pins:
            parts = [(f"{PIN} ", "$accent"), name]
        at = state.cursor
        readings = self.curve.values_at(at) if at is not None else {}
        part = ""
        for index, line in enumerate(self._lines):
            label = f"{sign_of(index, line.kind) or '━'} {line.label} "
            if short:
                label = f"{sign_of(index, line.kind) or '━'} "
                if line.part != part:
                    part, label = line.part, f"{line.part} {label}"
            elif line.label == name:
                label = ""
            value = readings[line.label][1] if line.label in readings else line.values[-1]
            parts += [gap, (label, self.look(index))]
            parts.append((numbers.value(float(value)), "bold $foreground"))
        return Content.assemble(*parts)

    @on(Curve.Drawn)
    def _drawn(self, event: Curve.Drawn) -> None:
        event.stop()
        set_border(self, subtitle=event.caption)


# --- The head of the Training screen: whose curves these are, how far it is, and its newest values

_NAME = 32  # cells


class BoardHead(DeafWhenLeaving, Framed, Vertical):
    """A step bar and a line of values in a border that names the runs and says what is odd."""

    def __init__(self) -> None:
        super().__init__(classes="box head")
        self._board: Board | None = None

    def compose(self) -> ComposeResult:
        yield StepBar()
        yield Line(classes="stats")

    def show(self, board: Board, page: str, look: Callable[[int], Style]) -> None:
        """The runs as last seen; `page` says which curves these are, `look` a run's colour."""
        self._board = board
        view = board.first
        if view is None:
            set_border(self, title="Training", subtitle=page)
            return
        set_border(self, title=_title(board, view, look), subtitle=_oddities(board.shown, page))
        status = view.summary.status
        step = max(status.step, board.newest_step())
        eta = status.eta if view.summary.state == "running" else -1.0
        self.query_one(StepBar).set(step, status.steps, eta)
        self.tell()

    def tell(self) -> None:
        """The line of values, with the age of the data as it is now."""
        board = self._board
        view = board.first if board is not None else None
        if board is None or view is None:
            return
        stats = self.query_one(".stats", Line)
        stats.show(stats_line(view, time.time(), stats.size.width, *_cursor(board)))


def _title(board: Board, view: RunView, look: Callable[[int], Style]) -> Content:
    summary = view.summary
    sign, colour = mark(summary.state)
    state = [(f"  {sign}", colour), (f" {summary.state}", "$text-muted")]
    if len(board.runs) == 1:
        name = (clean_line(summary.info.name, _NAME), "bold $foreground")
        return Content.assemble(name, *state, (_where(view), "$text-muted"))
    names = board.run_names()
    parts: list[str | tuple[str, str | Style]] = []
    for index, one in enumerate(board.runs):
        style = "bold $foreground" if index == 0 else "$text-muted"
        parts += [(f"{sign_of(index, 'line') or '━'} ", look(index)), (names[one.run], style)]
        parts += [*state, "   "] if index == 0 else ["   "]
    return Content.assemble(*parts[:-1])


def _where(view: RunView) -> str:
    summary, parts = view.summary, [""]
    if host := summary.status.host or summary.info.host:
        parts.append(clean_line(host, 40))
    if summary.status.pid:
        parts.append(f"pid {summary.status.pid}")
    if summary.alive:
        parts.append("goes on when you quit")
    return " · ".join(parts)


def _oddities(views: list[RunView], page: str) -> str:
    """What is not as it should be in the logs, and which page of the curves is seen."""
    words = []
    reading = min((view.progress for view in views), default=1.0)
    if reading < 1:
        words.append(f"reading {int(100 * reading)} %")
    if bad := sum(view.bad_lines for view in views):
        words.append(f"{numbers.count(bad)} {'line' if bad == 1 else 'lines'} could not be read")
    if dropped := sum(view.dropped for view in views):
        values = "value" if dropped == 1 else "values"
        words.append(f"{numbers.count(dropped)} {values} left out: too many metrics")
    stretches = [stretch for view in views for stretch in view.overlaps]
    if stretches:
        first, last = stretches[-1]
        more = f" and {len(stretches) - 1} more" if len(stretches) > 1 else ""
        words.append(f"steps {numbers.count(first)}–{numbers.count(last)}{more} written again")
    return " · ".join([*words, page])


def _cursor(board: Board) -> list[Part]:
    x = board.state.cursor
    if x is None:
        return []
    place = axis.place(x, UNITS[board.state.axis])
    parts: list[Part] = [("cursor ", "$text-muted"), (place, "bold $text-warning")]
    step = board.step_at(x)
    if step is not None and board.state.axis != "step":
        parts.append((f" step {numbers.count(step)}", "$text-muted"))
    return [*parts, "  "]


# --- The list of runs beside the curves: which of them lie over each other --------------------


class RunList(DeafWhenLeaving, Framed, Vertical):
    """Every run there is, newest first; those that are shown are numbered in their order."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space,enter", "toggle_run", "Show it, or not", show=False),
        Binding("slash", "filter", "Filter", show=False),
        Binding("escape,o", "close", "Close", show=False),
    ]

    class Toggled(Message):
        """Lay this run over the others, or take it away."""

        def __init__(self, run: RunSummary) -> None:
            super().__init__()
            self.run = run

    class Closed(Message):
        """The list is no longer wanted."""

    def __init__(self) -> None:
        super().__init__(classes="box runs")
        self._runs: Sequence[RunSummary] = ()
        self._shown: Sequence[RunSummary] = ()
        self._filter = ""

    def compose(self) -> ComposeResult:
        yield LineInput(placeholder="filter", compact=True)
        yield RowList(empty="no runs")

    def on_mount(self) -> None:
        set_border(self, title="Runs", subtitle="space show · / filter · esc")

    def show(self, runs: Sequence[RunSummary], shown: Sequence[RunSummary]) -> None:
        """What there is, and which of them are shown, in their order."""
        self._runs, self._shown = runs, shown
        self._fill()

    def focus_rows(self) -> None:
        """Give the rows the keys."""
        self.query_one(RowList).focus()

    def _fill(self) -> None:
        order = {one.run: at for at, one in enumerate(self._shown, 1)}
        wanted = pattern(self._filter)
        rows = [
            Row(
                str(one.run.path),
                one.info.name,
                progress(one),
                *MARKS.get(one.state, ("·", "dim")),
                lead=f"{order[one.run]} " if one.run in order else "  ",
            )
            for one in self._runs
            if wanted.search(one.info.name) or wanted.search(str(one.run.path))
        ]
        self.query_one(RowList).set_rows(rows, "no run matches" if self._filter else "no runs")
        count = numbers.count(len(rows))
        set_border(self, title=f"Runs  {count}" + (f"  /{self._filter}" if self._filter else ""))

    @on(RowList.Opened)
    def action_toggle_run(self) -> None:
        """Show the chosen run, or not."""
        key = self.query_one(RowList).chosen
        run = next((one for one in self._runs if str(one.run.path) == key), None)
        if run is not None:
            self.post_message(self.Toggled(run))

    def action_close(self) -> None:
        """Give the room back to the curves."""
        self.post_message(self.Closed())

    def action_filter(self) -> None:
        """Ask for a regular expression."""
        line = self.query_one(LineInput)
        line.value = self._filter
        self.add_class("-editing")
        self.screen.set_focus(line)

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        try:
            pattern(event.value)
        except MisuseError as error:
            self.post_message(messages.Say(str(error)))
            return
        self._filter = event.value
        self._fill()

    @on(LineInput.Cancelled)
    def _cancelled(self, event: LineInput.Cancelled) -> None:
        event.stop()
        self.query_one(LineInput).value = ""
        self._done()

    @on(LineInput.Submitted)
    def _submitted(self, event: LineInput.Submitted) -> None:
        event.stop()
        self._done()

    def _done(self) -> None:
        self.remove_class("-editing")
        self.focus_rows()


# --- The curves of a page side by side: as many as have room, or the chosen one alone ---------

LEAST = Size(36, 9)  # cells of a curve in its border
SHAPE = 3.0  # columns a row of the best curve: half as wide again as high, in a usual font


class Layout(NamedTuple):
    """How many cells a page has, and how so many plots are laid out in rows and columns."""

    columns: int
    rows: int

    @property
    def capacity(self) -> int:
        return self.columns * self.rows


def room_for(size: Size) -> Layout:
    """The most cells of the least size that fit; one at least."""
    return Layout(max(size.width // LEAST.width, 1), max(size.height // LEAST.height, 1))


def laid_out(count: int, size: Size) -> Layout:
    """Rows and columns for so many plots, of those with room the ones nearest the best shape."""
    room = room_for(size)

    def unlike(columns: int) -> float:
        rows = max(1, -(-count // columns))
        shape = (size.width / columns) / max(size.height / rows, 1)
        return abs(math.log(max(shape, 0.1) / SHAPE)) + (math.inf if rows > room.rows else 0)

    columns = min(range(1, room.columns + 1), key=unlike)
    return Layout(columns, max(1, -(-count // columns)))


class CurveGrid(DeafWhenLeaving, Container):
    """Shows a page of plots; only what is seen is given any data."""

    class Resized(Message):
        """Another number of curves may have room."""

    def __init__(self, cells: int) -> None:
        super().__init__()
        self._cells = [Cell() for _ in range(max(cells, 1))]
        self._layout = Layout(0, 0)
        self._count = -1
        self._state: ViewState | None = None  # as last shown
        self._screen = self._whole = Size(0, 0)  # of the screen, and of the grid at its highest

    def compose(self) -> ComposeResult:
        yield from self._cells

    def on_resize(self) -> None:
        lines = self._whole.height if self.screen.size == self._screen else 0
        self._screen = self.screen.size
        self._whole = Size(self.size.width, max(lines, self.size.height))
        self.post_message(self.Resized())

    @property
    def cells(self) -> list[Cell]:
        """Those that are shown, in order."""
        return self._cells[: self._count]

    @property
    def chosen(self) -> Cell | None:
        """The one that the keys are about; None while there is no plot."""
        return next((cell for cell in self.cells if cell.chosen), None)

    def look(self, index: int) -> Style:
        """The colour of every curve's series of that number."""
        return self._cells[0].look(index)

    @property
    def room(self) -> Layout:
        """Of a page; a line above the footer, which comes and goes, takes no curve away."""
        return room_for(self._whole)

    def page(self, chosen: int, count: int, alone: bool) -> range:
        """The indices of the plots that are seen when that one of `count` is chosen."""
        if alone:
            return range(chosen, min(chosen + 1, count))
        each = self.room.capacity
        first = chosen // each * each
        return range(first, min(first + each, count))

    def words(self, count: int, chosen: int, state: ViewState) -> str:
        """Which of `count` plots are seen, and why no others."""
        if not count:
            return ""
        curves = f"{numbers.count(count)} {'curve' if count == 1 else 'curves'}"
        if not self.display:  # the side is in their place
            return curves
        page = self.page(chosen, count, state.alone)
        each = max(len(page), 1) if state.alone else self.room.capacity
        pages = -(-count // each)
        if pages > 1:
            curves = f"page {page.start // each + 1} of {numbers.count(pages)}, {curves}"
        filter = clean_line(state.filter, 24)
        if not filter:
            return curves
        return f"{curves} {'matches' if count == 1 else 'match'} /{filter}"

    def show(
        self,
        plots: Sequence[Plot],
        chosen: int,
        state: ViewState,
        lines: Callable[[Plot], Sequence[SeriesLine]],
        runs: int,
        overlaps: Sequence[tuple[float, float]] = (),
        flowing: bool = False,
    ) -> None:
        """The page of `plots` that holds the chosen one; `lines` gives what to draw of each.

        `flowing`: nothing but data has changed, and more will follow at once.
        """
        page = self.page(chosen, len(plots), state.alone)
        self._arrange(len(page))
        flowing = flowing and state is self._state
        self._state = state
        for cell, at in zip(self.cells, page, strict=True):
            cell.curve.overlaps = overlaps
            cell.show(plots[at], lines(plots[at]), state, runs, flowing)
            cell.mark_chosen(at == chosen)

    def say(self, text: str) -> None:
        """There is nothing to show: why not, or what to press."""
        self._arrange(1)
        self._cells[0].mark_chosen(False)
        self._cells[0].say(text)

    def _arrange(self, count: int) -> None:
        """Let that many cells be seen, the first as wide as what the others leave free."""
        layout = laid_out(count, self._whole)
        if (layout, count) == (self._layout, self._count):
            return
        self._layout, self._count = layout, count
        if count > len(self._cells):
            more = [Cell() for _ in range(count - len(self._cells))]
            self._cells += more
            self.mount_all(more)
        for at, cell in enumerate(self._cells):
            cell.display = at < count
        self.styles.grid_size_columns = layout.columns
        self.styles.grid_size_rows = layout.rows
        free = layout.capacity - count
        self._cells[0].styles.column_span = free + 1
        # A curve with a row to itself is what is looked at most: it is higher too.
        lead = layout.rows > 1 and free + 1 == layout.columns > 1
        rows = ["2fr"] * layout.rows
        self.styles.grid_rows = " ".join(["3fr", *rows[1:]] if lead else rows)
