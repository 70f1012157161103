"""The header of a safetensors file: names, types and shapes of its tensors, and its metadata.

The format is 8 bytes of little-endian length, that many bytes of JSON, and the data.
"""

import math
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from genui.base.files import cannot_use, open_regular

LARGEST_HEADER = 16 * 1024 * 1024  # bytes

_LENGTH = 8

_Size = Annotated[int, Meta(ge=0, lt=2**62)]


class TensorEntry(Struct, frozen=True):
    """The description of a tensor in a header."""

    dtype: str
    """As the format spells it: "F32", "BF16"."""
    shape: Annotated[list[_Size], Meta(max_length=16)]
    data_offsets: tuple[_Size, _Size]

    @property
    def count(self) -> int:
        """The number of its values."""
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """The bytes of its data."""
        return self.data_offsets[1] - self.data_offsets[0]


_DTYPES = {"F32": "fp32", "F16": "fp16", "BF16": "bf16"}


def name_dtype(tensors: Iterable[TensorEntry]) -> str:
    """The type of most values, as genui spells it: "fp16"; "" for none."""
    counts = Counter[str]()
    for tensor in tensors:
        counts[tensor.dtype] += tensor.count
    dtype = max(counts, key=counts.__getitem__, default="")
    return _DTYPES.get(dtype, dtype.lower())


def read_tensors(path: Path, remedy: str) -> tuple[dict[str, TensorEntry], dict[str, str]]:
    """The tensors of a file by name, and its metadata; no data is read. Whether shapes fit their
    data is checked by `safetensors` when they are loaded; it needs numpy, which lists do without.

    Raises MisuseError, one line that names the file and ends with the `remedy`, if it is truncated,
    hostile or not safetensors; GenuiError if it cannot be read.
    """
    with open_regular(path, cannot_use(path, "it is not a regular file", remedy)) as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(_LENGTH), "little")
        if length > min(size - _LENGTH, LARGEST_HEADER):
            raise cannot_use(path, "it is truncated inside its header, or not safetensors", remedy)
        raw = file.read(length)
    try:
        entries = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        metadata = msgspec.json.decode(entries.pop("__metadata__", b"{}"), type=dict[str, str])
        tensors = {
            name: msgspec.json.decode(entry, type=TensorEntry) for name, entry in entries.items()
        }
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise cannot_use(path, "its header is not that of a safetensors file", remedy) from None
    whole = _LENGTH + length + max((entry.data_offsets[1] for entry in tensors.values()), default=0)
    if size != whole:
        fault = f"it is truncated or damaged ({size} of {whole} bytes)"
        raise cannot_use(path, fault, "copy it again")
    return tensors, metadata
