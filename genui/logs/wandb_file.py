"""The file run-*.wandb of W&B: LevelDB's log format around protobuf records, and the facts for a
list of runs. The reader is in `wandb.py`.

Source: wandb/core/pkg/leveldb/record.go and wandb/proto/wandb_internal.proto. The wandb package
reads them only to send them to its server, and is a dependency of 100 MB. W&B writes a block when
it is full.
"""

import os
import re
import struct
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from genui.base import protobuf
from genui.base.files import open_unblocked, stamp_of
from genui.base.protobuf import BYTES, VARINT, WireError
from genui.logs.base import About, Format, Log

MAGIC = b":W&B"
FILE_HEADER = 7  # bytes of the file: magic, two bytes, version

RUN, EXIT = 17, 18  # fields of Record
NUMBER_KEY = 0x08  # the first byte of a record

_BLOCK_HEADER = 7  # bytes: uint32 checksum of kind and data, uint16 length, uint8 kind
_BLOCK = 32 * 1024
_PIECE = struct.Struct("<IHB")
_KIND = 6  # its offset in the header, right before the data; the checksum covers both
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_LARGEST = 64 * 1024 * 1024  # bytes of a record in pieces; more is garbage


class LogBlocks:
    """Splits a log into its records, chunk by chunk.

    Blocks have 32 KiB and contain records in pieces, each with a checksum. A record that does not
    fit continues in the next block; the end of a block with no room for a piece's header is
    padding. After damage reading continues with the next block. Source: leveldb's
    doc/log_format.md, with zlib's CRC-32 as W&B writes it.

    `damaged` counts the skipped blocks. `end` is the end of the last whole piece in the last chunk:
    the next chunk must begin there.
    """

    def __init__(self) -> None:
        self.damaged = 0
        self.end = 0
        self._parts: list[bytes] = []  # of an incomplete record

    def records(self, data: bytes, at: int, offset: int) -> Iterator[tuple[bytes, int, int]]:
        """The records completed by this chunk, from `at` on: (bytes, start, end). The chunk begins
        at `offset` of the file."""
        size = len(data)
        while True:
            room = _BLOCK - (offset + at) % _BLOCK
            if room >= _BLOCK_HEADER:
                if at + _BLOCK_HEADER > size:
                    break
                checksum, length, kind = _PIECE.unpack_from(data, at)
                start, end = at + _BLOCK_HEADER, at + _BLOCK_HEADER + length
                if length <= room - _BLOCK_HEADER and _FULL <= kind <= _LAST:
                    if end > size:
                        break
                    if zlib.crc32(data[at + _KIND : end]) == checksum:
                        at = end
                        if kind == _FULL:
                            self._parts = []
                            yield data, start, end
                        else:
                            whole = self._join(kind, data[start:end])
                            if whole:
                                yield whole, 0, len(whole)
                        continue
                if at + room > size:
                    break  # perhaps not written yet: read again when the block is full
                self.damaged += 1
                self._parts = []
            elif at + room > size:
                break
            at += room
        self.end = at

    def _join(self, kind: int, part: bytes) -> bytes:
        """The record that this part ends, or nothing."""
        if kind == _FIRST:
            self._parts = [part]
        elif self._parts:  # else its beginning was damaged
            self._parts.append(part)
            if kind == _LAST:
                whole, self._parts = b"".join(self._parts), []
                return whole
            if len(self._parts) * _BLOCK > _LARGEST:
                self._parts = []
                self.damaged += 1
        return b""


# --- Parts of records -------------------------------------------------------------------------


def first_varint(data: bytes, start: int, end: int) -> int:
    """Field 1 of a message; 0 if it is left out."""
    values = [v for n, k, v, _ in protobuf.fields(data, start, end) if (n, k) == (1, VARINT)]
    return values[-1] if values else 0


def texts_of(data: bytes, start: int, end: int) -> dict[int, list[str]]:
    """The fields of bytes of a message as texts, by number. Raises WireError."""
    texts: dict[int, list[str]] = {}
    for number, kind, value, stop in protobuf.fields(data, start, end):
        if kind == BYTES:
            texts.setdefault(number, []).append(protobuf.text(data, value, stop))
    return texts


def timestamp(data: bytes, start: int, end: int) -> float:
    """A google.protobuf.Timestamp in seconds. Raises WireError."""
    numbers = {n: v for n, k, v, _ in protobuf.fields(data, start, end) if k == VARINT}
    return float(protobuf.signed(numbers.get(1, 0))) + numbers.get(2, 0) / 1e9


def about_run(data: bytes, start: int, end: int) -> About:
    """The names in a RunRecord. Raises WireError."""
    texts = texts_of(data, start, end)

    def last(number: int) -> str:
        return texts.get(number, [""])[-1]

    started = 0.0
    for at in protobuf.messages(data, start, end, 17):
        started = timestamp(data, *at)
    where = {"group": last(6), "job type": last(7), "sweep": last(12), "host": last(13)}
    return About(
        name=last(8),
        id=last(1),
        project=last(3),
        tags=tuple(texts.get(10, ())),
        note=last(9),
        created=started,
        environment={name: text for name, text in where.items() if text},
    )


