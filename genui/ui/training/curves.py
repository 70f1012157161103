"""The curves: each in its border with its values at the cursor, and a page of them in a grid."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.style import Style

from genui.base import numbers
from genui.base.text import clean_line
from genui.render.chart import choose_sign, choose_style
from genui.ui.training.model import (
    Plot,
    SeriesLine,
    ViewState,
    curve_series,
    curve_settings,
)
from genui.ui.widgets.base import BORDER_RULES, Framed, LifecycleGuard, set_border
from genui.ui.widgets.curve import Curve

PIN = "★"
LATEST = 2.0  # seconds after which a curve is drawn again though little has come


class Cell(LifecycleGuard, Framed, Vertical):
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
        self._plotted_at, self._plotted = 0.0, [0]  # when, and how many points of each line
        self._waiting: Callable[[], None] | None = None  # what to show once it is mounted
        self.chosen = False
        self._title_args: tuple[ViewState, int] | None = None  # what the title was written for
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
        for name, value in curve_settings(state).items():
            setattr(curve, name, value)
        sources = (plot, state.axis, [(line.label, line.kind, id(line.points)) for line in lines])
        fresh = sources != self._sources  # a series that has grown hands out other arrays
        self.plot, self._lines, self._sources = plot, lines, sources
        if fresh:
            self._plotted_at, self._plotted = time.monotonic(), [len(line.x) for line in lines]
            if lines:
                curve.set_series(*curve_series(lines))
            else:
                curve.clear("no points on this axis")
        self._write_title(state, runs)

    def _may_wait(self, lines: Sequence[SeriesLine]) -> bool:
        """Whether what these lines have beyond the drawn ones takes less room than a dot."""
        if len(lines) != len(self._plotted) or time.monotonic() - self._plotted_at > LATEST:
            return False
        room = self.curve.column() / 4
        for line, drawn in zip(lines, self._plotted, strict=True):
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
        for rule in BORDER_RULES:
            self.styles.set_rule(rule, look.get_rule(rule) if self.chosen else None)
        self.refresh()

    def look(self, index: int) -> Style:
        """The colour of the curve's series of that number."""
        style = self.curve.get_visual_style(f"curve--{choose_style(index)}")
        return Style(foreground=style.foreground)

    def _redress(self) -> None:
        """Another theme: the border and the words in it name their colours when they are made."""
        self._mark()
        if self._title_args is not None:
            self._write_title(*self._title_args)

    def _write_title(self, state: ViewState, runs: int) -> None:
        self._title_args = state, runs
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
            label = f"{choose_sign(index, line.kind) or '━'} {line.label} "
            if short:
                label = f"{choose_sign(index, line.kind) or '━'} "
                if line.part != part:
                    part, label = line.part, f"{line.part} {label}"
            elif line.label == name:
                label = ""
            value = readings[line.label][1] if line.label in readings else line.values[-1]
            parts += [gap, (label, self.look(index))]
            parts.append((numbers.value(float(value)), "bold $foreground"))
        return Content.assemble(*parts)

    @on(Curve.Drawn)
    def _write_caption(self, event: Curve.Drawn) -> None:
        event.stop()
        set_border(self, subtitle=event.caption)


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


def layout_for(count: int, size: Size) -> Layout:
    """Rows and columns for so many plots, of those with room the ones nearest the best shape."""
    room = room_for(size)

    def unlike(columns: int) -> float:
        rows = max(1, -(-count // columns))
        shape = (size.width / columns) / max(size.height / rows, 1)
        return abs(math.log(max(shape, 0.1) / SHAPE)) + (math.inf if rows > room.rows else 0)

    columns = min(range(1, room.columns + 1), key=unlike)
    return Layout(columns, max(1, -(-count // columns)))


class CurveGrid(LifecycleGuard, Container):
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
        layout = layout_for(count, self._whole)
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
