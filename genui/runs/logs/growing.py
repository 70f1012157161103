"""A file that another program is writing: what was appended, and whether it is still that file."""

import os
import stat
import time
from pathlib import Path

from genui.errors import GenuiError
from genui.runs.disk import cannot_read, shown

LONGEST_LINE = 1024 * 1024
"""Bytes; a longer line is garbage and is skipped without being held in memory."""

SETTLED = 2.0
"""Seconds without a write after which what follows the last newline may be a line."""

_HEAD = 4096  # bytes at the beginning, and
_FOOT = 64  # before the offset, that tell a rewritten file from one that grew


class GrowingFile:
    """A cursor in a file that grows, may be replaced by another, shrink or vanish.

    `offset` is behind what was taken; `size` is of the last look at a file that was there. A
    file that is another one than before (its inode, its beginning or what is before the offset
    changed, or it shrank) is read from its beginning, and `restarted` says so until the next
    look.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self.offset = offset
        self.size = 0
        self.restarted = False
        self._inode: tuple[int, int] | None = None
        self._head = b""
        self._foot = b""
        self._seen: tuple[int, int] | None = None  # size and time of a look that gave nothing
        self._limit = 0  # of that look

    @property
    def progress(self) -> float:
        """Share of the bytes that were there at the last look that is behind the offset."""
        return min(1.0, self.offset / self.size) if self.size else 1.0

    def read(self, limit: int) -> bytes:
        """The bytes after the offset, `limit` at most; none where nothing is new or the file is
        not there. Raises GenuiError where it may not be read or is no regular file."""
        self.restarted = False
        try:
            # Not blocking: a named pipe put here by a stranger must not hang the reader.
            fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return b""
        except OSError as error:
            raise cannot_read(self.path, error) from None
        try:
            return self._read(fd, limit)
        except OSError as error:
            raise cannot_read(self.path, error) from None
        finally:
            os.close(fd)

    def take(self, data: bytes, count: int) -> None:
        """Moves the offset behind the first `count` bytes of what `read` gave."""
        self.offset += count
        self._foot = (self._foot + data[max(0, count - _FOOT) : count])[-_FOOT:]
        self._seen = None

    def skip(self, count: int) -> None:
        """Moves the offset over bytes that nobody reads."""
        self.offset += count
        self._foot = b""
        self._seen = None

    def _read(self, fd: int, limit: int) -> bytes:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):  # told by pread
            raise GenuiError(f"{shown(self.path)} is not a regular file: name another")
        inode = (found.st_dev, found.st_ino)
        written = (found.st_size, found.st_mtime_ns)
        same = self._inode in (None, inode)
        if same and written == self._seen and limit <= self._limit:
            return b""  # nothing was written since a look of which nothing could be taken
        self.size = found.st_size
        head = os.pread(fd, _HEAD, 0)
        same = (
            same
            and found.st_size >= self.offset
            and head.startswith(self._head[: self.offset])
            and os.pread(fd, len(self._foot), self.offset - len(self._foot)) == self._foot
        )
        if not same:
            self.restarted = True
            self.offset = 0
            self._foot = b""
        self._inode, self._head = inode, head
        self._seen, self._limit = written, limit
        return os.pread(fd, limit, self.offset)


class LineFile(GrowingFile):
    """The same, in whole lines: what is after the last newline is not taken by `read_lines`.

    From an offset in the middle it begins with the line after the one that is there.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        super().__init__(path, offset)
        self.too_long = 0  # lines that were
        self._skipping = offset > 0  # inside a line that is too long, or was begun elsewhere
        self._rest = b""  # after the last newline, at the last look
        self._guessed = False  # the line before the offset had no newline
        self._tears = False  # the writer was seen to leave lines half written

    def read_lines(self, limit: int) -> bytes:
        """Whole lines, about `limit` bytes; none where no line was finished."""
        chunk = self._read_on(limit)
        end = chunk.rfind(b"\n") + 1
        if not end and limit <= len(chunk) < LONGEST_LINE:
            restarted = self.restarted
            chunk = self.read(LONGEST_LINE)
            self.restarted |= restarted
            end = chunk.rfind(b"\n") + 1
        if chunk:
            self._rest = chunk[end:]
        if not end:
            if len(chunk) >= LONGEST_LINE:
                self.take(chunk, len(chunk))
                self.too_long += not self._skipping
                self._skipping = True
            return b""
        start = 0
        if self._skipping:
            start, self._skipping = chunk.index(b"\n") + 1, False
        self.take(chunk, end)
        return chunk[start:end]

    def rest(self, settled: float = SETTLED) -> bytes:
        """What is after the last newline, if `read_lines` found nothing else and nothing was
        written for `settled` seconds: perhaps a line whose newline never came, perhaps half of
        one that the writer holds back. Empty also where a guess was wrong before."""
        whole = self.offset + len(self._rest) == self.size
        if self._seen is None or not whole or self._skipping or self._tears:
            return b""
        return self._rest if time.time() - self._seen[1] / 1e9 >= settled else b""

    def take_rest(self) -> None:
        """Takes what `rest` gave for a line. Should it go on after all, everything is read
        again: `restarted`."""
        self.take(self._rest, len(self._rest))
        self._rest, self._guessed = b"", True

    def _read_on(self, limit: int) -> bytes:
        chunk = self.read(limit)
        if self.restarted:
            self.too_long, self._skipping = 0, False
            self._rest, self._guessed, self._tears = b"", False, False
        if self._guessed and chunk:
            self._guessed = False
            if chunk[:1] not in (b"\r", b"\n"):
                self._tears = True
                self.offset, self._foot, self._seen = 0, b"", None
                chunk = self.read(limit)
                self.restarted = True
                self.too_long = 0
        return chunk
