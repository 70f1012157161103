"""A trace in the worker: the states of one generation, grown a step at a time."""

from collections.abc import Iterator
from typing import Any

import msgspec

from genui.engine.generate.load import Generator
from genui.protocol import Frame, Start

KEPT = 256
"""States kept for going on from an earlier step; older ones are computed again."""


class Trace:
    """One generation of one generator. Nothing here knows what a step is."""

    def __init__(self, generator: Generator, request: Start) -> None:
        self._generator = generator
        self._number = request.trace
        first, self.started = generator.begin(request)
        self._states: dict[int, Any] = {0: first}

    @property
    def opening(self) -> Frame | None:
        """The frame before the first step, where there is one."""
        frame = self._generator.first_frame(self._states[0])
        return None if frame is None else self._numbered(frame)

    def advance(self, start: int, steps: int) -> Iterator[Frame]:
        """Frames start + 1 … start + steps, ended early by the trace's end.

        `start` may be any step: what is no longer kept is computed again from the nearest
        state before it.
        """
        at = max((k for k in self._states if k <= start), default=0)
        state = self._states[at]
        while at < start + steps and not self._generator.finished(state):
            state, frame = self._generator.step(state)
            at += 1
            self._keep(at, state)
            if at > start:
                yield self._numbered(frame)

    def finished_at(self, step: int) -> bool:
        """Whether step is the trace's last (as far as it is known)."""
        state = self._states.get(step)
        return state is not None and self._generator.finished(state)

    def _keep(self, step: int, state: Any) -> None:
        self._states[step] = state
        old = step - KEPT
        if old > 0:
            self._states.pop(old, None)

    def _numbered(self, frame: Frame) -> Frame:
        return msgspec.structs.replace(frame, trace=self._number)
