"""The files that a path stands for, and readers of the tables and archives that they are.

A reader holds some megabytes, whatever the size of its file, and can begin at any place that it
reached before. Nothing in a file is trusted, and nothing is unpickled.
"""

import hashlib
import importlib
import io
import itertools
import os
import stat
import tarfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar, cast

from genui.base.errors import GenuiError, MisuseError, install
from genui.base.files import open_regular, sanitize, show
from genui.base.numbers import about, quantity, size
from genui.base.text import clean_line
from genui.engine.data.dataset import REPORT_S, report

BLOCK = 256 * 1024
"""Bytes that are read at a time."""

AT_ONCE = 128 * 1024 * 1024
"""Bytes of the rows of a Parquet file that are read at a time, if these are long."""

MAX_READ = 1024 * 1024 * 1024
"""Bytes that a library may read in one piece: a batch of an Arrow file, a header of an archive."""

TEXT = "text"
"""The group of text files."""

T = TypeVar("T")


class Batch(NamedTuple, Generic[T]):
    """What was read, and where reading goes on."""

    items: list[T]
    place: int  # in the file: bytes, row groups or batches
    number: int  # lines, rows or members before it
    share: float  # of the file that is read, 0 to 1
    without_text: int = 0  # lines or rows
    unreadable: str = ""  # why this file is left out
    notes: Sequence[str] = ()  # on what is left out, one line each


class File(NamedTuple):
    """A file of a source."""

    path: Path
    name: str  # relative to the source's folder
    size: int  # bytes
    changed: int  # nanoseconds
    format: "Format"


Reader = Callable[[File, int, int], Iterator[Batch[Any]]]
"""(file, place, number) to the batches from there on. Raises MisuseError, one line."""


@dataclass(frozen=True)
class Format:
    """A format of files. A folder is read as the files of one `group`, that with the most bytes."""

    group: str
    suffixes: tuple[str, ...]
    read: Reader
    growth: int = 1  # bytes of text in a byte of the file, roughly


class Source(NamedTuple):
    """The files that a path stands for."""

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
        files = quantity(len(self.files), "file")
        return f"{clean_line(self.path.name)}: {size(self.size)} in {files}"


