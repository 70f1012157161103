"""The branches of what one pane has generated, as the app holds them, and which one is shown.

A tree, or several: starting over adds a root, a fork adds a branch. Frames are kept, so going
back is instant; going forward past the last one asks the worker. Nothing here asks: a trace's
`next_request` says what should be asked.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

from msgspec.structs import replace

from genui import protocol
from genui.base.text import clean_line
from genui.protocol import (
    Attention,
    Denoise,
    Failed,
    Idle,
    ImageFrame,
    Inspection,
    Labels,
    Neighbours,
    Start,
    Started,
)
from genui.protocol.edits import add_edit, schedule_step, steps_at

F = TypeVar("F", protocol.TextFrame, protocol.ImageFrame, protocol.PointsFrame)

Ask = Literal["start", "fork", "cancel"] | tuple[int, int]
"""What to ask the worker: begin the trace, by itself or as a fork of its parent, stop
advancing, or (start, steps) to advance."""

RATE_WINDOW = 2.0  # seconds over which steps a second are counted


@dataclass(kw_only=True)
class Trace(Generic[F]):
    """One branch. `first` is the step of its first frame: 0 for images, 1 for text."""

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
    model_prompt: str = ""  # the prompt as the model saw it, once it is begun
    model_suffix: str = ""  # what stands after the text, where it goes into a gap
    fingerprint: str = ""  # of the weights, once it is begun
    medium: str = ""  # of the model, where it is known
    reached: int = 0  # the last step the worker has computed
    _opening_due: bool = False  # the edited frame at `forked_at` is still to come
    _advance_to: int | None = None  # the last step of the Advance under way
    _cancelling: bool = False
    _arrivals: deque[tuple[float, int]] = field(default_factory=deque)

    def fork(self, step: int, edit: protocol.Edit, then: protocol.Edit | None = None) -> "Trace[F]":
        """Another branch that is this one up to `step`, where `edit` applies, and then `then`.

        The frames up to there are shared; nothing is asked of the worker yet.
        """
        request = add_edit(self.request, step, edit)
        return Trace(
            request=request if then is None else add_edit(request, step, then),
            made_by=1 if then is None else 2,
            first=self.first,
            parent=self,
            forked_at=step,
            total=self.total,
            frames=self.frames[: max(0, step + 1 - self.first)],
            position=step,
            goal=step,
            model_prompt=self.model_prompt,
            medium=self.medium,
            model_suffix=self.model_suffix,
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
        return self._advance_to is not None

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
        self.model_prompt, self.model_suffix = started.prompt, started.suffix
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
        self._advance_to = None
        self._cancelling = False
        longer = idle.total > self.total
        self.total = self.computed if idle.reason == "finished" else idle.total or self.total
        self.goal = self.total if self.playing and longer else min(self.goal, self.total)

    def lose(self) -> None:
        """The worker died or refused: nothing is under way, all that came is still here."""
        self.id = 0
        self.started = False
        self.reached = 0
        self._advance_to = None
        self._cancelling = False
        self.pause()

    # --- playing ----------------------------------------------------------------------

    def next_request(self) -> Ask | None:
        """What the worker should be asked now, and marks it as asked."""
        if not self.started:
            wanted = self.goal > self.computed or self._opening_due
            return self._beginning() if self.id == 0 and wanted else None
        if self._advance_to is not None:
            if self.goal < self._advance_to and not self._cancelling and not self._shows_ahead():
                self._cancelling = True
                return "cancel"
            return None
        after = self.computed
        if self._opening_due and self.reached < self.forked_at:
            after = self.forked_at - 1  # begun by itself: its first frame comes on the way
        if self.goal > after:
            self._advance_to = self.goal
            return (after, self.goal - after)
        return None

    def _beginning(self) -> Ask:
        """As a fork where the worker still has the parent; else by itself, with its edits."""
        parent = self.parent
        return "fork" if parent is not None and parent.reached >= self.forked_at > 0 else "start"

    def _shows_ahead(self) -> bool:
        """The Advance under way has delivered all it was asked for; only its Idle is to come."""
        return self._advance_to is not None and self.computed >= self._advance_to

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


# --- What is asked of the session, and what it replies ---------------------------------------


@dataclass(frozen=True)
class Frames:
    """Frames of one trace that came together."""

    trace: int
    frames: Sequence[protocol.Frame]


@dataclass(frozen=True)
class Lost:
    """The worker that held the traces is gone; they can be started again."""


TraceReply = Started | Frames | Idle | Failed | Lost | Attention | Labels | Neighbours | Inspection


class Worker(Protocol):
    """What is asked of the session; the replies go to `owner`."""

    def ask(self, owner: Any, trace: Trace[Any]) -> Ask | None:
        """Ask for what the trace needs next, if anything. Returns what was asked."""

    def hand_over(self, trace: int, owner: Any) -> None:
        """From now on `owner` gets the trace's replies; nothing where it is not begun."""

    def forget(self, trace: int) -> None:
        """Drop a trace; late replies about it go nowhere."""


def other_weights(expected: str, started: Started) -> str:
    """The one line for a trace that other weights go on with; empty where they are the same."""
    if not expected or expected == started.fingerprint:
        return ""
    return (
        f"{clean_line(started.model, 40)} has other weights now ({started.fingerprint}) than "
        f"this was made with ({clean_line(expected, 16)}): its steps will differ"
    )


