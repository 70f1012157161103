"""Whether a series is noisy, so that its average tells more than it does."""

import numpy as np

_BLOCKS, _BLOCK = 8, 64  # stretches that are looked at, and how many values each has
_TURNS = 0.2  # of the steps between values: of noise two in three turn back, of a schedule none


def is_noisy(values: np.ndarray) -> bool:
    """Whether a value often lies on the other side of the one before than that did.

    A learning rate or a held-out loss that falls steadily is not: an average would only be
    late. Looks at a few stretches of a long series.
    """
    starts = np.linspace(0, max(len(values) - _BLOCK, 0), _BLOCKS).astype(int)
    turns = steps = 0
    for start in np.unique(starts):
        with np.errstate(invalid="ignore"):
            ways = np.sign(np.diff(values[start : start + _BLOCK]))
        ways = ways[np.isfinite(ways) & (ways != 0)]
        turns += int(np.count_nonzero(ways[1:] != ways[:-1]))
        steps += max(len(ways) - 1, 0)
    return turns > _TURNS * steps
