"""LevelDB's log framing: blocks of 32 KiB, in which records lie in pieces with a checksum each.

A record that does not fit the rest of a block goes on in the next; the last bytes of a block
that have no room for a piece's header are padding. After damage reading goes on with the next
block. Source: leveldb's doc/log_format.md, with the CRC-32 of zlib as W&B writes it.
"""

import struct
import zlib
from collections.abc import Iterator

_HEADER = 7  # bytes: uint32 checksum of kind and data, uint16 length, uint8 kind
_BLOCK = 32 * 1024
_PIECE = struct.Struct("<IHB")
_KIND = 6  # where it lies in the header: right before the data, and in the checksum with it
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_LARGEST = 64 * 1024 * 1024  # bytes of a record in pieces; more is garbage


class LogBlocks:
    """Takes a log apart that comes in chunks.

    `damaged` counts the blocks that were given up, and `end` is where in the last chunk the last
    whole piece ended: the next chunk has to begin there.
    """

    def __init__(self) -> None:
        self.damaged = 0
        self.end = 0
        self._parts: list[bytes] = []  # of a record that is not whole yet

    def records(self, data: bytes, at: int, offset: int) -> Iterator[tuple[bytes, int, int]]:
        """The records that are whole with this chunk, which lies at `offset` of the file, from
        `at` on: (bytes, where it starts there, where it ends)."""
        size = len(data)
        while True:
            room = _BLOCK - (offset + at) % _BLOCK
            if room >= _HEADER:
                if at + _HEADER > size:
                    break
                checksum, length, kind = _PIECE.unpack_from(data, at)
                start, end = at + _HEADER, at + _HEADER + length
                if length <= room - _HEADER and _FULL <= kind <= _LAST:
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
                    break  # perhaps not written yet: looked at again when the block is full
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