# --- Where in the noise schedule a step of a branch is: edits move it -------------------------


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
            levels |= {schedule_step(request, frame.step): frame.sigma for frame in trace.frames}
    return levels


# --- The tree of branches ---------------------------------------------------------------------

MOST = 24  # branches kept; the oldest that nothing shown grows from goes first


@dataclass
class Branch(Generic[F]):
    """One trace of the tree and what it is called."""

    number: int  # counts up and is never used again
    trace: Trace[F]
    label: str  # what makes it differ from its parent: "guidance 4", "‘the’ at 12"
    parent: int = -1  # the number of the branch it forked from; -1: it began by itself


@dataclass
class Tree(Generic[F]):
    """Every branch in the order it was made, and the one that is shown."""

    branches: list[Branch[F]] = field(default_factory=list)
    shown: Branch[F] | None = None
    _made: int = 0
    _dropped: list[Branch[F]] = field(default_factory=list)

    @property
    def trace(self) -> Trace[F] | None:
        """What is shown."""
        return self.shown.trace if self.shown is not None else None

    def root(self, trace: Trace[F], label: str) -> Branch[F]:
        """Show a trace that begins by itself."""
        return self.graft(trace, label)

    def fork(
        self, step: int, edit: protocol.Edit, label: str, then: protocol.Edit | None = None
    ) -> Branch[F]:
        """Show a fork of what is shown: `edit` at the step and, where given, `then` after it.

        An edit of the same kind at the step where what is shown was forked makes a branch
        beside it; with nothing else done it takes its place, so that turning a setting leaves
        one branch, not one a turn. Tokens and words written are each kept.
        """
        shown = self.shown
        assert shown is not None, "nothing is shown to fork from"
        parent = self.find(shown.parent)
        alone = all(branch.parent != shown.number for branch in self.branches)
        again = shown.trace.forked_at == step and _same_kind(shown.trace, then or edit)
        if parent is not None and again:
            if alone and not isinstance(edit, protocol.WriteText | protocol.WriteToken):
                self._drop(shown)
            shown = parent
        trace = shown.trace.fork(step, edit, then)
        return self._add(Branch(self._made, trace, label, shown.number))

    def graft(self, trace: Trace[F], label: str, parent: int = -1) -> Branch[F]:
        """Show a branch that was made elsewhere: saved and opened again, or compared."""
        return self._add(Branch(self._made, trace, label, parent))

    def drop(self, number: int) -> list[Branch[F]]:
        """Take out a branch and all that grew from it; nothing where what is shown did.

        Returns what was taken out.
        """
        if number in {branch.number for branch in self._lineage()}:
            return []
        gone = {number}
        for branch in self.branches:  # parents come before their children
            if branch.parent in gone:
                gone.add(branch.number)
        dropped = [branch for branch in self.branches if branch.number in gone]
        for branch in dropped:
            self._drop(branch)
        return dropped

    def show(self, number: int) -> None:
        """Show another branch, if it is still there."""
        self.shown = self.find(number) or self.shown

    def take_back(self, trace: Trace[F]) -> bool:
        """Drop a branch that could not be begun and show what it grew from, or the one before.

        False, and nothing done, where there is nothing else to show.
        """
        branch = next((branch for branch in self.branches if branch.trace is trace), None)
        if branch is None or len(self.branches) == 1:
            return False
        self._drop(branch)
        if self.shown is branch:
            self.shown = self.find(branch.parent) or self.branches[-1]
        return True

    def find(self, number: int) -> Branch[F] | None:
        return next((branch for branch in self.branches if branch.number == number), None)

    def of_trace(self, number: int) -> Trace[F] | None:
        """The branch's trace that has this number in the worker."""
        traces = (branch.trace for branch in self.branches)
        return next((trace for trace in traces if trace.id == number), None)

    def lines(self) -> Iterator[tuple[Branch[F], int]]:
        """The branches as a tree is read, each with its depth."""
        yield from self._below(-1, 0)

    def take_dropped(self) -> list[Branch[F]]:
        """What is no longer in the tree since the last call, for the worker to forget."""
        needed = {branch.number for branch in self._lineage()}
        spare = [branch for branch in self.branches if branch.number not in needed]
        for branch in spare[: max(0, len(self.branches) - MOST)]:
            self._drop(branch)
        dropped, self._dropped = self._dropped, []
        return dropped

    def _drop(self, branch: Branch[F]) -> None:
        self.branches.remove(branch)
        self._dropped.append(branch)

    def _add(self, branch: Branch[F]) -> Branch[F]:
        self._made += 1
        self.branches.append(branch)
        self.shown = branch
        return branch

    def _lineage(self) -> Iterator[Branch[F]]:
        branch = self.shown
        while branch is not None:
            yield branch
            branch = self.find(branch.parent)

    def _below(self, parent: int, depth: int) -> Iterator[tuple[Branch[F], int]]:
        known = {branch.number for branch in self.branches}
        for branch in self.branches:
            # One whose parent was dropped stands by itself.
            above = branch.parent if branch.parent in known else -1
            if above == parent:
                yield branch, depth
                yield from self._below(branch.number, depth + 1)


def _same_kind(trace: Trace[F], edit: protocol.Edit) -> bool:
    return bool(trace.request.edits) and type(trace.request.edits[-1].edit) is type(edit)
