"""The files of a path, and readers for tables and archives.

A reader holds some megabytes, whatever the size of its file. Nothing in a file is trusted, and
nothing is unpickled.
"""

import hashlib
import importlib
import itertools
import mmap
import stat
import tarfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Generic, NamedTuple, TypeVar

from genui.base.errors import GenuiError, MisuseError, install
from genui.base.files import open_regular, sanitize, show
from genui.base.numbers import about, quantity, size
from genui.base.text import clean_line
from genui.engine.data.preparation import REPORT_S, Report

BLOCK = 256 * 1024
"""Bytes that are read at a time."""

AT_ONCE = 128 * 1024 * 1024
"""Bytes of the rows of a table that are read at a time, if these are long."""

MAX_ROW = 1024 * 1024 * 1024
"""Bytes of a row of a Parquet file, which is decompressed into memory."""

TEXT = "text"
"""The group of text files."""

STRINGS = ("string", "large_string")
"""The types of columns of texts, of pyarrow."""

T = TypeVar("T")


class Batch(NamedTuple, Generic[T]):
    """The items that were read at one time."""

    items: list[T]
    share: float  # of the file that is read, 0 to 1; from `read`, of the source
    without_text: int = 0  # lines or rows
    notes: Sequence[str] = ()  # on files and images that are left out, one line each
    file: int = 0  # its index in the source
    number: int = 0  # of this batch in the file, from 1


class File(NamedTuple):
    """A file of a source."""

    path: Path
    name: str  # relative to the source's folder
    size: int  # bytes
    changed: int  # nanoseconds
    format: "Format"
    files: int = 1  # how many it stands for, if it is a folder


ReadFile = Callable[[File], Iterator[Batch[Any]]]
"""The batches of a file, always the same ones. Raises MisuseError, one line."""


@dataclass(frozen=True)
class Format:
    """A format of files. A folder is read as the files of one `group`, that with the most bytes."""

    group: str
    suffixes: tuple[str, ...]
    read: ReadFile
    growth: int = 1  # bytes of text in a byte of the file, roughly


class Source(NamedTuple):
    """The files of a path."""

    path: Path
    files: tuple[File, ...]

    @property
    def group(self) -> str:
        return self.files[0].format.group if self.files else TEXT

    @property
    def size(self) -> int:
        """The bytes of its files."""
        return sum(file.size for file in self.files)

    @property
    def text_bytes(self) -> int:
        """About how many bytes of text it has; exact if nothing is compressed."""
        return sum(file.size * file.format.growth for file in self.files)

    @property
    def key(self) -> str:
        """16 hexadecimal digits that change when a file is replaced, added or removed."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(f"{file.name}\0{file.size}\0{file.changed}\1".encode("utf-8", "replace"))
        return digest.hexdigest()[:16]

    def describe(self) -> str:
        """Its name, size and number of files."""
        files = quantity(sum(file.files for file in self.files), "file")
        return f"{clean_line(self.path.name)}: {size(self.size)} in {files}"


def find_files(path: Path, formats: Sequence[Format], other: Format | None = None) -> Source:
    """The files of a file or folder; empty if no file has one of these formats.

    A file without a known suffix is of the format `other`, if it is given. A path that is missing
    has one file of size 0.
    """
    if not path.is_dir():
        file_format = _format_of(path.name, formats) or other
        return Source(path, (file_at(path, path.name, file_format),) if file_format else ())
    groups: dict[str, list[File]] = {}
    for file in sorted(path.rglob("*")):
        file_format = _format_of(file.name, formats)
        if file_format is not None and file.is_file():
            entry = file_at(file, file.relative_to(path).as_posix(), file_format)
            groups.setdefault(file_format.group, []).append(entry)
    return Source(
        path, tuple(max(groups.values(), key=lambda files: sum(f.size for f in files), default=()))
    )


PLAN = "genui.json"
"""A file that `genui generate --out FOLDER` writes beside its samples; it is not data."""


def _format_of(name: str, formats: Sequence[Format]) -> Format | None:
    if name == PLAN:
        return None
    stem, dot, suffixes = name.lower().lstrip(".").partition(".")
    if dot and stem.startswith("cache-") and suffixes == "arrow":  # of a computation on the data
        return None
    return next((each for each in formats if (dot + suffixes).endswith(each.suffixes)), None)


def file_at(path: Path, name: str, file_format: Format) -> File:
    """The file of a source at that path, of size 0 if it is not a regular file."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return File(path, name, 0, 0, file_format)
    size = status.st_size if stat.S_ISREG(status.st_mode) else 0
    return File(path, name, size, status.st_mtime_ns, file_format)


