"""The part of protobuf's wire format that TensorBoard's and W&B's logs and files of models use.

A message is a sequence of fields: a varint of number and wire type, then a varint (type 0), eight
bytes (1), a length and that many bytes (2), or four bytes (5).
Source: protobuf.dev/programming-guides/encoding.
"""

import mmap
import re
from collections.abc import Iterator
from typing import Any

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

_LONGEST_VARINT = 10
_LARGEST_VARINT = 2**64 - 1
_FIELD = re.compile(r"(\w+):(\w+)(\*?)=(\d+)")


class WireError(ValueError):
    """The bytes are not a protobuf message."""


def varint(data: bytes | mmap.mmap, at: int) -> tuple[int, int]:
    """(value, end); only the low 64 bits count, as in protobuf. Raises WireError."""
    value = shift = 0
    for position in range(at, min(at + _LONGEST_VARINT, len(data))):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _LARGEST_VARINT, position + 1
        shift += 7
    raise WireError("a number without an end")


def fields(data: bytes | mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """The fields of the message in data[start:end]: (number, wire type, value, end).

    The value of a varint is the number; for the other types it is where the contents start. Raises
    WireError.
    """
    at = start
    while at < end:
        key, at = varint(data, at)
        kind = key & 7
        if kind == VARINT:
            value, stop = varint(data, at)
        elif kind == BYTES:
            length, value = varint(data, at)
            stop = value + length
        elif kind == FIXED64:
            value, stop = at, at + 8
        elif kind == FIXED32:
            value, stop = at, at + 4
        else:
            raise WireError(f"wire type {kind}")
        if stop > end:
            raise WireError("a field reaches beyond its message")
        yield key >> 3, kind, value, stop
        at = stop


def messages(
    data: bytes | mmap.mmap, start: int, end: int, number: int
) -> Iterator[tuple[int, int]]:
    """(start, end) of the fields of bytes with that number. Raises WireError."""
    for field_number, kind, value, stop in fields(data, start, end):
        if field_number == number and kind == BYTES:
            yield value, stop


def text(data: bytes, start: int, end: int) -> str:
    return data[start:end].decode(errors="replace")


def signed(value: int) -> int:
    """A varint as int64."""
    return value - 2**64 if value >= 2**63 else value


def define_messages(**layouts: str) -> dict[str, Any]:
    """Classes of google.protobuf by name, with the fields that are given.

    The fields of a message are `name:type=number`, with a star after the type of a repeated field;
    the type is one of protobuf's or another message. In proto2 `HasField` tells if a field was
    written.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="genui.proto", package="genui")
    for name, layout in layouts.items():
        message = file.message_type.add(name=name)
        for field, kind, star, number in _FIELD.findall(layout):
            one = message.field.add(name=field, number=int(number))
            one.label = one.LABEL_REPEATED if star else one.LABEL_OPTIONAL
            if kind in layouts:
                one.type, one.type_name = one.TYPE_MESSAGE, f".genui.{kind}"
            else:
                one.type = getattr(one, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"genui.{name}"))
        for name in layouts
    }
