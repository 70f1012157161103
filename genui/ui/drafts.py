"""The window of drafts: many seeds stopped at a step, of which the marked ones are finished."""

import time
from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, Vertical
from textual.widgets import Static

from genui.base import numbers
from genui.ui.compare import ARROWS, TICKS_PER_S, ColumnsWindow
from genui.ui.generate.pane import TracePane
from genui.ui.traces.compare import Column
from genui.ui.widgets.columns import ColumnView

FEWEST, MOST = 4, 36  # drafts
WIDTH, HEIGHT = 20, 11  # cells of a draft: its seed, and an image that can be told from others


def count_fitting(width: int, height: int) -> int:
    """How many drafts fit in so many cells."""
    return min(max(FEWEST, (width // WIDTH) * (height // HEIGHT)), MOST)


class DraftsScreen(ColumnsWindow):
    """Shows drafts of a pane, each paused at its `stop_at`, and finishes the marked ones.

    A draft is a trace of its own and no row of a batch, so its image has the bits that it has
    alone. Closed while it computes, the window stops it; opened again, it goes on.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *ARROWS,
        Binding("space", "mark", "Mark, or not", show=False),
        Binding("r", "more", "Other seeds in place of the rest", show=False),
        Binding("escape,q", "leave", "Close", show=False),
    ]

    def __init__(self, pane: TracePane, drafts: Sequence[Column]) -> None:
        super().__init__(pane, drafts)
        self._controller = pane.controller
        self._steps = 0  # to be computed when they last went on
        self.traces.clip.paused = True

    def compose(self) -> ComposeResult:
        with Vertical(classes="variations drafts"):
            yield Static(classes="note", markup=False)
            with Grid(classes="cells"):
                yield from map(ColumnView, self.columns)
            yield Static(classes="keys", markup=False)

    def on_mount(self) -> None:
        self.traces.take_over()
        self._go_on()
        self.set_interval(1 / TICKS_PER_S, self.tick)

    def on_resize(self, event: events.Resize) -> None:
        self.row_length = max(1, event.size.width // WIDTH)
        self.query_one(Grid).styles.grid_size_columns = self.row_length

    # --- keys and clicks --------------------------------------------------------------

    def on_click(self, event: events.Click) -> None:
        """Choose a draft, or mark the chosen one."""
        before = self.chosen
        for index, view in enumerate(self.query(ColumnView)):
            if view.region.contains(*event.screen_offset):
                self.action_pick(index)
                if index == before:
                    self.action_mark()

    def action_mark(self) -> None:
        """Mark the chosen draft, or take its mark away."""
        column = self.columns[self.chosen]
        if column.stop_at is None:
            self.say("this one is finished, or will be: enter opens it")
            return
        column.marked = not column.marked
        self.update()

    def action_take(self) -> None:
        """Finish the marked drafts; without any, open the chosen one in the pane."""
        marked = [column for column in self.columns if column.marked]
        for column in marked:
            column.marked, column.stop_at = False, None
        if marked:
            self._go_on()
        else:
            super().action_take()

    def action_more(self) -> None:
        """Drop the drafts without a mark, and make some of other seeds."""
        rest = [c for c in self.columns if c.stop_at is not None and not c.marked]
        if not rest:
            self.say("all are marked or finished: take marks away for other seeds")
            return
        after = 1 + max(column.trace.request.seed for column in self.columns)
        more = self._controller.continuations(len(rest), after, rest[0].stop_at)
        replaced = dict(zip(map(id, rest), more, strict=True))
        self.traces.give_back(rest)
        self.traces.columns = tuple(replaced.get(id(column), column) for column in self.columns)
        self._go_on()

    def close(self, chosen: Column | None) -> None:
        """Leave the finished drafts and the chosen one to the pane, as branches."""
        for column in self.columns:
            column.trace.pause()
        if chosen is not None:
            chosen.trace.seek(chosen.place)
        self._controller.adopt(c for c in self.columns if c is chosen or c.stop_at is None)
        super().close(chosen)

    # --- requests and painting --------------------------------------------------------

    def _go_on(self) -> None:
        """Compute what is left of all drafts."""
        for column in self.columns:
            column.fault = ""  # so it is tried again
        self._opened_at, self._steps = time.monotonic(), self._left
        self.update()

    @property
    def _left(self) -> int:
        """The steps that are still to be computed."""
        return sum(column.goal - column.place for column in self.columns if not column.fault)

    def worker_lost(self) -> str:
        return "the worker ended; another starts — press any arrow to go on"

    def paint(self) -> None:
        self.paint_cells(*range(len(self.columns)))
        marked = sum(column.marked for column in self.columns)
        self.query_one(".note", Static).update(self._note or self._caption(), layout=False)
        take = f"⏎ finish {marked}" if marked else "⏎ open"
        keys = f"←↑↓→ choose · space mark · {take} · r other seeds · esc close"
        self.query_one(".keys", Static).update(keys, layout=False)

    def title_of(self, index: int) -> str:
        column = self.columns[index]
        seed = column.trace.request.seed
        if column.stop_at is not None:
            return f"{seed} ✓" if column.marked else str(seed)
        return f"{seed} ●" if column.place == column.goal else f"{seed} …"

    def _caption(self) -> str:
        """At which step the drafts are, and the time left."""
        total = self.columns[0].trace.total
        stops = [f"step {c.stop_at} of {total}" for c in self.columns if c.stop_at is not None]
        line = f"Drafts by seed · {stops[0] if stops else 'all finished'} · ✓ marked · ● finished"
        if self._left:
            share = 1 - self._left / max(1, self._steps)
            line += f" · {numbers.progress(share, self.waited, 8)}"
        return line
