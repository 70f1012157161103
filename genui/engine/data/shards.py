"""Token ids to train on: in memory, or in a file that is larger than it."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genui.base.errors import GenuiError
from genui.base.files import cannot_read, show


class TokenFile:
    """The token ids `start` to `stop` of a file, read a window at a time.

    A read takes some microseconds and keeps nothing: the system's cache of the disk is not memory
    of this process, as the pages of a mapped file are, and a file that was cut short is an error.
    """

    def __init__(self, path: Path, dtype: np.dtype, start: int, stop: int) -> None:
        """Raises GenuiError, naming the file, if it is missing or too short."""
        self._path, self._dtype, self._start, self._length = path, dtype, start, stop - start
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            size = os.fstat(self._fd).st_size
        except OSError as error:
            raise cannot_read(path, error) from None
        if size < stop * dtype.itemsize:
            raise self._cut_short()

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice) -> NDArray[np.unsignedinteger]:
        start, stop, _ = part.indices(self._length)
        size = max(0, stop - start) * self._dtype.itemsize
        try:
            data = os.pread(self._fd, size, (self._start + start) * self._dtype.itemsize)
        except OSError as error:
            raise cannot_read(self._path, error) from None
        if len(data) < size:
            raise self._cut_short()
        return np.frombuffer(data, self._dtype)

    def _cut_short(self) -> GenuiError:
        return GenuiError(
            f"{show(self._path)}: was cut short; remove its folder and resume: it is made again"
        )


Tokens = NDArray[np.integer] | TokenFile
"""Token ids [N] in memory or in a file."""


def read_windows(tokens: Tokens, starts: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """The windows of `length` token ids from each of the starts [B], int64 [B, length]."""
    if isinstance(tokens, TokenFile):
        rows = np.empty((len(starts), length), np.int64)
        for row, start in zip(rows, starts.tolist(), strict=True):
            row[:] = tokens[start : start + length]
        return rows
    return tokens[starts[:, None] + np.arange(length)].astype(np.int64)
