"""A window that shows several traces, and owns them while it is open."""

import time
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.message_pump import MessagePump

from genui.protocol import ImageFrame
from genui.ui import messages
from genui.ui.clip import ClipHead
from genui.ui.compare import PARTS, Part
from genui.ui.in_step import Column
from genui.ui.panes.saving import other_weights
from genui.ui.screens.window import Window
from genui.ui.session import Session

TICKS = 12.0  # times a second that what is new is drawn


class ColumnsWindow(Window[Column | None]):
    """Dismissed with the column to take into the pane, or None.

    While it is open it gets what the worker says of its traces; then those of the pane go back
    to `pane`, and the others are closed, but for the one that is taken. Clips play in step.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("full_stop", "frame(1)", "The next frame of the clips", show=False),
        Binding("comma", "frame(-1)", "The frame before", show=False),
        Binding("semicolon", "roll", "Let the clips play, or hold them", show=False),
    ]

    def __init__(
        self, session: Session, pane: MessagePump, columns: Sequence[Column], part: Part
    ) -> None:
        super().__init__()
        self._session = session
        self._pane = pane
        self.columns: tuple[Column, ...] = tuple(columns)
        self._left = False
        self._view: Part = part
        self.clip = ClipHead()  # of clips: the frame that all of them show
        self._note = ""  # said in place of what is said usually
        self._stale = True
        self._begun_at = self._painted_at = time.monotonic()

    def _take_over(self) -> None:
        """From now on the traces' messages come here."""
        for column in self.columns:
            self._session.hand_over(column.trace.id, self)

    # --- for subclasses ---------------------------------------------------------------

    @abstractmethod
    def _news(self) -> None:
        """A trace has begun, come further, ended or failed."""

    @abstractmethod
    def _lost(self) -> None:
        """The worker has ended; every trace can be asked for again."""

    @abstractmethod
    def _paint(self) -> None:
        """Draw everything as it is now; nothing once it is left."""

    @abstractmethod
    def _place(self, column: Column) -> int:
        """The step of a column that is shown."""

    # --- clips ------------------------------------------------------------------------

    def action_frame(self, by: int) -> None:
        """Of clips: hold them, at the frame after or before."""
        if self._frames > 1:
            self.clip.step(by, self._frames)
            self._paint()

    def action_roll(self) -> None:
        """Of clips: let them play, or hold them."""
        self.clip.hold(self.clip.moving(self._frames))
        self._paint()

    @property
    def _frames(self) -> int:
        """Frames of the clips that are shown; 1 of pictures."""
        shown = [column.frame_at(self._place(column)) for column in self.columns]
        return max((f.pictures for f in shown if isinstance(f, ImageFrame)), default=1)

    # --- for the keys -----------------------------------------------------------------

    def _say(self, line: str) -> None:
        """Show a line for a person."""
        self._note = line
        self._paint()

    def _next_view(self) -> None:
        """The guess, the noisy picture or the noise: the next of them."""
        views = tuple(PARTS)
        self._view = views[(views.index(self._view) + 1) % len(views)]

    def _leave_with(self, taken: Column | None) -> None:
        """Close, and give the traces back."""
        self._left = True
        self._give_back(self.columns, taken)
        self.leave(taken)

    def _give_back(self, columns: Iterable[Column], taken: Column | None = None) -> None:
        for column in columns:
            trace = column.trace
            if column.branch is not None or column is taken:
                self._session.hand_over(trace.id, self._pane)
                if trace.computing:
                    self._session.ask(self._pane, trace)  # to stop there
            elif trace.id:
                self._session.forget(trace.id)
                trace.lose()

    # --- what the worker says ---------------------------------------------------------

    def _column(self, trace: int) -> Column | None:
        return next((column for column in self.columns if column.trace.id == trace), None)

    @on(messages.TraceStarted)
    def _trace_started(self, event: messages.TraceStarted) -> None:
        if column := self._column(event.started.trace):
            if line := other_weights(column.trace.fingerprint, event.started):
                self._say(line)
            column.trace.begin(event.started)
            self._news()

    @on(messages.FramesArrived)
    def _frames_arrived(self, event: messages.FramesArrived) -> None:
        if column := self._column(event.trace):
            column.trace.receive(event.frames, time.monotonic())
            self._news()

    @on(messages.TraceIdle)
    def _trace_idle(self, event: messages.TraceIdle) -> None:
        if column := self._column(event.idle.trace):
            column.trace.idle(event.idle)
            self._news()

    @on(messages.TraceFailed)
    def _trace_failed(self, event: messages.TraceFailed) -> None:
        if column := self._column(event.trace):
            column.trace.lose()
            column.fault = event.line
            self._news()

    @on(messages.TraceLost)
    def _trace_lost(self) -> None:
        for column in self.columns:
            column.trace.lose()
        self._lost()
