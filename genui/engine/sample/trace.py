"""A trace, one branch of a generation, and which of its states are kept."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Protocol

import msgspec

from genui.base.errors import MisuseError
from genui.protocol import Edit, Frame, Start, Started
from genui.protocol.edits import add_edit

# --- Keyframes: the states that are kept, so that memory is bounded ---------------------------

RECENT = 32
"""The states computed last, for going back a little."""

SPREAD = 64
"""As many again at the most, evenly spread over the whole trace, for seeking anywhere."""


class Keyframes:
    """States by their step: `SPREAD` + 1 over the whole trace, and the last `RECENT`.

    Where the spread is full every second of it is dropped, so from any step it is at most
    1/32 of the trace back to a state that is kept.
    """

    def __init__(self) -> None:
        self._stride = 1
        self._spread: dict[int, Any] = {}
        self._recent: OrderedDict[int, Any] = OrderedDict()

    def __len__(self) -> int:
        return len(self._spread.keys() | self._recent.keys())

    def get(self, step: int) -> Any | None:
        """The state at exactly that step, if it is kept."""
        return self._recent.get(step, self._spread.get(step))

    def before(self, step: int) -> tuple[int, Any]:
        """The last kept step that is not after `step`, and its state."""
        at = max(kept for kept in (*self._spread, *self._recent) if kept <= step)
        return at, self.get(at)

    def keep(self, step: int, state: Any) -> None:
        """Keep a state; what the bound asks for is dropped."""
        self._recent[step] = state
        self._recent.move_to_end(step)
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)
        if step % self._stride == 0:
            self._spread[step] = state
        while len(self._spread) > SPREAD + 1:
            self._stride *= 2
            self._spread = {at: s for at, s in self._spread.items() if at % self._stride == 0}

    def until(self, step: int) -> "Keyframes":
        """Those up to and including `step`: states are immutable, so a fork shares them."""
        shared = Keyframes()
        shared._stride = self._stride
        shared._spread = {at: s for at, s in self._spread.items() if at <= step}
        shared._recent = OrderedDict((at, s) for at, s in self._recent.items() if at <= step)
        return shared


# --- A trace in the worker: one branch of a generation, grown a step at a time ----------------


class Generator(Protocol):
    """One model of any family. A state is immutable; a frame is what a person sees of a step."""

    def begin(self, request: Start) -> tuple[Any, Started]:
        """The first state of a trace, `request.edits` left to the trace.

        Raises MisuseError where the request does not fit.
        """
        ...

    def step(self, state: Any) -> tuple[Any, Frame]:
        """The next state and its frame; the same state always gives the same bits."""
        ...

    def edit(self, state: Any, edit: Edit) -> Any:
        """The state changed, at the same step. Raises MisuseError where the edit does not fit."""
        ...

    def frame(self, state: Any) -> Frame | None:
        """What there is to see of a state that no step led to: the first, or an edited one."""
        ...

    def note(self, state: Any) -> str:
        """What a person should know of what the model reads now; "" where all is understood."""
        ...

    def finished(self, state: Any) -> bool: ...

    def total(self, state: Any) -> int:
        """The step at which the trace ends, as things stand at `state`."""
        ...


class Trace:
    """One branch: a start, and the edits that led here. Nothing here knows what a step is.

    Its states are computed once and kept as `Keyframes` says, and computed again from the
    nearest one before where they are not; both give the same bits.
    """

    def __init__(self, generator: Generator, request: Start) -> None:
        steps = [at.step for at in request.edits]
        if steps != sorted(steps):
            raise MisuseError(f"the edits are at steps {steps}: put them in order")
        self.request = request
        self.generator = generator
        first, self.started = generator.begin(request)
        # What the generator read from a file goes into the recipe: the file may change.
        if self.started.init is not None:
            self.request = msgspec.structs.replace(request, init=self.started.init)
        self._begun = 0  # the step of the first state of this branch's own
        self._states = Keyframes()
        self._states.keep(0, self._edited(0, first))
        self.reached = 0  # the furthest step that has been computed

    @property
    def opening(self) -> Frame | None:
        """The frame at this branch's first step, where a state by itself can be seen."""
        frame = self.generator.frame(self.state(self._begun))
        return None if frame is None else self._numbered(frame, self._begun)

    def fork(self, number: int, step: int, edit: Edit) -> "Trace":
        """A new trace that is this one up to `step`, where `edit` applies.

        Raises MisuseError for a step that has not been computed, or an edit that does not
        fit the model.
        """
        if not 0 <= step <= self.reached:
            raise MisuseError(
                f"step {step}: this trace stands at step {self.reached}; "
                "fork at a step that it has reached"
            )
        branch = object.__new__(Trace)
        branch.request = msgspec.structs.replace(add_edit(self.request, step, edit), trace=number)
        branch.generator = self.generator
        branch._begun = branch.reached = step
        branch._states = self._states.until(step)
        before_it = self.state(step)
        state = self.generator.edit(before_it, edit)
        branch._states.keep(step, state)
        note = self.generator.note(state)
        branch.started = msgspec.structs.replace(
            self.started,
            trace=number,
            step=step,
            total_steps=self.generator.total(state),
            note=note if note != self.generator.note(before_it) else "",
        )
        return branch

    def state(self, step: int) -> Any:
        """The state at a step that has been reached, its edits applied."""
        for _ in self.advance(step - 1, 1) if self._states.get(step) is None else ():
            break
        return self._states.before(step)[1]

    def advance(self, start: int, steps: int) -> Iterator[Frame]:
        """Frames start + 1 … start + steps, ended early by the trace's end.

        `start` may be any step: what is no longer kept is computed again from the nearest
        state before it.
        """
        at, state = self._states.before(max(start, 0))
        while at < start + steps and not self.generator.finished(state):
            state, frame = self.generator.step(state)
            at += 1
            edited = self._edited(at, state)
            if edited is not state:
                state, frame = edited, self.generator.frame(edited) or frame
            self._states.keep(at, state)
            self.reached = max(self.reached, at)
            if at > start:
                yield self._numbered(frame, at)
        beyond = [edit.step for edit in self.request.edits if edit.step > at]
        if beyond and self.generator.finished(state):
            raise MisuseError(f"an edit at step {beyond[0]}: the trace ends at step {at}")

    def finished_at(self, step: int) -> bool:
        """Whether step is the trace's last (as far as it is known)."""
        state = self._states.get(step)
        return state is not None and self.generator.finished(state)

    def total_at(self, step: int) -> int:
        """The step at which the trace ends, as things stand at a step that was reached."""
        return self.generator.total(self._states.before(step)[1])

    def _edited(self, step: int, state: Any) -> Any:
        for at in self.request.edits:
            if at.step == step:
                state = self.generator.edit(state, at.edit)
        return state

    def _numbered(self, frame: Frame, step: int) -> Frame:
        return msgspec.structs.replace(frame, trace=self.request.trace, step=step)
