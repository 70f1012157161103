"""How the data of a training are prepared: the progress, locks, and folders in the cache."""

import contextlib
import os
import shutil
import stat
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple, TypeVar

import msgspec

from genui.base.errors import GenuiError
from genui.base.files import LOCK, atomic_write, cannot_write, lock_folder, show, try_lock

T = TypeVar("T")

Report = Callable[[str], None]
"""Takes a line that says how far a preparation is, some times a second. An exception ends the
preparation; the next one continues from there."""


def say_nothing(line: str) -> None:
    """A report that does nothing."""


class PreparationStoppedError(Exception):
    """The run was stopped while its data were prepared."""


@dataclass(frozen=True)
class Preparation:
    """How data are prepared: the receiver of the progress, and whether all data are needed."""

    report: Report = say_nothing
    is_trial: bool = False
    """Whether a speed is measured, for which a part of the data or random examples will do."""
    may_download: bool = True
    """Whether missing files are downloaded; else data that lack one cannot be loaded."""


QUIET = Preparation()
"""All of the data, without a report of the progress."""

LOCAL = Preparation(may_download=False)
"""What is on this machine already."""

REPORT_S = 0.2
"""Seconds between two reports."""


def locked(folder: Path, name: str, report: Report = say_nothing) -> AbstractContextManager[None]:
    """Be the only process that writes in the folder; another one is waited for."""
    return lock_folder(folder, lambda: report(f"waiting for another process that prepares {name}"))


class Prepared(NamedTuple):
    """Data that do not fit into memory and are prepared in a folder of the cache."""

    name: str
    path: str  # of the data
    content: str  # "1,204 tokens of bpe"
    octets: int  # on the disk
    share: float  # the prepared share of the data, 0 to 1
    folder: Path


def read_record(path: Path, kind: type[T]) -> T | None:
    """The record of a preparation in a file; None if there is none that can be used."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, RecursionError):
        return None


def write_record(path: Path, record: msgspec.Struct, files: Sequence[IO[bytes]]) -> None:
    """Replace the record of a preparation, once what its files hold is on the disk."""
    for file in files:
        file.flush()
        os.fsync(file.fileno())
    atomic_write(path, msgspec.json.encode(record))


def open_end(path: Path, octets: int) -> IO[bytes]:
    """A file of prepared data, to continue after so many bytes. Raises GenuiError if it is shorter:
    what is missing would be zeros."""
    file = path.open("ab")
    if file.tell() < octets:
        file.close()
        raise cut_short(path)
    file.truncate(octets)
    return file


def cut_short(path: Path) -> GenuiError:
    """The error for a file of prepared data that has fewer bytes than were written."""
    return GenuiError(
        f"{show(path)}: was cut short; remove its folder and resume: it is made again"
    )


def bytes_in(folder: Path) -> int:
    """The bytes of the files in a folder; another process may replace or remove them meanwhile."""
    total = 0
    with contextlib.suppress(OSError):
        for file in folder.rglob("*"):
            with contextlib.suppress(OSError):
                status = file.stat()
                total += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return total


def remove_prepared(prepared: Prepared) -> None:
    """Remove prepared data, of a text with its vocabularies.

    A training that reads them continues, and prepares them again when it is resumed. Raises
    GenuiError if they are being prepared.
    """
    try:
        with open(prepared.folder / LOCK, "ab") as lock:
            if not try_lock(lock.fileno()):
                raise GenuiError(f"{prepared.name}: is being prepared; stop that training first")
            shutil.rmtree(prepared.folder)
    except OSError as error:
        raise cannot_write(prepared.folder, error) from None
