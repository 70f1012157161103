"""The tokens of a text, shared by all states of its trace."""

from array import array
from collections.abc import Iterable

import numpy as np


class TokenList:
    """Tokens that never change; `appended` gives the list one longer in constant time.

    Lists grown from one another share an array and differ in how much of it is theirs, so a
    trace of n tokens holds n numbers however many of its states are kept. Where two lists
    grow from the same one (a fork), the second copies what they share.
    """

    __slots__ = ("_length", "_shared")

    def __init__(self, tokens: Iterable[int]) -> None:
        self._shared = array("i", tokens)  # only ever appended to
        self._length = len(self._shared)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> int:
        return self._shared[range(self._length)[index]]

    def since(self, first: int) -> np.ndarray:
        """The tokens from index `first` on, int32."""
        return np.array(self._shared[first : self._length], dtype=np.int32)

    def appended(self, token: int) -> "TokenList":
        """These, and one more."""
        longer = object.__new__(TokenList)
        taken = self._length < len(self._shared) and self._shared[self._length] != token
        longer._shared = self._shared[: self._length] if taken else self._shared
        longer._length = self._length + 1
        if longer._length > len(longer._shared):
            longer._shared.append(token)
        return longer
