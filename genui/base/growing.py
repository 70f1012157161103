"""Files that another program writes: one that grows, is rotated, or is written whole again."""

import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from genui.base.errors import GenuiError
from genui.base.files import cannot_read, open_unblocked, show, stamp_of

CHUNK = 4 * 1024 * 1024
"""Bytes that are read at once, about: a fraction of a second."""

LONGEST_LINE = 1024 * 1024
"""Bytes; a longer line is skipped without being held in memory."""

SETTLED = 2.0
"""Seconds without a write after which the text after the last newline may be a line."""

_HEAD = 4096  # bytes at the beginning and
_FOOT = 64  # before the offset: if they changed, the file was rewritten


class FileStamp:
    """Says when a file that is written whole is written again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.forget()

    def forget(self) -> None:
        self._seen: tuple[int, int, int] | None = None

    def changed(self) -> bool:
        """Whether the file was written since the last call; a missing one was not."""
        now = stamp_of(self._path)
        if now is None:
            return False
        before, self._seen = self._seen, now
        return now != before


class GrowingFile:
    """A cursor in a file that grows, and may be replaced, shrink or vanish.

    `offset` is the end of the bytes taken; `size` is the size of an existing file at the last read.
    A file that was replaced (its inode, its beginning or the bytes before the offset changed, or it
    shrank) is read from its beginning, and `restarted` is true until the next read.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self.offset = offset
        self.size = 0
        self.written = 0.0  # unix time of the last write
        self.restarted = False
        self.failed = False  # the last read raised an error of the system, which may pass
        self.damaged = 0  # records that were left out
        self._inode: tuple[int, int] | None = None
        self._head = b""
        self._foot = b""
        self._seen: tuple[int, int] | None = None  # size and time of a read that gave nothing
        self._limit = 0  # of that read

    @property
    def progress(self) -> float:
        """The share of the bytes of the last read that were taken."""
        return min(1.0, self.offset / self.size) if self.size else 1.0

    def read(self, limit: int) -> bytes:
        """The bytes after the offset, `limit` at most; none if nothing is new or the file
        is missing. Raises GenuiError if it cannot be read or is not a regular file."""
        self.restarted = False
        try:
            with open_unblocked(self.path) as file:
                data = self._read(file.fileno(), limit)
        except (FileNotFoundError, NotADirectoryError):
            return b""
        except OSError as error:
            self.failed = True
            raise cannot_read(self.path, error) from None
        self.failed = False
        return data

    def take(self, data: bytes, count: int) -> None:
        """Moves the offset past the first `count` bytes that `read` returned."""
        self.offset += count
        self._foot = (self._foot + data[max(0, count - _FOOT) : count])[-_FOOT:]
        self._seen = None

    def rewind(self) -> None:
        """Moves the offset back to the first byte."""
        self.offset, self._foot, self._seen = 0, b"", None

    def skip(self, count: int) -> None:
        """Moves the offset past bytes that are not read."""
        self.offset += count
        self._foot = b""
        self._seen = None

    def _read(self, fd: int, limit: int) -> bytes:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode) and not stat.S_ISDIR(about.st_mode):
            raise GenuiError(f"{show(self.path)} is not a regular file: name another file")
        self.written = about.st_mtime
        inode = (about.st_dev, about.st_ino)
        written = (about.st_size, about.st_mtime_ns)
        same = self._inode in (None, inode)
        if same and written == self._seen and limit <= self._limit:
            return b""  # unchanged since a read that gave nothing
        self.size = about.st_size
        head = os.pread(fd, _HEAD, 0)
        same = (
            same
            and about.st_size >= self.offset
            and head.startswith(self._head[: self.offset])
            and os.pread(fd, len(self._foot), self.offset - len(self._foot)) == self._foot
        )
        if not same:
            self.restarted = True
            self.rewind()
        self._inode, self._head = inode, head
        self._seen, self._limit = written, limit
        return os.pread(fd, limit, self.offset)


class LineFile(GrowingFile):
    """A GrowingFile that is read in whole lines. Opened at an offset in the middle of a line, it
    begins with the next line."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        super().__init__(path, offset)
        self._skipping = offset > 0  # inside a line that is left out
        self._rest = b""  # after the last newline, at the last read
        self._took_rest = False  # the line before the offset had no newline
        self._partial_lines = False  # the writer writes lines in parts

    def read_lines(self, limit: int) -> bytes:
        """Whole lines, about `limit` bytes; empty if no new line is complete."""
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
                self.damaged += not self._skipping
                self._skipping = True
            return b""
        start = 0
        if self._skipping:
            start, self._skipping = chunk.index(b"\n") + 1, False
        self.take(chunk, end)
        return chunk[start:end]

    def read_whole(self) -> Iterator[bytes]:
        """All new whole lines, in pieces."""
        while True:
            before = self.offset
            lines = self.read_lines(CHUNK)
            if lines:
                yield lines
            elif self.offset == before:
                return

    def rest(self, settled: float = SETTLED) -> bytes:
        """The text after the last newline, if nothing else is new and nothing was written for
        `settled` seconds: a line without a newline, or the part of one that is not buffered.
        Empty if the writer writes lines in parts."""
        whole = self.offset + len(self._rest) == self.size
        if self._seen is None or not whole or self._skipping or self._partial_lines:
            return b""
        return self._rest if time.time() - self._seen[1] / 1e9 >= settled else b""

    def take_rest(self) -> None:
        """Takes the result of `rest` as a line. If the line is continued later, the file is read
        from its beginning, and `restarted` is set."""
        self.take(self._rest, len(self._rest))
        self._rest, self._took_rest = b"", True

    def _read_on(self, limit: int) -> bytes:
        chunk = self.read(limit)
        if self.restarted:
            self.damaged, self._skipping = 0, False
            self._rest, self._took_rest, self._partial_lines = b"", False, False
        if self._took_rest and chunk:
            self._took_rest = False
            if chunk[:1] not in (b"\r", b"\n"):
                self._partial_lines = True
                self.rewind()
                chunk = self.read(limit)
                self.restarted, self.damaged = True, 0
        return chunk


class RotatedFile(GrowingFile):
    """A GrowingFile that may be replaced: it first gives the rest of the old file, as `tail -F`
    does."""

    def _read(self, fd: int, limit: int) -> bytes:
        about = os.fstat(fd)
        if self._inode not in (None, (about.st_dev, about.st_ino)) and (rest := self._old(limit)):
            return rest
        return super()._read(fd, limit)

    def _old(self, limit: int) -> bytes:
        """Return the rest of the old file after the last read, if it is still in the folder."""
        assert self._inode is not None
        with suppress(OSError), os.scandir(self.path.parent) as entries:
            for entry in entries:
                if entry.inode() == self._inode[1] and entry.name.startswith(self.path.stem):
                    with open_unblocked(Path(entry)) as file:
                        return os.pread(file.fileno(), limit, self.offset)
        return b""
