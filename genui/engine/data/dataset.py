"""The base of the tables of datasets; each medium's table is in the file of its medium."""

import contextlib
import fcntl
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from genui.base.errors import GenuiError, MisuseError, did_you_mean
from genui.base.files import cannot_write, show
from genui.base.plugins import Table, index_by_name
from genui.protocol.kinds import KINDS


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One dataset: where its examples come from, what they are, and their licence."""

    name: str
    summary: str
    licence: str
    load: Callable[..., Any]
    """Reads the examples."""
    check: Callable[[], int] | None = None
    """Says, before a run is made, what is missing on this machine: it returns how many bytes must
    be downloaded, and raises GenuiError if the data cannot be had (no network, no font). None for
    data that is always here."""
    stand_in: Callable[..., Any] | None = None
    """A function like `load` that returns random examples, to measure the speed of a training
    whose data is not downloaded yet."""

    limitations: str = ""
    """What a model that is trained on it cannot do, whatever its kind; "" if that says it all."""
    label_limitations: str = ""
    """The same for a classifier that learns its labels."""

    def missing_bytes(self) -> int:
        """How many bytes must be downloaded. Raises GenuiError if the data cannot be had."""
        return int(self.check()) if self.check else 0

    def read(self, *args: Any) -> Any:
        """Call `load`. Raises GenuiError, one line, for any error in it."""
        load = self.stand_in if _stand_ins and self.stand_in else self.load
        try:
            return load(*args)
        except GenuiError:
            raise
        except Exception as error:
            if os.environ.get("GENUI_DEBUG"):
                raise
            raise GenuiError(
                f"dataset {self.name}: cannot be loaded: {type(error).__name__}: {error} "
                "(GENUI_DEBUG=1 shows where)"
            ) from error


Row = TypeVar("Row", bound=Dataset)

_stand_ins: list[bool] = []


@contextlib.contextmanager
def use_stand_ins() -> Iterator[None]:
    """Read random examples in place of datasets that have a `stand_in`, while the block runs."""
    _stand_ins.append(True)
    try:
        yield
    finally:
        _stand_ins.pop()


def uses_stand_ins() -> bool:
    """Whether a speed is measured, for which a part of the data or random examples will do."""
    return bool(_stand_ins)


_watchers: list[Callable[[str], None]] = []


@contextlib.contextmanager
def watch_preparation(progress: Callable[[str], None]) -> Iterator[None]:
    """Call `progress` with a line, some times a second, while data are prepared in the block.

    What it raises ends the preparation, which goes on from there the next time.
    """
    _watchers.append(progress)
    try:
        yield
    finally:
        _watchers.remove(progress)


def report(line: str) -> None:
    """Say how far a preparation is."""
    for progress in _watchers:
        progress(line)


REPORT_S = 0.2
"""Seconds between two reports."""


LOCK = "lock"
"""The file in a folder of prepared data that the process which writes there has locked."""


@contextlib.contextmanager
def locked(folder: Path, name: str) -> Iterator[None]:
    """Be the only process that writes in the folder; another one is waited for."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fd = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise cannot_write(folder, error) from None
    try:
        while not try_lock(fd):
            report(f"waiting for another process that prepares {name}")
            time.sleep(REPORT_S)
        yield
    finally:
        os.close(fd)


def try_lock(fd: int) -> bool:
    """Lock a file for this process alone; returns whether it did."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class Prepared(NamedTuple):
    """Data that do not fit into memory and are prepared in a folder of the cache."""

    name: str
    path: str  # of the data
    content: str  # "1,204 tokens of bpe"
    octets: int  # on the disk
    share: float  # of the data that is prepared, 0 to 1
    folder: Path


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

    A training that reads them goes on, and prepares them again when it is resumed. Raises
    GenuiError if they are being prepared.
    """
    try:
        with open(prepared.folder / LOCK, "ab") as lock:
            if not try_lock(lock.fileno()):
                raise GenuiError(f"{prepared.name}: is being prepared; stop that training first")
            shutil.rmtree(prepared.folder)
    except OSError as error:
        raise cannot_write(prepared.folder, error) from None


def dataset_table(kind: type[Row], rows: Iterable[Row]) -> Table[Row]:
    """A table of the built-in rows and those of plug-ins (`genui.base.plugins`)."""
    return Table("genui.datasets", kind, index_by_name(rows), base=Dataset)


def find_dataset(table: Table[Row], name: str, things: str) -> Row:
    """The row of that name. Raises MisuseError with the nearest name; `things` is what the rows
    are called in it, as in "image dataset"."""
    try:
        return table[name]
    except KeyError:
        raise MisuseError(
            f"no {things} '{name[:40]}': {did_you_mean(name, table, lists='genui help data')} "
            "(one of a plug-in needs genui --plugin FILE)"
        ) from None


def describe_dataset(name: str) -> str:
    """The summary and licence of a dataset of any medium; "" if no row has the name."""
    row = dataset_named(name)
    return f"{row.summary}; {row.licence}" if row is not None else ""


def dataset_named(name: str) -> Dataset | None:
    """The dataset of that name, of any medium, or None."""
    return next((table[name] for table in tables() if name in table), None)


def tables() -> tuple[Mapping[str, Any], ...]:
    """The tables of all media, those of kinds last."""
    # Late imports: these files import this one.
    from genui.engine.data.images import IMAGE_DATASETS
    from genui.engine.data.text import LABELLED_TEXTS, TEXT_DATASETS

    of_kinds = (kind.datasets() for kind in KINDS.values() if kind.datasets)
    return IMAGE_DATASETS, TEXT_DATASETS, LABELLED_TEXTS, *of_kinds