def read(source: Source, file: int = 0, number: int = 0) -> Iterator[Batch[Any]]:
    """The batches of a source, from the file of that index on and without its first `number`.

    A file of several that cannot be read is left out. Raises GenuiError, which names the file, if
    it is the only one or is damaged further on.
    """
    total = max(1, source.size)
    before = [0, *itertools.accumulate(each.size for each in source.files)]
    for index in range(file, len(source.files)):
        each, count = source.files[index], 0
        skipped = number if index == file else 0
        try:
            for count, batch in enumerate(each.format.read(each), 1):
                if count > skipped:
                    share = (before[index] + min(1.0, batch.share) * each.size) / total
                    yield batch._replace(share=share, file=index, number=count)
        except GenuiError as error:
            if count or skipped or len(source.files) == 1:
                raise
            yield Batch([], before[index + 1] / total, notes=[str(error)], file=index + 1)


class ReadingProgress:
    """Says how far a source is read, and how long the rest takes."""

    def __init__(self, source: Source, share: float, report: Report) -> None:
        self._total, self._report = source.size, report
        self._first, self._begin, self._reported = share, time.monotonic(), 0.0

    def show(self, doing: str, share: float) -> None:
        """Report `doing`, once in REPORT_S, and the `share` of the source that is read."""
        now = time.monotonic()
        if now - self._reported >= REPORT_S and now > self._begin:
            self._reported = now
            per_s = (share - self._first) / (now - self._begin)
            left = f", ~{about((1 - share) / per_s)} left" if per_s > 0 else ""
            self._report(
                f"{doing}, {size(share * self._total)} of {size(self._total)}, "
                f"{size(per_s * self._total)}/s{left}"
            )


# --- Opening ----------------------------------------------------------------------------------


@contextmanager
def opened_file(file: File) -> Iterator[BinaryIO]:
    """The file for reading. Raises MisuseError, which names it, also for what libraries raise in
    the block if it is damaged."""
    irregular = MisuseError(f"{show(file.path)}: is not a regular file; give a file of data")
    try:
        with open_regular(file.path, irregular) as opened, _damage(file):
            yield opened
    except MisuseError:
        raise
    except (GenuiError, ValueError) as error:  # ValueError: an impossible file name
        raise MisuseError(str(error)) from None


@contextmanager
def _damage(file: File) -> Iterator[None]:
    try:
        yield
    except MisuseError:
        raise
    except (
        *(OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, MemoryError),
        *(zlib.error, tarfile.TarError),
    ) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise MisuseError(
            f"{show(file.path)}: is damaged or not what its name says ({sanitize(reason)}); "
            "copy it again"
        ) from None


def import_optional(module: str, file: File) -> Any:
    """A module of pyarrow. Raises MisuseError, which names the extra, if it is not installed."""
    # Late: it is an optional extra.
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MisuseError(
            f"{show(file.path)}: reading it needs pyarrow: {install('data')}"
        ) from None


# --- Tables: Parquet and Arrow (the extra `data`) -----------------------------------------------


Columns = list[Any]
"""Some rows of the chosen columns, of pyarrow."""


class Table(NamedTuple):
    """An opened table."""

    schema: Any  # of pyarrow
    rows: Callable[[Sequence[str], int], Iterator[tuple[Columns, float]]]
    """(names, at most so many rows at a time) to columns, and the share of the file up to there."""


