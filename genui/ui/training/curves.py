"""The curves of the Training screen: each in a border with its values, in a grid of pages."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from typing import Any, ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.style import Style

from genui.base import numbers
from genui.base.text import clean_line, shorten_middle
from genui.render.chart import choose_style, legend_key
from genui.render.options import ChartOptions
from genui.ui.lifecycle import guard
from genui.ui.training.axes import unit_of_axis
from genui.ui.training.board import Board
from genui.ui.training.plots import Plot, SeriesLine, curve_series
from genui.ui.training.shown import MAX_NAME
from genui.ui.training.state import Grid, ViewState, metric_of
from genui.ui.widgets.borders import Framed, set_border
from genui.ui.widgets.curve import Curve

PIN = "★"
ENDS = 2  # cells of the width that a title cannot have
MIN_NAME = 8  # cells of a metric's name in a title
MAX_DELAY = 2.0  # seconds after which a curve is redrawn though few points are new


def curve_settings(state: ViewState) -> dict[str, Any]:
    """The options of a Curve: its unit, and the fields that both have."""
    both = (field.name for field in fields(ChartOptions) if hasattr(state, field.name))
    return {"unit": unit_of_axis(state.base_axis)} | {name: getattr(state, name) for name in both}


class Cell(Framed, Vertical):
    """A curve in a border: at the top its name and values, at the bottom the span of a column."""

    ALLOW_SELECT = False  # a drag of the border resizes
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

    def __init__(self) -> None:
        super().__init__(classes="box")
        self.curve = Curve("reading …", legend=False)
        self.plot: Plot | None = None
        self._lines: Sequence[SeriesLine] = ()
        self._sources: object = None
        self._drawn_at, self._drawn_counts = 0.0, [0]  # when, and how many points of each line
        self._show_on_mount: Callable[[], None] | None = None
        self.chosen = False
        self._title_args: tuple[ViewState, int] | None = None
        self._ready = False  # the curve is mounted and has its colours

    def compose(self) -> ComposeResult:
        yield self.curve

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self._update_colours())
        self._ready = True
        if self.chosen:
            self.mark_border("cell--chosen", True)
        if self._show_on_mount is not None:
            self._show_on_mount()

    def show(
        self,
        plot: Plot,
        lines: Sequence[SeriesLine],
        state: ViewState,
        runs: int,
        streaming: bool = False,
    ) -> None:
        """Show the lines of a plot, which are of `runs` runs. Cheap if nothing is new.

        While data are `streaming` in, the values in the title are always the newest, but the
        curve is redrawn only when the new points make a visible difference.
        """
        if not self._ready:
            self._show_on_mount = partial(self.show, plot, lines, state, runs)
            return
        self._show_on_mount = None
        if streaming and plot is self.plot and self._may_wait(lines):
            self._lines = lines
            self._write_title(state, runs)
            return
        curve = self.curve
        curve.set(**curve_settings(state))
        # A series that has grown has new arrays.
        sources = (
            plot,
            state.base_axis,
            [(line.label, line.kind, line.look, id(line.points)) for line in lines],
        )
        changed = sources != self._sources
        self.plot, self._lines, self._sources = plot, lines, sources
        if changed:
            self._drawn_at = time.monotonic()
            self._drawn_counts = [len(line.x) for line in lines]
            if lines:
                curve.set_series(*curve_series(lines))
            else:
                curve.clear("no points on this axis")
        self._write_title(state, runs)

    def _may_wait(self, lines: Sequence[SeriesLine]) -> bool:
        """Whether the points that are not drawn yet take less room than a dot."""
        counts = self._drawn_counts
        if len(lines) != len(counts) or time.monotonic() - self._drawn_at > MAX_DELAY:
            return False
        dot = self.curve.column() / 4
        return all(
            0 < drawn <= len(line.x)
            and math.isfinite(float(line.values[drawn:].sum()))
            and line.x[-1] - line.x[drawn - 1] <= dot
            for line, drawn in zip(lines, counts, strict=True)
        )

    def show_text(self, text: str) -> None:
        """Show a text instead of a curve: why there is none, or what to press."""
        self.plot, self._lines, self._sources, self._title_args = None, (), None, None
        self.curve.clear(text)
        set_border(self, title="", subtitle="")

    def set_chosen(self, chosen: bool) -> None:
        """Mark this curve as the one that the keys act on, or not."""
        if chosen != self.chosen:
            self.chosen = chosen
            if self._ready:
                self.mark_border("cell--chosen", chosen)

    def series_style(self, hue: int) -> Style:
        """The colour of a run by its number."""
        style = self.curve.get_visual_style(f"curve--{choose_style(hue)}")
        return Style(foreground=style.foreground)

    def _update_colours(self) -> None:
        """Follow a change of theme: a border and its title keep the colours they were made with."""
        self.mark_border("cell--chosen", self.chosen)
        if self._title_args is not None:
            self._write_title(*self._title_args)

    def _write_title(self, state: ViewState, runs: int) -> None:
        new_axis = self._title_args is None or self._title_args[0].base_axis != state.base_axis
        self._title_args = state, runs
        if new_axis:
            self._write_caption()
        if self.plot is None:
            return
        # Metrics over each other are named beside their values.
        named = bool(self.plot.over) and len(self._lines) > 1
        name = "" if named else clean_line(self.plot.name or self.plot.key, 60)
        units = {line.unit for line in self._lines}
        unit = units.pop() if len(units) == 1 else ""
        room = self.size.width - ENDS
        # Without names if there is no room: the head has the runs' signs.
        forms = [(unit, False, "  ", False), (unit, True, "  ", False), (unit, True, " ", False)]
        forms += [("", True, " ", False), ("", True, " ", runs > 1)]
        forms = [(*form, True) for form in forms]
        if self.plot.name:
            forms.append(("", True, " ", runs > 1, False))
        title = self._title(state, runs, name, *forms[0])
        for form in forms[1:]:
            if title.cell_length > room > 0:
                title = self._title(state, runs, name, *form)
        if title.cell_length > room > 0:
            name = shorten_middle(name, max(len(name) - (title.cell_length - room), MIN_NAME))
            title = self._title(state, runs, name, *forms[-1])
        set_border(self, title=title)

    def _title(
        self,
        state: ViewState,
        runs: int,
        name: str,
        unit: str,
        short: bool,
        gap: str,
        first_only: bool,
        valued: bool,
    ) -> Content:
        """The name and the newest values, or with `first_only` only the first run's; the signs of
        the lines alone if it is not to be `valued`."""
        assert self.plot is not None
        parts: list[str | tuple[str, str | Style]] = [name]
        if self.plot.key in state.pins:
            parts = [(f"{PIN} ", "$accent"), name]
        if unit:
            parts.append((f" ({unit})", "$text-muted"))
        values = self.curve.values_at(state.cursor) if state.cursor is not None else {}
        first = self._lines[0].look.hue if self._lines else 0
        part = ""
        for line in self._lines:
            hue = line.look.hue
            if first_only and hue != first:
                continue
            sign = legend_key(line.look, line.kind)
            label = f"{sign} {line.label} "
            if len(self._lines) == 1 and runs == 1:
                label = ""
            elif short:
                name = shorten_middle(line.part, MAX_NAME)
                label = f"{sign} " if line.part == part else f"{name} {sign} "
                part = line.part
            value = values[line.label][1] if line.label in values else line.values[-1]
            label = label if valued else label.rstrip()
            parts += [gap if any(parts) else "", (label, self.series_style(hue))]
            if valued:
                parts.append((numbers.value(float(value)), "bold $foreground"))
        return Content.assemble(*parts)

    def on_resize(self) -> None:
        if self._title_args is not None:
            self._write_title(*self._title_args)
        self._write_caption()

    @on(Curve.Drawn)
    def _curve_drawn(self, event: Curve.Drawn) -> None:
        event.stop()
        self._write_caption()

    def _write_caption(self) -> None:
        caption = self.curve.caption
        if self._title_args is not None and (name := metric_of(self._title_args[0].base_axis)):
            caption = ", ".join(filter(None, (f"x: {clean_line(name, 24)}", caption)))
        while 0 < self.size.width - ENDS < len(caption) and "," in caption:
            caption = caption.rpartition(",")[0]
        set_border(self, subtitle=caption)


# --- A grid of curves: as many as have room, or the chosen one alone --------------------------

MIN_SIZE = Size(36, 9)  # terminal cells of a curve with its border
BEST_SHAPE = 3.0  # columns per row: half again as wide as high in a usual font


class Layout(NamedTuple):
    """The columns and rows of a page of curves."""

    columns: int
    rows: int

    @property
    def capacity(self) -> int:
        return self.columns * self.rows


def room_for(size: Size) -> Layout:
    """The most curves of at least MIN_SIZE that fit; at least one."""
    return Layout(max(size.width // MIN_SIZE.width, 1), max(size.height // MIN_SIZE.height, 1))


def room_in_grid(size: Size, grid: Grid) -> Layout:
    """The columns and rows of the grid that was chosen, as far as they fit."""
    room = room_for(size)
    columns, rows = grid
    return Layout(min(columns or room.columns, room.columns), min(rows or room.rows, room.rows))


def layout_for(count: int, size: Size, grid: Grid = (0, 0)) -> Layout:
    """The layout of `count` plots that fits and brings each closest to BEST_SHAPE; it has the
    columns of a chosen grid."""
    room = room_in_grid(size, grid)

    def rows_for(columns: int) -> int:
        return max(1, -(-count // columns))

    def distance(columns: int) -> float:
        rows = rows_for(columns)
        shape = (size.width / columns) / max(size.height / rows, 1)
        return abs(math.log(max(shape, 0.1) / BEST_SHAPE)) + (math.inf if rows > room.rows else 0)

    columns = room.columns if grid[0] else min(range(1, room.columns + 1), key=distance)
    columns = min(columns, max(count, 1))
    return Layout(columns, rows_for(columns))


@guard
class CurveGrid(Container):
    """Shows a page of plots; only the visible ones are given data."""

    class Resized(Message):
        """The number of curves that fit may have changed."""

    def __init__(self, cells: int) -> None:
        super().__init__()
        self._cells = [Cell() for _ in range(max(cells, 1))]
        self._layout = Layout(0, 0)
        self._count = -1
        self._state: ViewState | None = None  # as last shown
        self._grid: Grid = (0, 0)
        self._screen = Size(0, 0)
        self._full_size = Size(0, 0)  # of the grid at its highest on this screen

    def compose(self) -> ComposeResult:
        yield from self._cells

    def on_resize(self) -> None:
        height = self._full_size.height if self.screen.size == self._screen else 0
        self._screen = self.screen.size
        self._full_size = Size(self.size.width, max(height, self.size.height))
        self.post_message(self.Resized())

    @property
    def cells(self) -> list[Cell]:
        """The visible cells, in order."""
        return self._cells[: self._count]

    @property
    def chosen(self) -> Cell | None:
        """The cell that the keys act on; None if there is no plot."""
        return next((cell for cell in self.cells if cell.chosen), None)

    def series_style(self, hue: int) -> Style:
        """The colour of a run by its number, the same in every curve."""
        return self._cells[0].series_style(hue)

    @property
    def room(self) -> Layout:
        """The most curves of a page; a line that appears above the footer removes none."""
        return room_in_grid(self._full_size, self._grid)

    def page(self, chosen: int, count: int, alone: bool) -> range:
        """The indices of the visible plots if number `chosen` of `count` is chosen."""
        each = 1 if alone else self.room.capacity
        first = chosen // each * each
        return range(first, min(first + each, count))

    def caption(self, count: int, chosen: int, state: ViewState) -> str:
        """The number of plots, the visible page and the filter."""
        if not count:
            return ""
        curves = numbers.quantity(count, "curve")
        if not self.display:  # a side panel has their place
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
        board: Board,
        streaming: bool = False,
    ) -> None:
        """Show the page of the `plots` of the board with the chosen one.

        `streaming`: only data has changed, and more will follow at once.
        """
        state, overlaps = board.state, board.overlaps()
        self._grid = state.grid
        page = self.page(chosen, len(plots), state.alone)
        self._arrange(len(page))
        streaming = streaming and state is self._state
        self._state = state
        for cell, at in zip(self.cells, page, strict=True):
            plot, own = plots[at], board.state_of(plots[at])
            cell.curve.set(overlaps=overlaps if own.base_axis == state.base_axis else ())
            cell.show(plot, board.lines(plot), own, len(board.runs.listed), streaming)
            cell.set_chosen(at == chosen)

    def show_text(self, text: str) -> None:
        """Show a text instead of curves: why there are none, or what to press."""
        self._arrange(1)
        self._cells[0].set_chosen(False)
        self._cells[0].show_text(text)

    def _arrange(self, count: int) -> None:
        """Show `count` cells; the first takes the columns that the others leave free."""
        layout = layout_for(count, self._full_size, self._grid)
        if (layout, count) == (self._layout, self._count):
            return
        self._layout, self._count = layout, count
        if count > len(self._cells):
            new = [Cell() for _ in range(count - len(self._cells))]
            self._cells += new
            self.mount_all(new)
        for at, cell in enumerate(self._cells):
            cell.display = at < count
        self.styles.grid_size_columns = layout.columns
        self.styles.grid_size_rows = layout.rows
        free = layout.capacity - count
        self._cells[0].styles.column_span = free + 1
        # A curve that has the first row to itself is the most important: it is higher too.
        has_row = layout.rows > 1 and free + 1 == layout.columns > 1
        first = "3fr" if has_row else "2fr"
        self.styles.grid_rows = " ".join([first, *["2fr"] * (layout.rows - 1)])
