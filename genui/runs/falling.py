"""Whether a generator has collapsed: its samples have come to cover far less than they did.

Of metrics that a training should raise and then hold: `coverage`, the share of held-out
samples that have a generated one near them, and `variety`, how far the samples of a batch are
from one another, measured against the data's.

The rule: two values, one after the other, under half of the best before them, where that best
is worth calling one. Once told, it is told again only after half of the best was reached
again.
"""

import re
from typing import NamedTuple

import numpy as np

from genui.runs.series import Floats, Steps

SHARE = 0.5  # of the best value
LOW_VALUES = 2
LEAST_BEST = 0.1  # below it there was nothing to lose

_WATCHED = re.compile(r"(?<![a-z])(coverage|variety)(?![a-z])", re.IGNORECASE)


def should_hold(name: str) -> bool:
    """Whether a metric of that name tells of a collapse when it falls."""
    return bool(_WATCHED.search(name))


class Fall(NamedTuple):
    """A collapse."""

    began: int  # step of the first low value
    step: int  # at which it was certain
    level: float
    best: float


class Falling:
    """The rule above, for one metric whose points come in pieces of any size."""

    def __init__(self) -> None:
        self._best = -np.inf
        self._low: list[int] = []  # steps of the low values, one after the other

    def take(self, steps: Steps, values: Floats) -> Fall | None:
        """The first collapse that these points complete: int64 [N] ascending, float64 [N].

        What is no finite number is passed over.
        """
        found = None
        for step, value in zip(steps.tolist(), values.tolist(), strict=True):
            if not np.isfinite(value):
                continue
            if self._best >= LEAST_BEST and value < SHARE * self._best:
                self._low.append(step)
                if len(self._low) == LOW_VALUES:
                    found = found or Fall(self._low[0], step, value, self._best)
            else:
                self._low = []
            self._best = max(self._best, value)
        return found
