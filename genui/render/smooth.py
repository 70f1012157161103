"""The time-weighted exponential moving average, as Weights & Biases documents it.

The weight of the past decays with the distance along x, not with the number of points, so
that series of other densities are smoothed alike, and the start has no bias towards zero
(https://docs.wandb.ai/models/app/features/panels/line-plot/smoothing):

    weight = min(sqrt(smoothing), 0.999)
    decay = weight ** (Δx / range · 1000)
    average = (average · decay + y) / (debias · decay + 1)

The range of a living run grows with each point, and with it every average would change. Here
it is rounded up to one of `_RUNGS` values per doubling: between two of them a growing series
costs only its new points, and the past on the screen stands still. Given that range the
result is the formula's own up to rounding; the smoothing reaches as far as W&B's, or up to
2^(1/4), 19 %, further.

Of more than `_MOST_BLOCKS` points, blocks of 2, 4, 8 … are replaced by their mean, at their end
and with the weight of all. A block is a 65,536th of the points at most, where the formula counts
in thousandths of the range; it bounds the time and the memory that a million points take.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_SCALE = 1000.0  # W&B's VIEWPORT_SCALE: parts of the range that `weight` is counted in
_MOST = 0.999
_RUNGS = 4
_MOST_BLOCKS = 131_072
# Places of the past that are looked at to tell a grown series from another one.
_CHECKS = 64


@dataclass(frozen=True)
class _Past:
    """What an average goes on from: its last x, itself and the weight of all before."""

    x: float = math.nan
    average: float = math.nan
    debias: float = 0.0


def settled(span: float) -> float:
    """The range of x that is smoothed with: the next of four a doubling, `span` at least."""
    if not 0 < span < math.inf:
        return 1.0
    rung = math.ceil(_RUNGS * math.log2(span) - 1e-9)
    return 2.0 ** min(rung / _RUNGS, 1023.0)


class Smoother:
    """Keeps the averages of what it has seen, so a growing series costs only its new points."""

    def __init__(self, smoothing: float) -> None:
        """`smoothing` from 0 (none) to 1 is W&B's slider."""
        self.smoothing = smoothing
        self._weight = min(math.sqrt(max(smoothing, 0.0)), _MOST)
        self._restart(1.0, 1)

    def _restart(self, span: float, block: int) -> None:
        self._span, self._block = span, block
        self._known = 0  # points taken into whole blocks
        self._ends: Floats = np.empty(0)  # the last x of each block, with room to grow
        self._averages: Floats = np.empty(0)  # after each block
        self._past = _Past()
        self._checked = np.empty(0, dtype=np.int64)  # places in the past …
        self._expected: Floats = np.empty((2, 0))  # … and the x and the value that stood there

    def extend(self, x: np.ndarray, values: Floats, span: float) -> tuple[Floats, Floats]:
        """The averages of the whole series `x`, `values`, both [N], as (x, averages).

        `x` ascends and is finite; `span` is the range of x that the smoothing is relative to,
        used as `settled` has it. A NaN or an infinity keeps the average as it was; before the
        first finite value it is NaN. There is an average for each point, or for each block of
        a long series. One whose past differs from that seen before, or another settled range,
        is averaged anew.
        """
        span, block = settled(span), _block_of(len(values))
        if (span, block) != (self._span, self._block) or not self._has_grown(x, values):
            self._restart(span, block)
        whole = len(values) - len(values) % block
        if whole > self._known:
            self._take(x[:whole], values[:whole])
        blocks = whole // block
        ends, averages = self._ends[:blocks], self._averages[:blocks]
        if whole == len(values):
            return ends, averages
        # The points of a block that is not whole yet, each by itself and not for good.
        last = np.asarray(x[whole:], np.float64)
        newest, _ = self._average(last, values[whole:], np.ones(len(last)))
        return np.append(ends, last), np.append(averages, newest)

    def _has_grown(self, x: np.ndarray, values: Floats) -> bool:
        if len(values) < self._known:
            return False
        seen = np.array([x[self._checked], values[self._checked]], np.float64)
        return np.array_equal(seen, self._expected, equal_nan=True)

    def _take(self, x: np.ndarray, values: Floats) -> None:
        """Adds whole blocks: those after the ones known."""
        first, last = self._known // self._block, len(values) // self._block
        if last > len(self._averages):
            self._ends = _grown(self._ends, first, 2 * last)
            self._averages = _grown(self._averages, first, 2 * last)
        means, counts = _block_means(values[self._known :], self._block)
        self._ends[first:last] = x[self._known :][self._block - 1 :: self._block]
        averages, self._past = self._average(self._ends[first:last], means, counts)
        self._averages[first:last] = averages
        self._known = len(values)
        self._checked = np.linspace(0, self._known - 1, _CHECKS).astype(np.int64)
        self._expected = np.array([x[self._checked], values[self._checked]], np.float64)

    def _average(self, x: Floats, values: Floats, counts: Floats) -> tuple[Floats, _Past]:
        """The averages after each value, which stands for `counts` points, and the new past."""
        finite = np.isfinite(values)
        if finite.all():
            return self._average_finite(x, values, counts)
        kept, past = self._average_finite(x[finite], values[finite], counts[finite])
        return np.append(self._past.average, kept)[np.cumsum(finite)], past

    def _average_finite(self, x: Floats, values: Floats, counts: Floats) -> tuple[Floats, _Past]:
        past = self._past
        if not len(x):
            return np.empty(0), past
        begun = math.isfinite(past.x)
        steps = np.diff(x, prepend=past.x if begun else x[0]) * (_SCALE / self._span)
        with np.errstate(under="ignore"):
            if self._weight > 0:
                decay = np.exp(math.log(self._weight) * steps)
            else:
                decay = np.where(steps > 0, 0.0, 1.0)
            debias = _recurrence(decay, counts, past.debias)
            # Written as a step towards each value, sums cannot overflow whatever the values.
            share = counts / debias
            averages = _recurrence(1 - share, share * values, past.average if begun else 0.0)
        return averages, _Past(float(x[-1]), float(averages[-1]), float(debias[-1]))


