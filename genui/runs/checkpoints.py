"""Checkpoint files: what a safetensors header says, and which checkpoints a run has.

Only headers are read here, with every size checked before memory is taken; tensors are the
engine's. The format: 8 bytes of little-endian length, that many bytes of JSON, the data.
"""

import hashlib
import math
import os
import re
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from genui.errors import MisuseError
from genui.recipes import Recipe, recipe_from_dict
from genui.runs.disk import cannot_read, open_regular, plain, shown
from genui.runs.layout import RunDir

FORMAT = 1
"""The version of our own metadata this code reads."""

LARGEST_HEADER = 16 * 1024 * 1024  # bytes

_WEIGHTS = re.compile(r"step-(\d{8,18})\.safetensors")
_LENGTH = 8

_Size = Annotated[int, Meta(ge=0, lt=2**62)]


class _Tensor(Struct, frozen=True):
    dtype: str
    shape: Annotated[list[_Size], Meta(max_length=16)]
    data_offsets: tuple[_Size, _Size]


class _Versioned(Struct, frozen=True):
    format: int


class _Guide(Struct, frozen=True):
    """What a file says of the weaker model beside its own weights."""

    recipe: dict[str, Any]
    step: _Size = 0


class _Metadata(Struct, frozen=True):
    """Our part of a header: every field that is read of it, by whatever kind of model."""

    recipe: dict[str, Any]
    step: _Size = 0
    parameters: _Size = 0
    fingerprint: str = ""
    dataset: str = ""
    licence: str = ""
    tokenizer: dict[str, str] = {}
    words: list[str] = []
    captions: list[str] = []
    voices: list[str] = []
    labels: list[str] = []
    averaged: list[str] = []
    guide: _Guide | None = None


class Header(Struct, frozen=True):
    """What a checkpoint says of itself."""

    path: Path
    recipe: Recipe
    step: int
    parameters: int
    dataset: str
    fingerprint: str  # of the data it was trained on
    metadata: dict[str, Any]  # all of it, as the trainer wrote it


def read_header(path: Path) -> Header:
    """The header of a checkpoint written by genui, without touching its tensors.

    Raises MisuseError, one line naming the file, where it is truncated, hostile, not
    safetensors or not ours; GenuiError where it cannot be read.
    """
    raw, size = _header_bytes(path)
    try:
        entries = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        texts = msgspec.json.decode(entries.pop("__metadata__", b"{}"), type=dict[str, str])
        tensors = [msgspec.json.decode(entry, type=_Tensor) for entry in entries.values()]
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise _unfit(path, "its header is not that of a safetensors file") from None
    end = max((tensor.data_offsets[1] for tensor in tensors), default=0)
    whole = _LENGTH + len(raw) + end
    if size < whole:
        raise _unfit(path, f"it is truncated ({size} of {whole} bytes)", "copy it again")
    if size > whole or any(t.data_offsets[0] > t.data_offsets[1] for t in tensors):
        raise _unfit(path, "its header does not fit its data")
    if "genui" not in texts:
        raise _unfit(path, "it was not written by genui (no genui metadata)")
    return parse_metadata(path, texts["genui"], sum(math.prod(tensor.shape) for tensor in tensors))


def checkpoint_steps(run: RunDir) -> list[int]:
    """The steps the run has weights of, ascending; whether they are whole is not checked."""
    try:
        names = os.listdir(run.checkpoints)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise cannot_read(run.checkpoints, error) from None
    found = (_WEIGHTS.fullmatch(name) for name in names)
    return sorted(int(match[1]) for match in found if match)


def newest_checkpoint(run: RunDir) -> Header | None:
    """The newest whole checkpoint. Damaged ones are passed over: an older one beats an error."""
    for step in reversed(checkpoint_steps(run)):
        try:
            return read_header(run.checkpoint(step))
        except MisuseError:
            continue
    return None


def _header_bytes(path: Path) -> tuple[bytes, int]:
    """The JSON of the header, and the size of the file in bytes."""
    with open_regular(path, _unfit(path, "it is not a regular file")) as file:
        size = os.fstat(file.fileno()).st_size
        prefix = file.read(_LENGTH)
        length = int.from_bytes(prefix, "little")
        if len(prefix) < _LENGTH:
            raise _unfit(path, f"it is only {len(prefix)} bytes long", "copy it again")
        if length > LARGEST_HEADER:
            raise _unfit(path, f"its header claims {length} bytes, so it is not safetensors")
        raw = file.read(length)
    if len(raw) < length:
        raise _unfit(path, "it is truncated inside its header", "copy it again")
    return raw, size


def parse_metadata(path: Path, text: str, counted: int = 0) -> Header:
    """The header of the file `path` from our own metadata in it, a JSON text; `counted` are its
    parameters, where the metadata says none.

    Every field has its type and the recipe its bounds; whoever reads the file reads it by this.
    Raises MisuseError, one line naming the file, where that is not so.
    """
    try:
        fields = msgspec.json.decode(text, type=dict[str, Any])
        version = msgspec.convert(fields, _Versioned).format
        if version != FORMAT:
            reads = f"it has format {version} and this genui reads {FORMAT}"
            raise _unfit(path, reads, "upgrade")
        meta = msgspec.convert(fields, _Metadata)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        reason = plain(str(error)).replace("`", "'")
        raise _unfit(path, f"its genui metadata is damaged ({reason})") from None
    try:
        recipe = recipe_from_dict(meta.recipe)
        recipe.check()
    except MisuseError as error:
        raise _unfit(path, plain(str(error))) from None
    return Header(
        path=path,
        recipe=recipe,
        step=meta.step,
        parameters=meta.parameters or counted,
        dataset=meta.dataset or recipe.dataset,
        fingerprint=meta.fingerprint,
        metadata=fields,
    )


def _unfit(
    path: Path, fault: str, remedy: str = "use a checkpoint written by genui"
) -> MisuseError:
    return MisuseError(f"{shown(path)}: {fault}; {remedy}")


def weights_fingerprint(path: Path) -> str:
    """Of a file of weights: the first 16 hexadecimal digits of its SHA-256. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
