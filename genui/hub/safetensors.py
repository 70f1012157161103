"""The header of a safetensors file: names, types and shapes of its tensors, and its metadata.

The format is 8 bytes of little-endian length, that many bytes of JSON, and the data.
"""

import math
import os
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from genui.base.errors import MisuseError
from genui.base.files import open_regular, show

LARGEST_HEADER = 16 * 1024 * 1024  # bytes

_LENGTH = 8

_Size = Annotated[int, Meta(ge=0, lt=2**62)]


class TensorEntry(Struct, frozen=True):
    """What a header says of a tensor."""

    dtype: str
    """As the format spells it: "F32", "BF16"."""
    shape: Annotated[list[_Size], Meta(max_length=16)]
    data_offsets: tuple[_Size, _Size]

    @property
    def count(self) -> int:
        """The number of its values."""
        return math.prod(self.shape)

    @property
    def fits(self) -> bool:
        """Whether its data is as long as its shape and type say. Types of less than a byte, and
        those that are not known here, may be of any length up to the shape's in 64 bits."""
        first, end = self.data_offsets
        bits = _BITS.get(self.dtype)
        most = self.count * (bits or 64) // 8
        return end - first == most if bits else 0 <= end - first <= most


_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "I16": 16, "U16": 16, "F16": 16,
    "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64,
}  # fmt: skip


def read_tensors(path: Path, remedy: str) -> tuple[dict[str, TensorEntry], dict[str, str]]:
    """The tensors of a file by name, and its metadata; no data is read.

    Raises MisuseError, one line that names the file and ends with the `remedy`, if it is truncated,
    hostile or not safetensors; GenuiError if it cannot be read.
    """

    def unfit(fault: str, remedy: str = remedy) -> MisuseError:
        return MisuseError(f"{show(path)}: {fault}; {remedy}")

    with open_regular(path, unfit("it is not a regular file")) as file:
        size = os.fstat(file.fileno()).st_size
        prefix = file.read(_LENGTH)
        length = int.from_bytes(prefix, "little")
        if len(prefix) < _LENGTH:
            raise unfit(f"it is only {len(prefix)} bytes long", "copy it again")
        if length > LARGEST_HEADER:
            raise unfit(f"its header claims {length} bytes, so it is not safetensors")
        raw = file.read(length)
    if len(raw) < length:
        raise unfit("it is truncated inside its header", "copy it again")
    try:
        entries = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        metadata = msgspec.json.decode(entries.pop("__metadata__", b"{}"), type=dict[str, str])
        tensors = {
            name: msgspec.json.decode(entry, type=TensorEntry) for name, entry in entries.items()
        }
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise unfit("its header is not that of a safetensors file") from None
    end = max((tensor.data_offsets[1] for tensor in tensors.values()), default=0)
    whole = _LENGTH + len(raw) + end
    if size < whole:
        raise unfit(f"it is truncated ({size} of {whole} bytes)", "copy it again")
    if size > whole or not all(tensor.fits for tensor in tensors.values()):
        raise unfit("its header does not fit its data")
    return tensors, metadata