# --- The names and the end of a run --------------------------------------------------------------

_HEAD = 64 * 1024  # bytes read for the names
_LONGEST_EXIT = 48  # bytes of a record


def read_about(path: Path) -> About:
    """The names of a run, from the beginning of its log; empty if they are not written yet, or
    the log cannot be read."""
    with suppress(OSError, WireError, IndexError):
        for data, start, end in _records_at(path, 0, _HEAD):
            for at in protobuf.messages(data, start, end, RUN):
                return about_run(data, *at)
    return About()


def read_end(path: Path) -> str:
    """ "finished" or "failed" if the log ends with the exit of its run, else empty."""
    ended = ""
    with suppress(OSError, WireError, IndexError):
        last = max(0, path.stat().st_size - 1) // _BLOCK * _BLOCK
        for data, start, end in _records_at(path, last, _BLOCK):
            if data[start] != NUMBER_KEY or end - start > _LONGEST_EXIT:
                continue
            for at in protobuf.messages(data, start, end, EXIT):
                ended = "failed" if first_varint(data, *at) else "finished"
    return ended


def _records_at(path: Path, offset: int, size: int) -> Iterator[tuple[bytes, int, int]]:
    """The records in a part of the file that begins with a block. Raises OSError."""
    with open_unblocked(path) as file:
        data = os.pread(file.fileno(), size, offset)
    if offset or data.startswith(MAGIC):
        yield from LogBlocks().records(data, 0 if offset else FILE_HEADER, offset)


class _Known(NamedTuple):
    """The facts about a log in a list, and its size and time of the last write when they were read:
    a list of thousands of runs is made again and again."""

    stamp: tuple[int, int, int]
    about: About
    ended: str


_MAX_KNOWN = 20_000
_known: dict[Path, _Known] = {}


def _know(path: Path) -> _Known | None:
    """The names and the end of a run, read again if its log was written to; None if it is gone."""
    stamp = stamp_of(path)
    if stamp is None:
        return None
    known = _known.get(path)
    if known is None or known.stamp != stamp:
        if len(_known) >= _MAX_KNOWN:
            _known.clear()
        known = _known[path] = _Known(stamp, read_about(path), read_end(path))
    return known


# --- Runs that were resumed -----------------------------------------------------------------------

_RUN_FOLDER = re.compile(r"(?:offline-)?run-(\d{8}_\d{6})-(.+)")
_SETTLED = 2 * 10**9  # ns after the last change of a folder, when another has another time

_Folders = dict[str, list[tuple[str, str]]]
_folders: dict[Path, tuple[int, _Folders]] = {}


def parts_of_run(path: Path) -> list[Path]:
    """The log and, in order, those of the same run that were begun later: W&B makes a folder
    beside the first, of the same id, each time that the run is resumed."""
    match = _RUN_FOLDER.fullmatch(path.parent.name)
    if match is None:
        return [path]
    same_id = _run_folders(path.parent.parent).get(match[2], [])
    later = [path.parent.parent / name / path.name for time, name in same_id if time > match[1]]
    if not later:
        return [path]
    project = _project(path)
    return [path, *(part for part in later if part.is_file() and _project(part) == project)]


def _project(path: Path) -> str:
    known = _know(path)
    return known.about.project if known else ""


def _run_folders(folder: Path) -> _Folders:
    """The start and name of the folders of W&B's runs in a folder, by id, in order of the start."""
    try:
        changed = folder.stat().st_mtime_ns
        if folder in _folders and _folders[folder][0] == changed:
            return _folders[folder][1]
        matches = [
            match for name in sorted(os.listdir(folder)) if (match := _RUN_FOLDER.fullmatch(name))
        ]
    except OSError:
        return {}
    folders: _Folders = {}
    for match in sorted(matches, key=itemgetter(1)):
        folders.setdefault(match[2], []).append((match[1], match[0]))
    if time.time_ns() - changed > _SETTLED:
        _folders[folder] = (changed, folders)
    return folders


class Wandb(Format):
    """Runs of W&B, named in their logs: a file each, or several if the run was resumed."""

    def place(self, file: Path, root: Path) -> Path:
        match = _RUN_FOLDER.fullmatch(file.parent.name)
        if match is None or file.parent == root:
            return file
        for _, name in _run_folders(file.parent.parent).get(match[2], []):
            first = file.parent.parent / name / file.name
            if first == file or file in parts_of_run(first):
                return first
        return file

    def files(self, path: Path) -> Iterable[Path]:
        return parts_of_run(path)

    def logs(self, path: Path, root: Path) -> list[Log]:
        (log,) = super().logs(path, root)
        known, last = _know(path), _know(parts_of_run(path)[-1])
        if known is None or last is None:
            return [log]
        about = last.about if last.about.id else known.about
        return [log.with_about(about._replace(created=known.about.created), last.ended)]
