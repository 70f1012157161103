"""Traces side by side on one timeline: branches, models or seeds, moved in step."""

import time
from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message_pump import MessagePump
from textual.widgets import Static

from genui.protocol import ImageFrame
from genui.ui.compare import Part, gap, gap_words, token_words
from genui.ui.driver import may_move
from genui.ui.in_step import Column, InStep
from genui.ui.panes.timeline import Timeline
from genui.ui.screens.columns import TICKS, ColumnsWindow
from genui.ui.session import Session
from genui.ui.widgets.column import ColumnView

SHORT: dict[Part, str] = {"guess": "guess", "x": "noisy", "noise": "noise"}
CATCH_UP = {"text": 0.2, "image": 4.0}  # seconds within which the playhead is at the newest step


class CompareScreen(ColumnsWindow):
    """The columns move along one timeline; the line below says where they part."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "play", "Play or hold", show=False),
        Binding("right,l", "step(1)", "A step", show=False),
        Binding("left,h", "step(-1)", "A step back", show=False),
        Binding("shift+right,L", "step(10)", "Ten steps", show=False),
        Binding("shift+left,H", "step(-10)", "Ten back", show=False),
        Binding("home", "ends(-1)", "To the start", show=False),
        Binding("end", "ends(1)", "To the end", show=False),
        Binding("equals_sign", "part", "Where they part", show=False),
        Binding("tab", "turn(1)", "The next column", show=False),
        Binding("shift+tab", "turn(-1)", "The column before", show=False),
        *(Binding(str(n), f"column({n - 1})", f"Column {n}", show=False) for n in range(1, 10)),
        Binding("p", "probes", "Measure the models", show=False),
        Binding("o", "swap", "Guess, noisy or noise", show=False),
        Binding("up,k", "scroll_text(-1)", "Scroll up", show=False),
        Binding("down,j", "scroll_text(1)", "Scroll down", show=False),
        Binding("pageup", "scroll_text(-8)", "Scroll up", show=False),
        Binding("pagedown", "scroll_text(8)", "Scroll down", show=False),
        Binding("enter", "take", "Take it", show=False),
        Binding("escape,q", "leave", "Leave", show=False),
    ]

    def __init__(
        self,
        session: Session,
        pane: MessagePump,
        columns: Sequence[Column],
        position: int,
        playing: bool = False,
        part: Part = "guess",
    ) -> None:
        super().__init__(session, pane, columns, part)
        self.going = InStep(self.columns, goal=position, playing=playing)
        self.focus_at = 0
        self._said = ""  # what the line below the columns says
        self._seen: list[tuple[int, bool]] = []  # how far each trace was when last drawn

    def compose(self) -> ComposeResult:
        with Vertical(classes="compare"):
            with Horizontal(classes="columns"):
                for column in self.columns:
                    yield ColumnView(column)
            yield Timeline("", "")
            yield Static(classes="parting", markup=False)
            yield Static(classes="keys", markup=False)

    def on_mount(self) -> None:
        self._take_over()
        self.query_one(".parting").set_class(self._pictures, "-two")
        look = "o view · p probes · " if self.going.pictures else ""
        self.query_one(".keys", Static).update(
            f"space play · ←→ · = parts · tab next · {look}⏎ take · esc leave"
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
        if self.going.parts_at is not None:
            self._seek(self.going.parts_at)
        else:
            self._say("they have not parted yet: space goes on")

    def action_turn(self, by: int) -> None:
        """The focus to the next column."""
        self.action_column((self.focus_at + by) % len(self.columns))

    def action_column(self, index: int) -> None:
        """The focus to that column."""
        if index < len(self.columns):
            self.focus_at = index
            self._go()

    def action_swap(self) -> None:
        """The guess, the noisy picture or the noise: the next of them."""
        self._next_view()
        self._go()

    def action_probes(self) -> None:
        """Measure the models of the columns beside each other."""
        if not self.going.pictures:
            self._say("the probes' table is of models that draw")
            return
        from genui.ui.screens.probes import ProbesScreen

        models = dict.fromkeys(column.trace.request.model for column in self.columns)
        self.going.hold()
        self._go()
        self.app.push_screen(ProbesScreen(tuple(models)))

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
        self._leave_with(taken)

    # --- what the worker says ---------------------------------------------------------

    def _lost(self) -> None:
        self.going.hold()
        self._say("the worker ended; another starts — press space to go on")

    def _news(self) -> None:
        self._stale = True
        self._aim()

    # --- asking and painting ----------------------------------------------------------

    def _aim(self) -> None:
        """Ask for what each needs next."""
        if self._left:
            return  # messages that were under way still reach the traces
        for trace in self.going.aim():
            self._session.ask(self, trace)

    def _place(self, column: Column) -> int:
        return self.going.position

    def _tick(self) -> None:
        if self._left:
            return
        moved = self.going.tick(CATCH_UP["image" if self.going.pictures else "text"] * TICKS)
        seen = [(trace.computed, trace.started) for trace in self.going.traces]
        loading = any(trace.loading for trace in self.going.traces)
        moved = self.clip.tick(self._frames) or moved
        if seen != self._seen:
            self._stale, self._seen = True, seen
            self.going.compare()
        self._stale = self._stale or moved or loading
        if self._stale and may_move(self.app, self._painted_at):
            self._stale = False
            self._paint()

    def _paint(self) -> None:
        if self._left:
            return
        self._painted_at = time.monotonic()
        going, waited = self.going, self._painted_at - self._begun_at
        for index, view in enumerate(self.query(ColumnView)):
            focused = index == self.focus_at
            view.paint(going.position, self._view, focused, going.playing, waited, self.clip.at)
        timeline = self.query_one(Timeline)
        total = going.total
        timeline.left = f"step {going.position:>{len(str(total))}}/{total}"
        timeline.total = total
        timeline.computed = going.available
        timeline.position = going.position
        timeline.right = self.clip.words(self._frames) if self._frames > 1 else ""
        line = self._note or self._parting_line()
        if self._pictures:
            line += f"\n{self._gap_line()}"
        if line != self._said:
            self._said = line
            self.query_one(".parting", Static).update(line, layout=False)

    @property
    def _pictures(self) -> bool:
        """Whether there are two pictures, which have a second line: how far they are apart."""
        return self.going.pictures and len(self.columns) == 2

    def _parting_line(self) -> str:
        step, common = self.going.parts_at, self.going.in_common
        if step is None:
            ended = common >= self.going.total > 0
            return f"identical {'to the end' if ended else 'so far'}, {common} steps"
        words = token_words([column.frame_at(step) for column in self.columns])
        if step == self.going.position:
            return f"they part here, at step {step}{words}"
        return f"they part at step {step}{words} (= goes there)"

    def _gap_line(self) -> str:
        step = self.going.position
        frames = [column.frame_at(step) for column in self.columns]
        pictures = [frame for frame in frames if isinstance(frame, ImageFrame)]
        if len(pictures) != 2:
            return "no picture yet"
        found = gap(pictures[0], pictures[1], self._view)
        if found is None:
            return "their pictures are of different sizes"
        return f"{SHORT[self._view]} at step {step}: {gap_words(found)}"
