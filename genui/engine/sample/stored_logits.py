"""The logits of a generator's states, as many as the memory is worth."""

import itertools
import weakref
from collections.abc import Callable

import numpy as np

LOGITS = 64 << 20
"""Bytes of logits that the states of all traces of a generator store together."""


class StoredLogits:
    """The logits [V] after some tokens, computed when they are needed, so that other texts can be
    read together with them. Those that were not used for long are dropped, and computed again, to
    the same bits: of a vocabulary of 262,144 tokens they take 1 MB.
    """

    __slots__ = ("__weakref__", "_compute", "_recent", "_values")

    def __init__(self, compute: Callable[[], np.ndarray], recent: "RecentLogits") -> None:
        self._compute, self._recent = compute, recent
        self._values: np.ndarray | None = None

    @property
    def is_computed(self) -> bool:
        return self._values is not None

    def get(self) -> np.ndarray:
        if self._values is None:
            self._values = self._compute()
            self._recent[next(_numbers)] = self
            if len(self._recent) > 1 and len(self._recent) * self._values.nbytes > LOGITS:
                self._recent.pop(next(iter(self._recent.keys())))._values = None
        return self._values


RecentLogits = weakref.WeakValueDictionary[int, StoredLogits]
"""The logits of a generator's states that are stored, the last computed one last."""

_numbers = itertools.count()


def fixed_logits(values: np.ndarray) -> StoredLogits:
    """Logits that are never dropped: few, or none."""
    return StoredLogits(lambda: values, RecentLogits())
