"""W&B's run-*.wandb: LevelDB's log format around protobuf records, and their reader."""

import re
import struct
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np

from genui.base.errors import GenuiError
from genui.base.files import show
from genui.logs import tensorboard
from genui.logs.base import CHUNK, PIECE, GrowingFile, Reader
from genui.logs.tensorboard import BYTES, VARINT, WireError
from genui.logs.text import numbers_of

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


# --- W&B's run-*.wandb, which a run writes offline and online ----------------------------------
# Source: wandb/core/pkg/leveldb/record.go and wandb/proto/wandb_internal.proto. The wandb package
# reads them only to send them to its server, and is a dependency of 100 MB. W&B writes a block when
# it is full.

MAGIC = b":W&B"

_FILE_HEADER = 7  # bytes of the file: magic, two bytes, version
_CONSOLE = 1000  # pieces of output in memory

_CONFIG, _OUTPUT, _RUN, _EXIT = 5, 13, 17, 18  # fields of Record
_NUMBER_KEY, _HISTORY_KEY, _SUMMARY_KEY = 0x08, 0x12, 0x1A  # the first byte of such a field
_STEP_KEY = 0x12  # of HistoryRecord.step
_KEY, _NESTED, _JSON = 1, 2, 16  # fields of HistoryItem and ConfigItem

# Keys as in the file; the second is that of older versions.
_STEP, _OLD_STEP = b"\x12\x05_step", b"\n\x05_step"
_TIMESTAMPS = (b"\x12\x0a_timestamp", b"\n\x0a_timestamp")

# An item of one short key and a number: the key with the first bytes of its field, and the number.
# Its matches cover a row exactly if the row has only such items.
_PLAIN_ITEM = re.compile(rb"\n.([\n\x12].[^\x82]{1,127}?)\x82\x01.([-+.0-9A-Za-z]+)", re.DOTALL)
_ITEM_FRAME = 5  # bytes of an item besides these two
_SHORT = 12  # bytes; a HistoryStep is shorter

Row = dict[bytes, bytes]
"""One row of the history: keys as in the file, values as JSON."""


