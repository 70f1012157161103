"""Whether a generator has collapsed: cheap enough to be asked while it trains.

Pictures are compared by their means over 4×4 pixels, in which a person still tells a boot
from a dress, so that no judge is needed: these numbers watch one training, and are not those
that models are compared by (`probes.distance`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 5
POOLED = 4  # pixels of a side that one mean is taken over

Indices = NDArray[np.int64]
Pictures = NDArray[np.float32]


@dataclass(frozen=True)
class Drawn:
    """Real pictures and generated ones of the same captions: float32 [N, C, H, W] each."""

    real: Pictures
    generated: Pictures


def collapse(first: Drawn, second: Drawn) -> dict[str, float]:
    """What falls when samples grow alike, of two sets of N pictures each.

    - `coverage` (Naeem et al. 2020): the share of `first.real` that have a generated picture
      among them, nearer than their fifth nearest real one.
    - `variety`: how far picture i of `first` is from picture i of `second`, root mean square,
      for generated pictures over real ones; 1 is as various as the data.
    """
    real, generated = _means(first.real), _means(first.generated)
    return {
        "coverage": coverage(real, generated),
        "variety": _apart(generated, _means(second.generated))
        / max(_apart(real, _means(second.real)), 1e-6),
    }


def coverage(real: Pictures, generated: Pictures, neighbours: int = NEIGHBOURS) -> float:
    """The share of real features [N, D] whose ball holds a generated one [M, D], 0 to 1.

    A ball reaches to the `neighbours`-th nearest other real one.
    """
    apart = _squared(real, real)
    reach = np.partition(apart, min(neighbours, len(real) - 1), axis=1)
    radius = reach[:, min(neighbours, len(real) - 1)]  # itself is the 0th
    return float((_squared(real, generated).min(axis=1) <= radius).mean())


def pairs_of_a_caption(
    captions: Sequence[str], pool: Indices, count: int, rng: np.random.Generator
) -> tuple[Indices, Indices]:
    """`count` indices out of `pool`, and for each another of the same caption.

    Where a caption has one picture only its partner may be any picture.
    """
    _, group = np.unique([captions[i] for i in pool], return_inverse=True)
    order = np.argsort(group, kind="stable")
    sizes = np.bincount(group)
    starts = np.cumsum(sizes) - sizes
    first = rng.integers(0, len(pool), count)
    place = np.empty(len(pool), np.int64)  # of each picture among those of its caption
    place[order] = np.arange(len(pool)) - np.repeat(starts, sizes)
    size = sizes[group[first]]
    on = 1 + rng.integers(0, np.maximum(size - 1, 1))
    second = order[starts[group[first]] + (place[first] + on) % size]
    alone = size == 1
    second[alone] = rng.integers(0, len(pool), int(alone.sum()))
    return pool[first], pool[second]


def _means(x: Pictures) -> Pictures:
    """[N, C, H, W] to features [N, C · H/4 · W/4]."""
    n, channels, height, width = x.shape
    blocks = x.reshape(n, channels, height // POOLED, POOLED, width // POOLED, POOLED)
    return blocks.mean(axis=(3, 5)).reshape(n, -1)


def _apart(one: Pictures, other: Pictures) -> float:
    return float(np.sqrt(np.square(one - other).mean()))


def _squared(one: Pictures, other: Pictures) -> Pictures:
    """Squared distances [N, M]."""
    lengths = np.square(one).sum(1)[:, None] + np.square(other).sum(1)
    return np.maximum(lengths - 2 * one @ other.T, 0)
