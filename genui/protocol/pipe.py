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
    """The data received is not a message of this protocol."""


_encoder = msgspec.msgpack.Encoder()


def encode(message: Request | Reply) -> bytes:
    """The message as bytes for the pipe."""
    body = _encoder.encode(message)
    if len(body) > MAX_MESSAGE:
        raise ProtocolError(f"message of {len(body)} bytes is over the limit of {MAX_MESSAGE}")
    return _LENGTH.pack(len(body)) + body


class Reader(Generic[T]):
    """Splits a byte stream into messages; `feed` takes the bytes received."""

    def __init__(self, kind: type[T]) -> None:
        self._decoder = msgspec.msgpack.Decoder(kind)
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[T]:
        """The messages completed by `data`. Raises ProtocolError for other data."""
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
    """A reader of the messages of a worker."""
    return Reader(Reply)  # type: ignore[arg-type]


def requests() -> "Reader[Request]":
    """A reader of the messages of the app."""
    return Reader(Request)  # type: ignore[arg-type]
