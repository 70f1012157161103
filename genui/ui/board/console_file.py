"""Reading console.log as it grows, and its lines made ready to show. For a thread."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.cells import get_character_cell_size

from genui.render.sanitise import clean
from genui.runs.disk import cannot_read

MOST = 4 * 1024 * 1024
"""Bytes of the file's end that are kept: some fifty thousand lines."""

PIECE = 256 * 1024  # bytes read before what they hold is shown
_HEAD = 64  # bytes that tell a file written anew from one that grew
_LONGEST_LINE = 16 * 1024  # characters; the rest of a longer one is left out
_STAMPED = re.compile(r"(?:\d{4}-\d\d-\d\d[ T])?(\d\d:\d\d:\d\d)(?:[.,]\d+)?Z? (.*)", re.DOTALL)


@dataclass(frozen=True)
class Lines:
    """Lines that follow those read before, or, where `fresh`, stand in their place.

    Four of one length: the times of day ("" where a line has none), the texts, how many cells
    each takes (int64 [N]), and whether any of its characters takes other than one (bool [N]).
    `pending` is the last line while it has no end, `skipped`
    the bytes of the file before the first line, `more` whether there is more to be read now.
    """

    stamps: list[str]
    texts: list[str]
    cells: np.ndarray
    uneven: np.ndarray
    pending: str
    fresh: bool
    skipped: int
    more: bool


NO_LINES = Lines(
    *([], [], np.empty(0, np.int64), np.empty(0, bool), ""), fresh=True, skipped=0, more=False
)
"""What there is of another file before it was read."""


class ConsoleFile:
    """Follows one file from MOST bytes before its end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = self._skipped = 0
        self._inode: tuple[int, int] | None = None
        self._head = b""
        self._rest = b""  # of a line without an end

    def read(self) -> Lines | None:
        """What was appended, PIECE bytes at most; None where nothing was.

        A file that is not there has nothing. Raises GenuiError where it may not be read.
        """
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise cannot_read(self.path, error) from None
        try:
            found = os.fstat(fd)
            fresh = self._begin(found, os.pread(fd, _HEAD, 0))
            data = os.pread(fd, PIECE, self._offset)
        except OSError as error:
            raise cannot_read(self.path, error) from None
        finally:
            os.close(fd)
        if not data and not fresh:
            return None
        cut = fresh and self._skipped > 0
        self._offset += len(data)
        whole, end, rest = (self._rest + data).rpartition(b"\n")
        if cut:  # the first line is half of one
            _, end, whole = whole.partition(b"\n")
        self._rest = rest[-_LONGEST_LINE:]
        parts = [_split(line) for line in whole.split(b"\n")] if end else []
        widths = [_width(text) for _, text in parts]
        return Lines(
            stamps=[stamp for stamp, _ in parts],
            texts=[text for _, text in parts],
            cells=np.array([cells for cells, _ in widths], np.int64),
            uneven=np.array([uneven for _, uneven in widths], bool),
            pending=" ".join(_split(self._rest)).strip(),
            fresh=fresh,
            skipped=self._skipped,
            more=self._offset < found.st_size,
        )

    def _begin(self, found: os.stat_result, head: bytes) -> bool:
        """Whether it is another file than before, or was written anew; then it is read anew."""
        inode = (found.st_dev, found.st_ino)
        grown = found.st_size >= self._offset and head.startswith(self._head)
        same, self._head = inode == self._inode and grown, head
        if same:
            return False
        self._inode, self._rest = inode, b""
        self._offset = self._skipped = max(0, found.st_size - MOST)
        return True


def _split(line: bytes) -> tuple[str, str]:
    """The time of day and the text. Of a line that was written over with carriage returns, as
    progress bars do, the last state counts."""
    last = line.rstrip(b"\r").rpartition(b"\r")[2][:_LONGEST_LINE]
    text = clean(last.decode(errors="replace").expandtabs(4)).rstrip()
    found = _STAMPED.match(text)
    return (found[1], found[2]) if found else ("", text)


def _width(text: str) -> tuple[int, bool]:
    """The cells a text takes, and whether any of its characters takes other than one."""
    if text.isascii():
        return len(text), False
    sizes = [get_character_cell_size(character) for character in text]
    return sum(sizes), any(size != 1 for size in sizes)
