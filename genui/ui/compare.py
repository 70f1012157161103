"""The Compare and Variations windows, which show several traces and own them while open."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, Horizontal, Vertical
from textual.widgets import Static

from genui.base.errors import MisuseError
from genui.base.late import late_imports
from genui.base.text import clean_line
from genui.protocol.edits import DEFAULT_DISTANCE, DISTANCES, variation_method, variations
from genui.protocol.messages import text_of_frames
from genui.ui import messages
from genui.ui.generate.look import PART_NAMES
from genui.ui.terminal import may_animate
from genui.ui.traces.compare import (
    Column,
    Columns,
    SharedTimeline,
    describe_tokens,
    image_difference,
)
from genui.ui.traces.trees import Lost, ShownTrace
from genui.ui.widgets.columns import ColumnView
from genui.ui.widgets.dialogs import Window
from genui.ui.widgets.lists import ListRow, RowList
from genui.ui.widgets.timeline import Timeline

with late_imports():
    from genui.ui import windows

if TYPE_CHECKING:
    from genui.ui.generate.pane import TracePane

TICKS_PER_S = 12.0
ARROWS: tuple[BindingType, ...] = (
    Binding("right,l", "choose(1)", "Next", show=False),
    Binding("left,h", "choose(-1)", "Previous", show=False),
    Binding("down,j", "row(1)", "Row below", show=False),
    Binding("up,k", "row(-1)", "Row above", show=False),
)
"""Bindings of windows whose columns stand in rows."""


class ColumnsWindow(Window[Column | None]):
    """The base of both windows, which take the columns of a pane."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "choose(1)", "Next column", show=False),
        Binding("shift+tab", "choose(-1)", "Previous column", show=False),
        Binding("right_square_bracket", "swap(1)", "Predicted, noisy or noise", show=False),
        Binding("left_square_bracket", "swap(-1)", "The previous image", show=False),
        Binding("pageup", "scroll_text(-8)", "Scroll up", show=False),
        Binding("pagedown", "scroll_text(8)", "Scroll down", show=False),
        Binding("enter", "take", "Open", show=False),
        Binding("full_stop", "frame(1)", "Next frame of the clips", show=False),
        Binding("comma", "frame(-1)", "Previous frame", show=False),
        Binding("semicolon", "roll", "Play or pause the clips", show=False),
    ]

    def __init__(self, pane: "TracePane", columns: Sequence[Column]) -> None:
        super().__init__()
        # Finished images have no noise to show.
        part = "denoised" if pane.view.part == "noise" else pane.view.part
        self.traces = Columns(pane.session, self, pane, columns, part)
        self.chosen = 0  # the index of the column that the keys act on
        self.row_length = 1  # columns
        self._note = ""  # shown in place of the usual line
        self._stale = True
        self._opened_at = self._painted_at = time.monotonic()

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.traces.columns

    def title_of(self, index: int) -> str:
        """The title of a column."""
        return self.columns[index].label

    @property
    def clip_frames(self) -> int:
        """The number of frames of the clips; 1 for images."""
        return self.traces.frames([column.place for column in self.columns])

    def worker_lost(self) -> str:
        """Handle the end of the worker. Returns the line for the user."""
        raise NotImplementedError

    def request(self) -> None:
        """Ask the worker for the next step of each column without a fault."""
        for column in self.columns:
            if self.traces.is_open and not column.fault:
                column.trace.goal = max(column.goal, column.trace.computed)
                self.traces.ask(column.trace)

    def paint(self) -> None:
        """Draw all columns and the lines below them."""
        raise NotImplementedError

    def paint_cells(self, *indices: int) -> None:
        """Draw these columns, each at its place, in a cell of its own."""
        for at, view in enumerate(self.query(ColumnView)):
            view.display = at < len(indices)
            if view.display:
                column, focused = self.columns[indices[at]], indices[at] == self.chosen
                view.column = replace(column, label=self.title_of(indices[at]))
                moves, clip = column.place < column.goal, self.traces.clip.at
                view.paint(column.place, self.traces.part, focused, moves, self.waited, clip)

    def say(self, line: str) -> None:
        """Show a line for the user, if the window is still open."""
        self._note = line
        self.repaint()

    def repaint(self) -> None:
        if self.traces.is_open:
            self._painted_at = time.monotonic()
            self.paint()

    def update(self) -> None:
        """Show a change that the user made: send requests and paint at once."""
        self._note = ""
        self.traces.clip.restart()
        self.request()
        self.repaint()

    @property
    def waited(self) -> float:
        """Seconds since the columns were opened."""
        return self._painted_at - self._opened_at

    def paint_if(self, changed: bool) -> None:
        """Paint once the terminal is ready, if something has changed."""
        self._stale = self._stale or changed or any(c.trace.loading for c in self.columns)
        if self._stale and may_animate(self.app, self._painted_at):
            self._stale = False
            self.repaint()

    def action_choose(self, by: int) -> None:
        self.action_pick((self.chosen + by) % len(self.columns))

    def action_pick(self, index: int) -> None:
        """Choose a column by its index, if there are that many."""
        if 0 <= index < len(self.columns):
            self.chosen = index
            self.update()

    def action_row(self, by: int) -> None:
        """Choose the column in the row below, or above."""
        self.action_pick(self.chosen + by * self.row_length)

    def action_swap(self, by: int) -> None:
        """Show the next view, or the one before: the predicted x₀, the noisy image or the noise."""
        self.traces.next_part(by)
        self.update()

    def action_frame(self, by: int) -> None:
        """Pause the clips at the next or previous frame."""
        if self.clip_frames > 1:
            self.traces.clip.step(by, self.clip_frames)
            self.repaint()

    def action_roll(self) -> None:
        self.traces.clip.toggle(self.clip_frames)
        self.repaint()

    def action_take(self) -> None:
        """Close, and show the chosen column in the pane."""
        column = self.columns[self.chosen]
        if not column.trace.started and not column.trace.frames:
            self.say("no steps yet: nothing to open")
        elif self.is_active:
            self.close(column)

    def action_leave(self) -> None:
        if self.is_active:
            self.close(None)

    def tick(self) -> None:
        """Paint what has changed."""
        if self.traces.is_open:
            self.paint_if(self.traces.clip.tick(self.clip_frames))

    @on(messages.Reply)
    def _take_reply(self, event: messages.Reply) -> None:
        line = self.traces.handle(event.reply, time.monotonic())
        if isinstance(event.reply, Lost):
            self.say(self.worker_lost())
        elif line is not None:
            if line:
                self.say(line)
            self._stale = True
            self.request()

    def close(self, chosen: Column | None) -> None:
        """Give the columns back to the pane, and close."""
        self.traces.close(chosen)
        self.leave(chosen)


