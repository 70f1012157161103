"""Traces and the tree of branches of one pane, as the app holds them.

There can be several roots: starting over adds one, a fork adds a branch. Frames are kept, so going
back is instant; only going past the last one needs the worker. Nothing here sends anything: the
session sends what `ShownTrace.next_request` returns.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

from msgspec.structs import replace

from genui import protocol
from genui.base import numbers
from genui.base.energy import Energy
from genui.base.text import clean_line
from genui.formats.kinds import record_of
from genui.protocol import Denoise, Loading, Start, Started
from genui.protocol.edits import add_edit

F = TypeVar("F", bound=protocol.Frame)

Ask = Literal["start", "fork", "cancel"] | tuple[int, int]
"""A request to the worker: start the trace, by itself or as a fork of its parent, stop advancing,
or advance by (start, steps)."""

Source = Literal["user", "demo", "record", "last"]
"""Who wanted a trace: the user, the demo of Home, which plays by itself, or nobody in this session:
its frames were read from a record of the package or from the pane's last trace."""

RATE_WINDOW = 2.0  # seconds over which steps a second are measured


@dataclass(kw_only=True)
class ShownTrace(Generic[F]):
    """The frames of one branch, its playhead and its state in the worker."""

    request: protocol.Start  # with the edits of this branch; its trace number is ignored
    first: int  # the step of the first frame: 0 for images, 1 for text
    parent: "ShownTrace[F] | None" = None  # the trace that it was forked from
    source: Source = "user"
    forked_at: int = 0
    fork_edits: int = 1  # how many of the request's last edits made the fork
    id: int = 0  # the number in the worker; 0 before a start is requested
    total: int = 0  # the number of steps, as requested and later as the worker reports
    frames: list[F] = field(default_factory=list)
    position: int = 0  # the shown step
    goal: int = 0  # the step to go to
    playing: bool = False
    started: bool = False  # the worker has the trace
    note: str = ""
    model_prompt: str = ""  # the prompt as the model sees it, once started
    model_suffix: str = ""  # the text after a gap that is filled
    pieces: tuple[protocol.Piece, ...] = ()  # of a chat: its prompt, with the template's tokens
    fingerprint: str = ""  # of the weights, once started
    precision: str = ""  # of a model that does not compute as the worker does
    kind: str = ""  # the name of the model's kind; "" if not known
    computed_by_worker: int = 0  # the last step that this worker has computed
    _edited_frame_due: bool = False  # the edited frame at `forked_at` has not arrived yet
    _advance_to: int | None = None  # the last step of the pending Advance
    energy: Energy = field(default_factory=Energy)  # of its own steps: not of those before a fork
    _advance: protocol.Spent | None = None  # of the pending Advance, if it takes long
    load: Loading | None = None  # the loaded share of its model, if the worker reports it
    _load_began: float = 0.0  # seconds of a clock, at the first report
    _load_seconds: float = 0.0  # from then to the last report
    load_stopped: bool = False  # the user stopped the loading, and did not start it again
    _cancelling: bool = False
    _arrivals: deque[tuple[float, int]] = field(default_factory=deque)

    def fork(
        self, step: int, edit: protocol.Edit, then: protocol.Edit | None = None
    ) -> "ShownTrace[F]":
        """A branch that differs from `step` on, where `edit` and then `then` apply.

        It shares the frames before; nothing is requested from the worker yet.
        """
        request = add_edit(self.request, step, edit)
        return ShownTrace(
            request=request if then is None else add_edit(request, step, then),
            fork_edits=1 if then is None else 2,
            first=self.first,
            parent=self,
            forked_at=step,
            total=self.total,
            frames=self.frames[: max(0, step + 1 - self.first)],
            position=step,
            goal=step,
            model_prompt=self.model_prompt,
            pieces=self.pieces,
            kind=self.kind,
            model_suffix=self.model_suffix,
            _edited_frame_due=self.first == 0,
        )

    @property
    def computed(self) -> int:
        """The last step that has a frame; 0 without frames."""
        return max(0, len(self.frames) - 1 + self.first)

    @property
    def frame(self) -> F | None:
        """The frame at the playhead; None at a text's prompt or before the first frame."""
        index = self.position - self.first
        return self.frames[index] if 0 <= index < len(self.frames) else None

    @property
    def unanswered(self) -> tuple[protocol.Piece, ...]:
        """Of a chat: the message that was sent after the last frame; () if there is none."""
        said = [
            at.edit.text
            for at in self.request.edits
            if isinstance(at.edit, protocol.SendMessage) and at.step == self.computed
        ]
        return protocol.label_message(said[-1]) if said else ()

    @property
    def on_worker(self) -> bool:
        """Whether the worker has the shown step, and can answer requests about it."""
        return self.started and self.computed_by_worker >= self.position

    @property
    def computing(self) -> bool:
        """Whether an Advance is pending."""
        return self._advance_to is not None

    @property
    def loading(self) -> bool:
        """Whether its start is requested and not confirmed yet."""
        return self.id != 0 and not self.started

    def loading_text(self, waited_s: float) -> str:
        """The model that is loaded, its memory and the progress. `waited_s`: seconds since the
        start was requested."""
        name = clean_line(self.request.model, 30)
        if self.load is None:
            return f"loading {name} … {waited_s:.0f} s"
        if self.load_stopped:
            return f"stopping to load {name} …"
        progress = numbers.progress(self.load.share, self._load_seconds)
        memory = f"{numbers.size(self.load.size)} of memory" if self.load.size else ""
        stops = "space stops" if self.playing else ""
        more = " · ".join(filter(None, (memory, stops)))
        tokens = self.load.prompt
        what = f"reading {numbers.count(tokens)} tokens" if tokens else f"loading {name}"
        return f"{what}\n{progress}\n{more}".rstrip()

    @property
    def finished(self) -> bool:
        """Whether the playhead is at the end."""
        return self.total > 0 and self.position >= self.total

    # --- what the user does -----------------------------------------------------------

    @property
    def is_read(self) -> bool:
        """Whether its frames were read from a file."""
        return self.source in ("record", "last")

    def play(self) -> None:
        """Play to the end; from the end, play again from the fork. Frames that were read from a
        file are computed again."""
        if self.is_read:
            self.frames, self.position = [], 0
        self.source = "user"
        if self.finished:
            self.position = self.forked_at
        if not self.playing:
            self._arrivals.clear()  # a pause says nothing about the speed
        self.playing, self.load_stopped = True, False
        self.goal = self.total

    def pause(self) -> None:
        """Stop at the playhead."""
        self.playing = False
        self.goal = self.position

    def stop(self) -> None:
        """Pause; while its model is loaded, stop that too."""
        self.pause()
        self.load_stopped = self.loading

    def seek(self, step: int) -> None:
        """Go to that step and stop there, at once or as soon as it is computed."""
        self.playing = False
        self.goal = max(0, min(step, self.total))
        self.position = min(self.goal, self.computed)

    def start_request(self) -> protocol.Start:
        """The request to start this branch by itself. It has the answers of a model elsewhere for
        its frames and those of its ancestors, so that the same frames come again."""
        texts, trace = [], self
        while trace is not None:
            texts.append((trace.request, trace.frames))
            trace = trace.parent
        record = record_of(self.kind, texts, self.request.record)
        return replace(self.request, record=record) if record else self.request

    # --- the worker's replies ---------------------------------------------------------

    def report_load(self, loading: Loading, now: float) -> None:
        """Take over how far its model is loaded, or its prompt read, at `now`, in seconds."""
        if self.load is None or self.load.prompt != loading.prompt:
            self._load_began = now
        self.load, self._load_seconds = loading, now - self._load_began

    def begin(self, started: protocol.Started) -> None:
        """Take over the worker's report about the started trace."""
        self.started = True
        self._forget_loading()
        self.note = started.note
        self.model_prompt, self.model_suffix = started.prompt, started.suffix
        self.pieces = started.pieces
        self.fingerprint, self.precision = started.fingerprint, started.precision
        self.kind = started.kind or self.kind
        self.computed_by_worker = started.step
        if started.init is not None:
            self.request = replace(self.request, init=started.init)
        if not self.request.edits or started.step:
            self.total = started.total_steps  # else edits may change it, which Idle reports
        if self.playing:
            self.goal = self.total

    def receive(self, frames: Sequence[F], now: float) -> None:
        """Add new frames. One that is not the next repeats a frame that is here already."""
        for frame in frames:
            if frame.step == len(self.frames) + self.first:
                self.frames.append(frame)
            elif self._edited_frame_due and frame.step == self.forked_at and self.first == 0:
                self.frames[frame.step] = frame
                self._edited_frame_due = False
            self.computed_by_worker = max(self.computed_by_worker, frame.step)
        self._arrivals.append((now, len(frames)))
        if not self.playing:
            self.position = min(self.goal, self.computed)

    def spend(self, spent: protocol.Spent) -> None:
        """Take over what the pending Advance has cost so far."""
        self._advance = spent

    def cost_text(self, unit: str) -> str:
        """`41 mJ/tok estimate` while steps are computed, then what all of them cost."""
        spent = self._advance
        return self.energy.format() if spent is None else spent.energy.format(spent.steps, unit)

    def idle(self, idle: protocol.Idle) -> None:
        """End the pending Advance, and update the number of steps."""
        self._advance_to = self._advance = None
        self._cancelling = False
        self.energy = self.energy.plus(idle.energy)
        longer = idle.total > self.total
        self.total = self.computed if idle.reason == "finished" else idle.total or self.total
        self.goal = self.total if self.playing and longer else min(self.goal, self.total)

    def lose(self) -> None:
        """Forget the state in the worker, which died or refused; the frames stay."""
        self.id = 0
        self.started = False
        self.computed_by_worker = 0
        self._advance_to = self._advance = None
        self._forget_loading()
        self.pause()

    def _forget_loading(self) -> None:
        self.load, self.load_stopped, self._cancelling = None, False, False

    # --- playing ----------------------------------------------------------------------

    def next_request(self) -> Ask | None:
        """The next request to the worker, if any; it counts as sent."""
        if self.loading and self.load_stopped and not self._cancelling:
            self._cancelling = True
            return "cancel"
        if not self.started:
            if self.id != 0 or not (self.goal > self.computed or self._edited_frame_due):
                return None
            self.load_stopped = False
            # As a fork if the worker still has the parent, else by itself, with all edits.
            parent = self.parent
            on_worker = parent is not None and parent.computed_by_worker >= self.forked_at > 0
            return "fork" if on_worker else "start"
        if self._advance_to is not None:
            delivered = self.computed >= self._advance_to  # only its Idle is still to come
            if self.goal < self._advance_to and not self._cancelling and not delivered:
                self._cancelling = True
                return "cancel"
            return None
        after = self.computed
        if self._edited_frame_due and self.computed_by_worker < self.forked_at:
            after = self.forked_at - 1  # started by itself, it computes the shared steps first
        if self.goal > after:
            self._advance_to = self.goal
            return (after, self.goal - after)
        return None

    def tick(self, catch_up_s: float, ticks_per_s: float) -> bool:
        """Move the playhead by one tick. Returns whether it moved.

        It moves by one step, or by more if it would take longer than `catch_up_s` seconds to
        reach the newest frame.
        """
        if not self.playing:
            return False
        behind = min(self.goal, self.computed) - self.position
        if behind > 0:
            self.position += max(1, round(behind / (catch_up_s * ticks_per_s)))
        # An edit at the end may add steps, which the worker reports once it has started.
        if self.finished and not (self.loading or self.computing or self._edited_frame_due):
            self.pause()
        return behind > 0

    def steps_per_s(self, now: float) -> float:
        """Frames that arrived per second during the last RATE_WINDOW, or the last two steps if
        they take longer."""
        window, times = RATE_WINDOW, [at for at, _ in list(self._arrivals)[-2:]]
        if len(times) == 2:
            window = max(window, 2 * (times[1] - times[0]))
        while self._arrivals and now - self._arrivals[0][0] > window:
            self._arrivals.popleft()
        if len(self._arrivals) < 2:
            return 0.0
        first = self._arrivals[0][0]
        count = sum(number for _, number in list(self._arrivals)[1:])
        return count / max(now - first, 1e-3)

    def seconds_left(self, now: float) -> float:
        """How long the rest takes while it plays; 0 if that is not known."""
        rate = self.steps_per_s(now) if self.playing else 0.0
        return (self.total - self.computed) / rate if rate else 0.0


