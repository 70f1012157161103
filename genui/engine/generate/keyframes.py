"""Which states of a trace are kept, so that memory is bounded however long it is."""

from collections import OrderedDict
from typing import Any

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