def choose_column(
    file: File, schema: Any, keys: Sequence[str], fits: Callable[[Any], bool], things: str
) -> str:
    """The column of that name and a type that fits, or the only one that does. Raises MisuseError,
    which lists all with their types."""
    names = [field.name for field in schema if fits(field.type)]
    named = [key for key in keys if key in names] or (names if len(names) == 1 else [])
    if not named:
        columns = ", ".join(f"{field.name} {field.type}" for field in schema)
        raise MisuseError(
            f"{show(file.path)}: no column {' or '.join(map(repr, keys))} with {things} (its "
            f"columns: {sanitize(columns, 300)}); rename the one that has them"
        )
    return named[0]


@contextmanager
def open_table(file: File) -> Iterator[Table]:
    """A Parquet file, or an Arrow file or stream as `datasets` saves it, mapped into memory. Raises
    MisuseError, also in the block, if it is damaged or pyarrow is not installed."""
    arrow = import_optional("pyarrow", file)
    with opened_file(file) as opened:
        mapped = arrow.BufferReader(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))
        if file.format.group == "Parquet":
            table = import_optional("pyarrow.parquet", file).ParquetFile(mapped)
            yield Table(table.schema_arrow, partial(_parquet_rows, file, table))
            return
        if opened.read(6) == b"ARROW1":
            reader = arrow.ipc.open_file(mapped)
            count = reader.num_record_batches
            batches = ((reader.get_batch(i), (i + 1) / count) for i in range(count))
        else:
            reader = arrow.ipc.open_stream(mapped)
            batches = ((batch, mapped.tell() / file.size) for batch in reader)
        yield Table(reader.schema, partial(_arrow_rows, batches))


def _parquet_rows(
    file: File, table: Any, names: Sequence[str], most: int
) -> Iterator[tuple[Columns, float]]:
    for group in range(table.num_row_groups):
        of_group = table.metadata.row_group(group)
        mean = of_group.total_byte_size // max(1, of_group.num_rows)  # decompressed
        if mean > MAX_ROW:
            raise MisuseError(
                f"{show(file.path)}: a row has about {mean >> 20:,} MB, and rows of at most "
                f"{MAX_ROW >> 20:,} are read; make its contents smaller"
            )
        at_once = max(1, min(most, AT_ONCE // max(1, mean)))
        for batch in table.iter_batches(at_once, [group], list(names)):
            for columns in _slices(batch, names, most):
                yield columns, (group + 1) / table.num_row_groups


def _arrow_rows(
    batches: Iterator[tuple[Any, float]], names: Sequence[str], most: int
) -> Iterator[tuple[Columns, float]]:
    for batch, share in batches:
        for columns in _slices(batch, names, most):
            yield columns, share


def _slices(batch: Any, names: Sequence[str], most: int) -> Iterator[Columns]:
    """Some rows of a batch at a time. Offsets are checked: wrong ones would end the process."""
    columns = [batch.column(name) for name in names]
    for column in columns:
        column.validate(full=True)
    octets = max(1, sum(column.nbytes for column in columns))
    at_once = max(1, min(most, AT_ONCE * len(batch) // octets))
    for at in range(0, len(batch), at_once):
        yield [column.slice(at, at_once) for column in columns]


# --- Archives, as WebDataset writes them ------------------------------------------------------


@contextmanager
def open_archive(file: File) -> Iterator[tuple[tarfile.TarFile, Iterator[tarfile.TarInfo]]]:
    """A tar archive and its members. Raises MisuseError, also in the block, if it is damaged."""
    with opened_file(file) as opened, tarfile.open(fileobj=opened, mode="r:") as archive:
        yield archive, _members(archive)


def read_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = archive.extractfile(member)
    return content.read() if content is not None else b""


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    end = 0
    while (member := archive.next()) is not None:
        archive.members = []  # type: ignore[attr-defined] - it lists all that it read
        if archive.offset <= end or member.size < 0:  # else it would be read for ever
            raise tarfile.ReadError("a member of a negative size")
        end = archive.offset
        yield member
