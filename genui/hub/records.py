"""Names for other people's models on this machine: one small JSON file each.

`genui pull` and `genui models add` write them; the models themselves stay where they are.
"""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import atomic_write, read_json, writing
from genui.base.paths import data_dir

SUFFIX = ".json"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a model is, and where it came from."""

    path: str = ""
    """The file or folder, absolute; "" for a model that is known by its record alone."""
    url: str = ""
    """Where it is, if not here, or the page that it was fetched from."""
    source: str = ""
    """The repository it was fetched from: "HuggingFaceTB/SmolLM2-135M-Instruct"."""
    revision: str = ""
    licence: str = ""


R = TypeVar("R", bound=Record)


def records_dir() -> Path:
    return data_dir() / "models"


def record_file(name: str) -> Path:
    """The file of a name. Raises MisuseError for what cannot be a name."""
    if not _NAME.fullmatch(name):
        raise MisuseError(
            f"name {name[:80]!r}: letters, digits, '.', '_' and '-', at most 80; choose another"
        )
    return records_dir() / f"{name}{SUFFIX}"


def list_records() -> dict[str, Record]:
    """The names on this machine and their records; damaged files, and those whose names genui does
    not write, are left out."""
    records: dict[str, Record] = {}
    with suppress(OSError):
        for file in sorted(records_dir().glob(f"*{SUFFIX}")):
            name = file.name.removesuffix(SUFFIX)
            with suppress(GenuiError):
                if _NAME.fullmatch(name):
                    records[name] = read_record(file)
    return records


def read_record(file: Path, record: type[R] = Record) -> R:
    """The record in a file, of the class `record`; only the fields of the class are read.

    Raises GenuiError, one line, if it is damaged.
    """
    return read_json(file, record, "remove it and add the model again")


def write_record(name: str, record: Record) -> Path:
    """Give a model a name. Raises MisuseError for a bad name, GenuiError if it is not written."""
    file = record_file(name)
    with writing(file):
        os.makedirs(file.parent, exist_ok=True)
        atomic_write(file, msgspec.json.format(msgspec.json.encode(record)) + b"\n")
    return file


def remove_record(name: str) -> bool:
    """Forget a name; the model's files stay. Returns whether there was one."""
    try:
        record_file(name).unlink()
    except OSError:
        return False
    return True
