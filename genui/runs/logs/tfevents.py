"""TensorBoard event files, in a folder of one or several, as they are written.

A training that is resumed begins another file in the same folder: they are read in the order
of their names, which begin with the time. What the hparams plugin says of the end is not
believed: most loggers write it at the beginning.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genui.errors import GenuiError
from genui.runs.disk import cannot_read, shown
from genui.runs.logs import tfrecord
from genui.runs.logs.base import CHUNK, Reader
from genui.runs.logs.event import (
    Points,
    points_alike,
    points_of,
    read_event,
    step_of,
)
from genui.runs.logs.growing import GrowingFile
from genui.runs.logs.wire import WireError

_PIECE = 1024 * 1024  # bytes decoded at once
_LARGEST = 4 * 1024 * 1024  # bytes; larger records are pictures or graphs, and are passed over
_ALIKE = 4096  # bytes; of larger records there are no thousands
_MOST_LAYOUTS = 32  # of one length; the other records are read one by one


class EventsTail(Reader):
    """The scalars in an event file or in all event files of a folder."""

    def _forget(self) -> None:
        super()._forget()
        self._files: dict[Path, _EventFile] = {}

    @property
    def bad_lines(self) -> int:
        return sum(file.bad for file in self._files.values())

    def read(self, limit_bytes: int = CHUNK) -> bool:
        """Takes in about `limit_bytes`; True if anything changed: call again until False.

        Raises GenuiError where it may not be read or is of another program; of several files one
        at least has to be an event file.
        """
        changed = False
        paths = self._paths()
        refusal: GenuiError | None = None
        for path in paths:
            file = self._files.setdefault(path, _EventFile(path))
            while limit_bytes > 0:
                try:
                    taken = file.take_piece(min(limit_bytes, _PIECE), self)
                except GenuiError as error:
                    refusal = refusal or error
                    file.refuse()
                    break
                if file.restarted:
                    self._forget()
                    return True
                if not taken:
                    break
                changed = True
                limit_bytes -= taken
        if refusal is not None and all(self._files[path].refused for path in paths):
            raise refusal
        size = sum(file.size for file in self._files.values())
        left = sum(file.unread for file in self._files.values())
        self.progress = 1.0 - left / size if size else 1.0
        return changed

    def _paths(self) -> list[Path]:
        try:
            with os.scandir(self.path) as entries:
                names = [e.name for e in entries if "tfevents" in e.name and e.is_file()]
        except NotADirectoryError:
            return [self.path]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise cannot_read(self.path, error) from None
        return [self.path / name for name in sorted(names)]

    def add(self, points: list[Points], restarts: list[tuple[int, int]]) -> None:
        """Adds the scalars of a piece; `restarts` are record numbers and the steps from which
        on everything before is void."""
        by_tag: dict[bytes, list[Points]] = {}
        for part in points:
            by_tag.setdefault(part.tag, []).append(part)
        whole = [_in_order(parts) for parts in by_tag.values()]
        after = 0
        for record, step in [*restarts, (np.iinfo(np.int64).max, -1)]:
            self._found.add(
                (part.tag.decode(errors="replace"), part.steps[here], part.values[here],
                 part.times[here])
                for part in whole
                for here in [(after <= part.records) & (part.records < record)]
            )  # fmt: skip
            if step >= 0:
                self._found.forget_after(step - 1)
            after = record

    def learn(self, config: Mapping[str, Any]) -> None:
        self.config = {**self.config, **config}


class _EventFile:
    """One event file and how far it was read."""

    def __init__(self, path: Path) -> None:
        self._file = GrowingFile(path)
        self._damaged = 0
        self._stuck = False  # at a header that makes no sense: nothing after it can be found
        self._waiting = 0  # bytes at the end that are no whole record yet
        self.refused = False  # it may not be read, or is none

    def refuse(self) -> None:
        """Counts the file as damaged, and what is in it as read."""
        self.refused = True
        self._waiting = self._file.size

    @property
    def bad(self) -> int:
        return self._damaged + (self._stuck or self.refused)

    @property
    def restarted(self) -> bool:
        return self._file.restarted

    @property
    def size(self) -> int:
        return self._file.size

    @property
    def unread(self) -> int:
        return max(0, self._file.size - self._file.offset - self._waiting)

    def take_piece(self, limit: int, tail: EventsTail) -> int:
        """Adds the scalars of up to about `limit` bytes to the tail; the bytes taken."""
        data = self._file.read(limit)
        if data or self._file.restarted:
            self.refused = False
        if self._file.restarted or len(data) < tfrecord.HEADER:
            self._waiting = max(self._waiting, len(data))
            return 0
        starts, lengths, end = tfrecord.split(data)
        self._stuck = False
        if not end:
            length = tfrecord.length_of(data[: tfrecord.HEADER])
            if length is None:
                if not self._file.offset:
                    raise GenuiError(
                        f"{shown(self._file.path)} is no TensorBoard event file, or its beginning "
                        "is damaged: remove it, or name another"
                    )
                self._stuck = True
                self._waiting = self._file.size - self._file.offset
                return 0
            whole = tfrecord.HEADER + length + tfrecord.FOOTER
            if whole > self._file.size - self._file.offset:
                self._waiting = self._file.size - self._file.offset
                return 0
            if whole > _LARGEST:
                self._file.skip(whole)
                return whole
            return self.take_piece(whole, tail)
        self._waiting = 0
        self._file.take(data, end)
        self._decode(data, starts, lengths, tail)
        return end

    def _decode(
        self, data: bytes, starts: NDArray[np.int64], lengths: NDArray[np.int64], tail: EventsTail
    ) -> None:
        rows = np.frombuffer(data, np.uint8)
        points: list[Points] = []
        restarts: list[tuple[int, int]] = []
        for length in np.unique(lengths).tolist():
            rest = np.flatnonzero(lengths == length)
            if length <= _ALIKE:
                rest = self._whole(rows, starts, length, rest)
            for _ in range(_MOST_LAYOUTS):
                if len(rest) < 2 or length > _ALIKE:
                    break
                try:
                    found, alike = points_alike(rows, starts[rest], length, rest)
                except WireError:
                    break
                if not alike.any():
                    self._decode_one(data, int(starts[rest[0]]), length, int(rest[0]),
                                     points, restarts, tail)  # fmt: skip
                    rest = rest[1:]
                    continue
                points += found
                rest = rest[~alike]
            for index in rest.tolist():
                self._decode_one(data, int(starts[index]), length, index, points, restarts, tail)
        good = [_of_steps(part) for part in points]
        self._damaged += sum(len(p.steps) for p in points) - sum(len(p.steps) for p in good)
        tail.add([part for part in good if len(part.steps)], sorted(restarts))

    def _whole(
        self, rows: tfrecord.Bytes, starts: NDArray[np.int64], length: int, which: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Those of the records whose checksum is right; the others are counted as damaged."""
        found = tfrecord.rows_at(rows, starts[which], length + tfrecord.FOOTER)
        said = np.ascontiguousarray(found[:, length:]).view("<u4")[:, 0]
        right = tfrecord.checksums(found[:, :length]) == said
        self._damaged += int(len(which) - right.sum())
        return which[right]

    def _decode_one(
        self,
        data: bytes,
        start: int,
        length: int,
        index: int,
        points: list[Points],
        restarts: list[tuple[int, int]],
        tail: EventsTail,
    ) -> None:
        record = data[start : start + length]
        try:
            event = read_event(record)
            step = step_of(record, event)
        except WireError:
            self._damaged += 1
            return
        points += points_of(record, event, index)
        if event.restarted:
            restarts.append((index, max(step, 0)))
        if event.config:
            tail.learn(event.config)


def _of_steps(part: Points) -> Points:
    """The points without those whose step is negative."""
    right = part.steps >= 0
    if right.all():
        return part
    tag, records, steps, times, values = part
    return Points(tag, records[right], steps[right], times[right], values[right])


def _in_order(parts: list[Points]) -> Points:
    """The points of one tag as they were written."""
    if len(parts) == 1:
        return parts[0]
    order = np.argsort(np.concatenate([part.records for part in parts]), kind="stable")
    return Points(
        parts[0].tag,
        *(np.concatenate(column)[order] for column in zip(*(p[1:] for p in parts), strict=True)),
    )
