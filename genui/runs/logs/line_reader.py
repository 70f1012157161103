"""What the readers of logs with a line a record have in common: how their file is read."""

from abc import ABC, abstractmethod
from pathlib import Path

from genui.runs.logs.base import CHUNK, PIECE, Reader
from genui.runs.logs.growing import LineFile


class LineReader(Reader, ABC):
    """Reads whole lines, and a last one without a newline where that can be told."""

    def __init__(self, path: Path) -> None:
        self._lines = LineFile(path)
        super().__init__(path)

    @property
    def bad_lines(self) -> int:
        return self._damaged + self._lines.too_long

    def read(self, limit_bytes: int = CHUNK) -> bool:
        """Takes in about `limit_bytes`; True if anything changed: call again until False.

        Raises GenuiError where it may not be read or is no such log.
        """
        changed = False
        while limit_bytes > 0:
            before = self._lines.offset
            lines = self._lines.read_lines(min(limit_bytes, PIECE))
            if self._lines.restarted:
                self._forget()
                before, changed = 0, True
            if self._lines.offset == before:
                changed = self._add_rest() or changed
                break
            changed = True
            limit_bytes -= self._lines.offset - before
            self._add_lines(lines)
        self.progress = 1.0 if limit_bytes > 0 else self._lines.progress
        return changed

    @abstractmethod
    def _add_lines(self, lines: bytes) -> None:
        """Adds the points of whole lines."""

    @abstractmethod
    def _add_rest(self) -> bool:
        """Adds those of the rest of the file (`LineFile.rest`) if it is a whole line; whether
        it was."""
