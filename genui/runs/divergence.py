"""Whether a training loss has left the level it had reached, and does not come back.

The rule, over blocks of 8 successive values. The median stands for a block, so that single
spikes are not seen at all; the level is the median of the 16 blocks before a block, and the
best level the lowest there was. A block is *high* when it is both

- over the level by half of it and by a quarter of all that was gained since the first block,
  or over the best level by all of it and by half of what was gained. The second sees what
  climbs too slowly for the first. The gain keeps a loss that fell from 2.3 to 1e-5 free to
  jump to 1e-3, and a learning rate that restarts warmly to take back a part;
- over that level by 6 robust standard deviations: the usual one of the 16 blocks, each by its
  median absolute deviation · 1.4826 or by how far the fourth block before was, the larger.

Divergence is 3 high blocks, one after another. Nothing is said before there
are 9 blocks.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from genui.runs.series import Floats, Steps

BLOCK = 8
HORIZON = 16
HIGH_BLOCKS = 3
WANDER = 4  # blocks
DEVIATIONS = 6.0
RECENT = (0.5, 0.25)  # of the level, of the gain
EVER = (1.0, 0.5)

_MAD_TO_SIGMA = 1.4826
_LOSS = re.compile(r"loss|nll|cross.?entropy|\bce\b|\bmse\b", re.IGNORECASE)
# Rising on held-out data is overfitting, which is not this; adversarial and reinforcement
# losses have no direction of their own.
_NOT_TRAINING = re.compile(
    r"(?<![a-z])(val|valid|validation|eval|evaluation|test|dev|holdout"
    r"|[gd](?=.?loss)|(?<=loss[_/.-])[gd]|gen|generator|disc|discriminator|critic|adv|adversarial|gan"
    r"|policy|value|actor|entropy(?=.?loss))(?![a-z])",
    re.IGNORECASE,
)


def is_training_loss(name: str) -> bool:
    """Whether a metric of that name should fall while a training goes well."""
    return bool(_LOSS.search(name)) and not _NOT_TRAINING.search(name)


@dataclass(frozen=True)
class Rise:
    """A divergence."""

    began: int  # step of the first high block
    step: int  # at which it was certain
    level: float  # median of the last high block
    before: float  # which it left


class Divergence:
    """The rule above, for one metric whose points come in pieces of any size."""

    def __init__(self) -> None:
        self._steps = np.empty(0, np.int64)  # of the block that is not full yet
        self._values = np.empty(0, np.float64)
        self._medians = np.full(HORIZON, np.nan)  # of the last blocks
        self._spreads = np.full(HORIZON, np.nan)
        self._start = np.nan  # median of the first block
        self._best = np.inf  # level
        self._high = np.zeros(HIGH_BLOCKS - 1, bool)  # whether the last blocks were
        self._begins = np.zeros(HIGH_BLOCKS - 1, np.int64)  # and their first steps

    def take(self, steps: Steps, values: Floats) -> Rise | None:
        """The divergence that these points complete, the first if they hold several.

        `steps` int64 [N] ascending, `values` float64 [N]; what is no finite number is passed
        over.
        """
        finite = np.isfinite(values)
        steps = np.concatenate((self._steps, steps[finite]))
        values = np.concatenate((self._values, values[finite]))
        full = len(values) // BLOCK * BLOCK
        self._steps, self._values = steps[full:], values[full:]
        if not full:
            return None
        with np.errstate(over="ignore", invalid="ignore"):
            return self._judge(steps[:full].reshape(-1, BLOCK), values[:full].reshape(-1, BLOCK))

    def _judge(self, steps: Steps, values: Floats) -> Rise | None:
        """`take` for whole blocks, [blocks, BLOCK]."""
        fresh = _median(values)
        if np.isnan(self._start):
            self._start = fresh[0]
        medians = np.concatenate((self._medians, fresh))
        # Within a block, and between blocks where the noise wanders more slowly.
        within = _MAD_TO_SIGMA * _median(np.abs(values - fresh[:, None]))
        spread = np.fmax(within, np.abs(fresh - medians[HORIZON - WANDER : -WANDER]))
        spreads = np.concatenate((self._spreads, spread))
        self._medians, self._spreads = medians[-HORIZON:], spreads[-HORIZON:]

        level = _median(sliding_window_view(medians, HORIZON)[:-1])  # NaN while few are known
        best = np.fmin.accumulate(np.append(self._best, level))[1:]
        self._best = best[-1]
        recent, ever = self._bar(level, RECENT), self._bar(best, EVER)
        high = (fresh > recent) | (fresh > ever)
        at = np.flatnonzero(high)
        if len(at):  # few, so what costs more is done for them alone
            usual = _median(sliding_window_view(spreads, HORIZON)[at])
            left = np.where(fresh > recent, level, best)
            high[at] = fresh[at] > left[at] + DEVIATIONS * usual

        kept = HIGH_BLOCKS - 1
        high = np.concatenate((self._high, high))
        begins = np.concatenate((self._begins, steps[:, 0]))
        self._high, self._begins = high[-kept:], begins[-kept:]
        certain = np.flatnonzero(sliding_window_view(high, HIGH_BLOCKS).all(axis=1))
        if not len(certain):
            return None
        block = int(certain[0])
        return Rise(
            began=int(begins[block]),
            step=int(steps[block, -1]),
            level=float(fresh[block]),
            before=float((level if fresh[block] > recent[block] else best)[block]),
        )

    def _bar(self, level: Floats, shares: tuple[float, float]) -> Floats:
        """What a block must exceed that leaves a level, [blocks] to [blocks]."""
        of_level, of_gain = shares
        gain = np.maximum(self._start - level, 0)
        return level + np.maximum(of_level * np.abs(level), of_gain * gain)


def _median(rows: Floats) -> Floats:
    """The median of each row, [rows, even width] to [rows]; faster here than np.median.

    NaN sorts last: a row with a few gives a value above its median, one half full of them NaN.
    """
    middle = rows.shape[1] // 2
    return np.sort(rows, axis=1)[:, middle - 1 : middle + 1].mean(axis=1)
