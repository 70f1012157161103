"""Immutable lists of tokens that share their beginnings."""

from array import array
from collections.abc import Iterable

import numpy as np


class TokenList:
    """An immutable list of tokens; `appended` returns a longer one in constant time.

    The lists of a trace share one array and differ in length, so n tokens take n numbers however
    many states are stored. If two lists grow from the same one (a fork), the second is a copy.
    """

    __slots__ = ("_length", "_shared")

    def __init__(self, tokens: Iterable[int]) -> None:
        self._shared = array("i", tokens)  # append-only
        self._length = len(self._shared)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> int:
        return self._shared[range(self._length)[index]]

    def since(self, first: int) -> np.ndarray:
        """The tokens from index `first` on, int32 [T - first]."""
        return np.array(self._shared[first : self._length], dtype=np.int32)

    def appended(self, token: int) -> "TokenList":
        """The list with one more token."""
        longer = object.__new__(TokenList)
        taken = self._length < len(self._shared) and self._shared[self._length] != token
        longer._shared = self._shared[: self._length] if taken else self._shared
        longer._length = self._length + 1
        if longer._length > len(longer._shared):
            longer._shared.append(token)
        return longer
