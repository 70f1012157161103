"""Windows that show several traces, and own them while they are open."""

import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, Horizontal, Vertical
from textual.message_pump import MessagePump
from textual.widgets import Static

from genui.base.errors import MisuseError
from genui.base.text import clean_line
from genui.protocol import ImageFrame
from genui.protocol.edits import (
    DEFAULT_DISTANCE,
    DISTANCES,
    Variation,
    variation_method,
    variations,
)
from genui.ui import messages
from genui.ui.session import Session
from genui.ui.terminal import may_animate
from genui.ui.traces.compare import (
    Column,
    Columns,
    InStep,
    Part,
    gap,
    gap_words,
    token_words,
)
from genui.ui.traces.trees import Lost, Trace
from genui.ui.widgets.base import Row, RowList, Timeline
from genui.ui.widgets.dialogs import Window
from genui.ui.widgets.image import ColumnView

TICKS = 12.0  # times a second that what is new is drawn


CLIP_KEYS: list[BindingType] = [
    Binding("full_stop", "frame(1)", "The next frame of the clips", show=False),
    Binding("comma", "frame(-1)", "The frame before", show=False),
    Binding("semicolon", "roll", "Let the clips play, or hold them", show=False),
]


# --- Traces side by side on one timeline: branches, models or seeds, moved in step ------------

SHORT: dict[Part, str] = {"denoised": "predicted", "x": "noisy", "noise": "noise"}
CATCH_UP = {"text": 0.2, "image": 4.0}  # seconds within which the playhead is at the newest step


