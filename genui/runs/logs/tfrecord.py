"""TFRecord framing: length, its checksum, data, its checksum, over and over.

Source: tensorflow/core/lib/io/record_writer.h; the checksum is CRC-32C, rotated and shifted.
"""

import struct

import numpy as np
from numpy.typing import NDArray

HEADER = 12  # bytes before the data: uint64 length, uint32 checksum of the length
FOOTER = 4  # bytes after it: uint32 checksum of the data

Bytes = NDArray[np.uint8]

_LENGTH = struct.Struct("<Q")
_POLYNOMIAL = 0x82F63B78  # Castagnoli, reflected
_MASK = np.uint32(0xA282EAD8)


def _table() -> NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> np.uint32(1)) ^ (table & np.uint32(1)) * np.uint32(_POLYNOMIAL)
    return table


_TABLE = _table()


def checksums(rows: Bytes) -> NDArray[np.uint32]:
    """The masked CRC-32C of each row [records, bytes]."""
    crc = np.full(len(rows), 0xFFFFFFFF, np.uint32)
    for column in np.ascontiguousarray(rows.T):
        crc = _TABLE[(crc ^ column) & 0xFF] ^ (crc >> 8)
    crc = ~crc
    rotated = (crc >> np.uint32(15)) | (crc << np.uint32(17))
    return (rotated + _MASK).astype(np.uint32, copy=False)


def rows_at(data: Bytes, starts: NDArray[np.int64], length: int) -> Bytes:
    """The `length` bytes from each of the starts, as rows."""
    return data[starts[:, None] + np.arange(length)]


def length_of(header: bytes) -> int | None:
    """The length of the data after this header of HEADER bytes; None where it is damaged."""
    row = np.frombuffer(header, np.uint8, HEADER)
    if checksums(row[None, :8])[0] != row[8:].view("<u4")[0]:
        return None
    return _LENGTH.unpack_from(header)[0]


def split(data: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """(where the data of each whole record starts, its length, where the last record ends).

    It ends before the first damaged header.
    """
    found: list[int] = []
    at, end = 0, len(data)
    unpack = _LENGTH.unpack_from
    while at + HEADER <= end:
        after = at + HEADER + unpack(data, at)[0] + FOOTER
        if after > end:
            break
        found.append(at)
        at = after
    heads = np.array(found, np.int64)
    if len(heads):
        rows = rows_at(np.frombuffer(data, np.uint8), heads, HEADER)
        wrong = checksums(rows[:, :8]) != np.ascontiguousarray(rows[:, 8:]).view("<u4")[:, 0]
        if wrong.any():
            first = int(wrong.argmax())
            heads, at = heads[:first], found[first]
    ends = np.append(heads[1:], at)[: len(heads)]
    return heads + HEADER, ends - heads - HEADER - FOOTER, at
