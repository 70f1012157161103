"""Which examples a step trains on: each once an epoch, in an order of that epoch's own."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def examples_of(step: int, batch: int, count: int, seed: int) -> NDArray[np.int64]:
    """The numbers of a step's `batch` examples, of 0 to `count` - 1."""
    epochs, places = np.divmod(np.arange(step * batch, (step + 1) * batch), count)
    chosen = np.empty(batch, np.int64)
    for epoch in np.unique(epochs).tolist():
        rows = epochs == epoch
        chosen[rows] = _order(seed, epoch, count)[places[rows]]
    return chosen


@lru_cache(maxsize=2)  # a step lies in one epoch, or where two meet
def _order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, 0, epoch)).permutation(count)