class CompareScreen(Window[Column | None]):
    """The columns move along one timeline; the line below says where they differ.

    Dismissed with the column to take into the pane, or None. Clips play in step.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "play", "Play or hold", show=False),
        Binding("right,l", "step(1)", "A step", show=False),
        Binding("left,h", "step(-1)", "A step back", show=False),
        Binding("shift+right,L", "step(10)", "Ten steps", show=False),
        Binding("shift+left,H", "step(-10)", "Ten back", show=False),
        Binding("home", "ends(-1)", "To the start", show=False),
        Binding("end", "ends(1)", "To the end", show=False),
        Binding("equals_sign", "part", "Where they differ", show=False),
        Binding("tab", "turn(1)", "The next column", show=False),
        Binding("shift+tab", "turn(-1)", "The column before", show=False),
        *(Binding(str(n), f"column({n - 1})", f"Column {n}", show=False) for n in range(1, 10)),
        Binding("p", "probes", "Measure the models", show=False),
        Binding("o", "swap", "Predicted, noisy or noise", show=False),
        Binding("up,k", "scroll_text(-1)", "Scroll up", show=False),
        Binding("down,j", "scroll_text(1)", "Scroll down", show=False),
        Binding("pageup", "scroll_text(-8)", "Scroll up", show=False),
        Binding("pagedown", "scroll_text(8)", "Scroll down", show=False),
        Binding("enter", "take", "Take it", show=False),
        Binding("escape,q", "leave", "Leave", show=False),
        *CLIP_KEYS,
    ]

    def __init__(
        self,
        session: Session,
        pane: MessagePump,
        columns: Sequence[Column],
        position: int,
        playing: bool = False,
        part: Part = "denoised",
    ) -> None:
        super().__init__()
        self.traces = Columns(session, self, pane, columns, part)
        self._note = ""  # said in place of what is said usually
        self._stale = True
        self._begun_at = self._painted_at = time.monotonic()
        self.going = InStep(self.columns, goal=position, playing=playing)
        self.focus_at = 0
        self._said = ""  # what the line below the columns says
        self._seen: list[tuple[int, bool]] = []  # how far each trace was when last drawn

    @property
    def columns(self) -> tuple[Column, ...]:
        """What is side by side."""
        return self.traces.columns

    def compose(self) -> ComposeResult:
        with Vertical(classes="compare"):
            with Horizontal(classes="columns"):
                for column in self.columns:
                    yield ColumnView(column)
            yield Timeline("", "")
            yield Static(classes="parting", markup=False)
            yield Static(classes="keys", markup=False)

    def on_mount(self) -> None:
        self.traces.take_over()
        self.query_one(".parting").set_class(self._images, "-two")
        look = "o view · p probes · " if self.going.images else ""
        self.query_one(".keys", Static).update(
            f"space play · ←→ · = differ · tab next · {look}⏎ take · esc close"
        )
        self.going.compare()
        self._go()
        self.set_interval(1 / TICKS, self._tick)

    # --- keys -------------------------------------------------------------------------

    def action_play(self) -> None:
        """Play all of them on, or hold them; from the end, again from the start."""
        self.going.play()
        self._go()

    def action_step(self, by: int) -> None:
        """Move all of them by that many steps."""
        self.going.step(by)
        self._go()

    def action_ends(self, direction: int) -> None:
        """To the start, or to the end."""
        self._seek(0 if direction < 0 else self.going.total)

    def action_part(self) -> None:
        """To the first step that is not the same in all of them."""
        if self.going.differs_at is not None:
            self._seek(self.going.differs_at)
        else:
            self._say("they do not differ yet: space goes on")

    def action_turn(self, by: int) -> None:
        """The focus to the next column."""
        self.action_column((self.focus_at + by) % len(self.columns))

    def action_column(self, index: int) -> None:
        """The focus to that column."""
        if index < len(self.columns):
            self.focus_at = index
            self._go()

    def action_swap(self) -> None:
        """The predicted x₀, the noisy image or the noise: the next of them."""
        self.traces.next_part()
        self._go()

    def action_probes(self) -> None:
        """Measure the models of the columns beside each other."""
        if not self.going.images:
            self._say("the probes' table is of models that draw")
            return
        from genui.ui.windows import ProbesScreen

        models = dict.fromkeys(column.trace.request.model for column in self.columns)
        self.going.hold()
        self._go()
        self.app.push_screen(ProbesScreen(tuple(models)))

    def action_frame(self, by: int) -> None:
        """Of clips: hold them, at the frame after or before."""
        if self._frames > 1:
            self.traces.clip.step(by, self._frames)
            self._paint()

    def action_roll(self) -> None:
        """Of clips: let them play, or hold them."""
        self.traces.clip.hold(self.traces.clip.moving(self._frames))
        self._paint()

    def action_scroll_text(self, by: int) -> None:
        """Scroll the column that has the focus."""
        self.query(ColumnView)[self.focus_at].scroll_text(by)

    @on(Timeline.Sought)
    def _sought(self, event: Timeline.Sought) -> None:
        self._seek(event.step)

    def _seek(self, step: int) -> None:
        self.going.seek(step)
        self._go()

    def _go(self) -> None:
        """The user moved something: ask, and show it at once."""
        self._note = ""
        self._aim()
        self._paint()

    # --- leaving ----------------------------------------------------------------------

    def action_take(self) -> None:
        """Leave with the column that has the focus, for the pane to show."""
        column = self.columns[self.focus_at]
        if not column.trace.started and not column.trace.frames:
            self._say("this column has not begun: nothing to take yet")
        elif self.is_active:
            self._close(column)

    def action_leave(self) -> None:
        if self.is_active:
            self._close(None)

    def _close(self, taken: Column | None) -> None:
        for column in self.columns:
            column.trace.seek(self.going.position)
        self.traces.close(taken)
        self.leave(taken)

    # --- what the worker says ---------------------------------------------------------

    @on(messages.Reply)
    def _reply_came(self, event: messages.Reply) -> None:
        line = self.traces.take(event.reply, time.monotonic())
        if isinstance(event.reply, Lost):
            self.going.hold()
            self._say("the worker ended; another starts — press space to go on")
        elif line is not None:
            if line:
                self._say(line)
            self._news()

    def _say(self, line: str) -> None:
        """Show a line for a person."""
        self._note = line
        self._paint()

    def _news(self) -> None:
        self._stale = True
        self._aim()

    # --- asking and painting ----------------------------------------------------------

    def _aim(self) -> None:
        """Ask for what each needs next."""
        if not self.traces.is_open:
            return  # messages that were under way still reach the traces
        for trace in self.going.aim():
            self.traces.ask(trace)

    @property
    def _frames(self) -> int:
        return self.traces.frames([self.going.position] * len(self.columns))

    def _tick(self) -> None:
        if not self.traces.is_open:
            return
        moved = self.going.tick(CATCH_UP["image" if self.going.images else "text"] * TICKS)
        seen = [(trace.computed, trace.started) for trace in self.going.traces]
        loading = any(trace.loading for trace in self.going.traces)
        moved = self.traces.clip.tick(self._frames) or moved
        if seen != self._seen:
            self._stale, self._seen = True, seen
            self.going.compare()
        self._stale = self._stale or moved or loading
        if self._stale and may_animate(self.app, self._painted_at):
            self._stale = False
            self._paint()

    def _paint(self) -> None:
        if not self.traces.is_open:
            return
        self._painted_at = time.monotonic()
        going, waited = self.going, self._painted_at - self._begun_at
        for index, view in enumerate(self.query(ColumnView)):
            focused = index == self.focus_at
            view.paint(
                going.position,
                self.traces.part,
                focused,
                going.playing,
                waited,
                self.traces.clip.at,
            )
        timeline = self.query_one(Timeline)
        total = going.total
        timeline.left = f"step {going.position:>{len(str(total))}}/{total}"
        timeline.total = total
        timeline.computed = going.available
        timeline.position = going.position
        timeline.right = self.traces.clip.words(self._frames) if self._frames > 1 else ""
        line = self._note or self._difference_line()
        if self._images:
            line += f"\n{self._gap_line()}"
        if line != self._said:
            self._said = line
            self.query_one(".parting", Static).update(line, layout=False)

    @property
    def _images(self) -> bool:
        """Whether there are two images, which have a second line: how far they are apart."""
        return self.going.images and len(self.columns) == 2

    def _difference_line(self) -> str:
        step, common = self.going.differs_at, self.going.in_common
        if step is None:
            ended = common >= self.going.total > 0
            return f"identical {'to the end' if ended else 'so far'}, {common} steps"
        words = token_words([column.frame_at(step) for column in self.columns])
        if step == self.going.position:
            return f"they differ from this step on, {step}{words}"
        return f"they differ from step {step} on{words} (= goes there)"

    def _gap_line(self) -> str:
        step = self.going.position
        frames = [column.frame_at(step) for column in self.columns]
        images = [frame for frame in frames if isinstance(frame, ImageFrame)]
        if len(images) != 2:
            return "no image yet"
        found = gap(images[0], images[1], self.traces.part)
        if found is None:
            return "their images are of different sizes"
        return f"{SHORT[self.traces.part]} at step {step}: {gap_words(found)}"


# --- More like this one: variations beside the sample they vary, to choose from and go on with

ACROSS = 3  # images in a row
COUNT = 5  # variations at once: with the sample they vary, two rows
PREVIEW = 200  # characters of a text in the list

Keep = Callable[[Trace[Any]], None]
Sheet = Callable[[Sequence[Column]], None]


class VariationsScreen(Window[Column | None]):
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
        Binding("o", "swap", "Predicted, noisy or noise", show=False),
        Binding("pageup", "scroll_text(-8)", "Scroll up", show=False),
        Binding("pagedown", "scroll_text(8)", "Scroll down", show=False),
        Binding("enter", "take", "Take it", show=False),
        Binding("escape,q,v", "leave", "Leave", show=False),
        *CLIP_KEYS,
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
        super().__init__()
        self.traces = Columns(session, self, pane, [sample], part)
        self._note = ""  # said in place of what is said usually
        self._stale = True
        self._begun_at = self._painted_at = time.monotonic()
        self._sample = sample
        self._step = step
        self._seed = seed  # of the first variation
        self._keep = keep
        self._sheet = sheet
        self.distance = DEFAULT_DISTANCE
        self.chosen = 0
        self._forked_at: list[int] = [0]  # of every column, where it leaves the sample
        self._kept: set[int] = set()  # ids of traces

    @property
    def columns(self) -> tuple[Column, ...]:
        """What is side by side."""
        return self.traces.columns

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
        self.traces.take_over()
        look = "" if self._sample.trace.first else "o view · "
        self.query_one(".keys", Static).update(
            f"←→ · + - distance · r others · {look}* keep · x sheet · ⏎ take · esc close"
        )
        self._make()
        self.set_interval(1 / TICKS, self._tick)

    # --- making -----------------------------------------------------------------------

    def _make(self) -> None:
        """Forks of the sample at the distance that is chosen, from the seeds that are next."""
        before, self.traces.columns = self.columns[1:], self.columns[:1]
        self.traces.give_back(before)
        trace, seeds = self._sample.trace, [(self._seed + n) % 2**63 for n in range(COUNT)]
        try:
            found = variations(trace.request, self._step, self.distance, seeds)
        except MisuseError as fault:
            self._say(str(fault))
            return
        self.traces.columns = (self._sample, *(self._fork(trace, each) for each in found))
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
        """All of them as one image file."""
        if any(not column.fault and not column.trace.finished for column in self.columns[1:]):
            self._say("they are not finished yet: wait a moment, then press x again")
            return
        self._sheet([column for column in self.columns if not column.fault])

    def action_swap(self) -> None:
        """The predicted x₀, the noisy image or the noise: the next of them."""
        if not self._sample.trace.first:
            self.traces.next_part()
            self._paint()

    def action_frame(self, by: int) -> None:
        """Of clips: hold them, at the frame after or before."""
        if self._frames > 1:
            self.traces.clip.step(by, self._frames)
            self._paint()

    def action_roll(self) -> None:
        """Of clips: let them play, or hold them."""
        self.traces.clip.hold(self.traces.clip.moving(self._frames))
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
            self._close(column)

    def action_leave(self) -> None:
        if self.is_active:
            self._sample.trace.seek(self._step)
            self._close(None)

    def _close(self, taken: Column | None) -> None:
        self.traces.close(taken)
        self.leave(taken)

    @on(RowList.Chosen)
    def _row_chosen(self, event: RowList.Chosen) -> None:
        if event.key and int(event.key) != self.chosen:
            self.action_pick(int(event.key))

    @on(RowList.Opened)
    def _row_opened(self) -> None:
        self.action_take()

    def tell(self, line: str) -> None:
        """Say what came of keeping or writing."""
        if self.traces.is_open:
            self._say(line)

    # --- asking and painting ----------------------------------------------------------

    @on(messages.Reply)
    def _reply_came(self, event: messages.Reply) -> None:
        line = self.traces.take(event.reply, time.monotonic())
        if isinstance(event.reply, Lost):
            self._say("the worker ended; another starts — press r for others")
        elif line is not None:
            if line:
                self._say(line)
            self._news()

    def _say(self, line: str) -> None:
        """Show a line for a person."""
        self._note = line
        self._paint()

    def _news(self) -> None:
        self._stale = True
        if not self.traces.is_open:
            return
        self.traces.clip.again()
        for column in self.columns[1:]:
            if not column.fault:
                column.trace.goal = column.trace.total
                self.traces.ask(column.trace)

    def _tick(self) -> None:
        if not self.traces.is_open:
            return
        moved = self.traces.clip.tick(self._frames)
        loading = any(column.trace.loading for column in self.columns)
        self._stale = self._stale or loading or moved
        if self._stale and may_animate(self.app, self._painted_at):
            self._stale = False
            self._paint()

    def _paint(self) -> None:
        if not self.traces.is_open:
            return
        self._painted_at = time.monotonic()
        if self._sample.trace.first:
            self._paint_texts()
        else:
            self._paint_images()
        self.query_one(".note", Static).update(self._note or self._words(), layout=False)

    def _words(self) -> str:
        """Where these are, and by what means."""
        means = variation_method(self._sample.trace.request.settings).title
        place = f"{self.chosen + 1} of {len(self.columns)} · {DISTANCES[self.distance]}: {means}"
        return f"{place} · {self.traces.clip.words(self._frames)}" if self._frames > 1 else place

    def _place(self, column: Column) -> int:
        return self._step if column is self._sample else column.trace.computed

    @property
    def _frames(self) -> int:
        return self.traces.frames([self._place(column) for column in self.columns])

    def _paint_images(self) -> None:
        waited = self._painted_at - self._begun_at
        for index, view in enumerate(self.query(ColumnView)):
            view.display = index < len(self.columns)
            if view.display:
                column = self.columns[index]
                view.column = Column(column.trace, self._title(index), None, column.fault)
                chosen = index == self.chosen
                at = self._place(column)
                view.paint(at, self.traces.part, chosen, False, waited, self.traces.clip.at)

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
        view.paint(
            self._place(column), self.traces.part, True, going, self._painted_at - self._begun_at
        )

    def _preview(self, index: int) -> str:
        """What it says where it leaves the sample."""
        column = self.columns[index]
        if column.fault:
            return clean_line(column.fault, PREVIEW)
        first = self._forked_at[index] if index else self._forked_at[-1]
        frames = column.trace.frames[first : self._place(column)]
        text = "".join(frame.text for frame in frames[:PREVIEW])
        return clean_line(text, PREVIEW)