def _block_of(points: int) -> int:
    """How many points are averaged before all else: a power of two."""
    return 1 << max(math.ceil(math.log2(points / _MOST_BLOCKS)), 0) if points else 1


def _block_means(values: Floats, block: int) -> tuple[Floats, Floats]:
    """The mean of the finite values of each block and how many they are; NaN where none is."""
    if block == 1:
        return values, np.ones(len(values))
    blocks = values.reshape(-1, block)
    finite = np.isfinite(blocks)
    counts = finite.sum(axis=1).astype(np.float64)
    shares = np.where(finite, blocks, 0.0) / np.maximum(counts, 1.0)[:, None]
    return np.where(counts > 0, shares.sum(axis=1), np.nan), counts


def _grown(array: Floats, length: int, room: int) -> Floats:
    larger = np.empty(room)
    larger[:length] = array[:length]
    return larger


def _recurrence(factors: Floats, terms: Floats, start: float) -> Floats:
    """s[i] = factors[i] · s[i-1] + terms[i] from `start`, in about 2·√N steps of numpy.

    The series is cut into rows, all of which take their k-th step at once from zero; the end
    of each row is then carried into the next one. Nothing is divided, so tiny factors are safe.
    """
    count = len(terms)
    length = max(math.isqrt(count), 1)
    rows = -(-count // length)
    padding = (0, rows * length - count)
    # One column a row, so that the elements of a step lie side by side.
    factor = np.ascontiguousarray(np.pad(factors, padding).reshape(rows, length).T)
    state = np.ascontiguousarray(np.pad(terms, padding).reshape(rows, length).T)
    scaled = np.empty(rows)
    for k in range(1, length):
        np.multiply(state[k - 1], factor[k], out=scaled)
        state[k] += scaled
    # How much of what came before a row is left in it.
    reach = np.cumprod(factor, axis=0, out=factor)
    carried, carry = np.empty(rows), start
    for row, (kept, own) in enumerate(zip(reach[-1].tolist(), state[-1].tolist(), strict=True)):
        carried[row] = carry
        carry = kept * carry + own
    reach *= carried
    state += reach
    return state.T.reshape(-1)[:count]