# --- The session, as controllers see it, and its replies -------------------------------------


@dataclass(frozen=True)
class Frames:
    """Frames of one trace that arrived together."""

    trace: int
    frames: Sequence[protocol.Frame]


@dataclass(frozen=True)
class Lost:
    """The worker with the traces has ended; they can be started again."""


TraceReply = protocol.Answer | Frames | Lost


class Worker(Protocol):
    """The part of the session that traces need; replies go to `owner`."""

    def ask(self, owner: Any, trace: ShownTrace[Any]) -> Ask | None:
        """Send the next request of the trace, if any, and return it."""

    def hand_over(self, trace: int, owner: Any) -> None:
        """Send the replies about a started trace to `owner` from now on."""

    def forget(self, trace: int) -> None:
        """Close a trace, and drop later replies about it."""


def weights_warning(expected: str, started: Started) -> str:
    """One line for a trace that continues with other weights; "" if they are the same."""
    if not expected or expected == started.fingerprint:
        return ""
    return (
        f"{clean_line(started.model, 40)} has other weights now ({started.fingerprint}) than "
        f"this was made with ({clean_line(expected, 16)}): its steps will differ"
    )


# --- The noise schedule of a branch -----------------------------------------------------------


def adds_noise(request: Start, step: int) -> bool:
    """Whether `step` belongs to a forward process: no edit has started to denoise before it."""
    denoises = any(isinstance(at.edit, Denoise) and at.step <= step for at in request.edits)
    return request.forward and not denoises


