"""Messages on the pipe: four bytes of little-endian length, and that many bytes of msgpack."""

import struct
from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec

from genui.protocol.messages import Reply, Request

MAX_MESSAGE = 16 * 1024 * 1024

_LENGTH = struct.Struct("<I")

T = TypeVar("T")


class ProtocolError(Exception):
    """The other side sent something that is not this protocol."""


_encoder = msgspec.msgpack.Encoder()


def encode(message: Request | Reply) -> bytes:
    """The message as it goes on the pipe."""
    body = _encoder.encode(message)
    if len(body) > MAX_MESSAGE:
        raise ProtocolError(f"message of {len(body)} bytes is over the limit of {MAX_MESSAGE}")
    return _LENGTH.pack(len(body)) + body


class Reader(Generic[T]):
    """Cuts a byte stream into messages; `feed` takes whatever arrived."""

    def __init__(self, kind: type[T]) -> None:
        self._decoder = msgspec.msgpack.Decoder(kind)
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[T]:
        """The messages completed by `data`. Raises ProtocolError on anything else."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > MAX_MESSAGE:
                raise ProtocolError(f"message of {length} bytes is over the limit")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            try:
                yield self._decoder.decode(body)
            except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
                raise ProtocolError(f"not a genui message: {error}") from None


def replies() -> "Reader[Reply]":
    """Reads what a worker sends."""
    return Reader(Reply)  # type: ignore[arg-type]


def requests() -> "Reader[Request]":
    """Reads what an app sends."""
    return Reader(Request)  # type: ignore[arg-type]
