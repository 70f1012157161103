"""GGUF files (llama.cpp): their header, checked before memory is taken; no tensor is read.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. A header is the magic word, a
version, counts, metadata (typed keys and values), and each tensor's name, shape, type and offset.
"""

import math
import os
import struct
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from genui.base.errors import MisuseError, UnsupportedError
from genui.base.files import cannot_use, open_regular, sanitize, show
from genui.hub.open_model import OpenModel

MAGIC = b"GGUF"
VERSIONS = (2, 3)

ARCHITECTURES = ("llama", "qwen2", "qwen3", "gemma", "gemma2", "gemma3")
"""The architectures that `llama` here computes. Mistral and SmolLM2 are "llama" too."""

SERVE = "or serve it: llama-server -m FILE, then genui models add http://localhost:8080"
"""The remedy for a file that genui cannot compute."""

LARGEST_HEADER = 256 << 20  # bytes; the array of a vocabulary of 262,144 tokens takes 8 MB
_PORTION = 1 << 20

_SCALARS = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True))
_STRING, _ARRAY = 8, 9
_MOST_AXES = 4
MOST_ENTRIES = 1 << 16  # of metadata, and tensors
MOST_ITEMS = 1 << 22  # of an array; vocabularies have up to 262,144 tokens, and twice the merges


@lru_cache
def tensor_type(number: int) -> tuple[str, int, int]:
    """The name of a type of tensors, and the elements and bytes of a block, by the `gguf` package.

    Raises ValueError for a number that it does not know.
    """
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType  # late: it takes 0.1 s

    kind = GGMLQuantizationType(number)
    return kind.name, *GGML_QUANT_SIZES[kind]


class TensorInfo(msgspec.Struct, frozen=True):
    """One tensor in the file."""

    name: str
    shape: tuple[int, ...]  # as in torch: the axis that is contiguous in memory is the last
    type: int  # as `tensor_type` takes it
    offset: int  # of its first byte in the file
    size: int  # bytes


class Gguf(msgspec.Struct, frozen=True):
    """The header of a file."""

    path: Path
    size: int  # of the file, bytes
    metadata: dict[str, Any]
    tensors: dict[str, TensorInfo]

    @property
    def architecture(self) -> str:
        return str(self.metadata.get("general.architecture", ""))


