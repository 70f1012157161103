"""The table of formats of other people's models, of which each kind brings its own."""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from genui.base.errors import GenuiError, MisuseError, install
from genui.base.files import show
from genui.base.plugins import Table
from genui.hub.open_model import OpenModel
from genui.hub.records import Record
from genui.protocol.kinds import KINDS, Kind


class ModelFormat(msgspec.Struct, frozen=True, kw_only=True):
    """How models of one format are recognised and described."""

    title: str
    """With an article, for messages: "a GGUF file"."""
    recognise: Callable[[Path], bool]
    """Whether a path is one, by its name and first bytes; it raises nothing."""
    describe: Callable[[Path], OpenModel]
    """The OpenModel of a path from its headers alone. Raises MisuseError, one line that names the
    file, if it is damaged or its architecture is unknown."""
    suffix: str = ""
    """The suffix of its models, if each is one file that `genui pull` fetches."""
    train_instead: str = (
        "start from a model of the Llama family, as a GGUF file or a folder of safetensors"
    )
    """The remedy if a model cannot be trained on."""
    converts: bool = False
    """Whether its weights are converted to the setting `precision` when they are loaded."""
    needs: tuple[str, str] = ("", "")
    """A module that must be installed, and the extra that installs it; not for what `trains`."""
    files: Callable[[Path], list[Path]] | None = None
    """The files that a model is made of; None if they are the file itself, or those directly in
    the folder."""
    find: Callable[[str, Mapping[str, Any]], tuple[Record, str] | None] | None = None
    """The record of a model that is no file but, say, an address, and a name for it, by the options
    of `genui models add`; None if the text means no such model."""


def _formats_of(kinds: Iterable[Kind]) -> dict[str, ModelFormat]:
    rows = ((name, row) for kind in kinds if kind.formats for name, row in kind.formats().items())
    return {name: row for name, row in rows if isinstance(row, ModelFormat)}


FORMATS: Mapping[str, ModelFormat] = Table(
    "",
    ModelFormat,
    lambda: _formats_of(KINDS.list_built_in()),
    also=lambda: _formats_of(KINDS.list_of_plugins()),
)
"""The format's name to its row, in the order in which a path is tried."""


def missing_package(format: str, trains: bool = False) -> str:
    """`needs diffusers: COMMAND` for a format whose package is not installed; "" if it is."""
    package, extra = FORMATS[format].needs if format in FORMATS and not trains else ("", "")
    if not package or find_spec(package) is not None:
        return ""
    return f"needs {package}: {install(extra)}"


def format_of(path: Path) -> str:
    """The format of a file or folder: a name of FORMATS, or "" if it is none of them."""
    if not os.path.exists(path):  # also a name that is too long
        return ""
    return next((name for name, row in FORMATS.items() if row.recognise(path)), "")


SINGLE_FILE = (
    "a single file of Stable Diffusion becomes a folder by diffusers: "
    "StableDiffusionPipeline.from_single_file(FILE).save_pretrained(FOLDER)"
)


def describe(path: Path) -> OpenModel:
    """The model of a file or folder. Raises MisuseError if it is none, or damaged."""
    name = format_of(path)
    if not name and not os.path.lexists(path):
        raise MisuseError(f"{show(path)}: no such file or folder; check the path")
    if not name:
        if path.suffix in (".safetensors", ".ckpt") and path.is_file():
            raise MisuseError(
                f"{show(path)}: is no open model; of genui's own models genui generate takes the "
                f"path; {SINGLE_FILE}"
            )
        titles = ", ".join(row.title for row in FORMATS.values())
        raise MisuseError(f"{show(path)}: no model that genui reads; it reads {titles}")
    return FORMATS[name].describe(path)


def files_of(path: Path) -> list[Path]:
    """The files that the model of a path is made of, in a fixed order.

    Raises OSError, and MisuseError if they cannot be told.
    """
    name = format_of(path)
    if name and (files := FORMATS[name].files):
        return files(path)
    return sorted(f for f in path.iterdir() if f.is_file()) if path.is_dir() else [path]


def state_of(path: Path) -> int:
    """A number for the names, sizes and times of a model's files: when one is changed or replaced,
    also by an older one, the model is read again. 0 if one is missing."""
    try:
        files = [(str(file), file.stat()) for file in files_of(path)]
    except (OSError, GenuiError):
        return 0
    states = [(name, status.st_size, status.st_mtime_ns) for name, status in files]
    return int.from_bytes(hashlib.blake2b(repr(states).encode(), digest_size=7).digest())


_WHOLE = 256 << 20
"""Files of more bytes are fingerprinted by their ends and by blocks between them."""

_BLOCK = 1 << 20
_BLOCKS = 64


def fingerprint(path: Path) -> str:
    """The first 16 hexadecimal digits of a SHA-256 of the files of a model.

    A file of more than 256 MiB is identified by its size and 64 evenly spaced blocks of 1 MiB, so
    that a large model opens at once. Raises OSError, and MisuseError as `files_of` does.
    """
    digest = hashlib.sha256()
    files, base = files_of(path), path if path.is_dir() else path.parent
    for file in files:
        size = file.stat().st_size
        inside = file.relative_to(base) if file.is_relative_to(base) else file.name
        name = inside if len(files) > 1 else ""
        digest.update(f"{name}\0{size}\0".encode())
        with file.open("rb") as stream:
            if size <= _WHOLE:
                while block := stream.read(_BLOCK):
                    digest.update(block)
                continue
            for index in range(_BLOCKS):
                stream.seek((size - _BLOCK) * index // (_BLOCKS - 1))
                digest.update(stream.read(_BLOCK))
    return digest.hexdigest()[:16]
