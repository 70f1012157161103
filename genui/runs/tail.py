"""Following metrics.jsonl while it is written: whole lines only, in large batches.

The offset always stands after the last whole line taken, so a line seen half-written is
simply read again, and a torn line a restarted trainer cuts off was never counted.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from genui.runs.disk import cannot_read
from genui.runs.series import Floats, Series, Steps

LONGEST_LINE = 1024 * 1024
"""Bytes; a longer line is garbage and is skipped without being held in memory."""

MOST_SERIES = 512
"""Metrics kept; a file with more names than that is not a log of a training."""

_HEAD = 64  # bytes that tell a rewritten file from one that grew
_BEYOND = 2**63
_SPELLED = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}

Record = dict[str, Any]

_decoder = msgspec.json.Decoder(Record)


class MetricsTail:
    """The series in a metrics file, brought up to date by `read`.

    `series` maps a metric's name to its points; the mapping is replaced, never changed, when
    a metric appears, so another thread may iterate over one it took. Lines that are not records
    are counted in `bad_lines`. When the file shrinks or is replaced everything starts again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.series: Mapping[str, Series] = {}
        self.bad_lines = 0
        self.overlaps: Sequence[tuple[int, int]] = ()
        self.config: Mapping[str, Any] = {}
        self.ended = ""
        self.progress = 0.0
        self._offset = 0
        self._head = b""
        self._inode: tuple[int, int] | None = None
        self._skipping = False  # inside a line that is too long

    def read(self, limit_bytes: int = 4 * 1024 * 1024) -> bool:
        """Takes in what was appended, about `limit_bytes` at most (never less than the longest
        line). True if anything changed: call again until False to reach the end.

        A file that is not there, yet or any more, changes nothing. Raises GenuiError where it
        may not be read.
        """
        try:
            with self.path.open("rb", buffering=0) as file:
                fd = file.fileno()
                changed = self._restart_if_replaced(fd)
                limit = max(limit_bytes, LONGEST_LINE)
                chunk = os.pread(fd, limit, self._offset)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise cannot_read(self.path, error) from None
        return self._take(chunk) or changed

    def _restart_if_replaced(self, fd: int) -> bool:
        """Forgets everything if this is no longer the file read before."""
        found = os.fstat(fd)
        inode = (found.st_dev, found.st_ino)
        head = os.pread(fd, _HEAD, 0)
        same = (
            self._inode in (None, inode)
            and found.st_size >= self._offset
            and head.startswith(self._head[: self._offset])
        )
        self._inode, self._head = inode, head
        if same:
            return False
        changed = bool(self.series) or self.bad_lines > 0
        self.series = {}
        self.bad_lines = self._offset = 0
        self._skipping = False
        return changed

    def _take(self, chunk: bytes) -> bool:
        """Consumes the whole lines of a chunk read at the offset."""
        end = chunk.rfind(b"\n") + 1
        if not end:
            if len(chunk) < LONGEST_LINE:
                return False
            self._offset += len(chunk)
            if not self._skipping:
                self.bad_lines += 1
            self._skipping = True
            return True
        start = 0
        if self._skipping:
            start, self._skipping = chunk.index(b"\n") + 1, False
        self._offset += end
        records = self._decode(chunk[start:end])
        for marker, part in _split_at_rewinds(records):
            if marker is not None:
                for series in self.series.values():
                    series.forget_after(marker)
            if part:
                self._add(part)
        return True

    def _decode(self, lines: bytes) -> list[Record]:
        """The records with a step; the rest is counted as bad."""
        try:
            records = _decoder.decode_lines(lines)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            records = []
        # Two records run together on one line pass for two lines: what is damaged is told
        # apart line by line, so that it counts the same in whatever pieces it is read.
        if len(records) != lines.count(b"\n"):
            records = []
            for line in lines.split(b"\n"):
                if line.strip():
                    record = _decode_line(line)
                    if record is None:
                        self.bad_lines += 1
                    else:
                        records.append(record)
        steps: list[Any] = [record.get("step") for record in records]
        if set(map(type, steps)) == {int} and _is_step(min(steps)) and _is_step(max(steps)):
            return records
        good = [r for r, step in zip(records, steps, strict=True) if _is_step(step)]
        self.bad_lines += len(records) - len(good)
        return good

    def _add(self, records: list[Record]) -> None:
        steps = np.array([record["step"] for record in records], np.int64)
        times, _ = _column(records, "time")
        names = set().union(*records) - {"step", "time"}
        for name in sorted(names):
            values, there = _column(records, name)
            if not there.any():
                continue
            if name not in self.series:
                if len(self.series) >= MOST_SERIES:
                    continue
                self.series = {**self.series, name: Series()}
            self._extend(name, steps, values, times, there)

    def _extend(
        self, name: str, steps: Steps, values: Floats, times: Floats, there: np.ndarray
    ) -> None:
        if there.all():
            self.series[name].extend(steps, values, times)
        else:
            self.series[name].extend(steps[there], values[there], times[there])


def _is_step(step: object) -> bool:
    return type(step) is int and 0 <= step < _BEYOND


def _decode_line(line: bytes) -> Record | None:
    """One record, also in Python's own dialect with a bare NaN; None for anything else."""
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        pass
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _split_at_rewinds(records: list[Record]) -> Iterator[tuple[int | None, list[Record]]]:
    """Cuts the records at the markers of RunWriter.truncate_after: (step gone back to, what
    follows); the step is None for what comes before the first marker."""
    if not any("rewind" in record for record in records):
        yield None, records
        return
    marker: int | None = None
    part: list[Record] = []
    for record in records:
        if record.get("rewind") is True:
            yield marker, part
            marker, part = record["step"], []
        else:
            part.append(record)
    yield marker, part


def _column(records: list[Record], name: str) -> tuple[Floats, np.ndarray]:
    """The numbers under a name, float64 [records], and which records have one, bool [records]."""
    cells = [record.get(name) for record in records]
    if set(map(type, cells)) <= {int, float}:
        try:
            return np.array(cells, np.float64), np.ones(len(cells), bool)
        except OverflowError:  # an integer no float can hold
            pass
    numbers = [_number(cell) for cell in cells]
    there = np.array([number is not None for number in numbers], bool)
    return np.array(numbers, np.float64), there  # None becomes NaN


def _number(cell: object) -> float | None:
    """A JSON number, or one of the spellings JSON has no number for."""
    if isinstance(cell, bool):
        return None
    if isinstance(cell, int | float):
        try:
            return float(cell)
        except OverflowError:
            return None
    return _SPELLED.get(cell) if isinstance(cell, str) else None
