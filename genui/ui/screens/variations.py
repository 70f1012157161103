"""More like this one: variations beside the sample they vary, to choose from and go on with."""

import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, Vertical
from textual.message_pump import MessagePump
from textual.widgets import Static

from genui.errors import MisuseError
from genui.render.sanitise import clean_line
from genui.ui.compare import Part
from genui.ui.driver import may_move
from genui.ui.in_step import Column
from genui.ui.panes.rows import Row, RowList
from genui.ui.screens.columns import TICKS, ColumnsWindow
from genui.ui.session import Session
from genui.ui.trace import Trace
from genui.ui.widgets.column import ColumnView
from genui.variations import DISTANCES, USUAL, Variation, means_of, variations

ACROSS = 3  # pictures in a row
COUNT = 5  # variations at once: with the sample they vary, two rows
PREVIEW = 200  # characters of a text in the list

Keep = Callable[[Trace[Any]], None]
Sheet = Callable[[Sequence[Column]], None]


class VariationsScreen(ColumnsWindow):
    """The first column is the sample itself, at `step`; the others are forks of its trace.

    Farther or nearer, or from other seeds, they are made anew. `keep` keeps a trace as a
    favourite and `sheet` writes columns to a file; both say what came of it by `tell`.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,l", "choose(1)", "The next", show=False),
        Binding("left,h", "choose(-1)", "The one before", show=False),
        Binding("down,j", "row(1)", "The row below", show=False),
        Binding("up,k", "row(-1)", "The row above", show=False),
        Binding("tab", "choose(1)", "The next", show=False),
        Binding("shift+tab", "choose(-1)", "The one before", show=False),
        *(Binding(str(n), f"pick({n - 1})", f"Number {n}", show=False) for n in range(1, 7)),
        Binding("plus,equals_sign", "distance(1)", "Farther", show=False),
        Binding("minus", "distance(-1)", "Nearer", show=False),
        Binding("r,space", "more", "Others", show=False),
        Binding("asterisk", "keep", "Keep as a favourite", show=False),
        Binding("x", "sheet", "Contact sheet", show=False),
        Binding("o", "swap", "Guess, noisy or noise", show=False),
        Binding("pageup", "scroll_text(-8)", "Scroll up", show=False),
        Binding("pagedown", "scroll_text(8)", "Scroll down", show=False),
        Binding("enter", "take", "Take it", show=False),
        Binding("escape,q,v", "leave", "Leave", show=False),
    ]

    def __init__(
        self,
        session: Session,
        pane: MessagePump,
        sample: Column,
        step: int,
        seed: int,
        part: Part,
        keep: Keep,
        sheet: Sheet,
    ) -> None:
        super().__init__(session, pane, [sample], part)
        self._sample = sample
        self._step = step
        self._seed = seed  # of the first variation
        self._keep = keep
        self._sheet = sheet
        self.distance = USUAL
        self.chosen = 0
        self._forked_at: list[int] = [0]  # of every column, where it leaves the sample
        self._kept: set[int] = set()  # ids of traces

    def compose(self) -> ComposeResult:
        with Vertical(classes="variations"):
            if self._sample.trace.first:
                yield RowList(id="texts", empty="nothing yet")
                yield ColumnView(self._sample)
            else:
                with Grid(classes="cells"):
                    for _ in range(1 + COUNT):
                        yield ColumnView(self._sample)
            yield Static(classes="note", markup=False)
            yield Static(classes="keys", markup=False)

    def on_mount(self) -> None:
        self._take_over()
        look = "" if self._sample.trace.first else "o view · "
        self.query_one(".keys", Static).update(
            f"←→ · + - distance · r others · {look}* keep · x sheet · ⏎ take · esc leave"
        )
        self._make()
        self.set_interval(1 / TICKS, self._tick)

    # --- making -----------------------------------------------------------------------

    def _make(self) -> None:
        """Forks of the sample at the distance that is chosen, from the seeds that are next."""
        before, self.columns = self.columns[1:], self.columns[:1]
        self._give_back(before)
        trace, seeds = self._sample.trace, [(self._seed + n) % 2**63 for n in range(COUNT)]
        try:
            found = variations(trace.request, self._step, self.distance, seeds)
        except MisuseError as fault:
            self._say(str(fault))
            return
        self.columns = (self._sample, *(self._fork(trace, each) for each in found))
        self._forked_at = [0, *(each.step for each in found)]
        self.chosen = min(self.chosen, len(self.columns) - 1)
        self._note = ""
        self._begun_at = time.monotonic()
        self._news()
        self._paint()

    def _fork(self, trace: Trace[Any], variation: Variation) -> Column:
        fork = trace.fork(variation.step, *variation.edits)
        return Column(fork, variation.label)

    # --- keys -------------------------------------------------------------------------

    def action_choose(self, by: int) -> None:
        """The next one, or the one before."""
        self.action_pick((self.chosen + by) % len(self.columns))

    def action_row(self, by: int) -> None:
        """The one below or above: in a list the next."""
        if self._sample.trace.first:
            self.action_choose(by)
        else:
            self.action_pick(self.chosen + by * ACROSS)

    def action_pick(self, index: int) -> None:
        """That one."""
        if 0 <= index < len(self.columns):
            self.chosen = index
            self._note = ""
            self._paint()

    def action_distance(self, by: int) -> None:
        """Farther from the sample, or nearer."""
        distance = max(0, min(self.distance + by, len(DISTANCES) - 1))
        if distance == self.distance:
            self._say(f"they are {DISTANCES[distance]} already: r makes others")
            return
        self.distance = distance
        self._make()

    def action_more(self) -> None:
        """Others at the same distance."""
        self._seed += COUNT
        self._make()

    def action_keep(self) -> None:
        """Keep the chosen one as a favourite."""
        trace = self.columns[self.chosen].trace
        if not trace.frames:
            self._say("this one has not begun: nothing to keep yet")
            return
        self._kept.add(id(trace))
        self._keep(trace)
        self._paint()

    def action_sheet(self) -> None:
        """All of them as one picture file."""
        if any(not column.fault and not column.trace.finished for column in self.columns[1:]):
            self._say("they are not finished yet: wait a moment, then press x again")
            return
        self._sheet([column for column in self.columns if not column.fault])

    def action_swap(self) -> None:
        """The guess, the noisy picture or the noise: the next of them."""
        if not self._sample.trace.first:
            self._next_view()
            self._paint()

    def action_scroll_text(self, by: int) -> None:
        """Scroll the chosen text."""
        self.query_one(ColumnView).scroll_text(by)

    def action_take(self) -> None:
        """Go on with the chosen one, as a branch of the pane."""
        column = self.columns[self.chosen]
        if not column.trace.started and not column.trace.frames:
            self._say("this one has not begun: nothing to go on with yet")
        elif self.is_active:
            self._sample.trace.seek(self._step)
            column.trace.seek(column.trace.computed if column is not self._sample else self._step)
            self._leave_with(column)

    def action_leave(self) -> None:
        if self.is_active:
            self._sample.trace.seek(self._step)
            self._leave_with(None)

    @on(RowList.Chosen)
    def _row_chosen(self, event: RowList.Chosen) -> None:
        if event.key and int(event.key) != self.chosen:
            self.action_pick(int(event.key))

    @on(RowList.Opened)
    def _row_opened(self) -> None:
        self.action_take()

    def tell(self, line: str) -> None:
        """Say what came of keeping or writing."""
        if not self._left:
            self._say(line)

    # --- asking and painting ----------------------------------------------------------

    def _lost(self) -> None:
        self._say("the worker ended; another starts — press r for others")

    def _news(self) -> None:
        self._stale = True
        if self._left:
            return
        self.clip.again()
        for column in self.columns[1:]:
            if not column.fault:
                column.trace.goal = column.trace.total
                self._session.ask(self, column.trace)

    def _tick(self) -> None:
        if self._left:
            return
        moved = self.clip.tick(self._frames)
        loading = any(column.trace.loading for column in self.columns)
        self._stale = self._stale or loading or moved
        if self._stale and may_move(self.app, self._painted_at):
            self._stale = False
            self._paint()

    def _paint(self) -> None:
        if self._left:
            return
        self._painted_at = time.monotonic()
        if self._sample.trace.first:
            self._paint_texts()
        else:
            self._paint_pictures()
        self.query_one(".note", Static).update(self._note or self._words(), layout=False)

    def _words(self) -> str:
        """Where these are, and by what means."""
        means = means_of(self._sample.trace.request.settings).words
        place = f"{self.chosen + 1} of {len(self.columns)} · {DISTANCES[self.distance]}: {means}"
        return f"{place} · {self.clip.words(self._frames)}" if self._frames > 1 else place

    def _place(self, column: Column) -> int:
        return self._step if column is self._sample else column.trace.computed

    def _paint_pictures(self) -> None:
        waited = self._painted_at - self._begun_at
        for index, view in enumerate(self.query(ColumnView)):
            view.display = index < len(self.columns)
            if view.display:
                column = self.columns[index]
                view.column = Column(column.trace, self._title(index), None, column.fault)
                chosen = index == self.chosen
                at = self._place(column)
                view.paint(at, self._view, chosen, False, waited, self.clip.at)

    def _title(self, index: int) -> str:
        column = self.columns[index]
        star = "★ " if id(column.trace) in self._kept else ""
        return f"{star}{index + 1} {'this one' if index == 0 else column.label}"

    def _paint_texts(self) -> None:
        rows = [
            Row(str(index), self._title(index), self._preview(index))
            for index in range(len(self.columns))
        ]
        texts, view = self.query_one(RowList), self.query_one(ColumnView)
        texts.set_rows(rows)
        texts.chosen = str(self.chosen)
        column = self.columns[self.chosen]
        view.column = Column(column.trace, self._title(self.chosen), None, column.fault)
        going = column is not self._sample and not column.trace.finished
        view.paint(self._place(column), self._view, True, going, self._painted_at - self._begun_at)

    def _preview(self, index: int) -> str:
        """What it says where it leaves the sample."""
        column = self.columns[index]
        if column.fault:
            return clean_line(column.fault, PREVIEW)
        first = self._forked_at[index] if index else self._forked_at[-1]
        frames = column.trace.frames[first : self._place(column)]
        text = "".join(frame.text for frame in frames[:PREVIEW])
        return clean_line(text, PREVIEW)
