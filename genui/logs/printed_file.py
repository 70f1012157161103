"""A log of printed lines as a file: train.log, slurm-123.out, stdout.log of torchrun.

It is followed as `tail -F` does: a file that was rotated or truncated continues in the new one,
after the rest of the old one. A file that begins anew at an earlier step is another run.
"""

import math
import re
import time
from collections import deque
from datetime import datetime
from pathlib import Path

from genui.base.growing import CHUNK, SETTLED, RotatedFile
from genui.logs.base import Extras, FilesReader
from genui.logs.printed_choice import Choice, key_of_file, recall, stamp
from genui.logs.printed_log import Lines, Point, Printed, PrintedLog
from genui.logs.records import parse_step

_MAX_LINES = 5000  # of the console
_MAX_PROBED = 20_000  # lines of a new file in which its first step is looked for
_LIVE = 30.0  # seconds since the last write within which a line was printed now
_TIME = re.compile(r"(\d{4})[-/](\d\d)[-/](\d\d)[T ,](\d\d):(\d\d):(\d\d)")


class TextTail(FilesReader[RotatedFile]):
    """The metrics in a text log."""

    def __init__(self, path: Path, choice: Choice | None = None) -> None:
        self._follows_choice = choice is None
        self._stamp = stamp()
        self._choice = recall(key_of_file(path)) if choice is None else choice
        self._writes_parts = False  # a line was continued, so a buffer is written and not lines
        super().__init__(path)

    def open_file(self, path: Path) -> RotatedFile:
        self._file = RotatedFile(path)
        self._lines = Lines()
        self._took_rest = False  # text without a line end was read as a line
        return self._file

    def forget(self) -> None:
        super().forget()
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
        changed = super().read(limit_bytes)
        return (self.progress == 1.0 and self._end()) or changed

    def read_beside(self) -> bool:
        """Begins again if the user changed how the lines are read."""
        if not self._follows_choice or self._stamp == (now := stamp()):
            return False
        self._stamp = now
        choice = recall(key_of_file(self.path))
        if choice == self._choice:
            return False
        self._choice = choice
        self.read_again()
        return True

    def read_piece(self, file: RotatedFile, limit: int) -> None:
        data = file.read(limit)
        if data:
            file.take(data, len(data))
        if file.restarted:
            self._take(self._lines.take(b"", final=True))
            self._lines, self._took_rest = Lines(), False
            self._decide()
            self._probed, self._probe = [], PrintedLog(self._choice)
            self.restarted = True
        elif data and self._took_rest:
            self._took_rest = False
            if data[:1] not in (b"\r", b"\n"):  # it was a part of a line
                self._writes_parts = self.again = True
                return
        if data:
            self._finished = False
            self._take(self._lines.take(data))

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
            self.forget()
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
            self.config = self._log.describe()

    def _add(self, points: list[tuple[Point, float]]) -> None:
        if points and self._first is None:
            self._first = points[0][0].step
        good = [(point, when) for point, when in points if parse_step(point.step) is not None]
        self.damaged += len(points) - len(good)  # beyond int64
        self.store.add_points(
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
