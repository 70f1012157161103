"""The curves of a page side by side: as many as have room, or the chosen one alone."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from textual.app import ComposeResult
from textual.containers import Container
from textual.geometry import Size
from textual.message import Message
from textual.style import Style

from genui.render import numbers
from genui.render.sanitise import clean_line
from genui.ui.board.cell import Cell
from genui.ui.leaving import DeafWhenLeaving

if TYPE_CHECKING:
    from genui.ui.board.board import Line
    from genui.ui.board.plots import Plot
    from genui.ui.board.view_state import ViewState

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

    def words(self, count: int, chosen: int, state: "ViewState") -> str:
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
        plots: Sequence["Plot"],
        chosen: int,
        state: "ViewState",
        lines: Callable[["Plot"], Sequence["Line"]],
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
