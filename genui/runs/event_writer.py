"""Writing scalars as a TensorBoard event file.

An own writer of the few fields that scalars need (tensorflow/core/util/event.proto and
summary.proto, framed as TFRecord): the `tensorboard` package would bring gRPC and protobuf for
them. TensorBoard keeps scalars as float32, so this is not the export for full precision.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from genui.runs.logs.tfrecord import checksums
from genui.runs.table import Row

VERSION = b"brain.Event:2"
"""What the first record of every event file says."""

_BATCH = 4096  # records whose checksums are computed together
_DOUBLE = struct.Struct("<d")
_FLOAT = struct.Struct("<f")
_LENGTH = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")
_LARGEST = float(np.finfo(np.float32).max)

# Field number and wire type: number << 3 | type.
_WALL_TIME, _STEP, _FILE_VERSION, _SUMMARY = b"\x09", b"\x10", b"\x1a", b"\x2a"
_VALUE, _TAG, _SIMPLE_VALUE = b"\x0a", b"\x0a", b"\x15"


def event_file(names: Sequence[str], rows: Iterable[Row], created: float) -> Iterator[bytes]:
    """The bytes of an event file, in pieces: one event a row.

    `names` are the tags; `created` is the unix time of what has no time of its own.
    """
    tags = [_bytes_field(_TAG, name.encode(errors="replace")) for name in names]
    first = _WALL_TIME + _DOUBLE.pack(created) + _bytes_field(_FILE_VERSION, VERSION)
    batch = [first]
    for row in rows:
        batch.append(_event(tags, row, created))
        if len(batch) == _BATCH:
            yield _framed(batch)
            batch = []
    yield _framed(batch)


def _event(tags: Sequence[bytes], row: Row, created: float) -> bytes:
    values = b"".join(
        _bytes_field(_VALUE, tag + _SIMPLE_VALUE + _float32(value))
        for tag, value in zip(tags, row.values, strict=True)
        if value is not None
    )
    time = created if row.time != row.time else row.time
    step = row.step % 2**64  # int64, as two's complement
    return _WALL_TIME + _DOUBLE.pack(time) + _STEP + _varint(step) + _bytes_field(_SUMMARY, values)


def _float32(value: float) -> bytes:
    if abs(value) > _LARGEST:  # NaN is not
        value = float("inf") if value > 0 else float("-inf")
    return _FLOAT.pack(value)


def _bytes_field(key: bytes, data: bytes) -> bytes:
    return key + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _framed(records: Sequence[bytes]) -> bytes:
    """The records, each between its length and its checksum."""
    lengths = [_LENGTH.pack(len(record)) for record in records]
    pieces: list[bytes] = []
    for length, head, record, body in zip(
        lengths, _checksums(lengths), records, _checksums(records), strict=True
    ):
        pieces += (length, head, record, body)
    return b"".join(pieces)


def _checksums(records: Sequence[bytes]) -> list[bytes]:
    """The checksum of each record; records of one length are computed together."""
    alike: dict[int, list[int]] = {}
    for number, record in enumerate(records):
        alike.setdefault(len(record), []).append(number)
    found = [b""] * len(records)
    for length, numbers in alike.items():
        data = np.frombuffer(b"".join(records[i] for i in numbers), np.uint8)
        for number, crc in zip(numbers, checksums(data.reshape(-1, length)), strict=True):
            found[number] = _CHECKSUM.pack(int(crc))
    return found
