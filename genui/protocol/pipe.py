"""Messages on the pipe: four bytes of little-endian length, and that many bytes of msgpack."""

import struct
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import msgspec

from genui.protocol.kinds import decode_tagged
from genui.protocol.messages import CoreReply, CoreRequest, Reply, Request

MAX_MESSAGE = 16 * 1024 * 1024

_LENGTH = struct.Struct("<I")

T = TypeVar("T", Request, Reply)


class ProtocolError(Exception):
    """The data received is not a message of this protocol."""


_encoder = msgspec.msgpack.Encoder()


def encode(message: Request | Reply) -> bytes:
    body = _encoder.encode(message)
    if len(body) > MAX_MESSAGE:
        raise ProtocolError(f"message of {len(body)} bytes is over the limit of {MAX_MESSAGE}")
    return _LENGTH.pack(len(body)) + body


class MessageReader(Generic[T]):
    """Splits a byte stream into messages; `feed` takes the bytes received.

    A message is of the union `core`, which is decoded at once, or another `base` of a kind.
    """

    def __init__(self, base: type[T], core: Any) -> None:
        self._base = base
        self._decoder = msgspec.msgpack.Decoder(core, dec_hook=decode_tagged)
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
                yield self._decode(body)
            except (ValueError, RecursionError) as error:  # of msgspec, UTF-8, or an unknown tag
                raise ProtocolError(f"not a genui message: {error}") from None

    def _decode(self, body: bytes) -> T:
        try:
            return self._decoder.decode(body)
        except msgspec.ValidationError:
            return decode_tagged(self._base, msgspec.msgpack.decode(body))


def replies() -> "MessageReader[Reply]":
    """A reader of the messages of a worker."""
    return MessageReader(Reply, CoreReply)


def requests() -> "MessageReader[Request]":
    """A reader of the messages of the app."""
    return MessageReader(Request, CoreRequest)