# --- The tree of branches ---------------------------------------------------------------------

MAX_BRANCHES = 24
"""The oldest branch that the shown one does not descend from is dropped first; branches with a
star or a name are never dropped."""


NAME_CELLS = 40  # of a name that the user gives a branch


@dataclass
class Branch(Generic[F]):
    """A trace of the tree and its label."""

    number: int  # counts up and is never used again
    trace: ShownTrace[F]
    label: str  # how it differs from its parent: "guidance 4", "‘the’ at 12"
    parent: int = -1  # the number of the branch it was forked from; -1 for a root
    name: str = ""  # given by the user
    starred: bool = False
    folded: bool = False  # its forks are not listed

    @property
    def title(self) -> str:
        """Its name, or else its label."""
        return self.name or self.label

    @property
    def is_marked(self) -> bool:
        """Whether the user gave it a star or a name."""
        return self.starred or bool(self.name)


@dataclass
class Tree(Generic[F]):
    """Every branch in the order they were made, and the shown one."""

    branches: list[Branch[F]] = field(default_factory=list)
    shown: Branch[F] | None = None
    _next_number: int = 0
    _dropped: list[Branch[F]] = field(default_factory=list)

    @property
    def trace(self) -> ShownTrace[F] | None:
        return self.shown.trace if self.shown is not None else None

    def add(self, trace: ShownTrace[F], label: str, parent: int = -1) -> Branch[F]:
        """Add a trace as a branch of `parent`, or as a root, and show it."""
        self.shown = Branch(self._next_number, trace, label, parent)
        self._next_number += 1
        self.branches.append(self.shown)
        return self.shown

    def fork(
        self, step: int, edit: protocol.Edit, label: str, then: protocol.Edit | None = None
    ) -> Branch[F]:
        """Fork the shown branch at `step` with `edit` and, if given, `then`; show the fork.

        An edit of the same kind at the step where the shown branch was forked makes a sibling. It
        replaces the shown branch if that has no forks, star or name, so that several changes of a
        setting leave one branch; written tokens and texts replace nothing.
        """
        shown = self.shown
        assert shown is not None, "nothing is shown to fork from"
        if isinstance(edit, protocol.SendMessage):  # in place of the message at that step
            while _says_at(shown.trace, step) and (parent := self.find(shown.parent)):
                shown = parent
        parent = self.find(shown.parent)
        alone = all(branch.parent != shown.number for branch in self.branches)
        again = shown.trace.forked_at == step and _same_kind(shown.trace, then or edit)
        if parent is not None and again:
            written = isinstance(
                edit, protocol.WriteText | protocol.WriteToken | protocol.SendMessage
            )
            if alone and not written and not shown.is_marked:
                self._drop(shown)
            shown = parent
        trace = shown.trace.fork(step, edit, then)
        return self.add(trace, label, shown.number)

    def drop(self, number: int) -> list[Branch[F]]:
        """Remove a branch and its forks, which are returned; nothing if one of them is shown."""
        if number in {branch.number for branch in self._lineage()}:
            return []
        numbers = {number}
        for branch in self.branches:  # parents come before their children
            if branch.parent in numbers:
                numbers.add(branch.number)
        dropped = [branch for branch in self.branches if branch.number in numbers]
        for branch in dropped:
            self._drop(branch)
        return dropped

    def restore(self, branches: Iterable[Branch[F]]) -> None:
        """Put dropped branches back in their places."""
        self.branches = sorted([*self.branches, *branches], key=lambda branch: branch.number)

    def show(self, number: int) -> None:
        """Show another branch, if it still exists."""
        self.shown = self.find(number) or self.shown

    def take_back(self, trace: ShownTrace[F]) -> bool:
        """Drop the branch of a trace that could not start; show its parent or the newest branch.

        Returns False, and does nothing, if there is no other branch.
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

    def find_trace(self, number: int) -> ShownTrace[F] | None:
        """The trace that has this number in the worker."""
        traces = (branch.trace for branch in self.branches)
        return next((trace for trace in traces if trace.id == number), None)

    def lines(self, fold: bool = False) -> Iterator[tuple[Branch[F], int]]:
        """The branches depth first, each with its depth; with `fold`, without the forks of folded
        branches. The only branch that continues another at its end has the depth of that one."""
        yield from self._below(-1, 0, fold)

    def forks(self, number: int) -> list[Branch[F]]:
        """The branches that were forked from this one."""
        return [branch for branch in self.branches if branch.parent == number]

    def unfold_to_shown(self) -> None:
        """Unfold the branches that the shown one descends from."""
        for branch in self._lineage():
            if branch is not self.shown:
                branch.folded = False

    def take_dropped(self) -> list[Branch[F]]:
        """The branches removed since the last call, after limiting the tree to MAX_BRANCHES."""
        lineage = {branch.number for branch in self._lineage()}
        spare = [
            branch
            for branch in self.branches
            if branch.number not in lineage and not branch.is_marked
        ]
        for branch in spare[: max(0, len(self.branches) - MAX_BRANCHES)]:
            self._drop(branch)
        dropped, self._dropped = self._dropped, []
        return dropped

    def _drop(self, branch: Branch[F]) -> None:
        self.branches.remove(branch)
        self._dropped.append(branch)

    def _lineage(self) -> Iterator[Branch[F]]:
        """The shown branch, its parent and so on."""
        branch = self.shown
        while branch is not None:
            yield branch
            branch = self.find(branch.parent)

    def _below(self, parent: int, depth: int, fold: bool) -> Iterator[tuple[Branch[F], int]]:
        numbers = {branch.number for branch in self.branches}
        # A branch whose parent was dropped is a root.
        below = [b for b in self.branches if (b.parent if b.parent in numbers else -1) == parent]
        end = parent_branch.trace.total if (parent_branch := self.find(parent)) is not None else 0
        continuing = [branch for branch in below if 0 < end <= branch.trace.forked_at]
        alone = continuing[0] if len(continuing) == 1 else None
        for branch in sorted(below, key=lambda branch: branch is alone):
            level = depth - 1 if branch is alone else depth
            yield branch, level
            if not (fold and branch.folded):
                yield from self._below(branch.number, level + 1, fold)


def _says_at(trace: ShownTrace[F], step: int) -> bool:
    """Whether a message of a chat was sent at that step."""
    return any(
        at.step == step and isinstance(at.edit, protocol.SendMessage) for at in trace.request.edits
    )


def _same_kind(trace: ShownTrace[F], edit: protocol.Edit) -> bool:
    return bool(trace.request.edits) and type(trace.request.edits[-1].edit) is type(edit)
