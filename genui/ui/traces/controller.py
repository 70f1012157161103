"""The frame of a clip that is shown, and whether the clip goes on by itself."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from msgspec.structs import replace

from genui import protocol
from genui.protocol import Denoise, ImageFrame, Start
from genui.protocol.edits import forked, place, steps_at

ROUNDS = 20
"""Times that a clip plays by itself after the last key: then it rests, and nothing is sent."""


@dataclass
class ClipHead:
    """A place among the frames of a clip. A picture is a clip of one frame, and stands still."""

    at: int = 0
    held: bool = False
    _rounds: int = ROUNDS

    def moving(self, frames: int) -> bool:
        """Whether the next tick shows another frame."""
        return frames > 1 and not self.held and self._rounds > 0

    def tick(self, frames: int) -> bool:
        """A frame on, and from the last to the first; whether it moved."""
        if not self.moving(frames):
            return False
        self.at = (self.at + 1) % frames
        if self.at == 0:
            self._rounds -= 1
        return True

    def step(self, by: int, frames: int) -> None:
        """Hold the clip, and go that many frames on or back, round and round."""
        self.held = True
        self.at = (self.at + by) % frames

    def hold(self, held: bool) -> None:
        """Hold the clip, or let it go on."""
        self.held = held
        self._rounds = ROUNDS

    def again(self) -> None:
        """Something new is shown: as many rounds as at first, from where it is."""
        self._rounds = ROUNDS

    def words(self, frames: int) -> str:
        """`frame  7/16 ▸`, or with ‖ where it stands; as wide at every frame."""
        mark = "▸" if self.moving(frames) else "‖"
        return f"frame {self.at % frames + 1:>{len(str(frames))}}/{frames} {mark}"


# --- A trace as the app holds it: its recipe, the frames that came, and where the playhead is -
# Frames are kept, so going back is instant; going forward past the last one asks the
# worker. The trace itself asks nobody: `next_request` says what should be asked.

F = TypeVar("F", protocol.TextFrame, protocol.ImageFrame, protocol.PointsFrame)

Ask = Literal["start", "fork", "cancel"] | tuple[int, int]
"""What to ask the worker: begin the trace, by itself or as a fork of its parent, stop
advancing, or (start, steps) to advance."""

RATE_WINDOW = 2.0  # seconds over which steps a second are counted


@dataclass(kw_only=True)
class Trace(Generic[F]):
    """One branch. `first` is the step of its first frame: 0 for pictures, 1 for text."""

    request: protocol.Start  # with the edits of this branch; its number does not count
    first: int
    parent: "Trace[F] | None" = None  # what it forked from
    forked_at: int = 0
    made_by: int = 1  # how many edits at that step the fork made: the last of the request's
    id: int = 0  # the worker's number, 0 until asked to start
    total: int = 0  # steps there are, as asked and then as the worker says
    frames: list[F] = field(default_factory=list)
    position: int = 0  # the step shown
    goal: int = 0  # the step to get to
    playing: bool = False
    started: bool = False  # the worker knows it
    note: str = ""
    seen_prompt: str = ""  # the prompt as the model saw it, once it is begun
    seen_suffix: str = ""  # what stands after the text, where it goes into a gap
    fingerprint: str = ""  # of the weights, once it is begun
    medium: str = ""  # of the model, where it is known
    reached: int = 0  # the last step the worker has computed
    _opening_due: bool = False  # the edited frame at `forked_at` is still to come
    _asked_to: int | None = None  # the last step of the Advance under way
    _cancelling: bool = False
    _arrivals: deque[tuple[float, int]] = field(default_factory=deque)

    def fork(self, step: int, edit: protocol.Edit, then: protocol.Edit | None = None) -> "Trace[F]":
        """Another branch that is this one up to `step`, where `edit` applies, and then `then`.

        The frames up to there are shared; nothing is asked of the worker yet.
        """
        request = forked(self.request, step, edit)
        return Trace(
            request=request if then is None else forked(request, step, then),
            made_by=1 if then is None else 2,
            first=self.first,
            parent=self,
            forked_at=step,
            total=self.total,
            frames=self.frames[: max(0, step + 1 - self.first)],
            position=step,
            goal=step,
            seen_prompt=self.seen_prompt,
            medium=self.medium,
            seen_suffix=self.seen_suffix,
            _opening_due=self.first == 0,
        )

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
    def at_hand(self) -> bool:
        """Whether the worker has the step that is shown, and can be asked about it."""
        return self.started and self.reached >= self.position

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
            self.position = self.forked_at
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
        self.seen_prompt, self.seen_suffix = started.prompt, started.suffix
        self.fingerprint = started.fingerprint
        self.medium = started.medium or self.medium
        self.reached = started.step
        if started.init is not None:
            self.request = replace(self.request, init=started.init)
        if not self.request.edits or started.step:
            self.total = started.total_steps  # else the edits may change it: Idle will tell
        if self.playing:
            self.goal = self.total

    def receive(self, frames: Sequence[F], now: float) -> None:
        """Keep new frames; one that is not the next is a replay of one already here."""
        for frame in frames:
            if frame.step == len(self.frames) + self.first:
                self.frames.append(frame)
            elif self._opening_due and frame.step == self.forked_at and self.first == 0:
                self.frames[frame.step] = frame
                self._opening_due = False
            self.reached = max(self.reached, frame.step)
        self._arrivals.append((now, len(frames)))
        if not self.playing:
            self.position = min(self.goal, self.computed)

    def idle(self, idle: protocol.Idle) -> None:
        """An Advance ended. At the trace's own end there is nothing more to play."""
        self._asked_to = None
        self._cancelling = False
        longer = idle.total > self.total
        self.total = self.computed if idle.reason == "finished" else idle.total or self.total
        self.goal = self.total if self.playing and longer else min(self.goal, self.total)

    def lose(self) -> None:
        """The worker died or refused: nothing is under way, all that came is still here."""
        self.id = 0
        self.started = False
        self.reached = 0
        self._asked_to = None
        self._cancelling = False
        self.pause()

    # --- playing ----------------------------------------------------------------------

    def next_request(self) -> Ask | None:
        """What the worker should be asked now, and marks it as asked."""
        if not self.started:
            wanted = self.goal > self.computed or self._opening_due
            return self._beginning() if self.id == 0 and wanted else None
        if self._asked_to is not None:
            if self.goal < self._asked_to and not self._cancelling and not self._shows_ahead():
                self._cancelling = True
                return "cancel"
            return None
        after = self.computed
        if self._opening_due and self.reached < self.forked_at:
            after = self.forked_at - 1  # begun by itself: its first frame comes on the way
        if self.goal > after:
            self._asked_to = self.goal
            return (after, self.goal - after)
        return None

    def _beginning(self) -> Ask:
        """As a fork where the worker still has the parent; else by itself, with its edits."""
        parent = self.parent
        return "fork" if parent is not None and parent.reached >= self.forked_at > 0 else "start"

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
        # An edit at the end may give it more steps: the worker says so when it has begun.
        if self.finished and not (self.loading or self.computing or self._opening_due):
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


# --- Where in the noise schedule a step of a branch is: edits move it. Pure: it computes no noise

__all__ = ["known_levels", "place", "rises", "steps_at"]


def rises(request: Start, step: int) -> bool:
    """Whether noise is being added at `step`: a forward process, not turned round yet."""
    turned = any(isinstance(at.edit, Denoise) and at.step <= step for at in request.edits)
    return request.forward and not turned


def known_levels(traces: Iterable[Trace[ImageFrame]], steps: int) -> dict[int, float]:
    """σ at the steps of the schedule of that many, as far as frames have told."""
    levels: dict[int, float] = {}
    for trace in traces:
        request = trace.request
        # A change of the number of steps midway spaces the rest in its own way.
        if steps_at(request, 0) == steps == steps_at(request, trace.computed):
            levels |= {place(request, frame.step): frame.sigma for frame in trace.frames}
    return levels
