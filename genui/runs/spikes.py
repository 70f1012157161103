"""Spikes of a training loss: single values far above the noise of those before.

The rule, on ln of the loss: a value is a *spike* if it is above each of the last WINDOW values, and
more than LIMIT robust standard deviations above their median. The deviation is 1.4826 times the
median absolute deviation, but at least LEAST, so that a loss that hardly changes raises no alert.
There is none before WINDOW values are known, nor within WINDOW values after a spike. Values that
are not above 0 are left out.

It needs neither numpy nor a list of all values: a script looks for spikes while it trains.
"""

import math
import re
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

LIMIT = 6.0
"""Robust standard deviations."""

WINDOW = 100
LEAST = 0.01
"""The least deviation of ln of the loss: about 1 % of it."""

MAD_TO_SIGMA = 1.4826

_LOSS = re.compile(r"loss|nll|cross.?entropy|\bce\b|\bmse\b", re.IGNORECASE)
# A rise on held-out data is overfitting, not divergence; adversarial and reinforcement losses
# have no expected direction.
_NOT_TRAINING = re.compile(
    r"(?<![a-z])(val|valid|validation|eval|evaluation|test|dev|holdout"
    r"|[gd](?=.?loss)|(?<=loss[_/.-])[gd]|gen|generator|disc|discriminator|critic|adv|adversarial|gan"
    r"|policy|value|actor|entropy(?=.?loss))(?![a-z])",
    re.IGNORECASE,
)


def is_training_loss(name: str) -> bool:
    """Whether a metric of that name should fall in a training."""
    return bool(_LOSS.search(name)) and not _NOT_TRAINING.search(name)


class Spike(NamedTuple):
    """A value that is a spike."""

    value: float
    median: float  # of the values before
    deviations: float  # by which ln of the value is above theirs


class SpikeFinder:
    """The rule above, for one metric."""

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=WINDOW)  # ln of the values
        self._sorted: list[float] = []
        self._quiet = 0  # values until the next spike is reported

    def add(self, value: float) -> Spike | None:
        """The spike that this value is, if it is one."""
        if not (0 < value < math.inf):
            return None
        logarithm, spike = math.log(value), None
        known = self._sorted
        if len(known) == WINDOW:
            if not self._quiet and logarithm > known[-1]:
                z, median = _deviations(logarithm, known)
                spike = Spike(value, math.exp(median), z) if z > LIMIT else None
            del known[bisect_left(known, self._last[0])]
        self._quiet = WINDOW if spike else max(0, self._quiet - 1)
        self._last.append(logarithm)
        insort(known, logarithm)
        return spike


def _deviations(value: float, known: Sequence[float]) -> tuple[float, float]:
    """By how many robust standard deviations a value is above the median of sorted values, and
    that median."""
    median = _median(known)
    spread = _median(sorted(abs(one - median) for one in known))
    return (value - median) / max(MAD_TO_SIGMA * spread, LEAST), median


def _median(ordered: Sequence[float]) -> float:
    """The median of sorted values."""
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
