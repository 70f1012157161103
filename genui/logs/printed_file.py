"""A log of printed lines as a file: train.log, slurm-123.out, stdout.log of torchrun.

It is followed as `tail -F` does: a file that was rotated or truncated goes on in the new one, with
what was left in the old one read first. A file that begins anew at an earlier step is another run.
"""

import math
import os
import re
import time
from collections import deque
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from genui.base.files import open_unblocked
from genui.logs.base import CHUNK, PIECE, SETTLED, Extras, GrowingFile, Reader
from genui.logs.printed_choice import Choice, key_of_file, recall, stamp
from genui.logs.printed_log import Lines, Point, Printed, PrintedLog
from genui.logs.text import parse_step

_MAX_LINES = 5000  # of the console
_MAX_PROBED = 20_000  # lines of a new file in which its first step is looked for
_LIVE = 30.0  # seconds since the last write within which a line was printed now
_TIME = re.compile(r"(\d{4})[-/](\d\d)[-/](\d\d)[T ,](\d\d):(\d\d):(\d\d)")


class TextTail(Reader):
    """The metrics in a text log."""

    def __init__(self, path: Path, choice: Choice | None = None) -> None:
        self._file = _RotatedFile(path)
        self._follows_choice = choice is None
        self._stamp = stamp()
        self._choice = recall(key_of_file(path)) if choice is None else choice
        self._lines = Lines()
        self._took_rest = False  # text without a line end was read as a line
        self._writes_parts = False  # it was continued, so a buffer is written and not lines
        super().__init__(path)

    def _forget(self) -> None:
        super()._forget()
        self._log = PrintedLog(self._choice)
        self._first: int | None = None  # the first step
        self._probed: list[Printed] | None = None  # lines of a new file, before its first step
        self._probe = PrintedLog()
        self._console: deque[tuple[float, str]] = deque(maxlen=_MAX_LINES)
        self._known = (0, 0)  # notes and units of the log that are in the config
        self._finished = True  # nothing waits for the end of the log

    @property
    def extras(self) -> Extras:
        return Extras(console=tuple(self._console))

    def read(self, limit_bytes: int = CHUNK) -> bool:
        changed = self._choose_again()
        while limit_bytes > 0:
            data = self._file.read_on(min(limit_bytes, PIECE))
            if self._file.restarted:
                self._take(self._lines.take(b"", final=True))
                self._lines = Lines()
                self._decide()
                self._probed, self._probe = [], PrintedLog(self._choice)
                changed = True
            if not data:
                changed = self._end() or changed
                break
            if self._took_rest and not self._file.restarted:
                self._took_rest = False
                if data[:1] not in (b"\r", b"\n"):  # it was a part of a line
                    self._writes_parts = True
                    self._begin_again()
                    continue
            limit_bytes -= len(data)
            changed, self._finished = True, False
            self._take(self._lines.take(data))
        self.progress = self._file.progress
        return changed

    def _choose_again(self) -> bool:
        """Begins again if the user said otherwise how the lines are read."""
        if not self._follows_choice or self._stamp == (now := stamp()):
            return False
        self._stamp = now
        choice = recall(key_of_file(self.path))
        if choice == self._choice:
            return False
        self._choice = choice
        self._begin_again()
        return True

    def _begin_again(self) -> None:
        self._lines = Lines()
        self._forget()
        self._file.rewind()

    def _end(self) -> bool:
        """Reads what waits for more, if nothing was written for a while."""
        if self._finished or time.time() - self._file.written < SETTLED:
            return False
        self._finished = True
        if not self._writes_parts:
            self._took_rest = bool(self._lines.rest)
            self._take(self._lines.take(b"", final=True))
        if self._probed is not None:
            self._decide()
        points = self._log.finish()
        self._add([(point, self._file.written) for point in points])
        return True

    def _take(self, lines: list[Printed]) -> None:
        if self._probed is None:
            self._read_lines(lines)
            return
        for line in lines:
            self._probed.append(line)
            points = self._probe.take(line.text, line.stays)
            if points or len(self._probed) > _MAX_PROBED:
                step = points[0].step if points else None
                rest = lines[lines.index(line) + 1 :]
                self._decide(step)
                self._read_lines(rest)
                return

    def _decide(self, step: int | None = None) -> None:
        """Reads the lines of a new file: as another run if it begins before the first step."""
        lines, self._probed = self._probed or [], None
        if step is not None and self._first is not None and step <= self._first:
            choice, file_lines = self._choice, self._lines
            self._forget()
            self._choice, self._lines = choice, file_lines
        self._read_lines(lines)

    def _read_lines(self, lines: list[Printed]) -> None:
        now = self._file.written if time.time() - self._file.written < _LIVE else math.nan
        found: list[tuple[Point, float]] = []
        for line in lines:
            points = self._log.take(line.text, line.stays)
            if points:
                when = _time_of(line.text, now)
                found += [(point, when) for point in points]
            if line.stays:
                self._console.append((math.nan, line.text))
        self._add(found)
        known = len(self._log.notes), len(self._log.units)
        if known != self._known:
            self._known = known
            fields = {
                "printed lines": list(self._log.notes),
                "printed units": dict(self._log.units),
            }
            self.config = {name: field for name, field in fields.items() if field}

    def _add(self, points: list[tuple[Point, float]]) -> None:
        if points and self._first is None:
            self._first = points[0][0].step
        good = [(point, when) for point, when in points if parse_step(point.step) is not None]
        self._damaged += len(points) - len(good)  # beyond int64
        self._collected.add_points(
            (name, step, value, when)
            for (step, metrics), when in good
            for name, value in metrics.items()
        )


def _time_of(text: str, otherwise: float) -> float:
    """The time with which a line begins, as unix time."""
    match = _TIME.search(text, 0, 80)
    if match is None:
        return otherwise
    try:
        return datetime(*map(int, match.groups())).timestamp()  # type: ignore[arg-type]
    except (ValueError, OverflowError, OSError):
        return otherwise


class _RotatedFile(GrowingFile):
    """A GrowingFile that, when it was renamed and begun anew, first gives the rest of the old
    one."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.written = 0.0  # unix time of the last write

    def rewind(self) -> None:
        """Begins again with the first byte."""
        self.offset, self._foot, self._seen = 0, b"", None

    def read_on(self, limit: int) -> bytes:
        """The next bytes; `restarted` is set with the first bytes of the new file."""
        offset, inode = self.offset, self._inode
        try:
            about = os.stat(self.path)
            self.written = about.st_mtime
        except OSError:
            about = None
        if about is not None and inode is not None and (about.st_dev, about.st_ino) != inode:
            rest = self._rest_of(inode, offset, limit)
            if rest:
                self.take(rest, len(rest))
                self.restarted = False
                return rest
        data = self.read(limit)
        restarted = self.restarted
        if data:
            self.take(data, len(data))
        self.restarted = restarted
        return data

    def _rest_of(self, inode: tuple[int, int], offset: int, limit: int) -> bytes:
        """What was written to the old file after the last read, if it is still in the folder."""
        with suppress(OSError), os.scandir(self.path.parent) as entries:
            for entry in entries:
                if entry.inode() == inode[1] and entry.name.startswith(self.path.stem):
                    with open_unblocked(Path(entry)) as file:
                        return os.pread(file.fileno(), limit, offset)
        return b""
