"""A trace: one branch of a generation, grown step by step, and the states that it stores."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

import msgspec

from genui.base.errors import MisuseError
from genui.protocol import Edit, Frame, Question, Settings, Start, Started
from genui.protocol.edits import add_edit

RECENT = 32
"""The number of most recently computed states, for short steps back."""

SPREAD = 64
"""The number of states that are kept along a trace, for seeking, unless a generator has a
`spread`."""


class Keyframes:
    """The stored states by step: up to `spread` + 1 over the whole trace, and the last `RECENT`.

    Memory is bounded: when there are too many, every second one is dropped. From any step the
    nearest earlier stored state is at most 2 / `spread` of the trace away.
    """

    def __init__(self, spread: int = SPREAD) -> None:
        self._limit = spread + 1
        self._stride = 1
        self._spread: dict[int, Any] = {}
        self._recent: OrderedDict[int, Any] = OrderedDict()

    def __len__(self) -> int:
        return len(self._spread.keys() | self._recent.keys())

    def get(self, step: int) -> Any | None:
        """The state at exactly this step, if it is stored."""
        return self._recent.get(step, self._spread.get(step))

    def before(self, step: int) -> tuple[int, Any]:
        """The last stored step up to `step`, and its state."""
        if (state := self.get(step)) is not None:
            return step, state
        at = max(stored for stored in (*self._spread, *self._recent) if stored <= step)
        return at, self.get(at)

    def keep(self, step: int, state: Any) -> None:
        """Store a state and drop those beyond the limits."""
        self._recent[step] = state
        self._recent.move_to_end(step)
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)
        if step % self._stride == 0:
            self._spread[step] = state
        while len(self._spread) > self._limit:
            self._stride *= 2
            self._spread = {at: s for at, s in self._spread.items() if at % self._stride == 0}

    def until(self, step: int) -> "Keyframes":
        """The states up to and including `step`; a fork shares them, since they are immutable."""
        shared = Keyframes(self._limit - 1)
        shared._stride = self._stride
        shared._spread = {at: s for at, s in self._spread.items() if at <= step}
        shared._recent = OrderedDict((at, s) for at, s in self._recent.items() if at <= step)
        return shared


class NotReadyError(Exception):
    """Raised by a step whose result comes from elsewhere and is not here yet. The same step may be
    taken again."""


S = TypeVar("S", bound=Settings)


def expect_settings(settings: Settings, of: type[S]) -> S:
    """Returns `settings`. Raises MisuseError if they are those of another kind of models."""
    if not isinstance(settings, of):
        raise MisuseError(
            f"these are settings of {settings.GROUP}, and this model takes those of {of.GROUP}"
        )
    return settings


class Generator(Protocol):
    """A model of any family that generates. States are immutable; a frame shows a step."""

    family: str

    def begin(self, request: Start) -> tuple[Any, Started]:
        """The first state, without `request.edits`, which the trace applies.

        Raises MisuseError if the request does not suit the model.
        """
        ...

    def step(self, state: Any) -> tuple[Any, Frame]:
        """The next state and its frame; the same state always gives the same bits.

        Raises NotReadyError, soon, until the result of a step that is computed elsewhere is here.
        """
        ...

    def edit(self, state: Any, edit: Edit) -> Any:
        """The edited state, at the same step. Raises MisuseError for an edit that is not valid."""
        ...

    def frame(self, state: Any) -> Frame | None:
        """The frame of a state that is not the result of a step: the first, or an edited one. Here
        None: only steps have frames."""
        return None

    def note(self, state: Any) -> str:
        """A remark on how the model reads its input, such as unknown words; "" if there is none."""
        return ""

    def describe_start(
        self, request: Start, state: Any, prompt: str, medium: str, *notes: str, **more: Any
    ) -> Started:
        """The reply to a request whose first state this is; `notes` stand before that of the
        state, and `more` are other fields."""
        return Started(
            trace=request.trace,
            model=request.model,
            family=self.family,
            medium=medium,
            prompt=prompt,
            total_steps=self.total(state),
            note="; ".join(filter(None, (*notes, self.note(state)))),
            **more,
        )

    def finished(self, state: Any) -> bool:
        return state.step >= self.total(state)

    def total(self, state: Any) -> int:
        """The last step of the trace, as known at `state`."""
        return state.total


class Trace:
    """One branch of a generation of any kind: the request, with its edits, and the states.

    States are stored as in `Keyframes`. Others are computed again from the nearest earlier one, to
    the same bits.
    """

    def __init__(self, generator: Generator, request: Start) -> None:
        steps = [at.step for at in request.edits]
        if steps != sorted(steps):
            raise MisuseError(f"the edits are at steps {steps}: put them in order")
        self.request = request
        self.generator = generator
        first, self.started = generator.begin(request)
        # The content of a file becomes part of the request, since the file may change.
        if self.started.init is not None:
            self.request = msgspec.structs.replace(request, init=self.started.init)
        self._first_step = 0  # the step at which this branch begins
        self._states = Keyframes(getattr(generator, "spread", SPREAD))
        self._states.keep(0, self._apply_edits(0, first))
        self.reached = 0  # the furthest step computed

    def answer(self, question: Question) -> Any:
        """The generator's Answer about a step that was computed.

        Raises MisuseError for another step, and for what its kind does not answer.
        """
        answer = getattr(self.generator, "answer", None)
        if answer is None:
            raise MisuseError(f"{self.request.model} does not answer this: ask another model")
        if not 0 <= question.step <= self.reached:
            raise MisuseError(f"step {question.step}: this trace is at step {self.reached}")
        return answer(self.state(question.step), question)

    @property
    def opening(self) -> Frame | None:
        """The frame at the branch's first step; None if the generator shows only steps."""
        frame = self.generator.frame(self.state(self._first_step))
        return None if frame is None else self._address(frame, self._first_step)

    def fork(self, number: int, step: int, edit: Edit) -> "Trace":
        """A new trace, equal to this one up to `step`, where `edit` applies.

        Raises MisuseError for a step that was not computed, or an edit that is not valid.
        """
        if not 0 <= step <= self.reached:
            raise MisuseError(
                f"step {step}: this trace is at step {self.reached}; "
                "fork at a step that it has reached"
            )
        branch = object.__new__(Trace)
        branch.request = msgspec.structs.replace(add_edit(self.request, step, edit), trace=number)
        branch.generator = self.generator
        branch._first_step = branch.reached = step
        branch._states = self._states.until(step)
        before = self.state(step)
        state = self.generator.edit(before, edit)
        branch._states.keep(step, state)
        note = self.generator.note(state)
        branch.started = msgspec.structs.replace(
            self.started,
            trace=number,
            step=step,
            total_steps=self.generator.total(state),
            note=note if note != self.generator.note(before) else "",
        )
        return branch

    def state(self, step: int) -> Any:
        """The state at a step that was computed before, with the edits of that step."""
        if self._states.get(step) is None:
            next(self.advance(step - 1, 1), None)
        return self._states.before(step)[1]

    def advance(self, start: int, steps: int) -> Iterator[Frame]:
        """Frames start + 1 … start + steps, or up to the end of the trace.

        `start` may be any step; states that are not stored are computed again.
        """
        return (frame for frame in self.advance_or_wait(start, steps) if frame is not None)

    def advance_or_wait(self, start: int, steps: int) -> Iterator[Frame | None]:
        """As `advance`, with a None each time that the result of a step is not here yet, so that
        other work can be done meanwhile."""
        at, state = self._states.before(max(start, 0))
        while at < start + steps and not self.generator.finished(state):
            try:
                state, frame = self.generator.step(state)
            except NotReadyError:
                yield None
                continue
            at += 1
            edited = self._apply_edits(at, state)
            if edited is not state:
                state, frame = edited, self.generator.frame(edited) or frame
            self._states.keep(at, state)
            self.reached = max(self.reached, at)
            if at > start:
                yield self._address(frame, at)
        beyond = [edit.step for edit in self.request.edits if edit.step > at]
        if beyond and self.generator.finished(state):
            raise MisuseError(f"an edit at step {beyond[0]}: the trace ends at step {at}")

    def finished_at(self, step: int) -> bool:
        """Whether `step` is stored and is the last of the trace."""
        state = self._states.get(step)
        return state is not None and self.generator.finished(state)

    def total_at(self, step: int) -> int:
        """The last step of the trace, as known at a step that was computed."""
        return self.generator.total(self._states.before(step)[1])

    def _apply_edits(self, step: int, state: Any) -> Any:
        for at in self.request.edits:
            if at.step == step:
                state = self.generator.edit(state, at.edit)
        return state

    def _address(self, frame: Frame, step: int) -> Frame:
        return msgspec.structs.replace(frame, trace=self.request.trace, step=step)
