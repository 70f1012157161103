"""Names for other people's models on this machine: one small JSON file each.

`genui pull` and `genui models add` write them; the models themselves stay where they are.
"""

import os
import re
from contextlib import suppress
from pathlib import Path

import msgspec

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import atomic_write, cannot_write, read_json
from genui.base.paths import data_dir

SUFFIX = ".json"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a model is, and where it came from."""

    path: str = ""
    """The file or folder, absolute; "" for a model on a server."""
    url: str = ""
    """The address of a server, or the page that it was fetched from."""
    model: str = ""
    """The name of the model on the server."""
    dialect: str = ""
    """How the server is asked: a name of `server.DIALECTS`."""
    key_env: str = ""
    """The environment variable with the server's key; the key itself is never written."""
    top: int = 0
    """How many of the likeliest tokens the server tells."""
    vocabulary: int = 0
    context: int = 0
    parameters: int = 0
    chat_template: str = ""
    begin: str = ""
    """The token that a chat template may begin with, as it is spelled; `end` likewise."""
    end: str = ""
    source: str = ""
    """The repository it was fetched from: "HuggingFaceTB/SmolLM2-135M-Instruct"."""
    revision: str = ""
    licence: str = ""


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


def read_record(file: Path) -> Record:
    """The record in a file. Raises GenuiError, one line, if it is damaged."""
    return read_json(file, Record, "remove it and add the model again")


def is_server(path: Path) -> bool:
    """Whether a path is the record of a model on a server."""
    if path.suffix != SUFFIX or path.parent != records_dir():
        return False
    try:
        record = read_record(path)
    except GenuiError:
        return False
    return bool(record.url) and not record.path


def write_record(name: str, record: Record) -> Path:
    """Give a model a name. Raises MisuseError for a bad name, GenuiError if it is not written."""
    file = record_file(name)
    try:
        os.makedirs(file.parent, exist_ok=True)
        atomic_write(file, msgspec.json.format(msgspec.json.encode(record)) + b"\n")
    except OSError as error:
        raise cannot_write(file, error) from None
    return file


def remove_record(name: str) -> bool:
    """Forget a name; the model's files stay. Returns whether there was one."""
    try:
        record_file(name).unlink()
    except OSError:
        return False
    return True