class WandbTail(Reader):
    """The history in a .wandb file; also its config, its exit and its output."""

    def __init__(self, path: Path) -> None:
        self._file = GrowingFile(path)
        super().__init__(path)

    def _forget(self) -> None:
        super()._forget()
        self._output: deque[str] = deque(maxlen=_CONSOLE)
        self._blocks = LogBlocks()
        self._rows: list[Row] = []  # of the history, not yet added to the series

    @property
    def bad_lines(self) -> int:
        return self._damaged + self._blocks.damaged

    @property
    def console(self) -> tuple[str, ...]:
        """The newest lines that the run printed."""
        return tuple("".join(self._output).splitlines())

    def read(self, limit_bytes: int = CHUNK) -> bool:
        changed = False
        while limit_bytes > 0:
            data = self._file.read(PIECE)
            if self._file.restarted:
                self._forget()
                changed = True
            start = 0
            if not self._file.offset and data:
                if not data.startswith(MAGIC[: len(data)]):
                    raise GenuiError(f"{show(self.path)} is not a W&B log: name another file")
                if len(data) < _FILE_HEADER:
                    break
                start = _FILE_HEADER
            for record in self._blocks.records(data, start, self._file.offset):
                self._record(*record)
            end = self._blocks.end
            if not end:
                break
            self._file.take(data, end)
            limit_bytes -= end
            changed = True
            self._add()
        self.progress = 1.0 if limit_bytes > 0 else self._file.progress
        return changed

    def _record(self, data: bytes, start: int, end: int) -> None:
        try:
            at = start
            if data[at] == _NUMBER_KEY:
                at += 2
                while data[at - 1] >= 0x80:
                    at += 1
            if data[at] == _SUMMARY_KEY:
                return  # as are two of three records
            if data[at] == _HISTORY_KEY:
                length, at = tensorboard.varint(data, at + 1)
                self._history(data[at : min(end, at + length)])
            else:
                self._other(data, at, end)
        except (WireError, IndexError):
            self._damaged += 1

    def _history(self, data: bytes) -> None:
        """One row of the history."""
        pairs = _PLAIN_ITEM.findall(data)
        row: Row = dict(pairs)
        items = len(b"".join(row)) + len(b"".join(row.values())) + _ITEM_FRAME * len(row)
        rest = data[items:]  # usually a HistoryStep; `_step` is an item too
        plain = not rest or (rest[0] == _STEP_KEY and rest[1] == len(rest) - 2 < _SHORT)
        if not plain or len(row) != len(pairs):
            row = _row(data)
        elif _STEP not in row:
            row[_STEP] = row.get(_OLD_STEP) or _step_of(rest)
        self._rows.append(row)

    def _other(self, data: bytes, start: int, end: int) -> None:
        """Any record but history and summary."""
        for number, kind, value, stop in tensorboard.fields(data, start, end):
            if kind != BYTES:
                continue
            if number == _CONFIG:
                self._configure(data, value, stop)
            elif number == _RUN:
                for at in tensorboard.messages(data, value, stop, 4):
                    self._configure(data, *at)
            elif number == _EXIT:
                self.ended = "failed" if _first_varint(data, value, stop) else "finished"
            elif number == _OUTPUT:
                for at in tensorboard.messages(data, value, stop, 3):
                    self._output.append(tensorboard.text(data, *at))

    def _configure(self, data: bytes, start: int, end: int) -> None:
        """Applies the updates of a ConfigRecord."""
        config = dict(self.config)
        for update in tensorboard.messages(data, start, end, 1):
            key, text = _item(data, *update)
            name = _name(key)
            if not name.startswith("_"):
                try:
                    config[name] = msgspec.json.decode(text)
                except (msgspec.DecodeError, RecursionError, UnicodeError):
                    self._damaged += 1
        self.config = config

    def _add(self) -> None:
        """Adds the rows to the series."""
        rows, self._rows = self._rows, []
        steps, good = numbers_of([row.get(_STEP) for row in rows])
        good = good & (steps >= 0) & (steps < 2**53) & (steps == np.floor(steps))
        if not good.all():
            self._damaged += int(len(rows) - good.sum())
            rows = [row for row, is_good in zip(rows, good, strict=True) if is_good]
            steps = steps[good]
        all_keys = sorted(set().union(*rows))
        keys: dict[str, list[bytes]] = {}
        for key in all_keys:
            keys.setdefault(_name(key), []).append(key)
        times = numbers_of(_cells(rows, [key for key in all_keys if key in _TIMESTAMPS]))
        self._collected.add(
            (name, steps[there].astype(np.int64), values[there], times[0][there])
            for name, spellings in keys.items()
            if not name.startswith("_")  # W&B's own
            for values, there in [numbers_of(_cells(rows, spellings))]
        )


def _cells(rows: list[Row], keys: Sequence[bytes]) -> list[bytes | None]:
    """The value of each row for the keys, which are spellings of one name."""
    if len(keys) == 1:
        key = keys[0]
        return [row.get(key) for row in rows]
    return [next((row[key] for key in row if key in keys), None) for row in rows]


def _row(data: bytes) -> Row:
    """The items of a HistoryRecord. Raises WireError."""
    row: Row = {}
    step = b"0"
    for number, kind, value, stop in tensorboard.fields(data, 0, len(data)):
        if number == 1 and kind == BYTES:
            key, text = _item(data, value, stop)
            row[key] = text
        elif number == 2 and kind == BYTES:
            step = b"%d" % _first_varint(data, value, stop)
    row.setdefault(_STEP, row.get(_OLD_STEP, step))
    return row


def _step_of(field: bytes) -> bytes:
    """The number in HistoryRecord.step, as JSON."""
    return b"%d" % (_first_varint(field, 2, len(field)) if field else 0)


def _first_varint(data: bytes, start: int, end: int) -> int:
    """Field 1 of a message; 0 if it is left out."""
    values = [v for n, k, v, _ in tensorboard.fields(data, start, end) if (n, k) == (1, VARINT)]
    return values[-1] if values else 0


def _item(data: bytes, start: int, end: int) -> tuple[bytes, bytes]:
    """The key of a HistoryItem or ConfigItem as in the file, and its value as JSON."""
    key = text = b""
    for number, kind, value, stop in tensorboard.fields(data, start, end):
        if kind == BYTES and number in (_KEY, _NESTED):
            key += data[start:stop]
        elif kind == BYTES and number == _JSON:
            text = data[value:stop]
        start = stop
    return key, text


def _name(key: bytes) -> str:
    """The name of a metric; nested ones with slashes."""
    try:
        return "/".join(
            tensorboard.text(key, value, stop)
            for _, kind, value, stop in tensorboard.fields(key, 0, len(key))
            if kind == BYTES
        )
    except WireError:
        return "_"