def recognise(path: Path) -> bool:
    """Whether a file begins as GGUF does."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except (OSError, ValueError):
        return False


def describe(path: Path) -> OpenModel:
    """The model of a file. Raises MisuseError, one line, if it is damaged or cannot be computed."""
    try:
        status = path.stat()
    except OSError:
        return _describe(path, 0, 0)  # raises the reason
    return _describe(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _describe(path: Path, changed: int, size: int) -> OpenModel:
    """`describe` of one state of the file: lists of models describe each file each time."""
    file = read_gguf(path)
    check_architecture(file)
    meta, name = file.metadata, file.architecture
    elements: dict[str, int] = {}
    for tensor in file.tensors.values():
        kind = tensor_type(tensor.type)[0]
        elements[kind] = elements.get(kind, 0) + math.prod(tensor.shape)
    stored = _stored(meta) or max(elements, key=elements.__getitem__)
    context = meta.get(f"{name}.context_length", 0)
    title = sanitize(str(meta.get("general.name", "")) or path.stem, 80)
    return OpenModel(
        path=path,
        format="gguf",
        name=title,
        architecture=name,
        parameters=sum(elements.values()),
        size=file.size,
        stored=stored,
        context=context if isinstance(context, int) else 0,
        licence=sanitize(str(meta.get("general.license", "")), 80),
        chat=bool(meta.get("tokenizer.chat_template")),
        trains=name in ARCHITECTURES,
        summary=f"{title}, {stored}",
    )


def _stored(metadata: dict[str, Any]) -> str:
    """How the file as a whole is quantised, as hubs call it ("Q4_K_M"); "" if it does not say."""
    from gguf import LlamaFileType  # late: it takes 0.1 s

    with suppress(ValueError):
        name = LlamaFileType(metadata.get("general.file_type")).name
        return name.removeprefix("MOSTLY_").removeprefix("ALL_").replace("GUESSED", "")
    return ""


def check_architecture(file: Gguf) -> None:
    """Raises MisuseError if this is not a whole model, UnsupportedError if it is of an architecture
    that genui does not compute."""
    meta, name = file.metadata, file.architecture
    if meta.get("split.count", 0) not in (0, 1):
        raise cannot_use(
            file.path, "it is one part of a split model", "join them: llama-gguf-split --merge"
        )
    if name not in ARCHITECTURES:
        kind = meta.get("general.type", "model")
        what = f"its architecture is {sanitize(name, 40)!r}" if name else f"it is a {kind!r}"
        known = ", ".join(ARCHITECTURES)
        raise UnsupportedError(f"{show(file.path)}: {what}; genui reads {known}; {SERVE}")
    if meta.get(f"{name}.expert_count", 0):
        fault = "it is a mixture of experts; use a dense model"
        raise UnsupportedError(f"{show(file.path)}: {fault}; {SERVE}")
    if not file.tensors:
        raise cannot_use(file.path, "it has no tensors", "use a file with a model's weights")


def read_gguf(path: Path) -> Gguf:
    """The header of a file.

    Counts and lengths are checked before memory is taken. `gguf.GGUFReader` takes 30 times as long
    and ten times the memory. Raises MisuseError, one line that names the file, for a damaged,
    truncated or hostile one.
    """
    irregular = cannot_use(path, "it is not a regular file", "give the path of a GGUF file")
    with open_regular(path, irregular) as file:
        size = os.fstat(file.fileno()).st_size
        return _Header(path, file, size).read()


class _Header:
    """Reads a header from its start to its end."""

    def __init__(self, path: Path, file: BinaryIO, size: int) -> None:
        self._path, self._file, self._size = path, file, size
        self._data = bytearray()
        self._at = 0

    def read(self) -> Gguf:
        if bytes(self._take(len(MAGIC))) != MAGIC:
            raise cannot_use(self._path, "it does not begin as GGUF does", "give a GGUF file")
        version = self._number("I")
        if version not in VERSIONS:
            big_endian = version & 0xFFFF == 0
            fault = "it is big-endian" if big_endian else f"it has version {version} of the format"
            raise cannot_use(self._path, fault, "use a little-endian file of version 2 or 3")
        tensors, entries = self._count(MOST_ENTRIES), self._count(MOST_ENTRIES)
        metadata: dict[str, Any] = {}
        for _ in range(entries):
            key = self._string()
            metadata[key] = self._value(self._number("I"))
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20:
            raise self._damaged(f"its alignment is {sanitize(str(alignment), 20)}")
        described = [self._tensor() for _ in range(tensors)]
        start = -(-self._at // alignment) * alignment
        end = max((start + t.offset + t.size for t in described), default=0)
        if end > self._size:
            raise self._damaged(f"it is truncated ({self._size:,} of {end:,} bytes)")
        placed = {t.name: msgspec.structs.replace(t, offset=start + t.offset) for t in described}
        return Gguf(self._path, self._size, metadata, placed)

    def _tensor(self) -> TensorInfo:
        """A tensor's description; the offset is still relative to the data."""
        name, axes = self._string(), self._number("I")
        shape = tuple(self._number("Q") for _ in range(min(axes, _MOST_AXES)))
        kind, offset = self._number("I"), self._number("Q")
        try:
            _, block, size = tensor_type(kind)
        except ValueError:
            raise cannot_use(
                self._path,
                f"the tensor {sanitize(name, 60)!r} has type {kind}, which genui does not know",
                "use another quantisation, such as Q4_K_M or Q8_0",
            ) from None
        if not 1 <= axes <= _MOST_AXES or min(shape) < 1 or shape[0] % block:
            fault = f"the tensor {sanitize(name, 60)!r} has {axes} axes and the shape {list(shape)}"
            raise self._damaged(fault)
        return TensorInfo(name, shape[::-1], kind, offset, math.prod(shape) // block * size)

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            return self._array()
        return self._number(self._scalar(kind))

    def _array(self) -> list[Any]:
        kind, count = self._number("I"), self._count(MOST_ITEMS)
        if kind == _STRING:
            return [self._string() for _ in range(count)]
        code = f"<{count}{self._scalar(kind)}"
        return list(struct.unpack(code, self._take(struct.calcsize(code))))

    def _scalar(self, kind: int) -> str:
        """How `struct` spells a type of numbers."""
        if kind not in _SCALARS:
            raise self._damaged(f"its metadata has the type {kind}")
        return _SCALARS[kind]

    def _string(self) -> str:
        return self._take(self._number("Q")).decode("utf-8", "replace")

    def _number(self, code: str) -> Any:
        code = f"<{code}"
        return struct.unpack(code, self._take(struct.calcsize(code)))[0]

    def _count(self, most: int) -> int:
        """The number of things that follow."""
        count = self._number("Q")
        if count > most:
            raise self._damaged(f"it claims {count:,} entries, more than {most:,}")
        return count

    def _take(self, length: int) -> bytearray:
        """The next bytes of the header."""
        end = self._at + length
        if end > len(self._data) and end <= LARGEST_HEADER:
            self._data += self._file.read(max(end - len(self._data), _PORTION))
        if end > len(self._data):
            raise self._damaged(f"it is truncated, or its header is over {LARGEST_HEADER >> 20} MB")
        data = self._data[self._at : end]
        self._at = end
        return data

    def _damaged(self, fault: str) -> MisuseError:
        return cannot_use(self._path, fault, "fetch or copy it again")