# --- Traces side by side on one timeline: branches, models or seeds ---------------------------

WIDE = 92  # columns in which all keys fit below the columns

CATCH_UP = {"text": 0.2, "image": 4.0}  # seconds in which the playhead reaches the newest step


class CompareScreen(ColumnsWindow):
    """Shows columns on one timeline, and the step from which they differ.

    Dismissed with the column to take into the pane, or None. Clips play at the same frame.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "play", "Play or pause", show=False),
        Binding("right,l", "step(1)", "One step", show=False),
        Binding("left,h", "step(-1)", "One step back", show=False),
        Binding("shift+right,L", "step(10)", "Ten steps", show=False),
        Binding("shift+left,H", "step(-10)", "Ten steps back", show=False),
        Binding("home", "ends(-1)", "Start", show=False),
        Binding("end", "ends(1)", "End", show=False),
        Binding("equals_sign", "difference", "First difference", show=False),
        *(Binding(str(n), f"pick({n - 1})", f"Column {n}", show=False) for n in range(1, 10)),
        Binding("i", "probes", "Measure the models", show=False),
        Binding("up,k", "scroll_text(-1)", "Scroll up", show=False),
        Binding("down,j", "scroll_text(1)", "Scroll down", show=False),
        Binding("escape,q", "leave", "Close", show=False),
    ]

    def __init__(
        self, pane: "TracePane", columns: Sequence[Column], position: int, playing: bool
    ) -> None:
        super().__init__(pane, columns)
        self.timeline = SharedTimeline(self.columns, goal=position, playing=playing)
        self._line = ""  # below the columns
        self._progress: list[tuple[int, bool]] = []  # of each trace when last painted

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
        self.query_one(".parting").set_class(self._two_images, "-two")
        self.timeline.compare()
        self.update()
        self.set_interval(1 / TICKS_PER_S, self.tick)

    def on_resize(self, event: events.Resize) -> None:
        shown = ["space play", "←→ step", "= difference", "tab next"]
        if self.timeline.shows_images:
            shown += ["[] view"]
        if event.size.width >= WIDE:
            shown += ["i metrics"]
        self.query_one(".keys", Static).update(" · ".join([*shown, "⏎ open", "esc close"]))

    # --- keys -------------------------------------------------------------------------

    def action_play(self) -> None:
        """Play or pause all columns; at the end, play again from the start."""
        self.timeline.play()
        self.update()

    def action_step(self, by: int) -> None:
        self.timeline.step(by)
        self.update()

    def action_ends(self, direction: int) -> None:
        self._seek(0 if direction < 0 else self.timeline.total)

    def action_difference(self) -> None:
        """Go to the first step that differs between the columns."""
        if self.timeline.differs_at is not None:
            self._seek(self.timeline.differs_at)
        else:
            self.say("they do not differ yet: press space to continue")

    def action_probes(self) -> None:
        """Measure the models of the columns; of texts, what that of this column remembers."""
        models = dict.fromkeys(column.trace.request.model for column in self.columns)
        self.timeline.pause()
        self.update()
        screen = windows.MetricsScreen(tuple(models))
        if not self.timeline.shows_images:
            model = self.columns[self.chosen].trace.request.model
            screen = windows.MetricsScreen((model,), windows.PROBER, windows.TEXT_PROBES)
        self.app.push_screen(screen)

    def action_scroll_text(self, by: int) -> None:
        self.query(ColumnView)[self.chosen].scroll_text(by)

    @on(Timeline.Clicked)
    def _timeline_clicked(self, event: Timeline.Clicked) -> None:
        self._seek(event.step)

    def _seek(self, step: int) -> None:
        self.timeline.seek(step)
        self.update()

    # --- leaving ----------------------------------------------------------------------

    def close(self, chosen: Column | None) -> None:
        for column in self.columns:
            column.trace.seek(self.timeline.position)
        super().close(chosen)

    # --- requests and painting --------------------------------------------------------

    def worker_lost(self) -> str:
        self.timeline.pause()
        return "the worker ended; another starts — press space to continue"

    def request(self) -> None:
        if not self.traces.is_open:
            return  # late messages still reach the traces
        for trace in self.timeline.set_goals():
            self.traces.ask(trace)

    @property
    def clip_frames(self) -> int:
        return self.traces.frames([self.timeline.position] * len(self.columns))

    def tick(self) -> None:
        if not self.traces.is_open:
            return
        seconds = CATCH_UP["image" if self.timeline.shows_images else "text"]
        changed = self.timeline.tick(seconds * TICKS_PER_S)
        progress = [(trace.computed, trace.started) for trace in self.timeline.traces]
        changed = self.traces.clip.tick(self.clip_frames) or changed
        if progress != self._progress:
            self._progress, changed = progress, True
            self.timeline.compare()
        self.paint_if(changed)

    def paint(self) -> None:
        shared, clip = self.timeline, self.traces.clip
        for index, view in enumerate(self.query(ColumnView)):
            focused = index == self.chosen
            part, playing = self.traces.part, shared.playing
            view.paint(shared.position, part, focused, playing, self.waited, clip.at)
        bar = self.query_one(Timeline)
        bar.left = f"step {shared.position:>{len(str(shared.total))}}/{shared.total}"
        bar.total, bar.computed, bar.position = shared.total, shared.available, shared.position
        bar.right = clip.text(self.clip_frames) if self.clip_frames > 1 else ""
        line = self._note or self._difference_line()
        if self._two_images:
            line += f"\n{self._gap_line()}"
        if line != self._line:
            self._line = line
            self.query_one(".parting", Static).update(line, layout=False)

    @property
    def _two_images(self) -> bool:
        """Whether there are two images; a second line says how much they differ."""
        return self.timeline.shows_images and len(self.columns) == 2

    def _difference_line(self) -> str:
        step, common = self.timeline.differs_at, self.timeline.common_steps
        if step is None:
            ended = common >= self.timeline.total > 0
            return f"identical {'to the end' if ended else 'so far'}, {common} steps"
        tokens = describe_tokens([column.frame_at(step) for column in self.columns])
        if step == self.timeline.position:
            return f"they differ from here on, step {step}{tokens}"
        return f"they differ from step {step} on{tokens}; press = to go there"

    def _gap_line(self) -> str:
        step, part = self.timeline.position, self.traces.part
        one, other = (column.frame_at(step) for column in self.columns)
        if one is None or other is None:
            return "no image yet"
        difference = image_difference(one, other, part)
        if difference is None:
            return "their images are of different sizes"
        return f"{PART_NAMES[part]} at step {step}: {difference.text}"


# --- Variations of a sample, to choose one and continue with it -------------------------------

ROW_LENGTH = 3  # images
COUNT = 5  # variations at once: two rows with the sample itself
MAX_PREVIEW = 200  # characters of a text in the list

Keep = Callable[[ShownTrace[Any]], None]
Sheet = Callable[[Sequence[Column]], None]


class VariationsScreen(ColumnsWindow):
    """Shows a sample at `step` and, in the other columns, forks of its trace.

    Another distance or other seeds make new forks. `keep` saves a trace as a favourite and
    `sheet` writes columns to a file; both report with `say`.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *ARROWS,
        *(Binding(str(n), f"pick({n - 1})", f"Number {n}", show=False) for n in range(1, 7)),
        Binding("plus,equals_sign", "distance(1)", "Farther", show=False),
        Binding("minus", "distance(-1)", "Nearer", show=False),
        Binding("r,space", "more", "Others", show=False),
        Binding("asterisk", "keep", "Save as a favourite", show=False),
        Binding("x", "sheet", "Contact sheet", show=False),
        Binding("escape,q,v", "leave", "Close", show=False),
    ]

    def __init__(
        self, pane: "TracePane", sample: Column, step: int, seed: int, keep: Keep, sheet: Sheet
    ) -> None:
        sample.stop_at = step
        super().__init__(pane, [sample])
        self._sample = sample
        self.row_length = 1 if sample.trace.first else ROW_LENGTH  # texts are a list
        self._step = step
        self._seed = seed  # of the first variation
        self._keep = keep
        self._sheet = sheet
        self.distance = DEFAULT_DISTANCE
        self._forked_at: list[int] = [0]  # the step at which each column forks
        self._favourites: set[int] = set()  # `id` of traces

    def compose(self) -> ComposeResult:
        with Vertical(classes="variations"):
            yield Static(classes="note", markup=False)
            if self._sample.trace.first:
                yield RowList(id="texts", empty="nothing yet")
                yield ColumnView(self._sample)
            else:
                with Grid(classes="cells"):
                    for _ in range(1 + COUNT):
                        yield ColumnView(self._sample)
            yield Static(classes="keys", markup=False)

    def on_mount(self) -> None:
        self.traces.take_over()
        self._make_variations()
        self.set_interval(1 / TICKS_PER_S, self.tick)

    def on_resize(self, event: events.Resize) -> None:
        shown = ["←→ choose", "+− distance", "r others", "* favourite", "⏎ open", "esc close"]
        if event.size.width >= WIDE:
            shown[3:3] = ["x sheet"] if self._sample.trace.first else ["[] view", "x sheet"]
        self.query_one(".keys", Static).update(" · ".join(shown))

    def _make_variations(self) -> None:
        """Fork the sample at the chosen distance, with the next seeds."""
        old, self.traces.columns = self.columns[1:], self.columns[:1]
        self.traces.give_back(old)
        trace, seeds = self._sample.trace, [(self._seed + n) % 2**63 for n in range(COUNT)]
        try:
            forks = variations(trace.request, self._step, self.distance, seeds)
        except MisuseError as error:
            self.say(str(error))
            return
        columns = (Column(trace.fork(fork.step, *fork.edits), fork.label) for fork in forks)
        self.traces.columns = (self._sample, *columns)
        self._forked_at = [0, *(fork.step for fork in forks)]
        self.chosen = min(self.chosen, len(self.columns) - 1)
        self._opened_at = time.monotonic()
        self.update()

    # --- keys -------------------------------------------------------------------------

    def action_distance(self, by: int) -> None:
        """Make variations farther from the sample, or nearer."""
        distance = max(0, min(self.distance + by, len(DISTANCES) - 1))
        if distance == self.distance:
            self.say(f"they are {DISTANCES[distance]} already: r makes new ones")
            return
        self.distance = distance
        self._make_variations()

    def action_more(self) -> None:
        """Make others at the same distance."""
        self._seed += COUNT
        self._make_variations()

    def action_keep(self) -> None:
        trace = self.columns[self.chosen].trace
        if not trace.frames:
            self.say("no steps yet: nothing to save")
            return
        self._favourites.add(id(trace))
        self._keep(trace)
        self.repaint()

    def action_sheet(self) -> None:
        if any(not column.fault and not column.trace.finished for column in self.columns[1:]):
            self.say("not finished yet: wait a moment, then press x again")
            return
        self._sheet([column for column in self.columns if not column.fault])

    def action_scroll_text(self, by: int) -> None:
        self.query_one(ColumnView).scroll_text(by)

    def close(self, chosen: Column | None) -> None:
        """Continue with the chosen one at its end, or with the sample where it was."""
        self._sample.trace.seek(self._step)
        if chosen is not None:
            chosen.trace.seek(chosen.place)
        super().close(chosen)

    @on(RowList.Chosen)
    def _row_chosen(self, event: RowList.Chosen) -> None:
        if event.key and int(event.key) != self.chosen:
            self.action_pick(int(event.key))

    @on(RowList.Opened)
    def _row_opened(self) -> None:
        self.action_take()

    # --- requests and painting --------------------------------------------------------

    def worker_lost(self) -> str:
        return "the worker ended; another starts — press r for others"

    def paint(self) -> None:
        if self._sample.trace.first:
            self._paint_texts()
        else:
            self.paint_cells(*range(len(self.columns)))
        self.query_one(".note", Static).update(self._note or self._caption(), layout=False)

    def _caption(self) -> str:
        """Which one is chosen, and how they were made."""
        method = variation_method(self._sample.trace.request.settings).title
        line = f"Variations · {self.chosen + 1} of {len(self.columns)} · "
        line += f"distance: {DISTANCES[self.distance]} · {method}"
        if self.clip_frames > 1:
            line += f" · {self.traces.clip.text(self.clip_frames)}"
        return line

    def title_of(self, index: int) -> str:
        column = self.columns[index]
        star = "★ " if id(column.trace) in self._favourites else ""
        return f"{star}{index + 1} {'this one' if index == 0 else column.label}"

    def _paint_texts(self) -> None:
        rows = [
            ListRow(str(index), self.title_of(index), self._preview(index))
            for index in range(len(self.columns))
        ]
        texts = self.query_one(RowList)
        texts.set_rows(rows)
        texts.chosen = str(self.chosen)
        self.paint_cells(self.chosen)

    def _preview(self, index: int) -> str:
        """The text of a column from the step at which it forks."""
        column = self.columns[index]
        if column.fault:
            return clean_line(column.fault, MAX_PREVIEW)
        first = self._forked_at[index] if index else self._forked_at[-1]
        frames = column.trace.frames[first : column.place]
        return clean_line(text_of_frames(frames[:MAX_PREVIEW]), MAX_PREVIEW)
