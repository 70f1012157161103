"""Mode collapse: metrics cheap enough to log while a GAN trains.

The features are means over 4×4 pixels, in which a boot can still be told from a dress, so no
classifier is needed. Models are compared by `measure_distribution` instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genui.engine.metrics.distance import manifold_metrics

NEIGHBOURS = 5
POOLED = 4  # pixels along each side that are averaged

Indices = NDArray[np.int64]
Images = NDArray[np.float32]


@dataclass(frozen=True)
class SampleSet:
    """Real and generated images with the same captions: float32 [N, C, H, W] each."""

    real: Images
    generated: Images


def collapse(first: SampleSet, second: SampleSet) -> dict[str, float]:
    """Metrics that fall when samples become alike.

    - `coverage` (Naeem et al. 2020): the share of `first.real` with a generated image nearer than
      the fifth nearest real one.
    - `variety`: the root mean square difference between image i of `first` and of `second`, for
      generated images over real ones; 1 is as varied as the data.
    """
    real, generated = _pool(first.real), _pool(first.generated)
    return {
        "coverage": manifold_metrics(real, generated, NEIGHBOURS).coverage,
        "variety": _rms_difference(generated, _pool(second.generated))
        / max(_rms_difference(real, _pool(second.real)), 1e-6),
    }


def sample_caption_pairs(
    captions: Sequence[str], pool: Indices, count: int, rng: np.random.Generator
) -> tuple[Indices, Indices]:
    """`count` indices from `pool`, and for each the index of another image with the same caption,
    or of any image if there is no other."""
    _, group = np.unique([captions[i] for i in pool], return_inverse=True)
    order = np.argsort(group, kind="stable")
    sizes = np.bincount(group)
    starts = np.cumsum(sizes) - sizes
    first = rng.integers(0, len(pool), count)
    rank = np.empty(len(pool), np.int64)  # of each image among those with its caption
    rank[order] = np.arange(len(pool)) - np.repeat(starts, sizes)
    size = sizes[group[first]]
    offset = 1 + rng.integers(0, np.maximum(size - 1, 1))
    second = order[starts[group[first]] + (rank[first] + offset) % size]
    alone = size == 1
    second[alone] = rng.integers(0, len(pool), int(alone.sum()))
    return pool[first], pool[second]


def _pool(x: Images) -> Images:
    """[N, C, H, W] to features [N, C · H/4 · W/4]."""
    n, channels, height, width = x.shape
    blocks = x.reshape(n, channels, height // POOLED, POOLED, width // POOLED, POOLED)
    return blocks.mean(axis=(3, 5)).reshape(n, -1)


def _rms_difference(one: Images, other: Images) -> float:
    return float(np.sqrt(np.square(one - other).mean()))