def find_files(path: Path, formats: Sequence[Format], other: Format | None = None) -> Source:
    """The files that a file or folder stands for; none if there is none of these formats.

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


def read(
    source: Source, file: int = 0, place: int = 0, number: int = 0
) -> Iterator[tuple[int, Batch[Any]]]:
    """The batches of a source, each with the index of the file in which reading goes on.

    A file of several that cannot be read is left out. Raises GenuiError, which names the file, if
    it is the only one or is damaged further on.
    """
    for index in range(file, len(source.files)):
        is_started = place > 0 or number > 0
        try:
            for batch in source.files[index].format.read(source.files[index], place, number):
                is_started = True
                yield index, batch
        except GenuiError as error:
            if is_started or len(source.files) == 1:
                raise
            yield index, Batch([], 0, 0, 1.0, unreadable=str(error))
        place = number = 0


class Progress:
    """Says how far a source is read, and how long the rest takes."""

    def __init__(self, source: Source, share: float) -> None:
        self._files, self._total = source.files, source.size
        self._before = [0, *itertools.accumulate(file.size for file in source.files)]
        self._first, self._begin, self._reported = share, time.monotonic(), 0.0

    def show(self, doing: str, index: int, share: float) -> float:
        """Report `doing`, once in REPORT_S. Returns the share of the source that is read, of which
        `share` of the file `index` is."""
        octets = self._before[index] + share * self._files[index].size
        done, now = octets / max(1, self._total), time.monotonic()
        if now - self._reported >= REPORT_S and now > self._begin:
            self._reported = now
            per_s = (done - self._first) / (now - self._begin)
            left = f", ~{about((1 - done) / per_s)} left" if per_s > 0 else ""
            report(
                f"{doing}, {size(octets)} of {size(self._total)}, "
                f"{size(per_s * self._total)}/s{left}"
            )
        return done


# --- Opening ----------------------------------------------------------------------------------


class _Bounded(io.BufferedReader):
    """A file of which a library reads at most MAX_READ bytes in one piece, whatever the file says
    of its own parts."""

    def __init__(self, opened: io.BufferedReader, path: Path) -> None:
        super().__init__(opened.raw)
        self._path = path

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_READ:
            size = min(size, os.fstat(self.fileno()).st_size - self.tell())
            if size > MAX_READ:
                raise MisuseError(
                    f"{show(self._path)}: a part of it has {size >> 20:,} MB, and parts of at most "
                    f"{MAX_READ >> 20:,} are read; write smaller batches, row groups or members"
                )
        return super().read(size)


@contextmanager
def opened_file(file: File) -> Iterator[io.BufferedReader]:
    """The file for reading. Raises GenuiError, which names it, also inside the block."""
    irregular = MisuseError(f"{show(file.path)}: is not a regular file; give a file of data")
    with open_regular(file.path, irregular) as opened:
        yield _Bounded(cast("io.BufferedReader", opened), file.path)


@contextmanager
def damage(file: File) -> Iterator[None]:
    """Turn what libraries raise for a damaged file into a MisuseError, one line."""
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


class Rows(NamedTuple):
    """Some rows of a table, and where reading goes on."""

    columns: list[Any]  # of pyarrow, in the order that was asked for
    place: int  # the row group or batch
    number: int  # rows before it
    share: float


class Table(NamedTuple):
    """An opened table."""

    schema: Any  # of pyarrow
    rows: Callable[[Sequence[str], int, int, int], Iterator[Rows]]
    """(columns, at most so many at a time, place, number) to the rows from there on."""


Open = Callable[[File], Any]
"""Opens a table: a context manager of a Table. Raises MisuseError, also inside the block."""


@contextmanager
def open_parquet(file: File) -> Iterator[Table]:
    """A Parquet file, read by pages. `place` is the row group."""
    parquet = import_optional("pyarrow.parquet", file)

    def rows(columns: Sequence[str], most: int, place: int, number: int) -> Iterator[Rows]:
        total = max(1, table.metadata.num_rows)
        row = sum(table.metadata.row_group(group).num_rows for group in range(place))
        for group in range(place, table.num_row_groups):
            of_group = table.metadata.row_group(group)
            mean = max(1, of_group.total_byte_size // max(1, of_group.num_rows))  # decompressed
            if mean > MAX_READ:
                raise MisuseError(
                    f"{show(file.path)}: a row has about {mean >> 20:,} MB, and parts of at most "
                    f"{MAX_READ >> 20:,} are read; make its contents smaller"
                )
            at_once = max(1, min(most, AT_ONCE // mean))
            for batch in table.iter_batches(at_once, [group], list(columns)):
                row += len(batch)
                if row > number:  # else they were read before
                    yield Rows(_valid(batch, columns), group, row, min(1.0, row / total))

    with (
        opened_file(file) as opened,
        damage(file),
        parquet.ParquetFile(opened, pre_buffer=False, buffer_size=BLOCK) as table,
    ):
        yield Table(table.schema_arrow, rows)


def _valid(batch: Any, columns: Sequence[str]) -> list[Any]:
    """Some columns of a batch, whose offsets are checked: wrong ones would end the process."""
    selected = [batch.column(name) for name in columns]
    for column in selected:
        column.validate(full=True)
    return selected


@contextmanager
def open_arrow(file: File) -> Iterator[Table]:
    """An Arrow file, as `datasets` saves it, or a stream of batches. `place` is the batch."""
    arrow = import_optional("pyarrow", file)
    with opened_file(file) as opened, damage(file):
        is_stream = opened.read(6) != b"ARROW1"
        opened.seek(0)
        if is_stream:
            reader = arrow.ipc.open_stream(opened)
            batches = iter(reader)
        else:
            reader = arrow.ipc.open_file(opened)
            batches = map(reader.get_batch, range(reader.num_record_batches))

        def rows(columns: Sequence[str], most: int, place: int, number: int) -> Iterator[Rows]:
            first = 0
            for index, batch in enumerate(batches):
                share = min(1.0, opened.tell() / max(1, file.size))
                whole = _valid(batch, columns) if first + len(batch) > number else []
                for at in range(0, len(batch), most):
                    row = first + min(at + most, len(batch))
                    if row > number:
                        yield Rows([each.slice(at, most) for each in whole], index, row, share)
                first += len(batch)

        yield Table(reader.schema, rows)


# --- Archives, as WebDataset writes them ------------------------------------------------------


def members(opened: io.BufferedReader) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """The members of a tar archive from where the file is, each with the archive, whose `offset`
    is the end of the member. Raises what `damage` turns into a MisuseError."""
    end = opened.tell()
    with tarfile.open(fileobj=opened, mode="r:") as archive:
        while (member := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined] - it lists all that it read
            if archive.offset <= end or member.size < 0:  # else it would be read for ever
                raise tarfile.ReadError("a member of a negative size")
            end = archive.offset
            yield archive, member
