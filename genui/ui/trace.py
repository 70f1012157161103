"""A trace as the app holds it: its recipe, the frames that came, and where the playhead is.

Frames are kept, so going back is instant; going forward past the last one asks the
worker. The trace itself asks nobody: `next_request` says what should be asked.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from genui import protocol

F = TypeVar("F", protocol.TextFrame, protocol.ImageFrame)

Ask = Literal["start", "cancel"] | tuple[int, int]
"""What to ask the worker: begin the trace, stop advancing, or (start, steps) to advance."""

RATE_WINDOW = 2.0  # seconds over which steps a second are counted


@dataclass(kw_only=True)
class Trace(Generic[F]):
    """One generation. `first` is the step of its first frame: 0 for pictures, 1 for text."""

    model: str
    prompt: str
    seed: int
    settings: protocol.Settings
    first: int
    id: int = 0  # the worker's number, 0 until asked to start
    total: int = 0  # steps there are, as asked and then as the worker says
    frames: list[F] = field(default_factory=list)
    position: int = 0  # the step shown
    goal: int = 0  # the step to get to
    playing: bool = False
    started: bool = False  # the worker knows it
    note: str = ""
    seen_prompt: str = ""  # the prompt as the model saw it, once it is begun
    _asked_to: int | None = None  # the last step of the Advance under way
    _cancelling: bool = False
    _arrivals: deque[tuple[float, int]] = field(default_factory=deque)

    @property
    def computed(self) -> int:
        """The last step there is a frame of (or 0)."""
        return max(0, len(self.frames) - 1 + self.first)

    @property
    def frame(self) -> F | None:
        """The frame at the playhead; None at a text's prompt or before anything came."""
        index = self.position - self.first
        return self.frames[index] if 0 <= index < len(self.frames) else None

    @property
    def computing(self) -> bool:
        """Whether the worker is at it."""
        return self._asked_to is not None

    @property
    def loading(self) -> bool:
        """Asked for, and not begun yet."""
        return self.id != 0 and not self.started

    @property
    def finished(self) -> bool:
        """The playhead is at the end."""
        return self.total > 0 and self.position >= self.total

    # --- what the user does -----------------------------------------------------------

    def play(self) -> None:
        """Go on to the end; from the end, again from the start."""
        if self.finished:
            self.position = 0
        self.playing = True
        self.goal = self.total

    def pause(self) -> None:
        """Stay where the playhead is."""
        self.playing = False
        self.goal = self.position

    def seek(self, step: int) -> None:
        """Go to that step and stay there; forward as soon as it is computed."""
        self.playing = False
        self.goal = max(0, min(step, self.total))
        self.position = min(self.goal, self.computed)

    # --- what the worker says ---------------------------------------------------------

    def begin(self, started: protocol.Started) -> None:
        """The worker has it; play on to the total it names."""
        self.started = True
        self.note = started.note
        self.seen_prompt = started.prompt
        if self.playing:
            self.goal = started.total_steps
        self.total = started.total_steps

    def receive(self, frames: Sequence[F], now: float) -> None:
        """Keep new frames; one that is not the next is a replay of one already here."""
        for frame in frames:
            if frame.step == len(self.frames) + self.first:
                self.frames.append(frame)
        self._arrivals.append((now, len(frames)))
        if not self.playing:
            self.position = min(self.goal, self.computed)

    def idle(self, idle: protocol.Idle) -> None:
        """An Advance ended. At the trace's own end there is nothing more to play."""
        self._asked_to = None
        self._cancelling = False
        if idle.reason == "finished":
            self.total = min(self.total, self.computed) if self.frames else self.total
            self.goal = min(self.goal, self.total)

    def lose(self) -> None:
        """The worker died or refused: nothing is under way, all that came is still here."""
        self.id = 0
        self.started = False
        self._asked_to = None
        self._cancelling = False
        self.pause()

    # --- playing ----------------------------------------------------------------------

    def next_request(self) -> Ask | None:
        """What the worker should be asked now, and marks it as asked."""
        if not self.started:
            return "start" if self.id == 0 and self.goal > self.computed else None
        if self._asked_to is not None:
            if self.goal < self._asked_to and not self._cancelling and not self._shows_ahead():
                self._cancelling = True
                return "cancel"
            return None
        if self.goal > self.computed:
            self._asked_to = self.goal
            return (self.computed, self.goal - self.computed)
        return None

    def _shows_ahead(self) -> bool:
        """The Advance under way has delivered all it was asked for; only its Idle is to come."""
        return self._asked_to is not None and self.computed >= self._asked_to

    def tick(self, seconds_left: float, ticks_a_second: float) -> bool:
        """Move the playhead on by a frame's time. Returns whether it moved.

        It moves by one step, or by more where that would take longer than
        `seconds_left` to reach the newest frame.
        """
        if not self.playing:
            return False
        behind = min(self.goal, self.computed) - self.position
        if behind > 0:
            self.position += max(1, round(behind / (seconds_left * ticks_a_second)))
        if self.finished:
            self.pause()
        return behind > 0

    def rate(self, now: float) -> float:
        """Steps that came a second, lately."""
        while self._arrivals and now - self._arrivals[0][0] > RATE_WINDOW:
            self._arrivals.popleft()
        if len(self._arrivals) < 2:
            return 0.0
        first = self._arrivals[0][0]
        count = sum(number for _, number in list(self._arrivals)[1:])
        return count / max(now - first, 1e-3)
