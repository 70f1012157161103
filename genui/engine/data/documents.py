"""The documents of text files in several formats, read a part at a time.

A reader holds some megabytes, whatever the size of its file, and can begin at any place that it
reached before. Nothing in a file is trusted, and nothing is unpickled.
"""

import codecs
import gzip
import hashlib
import importlib
import re
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import msgspec

from genui.base.errors import GenuiError, MisuseError, install
from genui.base.files import open_regular, show

PLAN = "genui.json"
"""A file that `genui generate --out FOLDER` writes beside its samples; it is not a text."""

TEXT_SUFFIXES = {".txt", ".md", ".rst", ".py", ".tex", ".csv", ".json", ".jsonl", ".html"}

BLOCK = 256 * 1024
"""Bytes that are read at a time."""

MAX_DOCUMENT = 64 * 1024 * 1024
"""Bytes of a document that is read in one piece: a line of JSON, a member of an archive."""

ROWS = 1024
"""Rows of a table that are read at a time."""

HELD_OUT = 20
"""One document in so many is held out."""


class Piece(NamedTuple):
    """A part of a document, cut before a space so that it is tokenised as in the whole."""

    document: str  # its name
    text: str
    starts: bool = True  # whether the document begins with it
    ends: bool = True


class Batch(NamedTuple):
    """What was read, and where reading goes on."""

    pieces: list[Piece]
    place: int  # in the file: bytes, row groups or batches
    number: int  # lines, rows or members before it
    share: float  # of the file that is read, 0 to 1
    without_text: int = 0  # lines or rows
    unreadable: int = 0  # files


class File(NamedTuple):
    """A file of a source."""

    path: Path
    name: str  # relative to the source's folder
    size: int  # bytes
    changed: int  # nanoseconds
    format: "Format"


Reader = Callable[[File, int, int], Iterator[Batch]]
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
        return self.files[0].format.group if self.files else FORMATS[0].group

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


def find_source(path: Path, only_text: bool = False) -> Source:
    """The files that a file or folder stands for; with `only_text` the other formats are ignored.

    What has no known suffix is taken for text. A path that is missing has one file of size 0.
    """
    if not path.is_dir():
        file_format = (None if only_text else _format_of(path.name)) or FORMATS[0]
        return Source(path, (_file(path, path.name, file_format),))
    groups: dict[str, list[File]] = {}
    for file in sorted(path.rglob("*")):
        file_format = _format_of(file.name)
        if file_format is not None and file.is_file():
            entry = _file(file, file.relative_to(path).as_posix(), file_format)
            groups.setdefault(file_format.group, []).append(entry)
    if only_text:
        return Source(path, tuple(groups.get(FORMATS[0].group, ())))
    return Source(
        path, tuple(max(groups.values(), key=lambda files: sum(f.size for f in files), default=()))
    )


def _format_of(name: str) -> Format | None:
    if name == PLAN:
        return None
    stem, dot, suffixes = name.lower().lstrip(".").partition(".")
    if dot and stem.startswith("cache-") and suffixes == "arrow":  # of a computation on the data
        return None
    return next((each for each in FORMATS if (dot + suffixes).endswith(each.suffixes)), None)


def _file(path: Path, name: str, file_format: Format) -> File:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return File(path, name, 0, 0, file_format)
    size = status.st_size if stat.S_ISREG(status.st_mode) else 0
    return File(path, name, size, status.st_mtime_ns, file_format)


def is_held_out(document: str) -> bool:
    """Whether a document is held out, by the hash of its name."""
    return int(hashlib.sha256(document.encode("utf-8", "replace")).hexdigest(), 16) % HELD_OUT == 0


def read(source: Source, file: int = 0, place: int = 0, number: int = 0) -> Iterator[
    tuple[int, Batch]
]:  # fmt: skip
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
        except GenuiError:
            if is_started or len(source.files) == 1:
                raise
            yield index, Batch([], 0, 0, 1.0, unreadable=1)
        place = number = 0


# --- Plain text -------------------------------------------------------------------------------

_BORDER = re.compile(r".*\S(?=\s)", re.DOTALL)
_TAIL = 4096  # characters searched for a border


@contextmanager
def _opened(file: File) -> Iterator[IO[bytes]]:
    irregular = MisuseError(f"{show(file.path)}: is not a regular file; give a text file")
    with open_regular(file.path, irregular) as opened:
        yield opened


def _read_plain(file: File, place: int, number: int) -> Iterator[Batch]:
    """One document, in pieces."""
    with _opened(file) as opened:
        opened.seek(place)
        rest = b""
        while place < file.size or not place:
            data = rest + opened.read(BLOCK - len(rest))  # the same blocks from any place
            if not data:
                if not place:
                    raise MisuseError(f"{show(file.path)}: the file is empty")
                raise MisuseError(f"{show(file.path)}: became shorter while it was read; repeat")
            if not place and b"\0" in data[:65536]:
                raise MisuseError(
                    f"{show(file.path)}: looks binary, not text; pass a UTF-8 text file"
                )
            last = place + len(data) >= file.size
            try:
                text, used = codecs.utf_8_decode(data, "strict", last)
            except UnicodeDecodeError as error:
                raise MisuseError(
                    f"{show(file.path)}: not UTF-8 at byte {place + error.start}; convert it "
                    "first (iconv -t utf-8)"
                ) from None
            if not last:
                tail = text[_cut(text) :]
                text = text[: len(text) - len(tail)]
                used -= len(tail.encode())
            starts, place, rest = not place, place + used, data[used:]
            if starts:
                text = text.removeprefix("\ufeff")
            piece = Piece(file.name, text.replace("\r\n", "\n"), starts, last)
            yield Batch([piece], place, 1, place / max(1, file.size))


def _cut(text: str) -> int:
    """Where a text is cut: before the last space after a word, or nearly at its end."""
    start = max(0, len(text) - _TAIL)
    border = _BORDER.match(text, start)
    return border.end() if border else len(text) - text.endswith("\r")


def spread(file: File, count: int, most: int) -> Iterator[str]:
    """Evenly spread passages of at most `most` bytes each of a plain text."""
    with _opened(file) as opened:
        for index in range(count):
            opened.seek(file.size * index // count)
            data = opened.read(most).lstrip(bytes(range(0x80, 0xC0)))  # the end of a character
            yield data.decode("utf-8", "ignore").replace("\r\n", "\n")


# --- JSON lines, as datasets are published: {"text": …} ---------------------------------------


class Row(msgspec.Struct):
    """A line. Other keys are ignored."""

    text: str


def _read_lines(file: File, place: int, number: int) -> Iterator[Batch]:
    """A document a line. Of a compressed file `place` counts the bytes inside."""
    size = max(1, file.size * file.format.growth)
    with _decompressed(file, place) as opened:
        rest = b""
        while block := opened.read(BLOCK - len(rest) % BLOCK):  # the same blocks from any place
            data = rest + block
            end = data.rfind(b"\n") + 1
            rest = data[end:]
            if len(rest) > MAX_DOCUMENT:
                raise MisuseError(
                    f"{show(file.path)}: a line after line {number} is over "
                    f"{MAX_DOCUMENT >> 20} MB; write each document on a line of its own"
                )
            if end:
                place += end
                batch = _decode_lines(file, data[:end], place, number, min(1.0, place / size))
                number = batch.number
                yield batch
        yield _decode_lines(file, rest, place + len(rest), number, 1.0)


_DECODER = msgspec.json.Decoder(Row)


def _decode_lines(file: File, data: bytes, place: int, number: int, share: float) -> Batch:
    pieces, without_text = [], 0
    for line in data.removesuffix(b"\n").split(b"\n"):
        number += 1
        if not line.strip():
            continue
        try:
            text = _DECODER.decode(line.removeprefix(codecs.BOM_UTF8)).text
        except (msgspec.DecodeError, RecursionError):
            text = ""
        if text.strip():
            pieces.append(Piece(f"{file.name}:{number}", text))
        else:
            without_text += 1
    return Batch(pieces, place, number, share, without_text)


@contextmanager
def _decompressed(file: File, place: int) -> Iterator[IO[bytes]]:
    """The contents from that place. Raises MisuseError, also in the block, if they are damaged."""
    with _opened(file) as opened:
        if file.name.lower().endswith(".gz"):
            inside = cast("IO[bytes]", gzip.GzipFile(fileobj=opened))
        elif file.name.lower().endswith(".zst"):
            inside = _import("pyarrow", file).CompressedInputStream(opened, "zstd")
        else:
            opened.seek(place)
            yield opened
            return
        with _damage(file):
            while place and (skipped := inside.read(min(place, BLOCK))):
                place -= len(skipped)
            yield inside


@contextmanager
def _damage(file: File) -> Iterator[None]:
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
            f"{show(file.path)}: is damaged or not what its name says ({reason}); copy it again"
        ) from None


# --- Parquet and Arrow (`pip install genui[data]`) ---------------------------------------------

TEXT_COLUMNS = ("text", "content")


def _import(module: str, file: File) -> Any:
    # Late: it is an optional extra.
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MisuseError(
            f"{show(file.path)}: reading it needs pyarrow; {install('data')}"
        ) from None


def _text_column(schema: Any, file: File) -> str:
    """The column with the texts: "text", "content", or the only one of strings."""
    strings = [field.name for field in schema if str(field.type) in ("string", "large_string")]
    named = [name for name in TEXT_COLUMNS if name in strings]
    if not named and len(strings) != 1:
        columns = ", ".join(map(str, schema.names))[:200]
        raise MisuseError(
            f'{show(file.path)}: has no column "text" (its columns: {columns}); rename the one '
            "with the texts"
        )
    return (named or strings)[0]


def _rows(file: File, column: Any, place: int, number: int, share: float) -> Batch:
    """The batch of a column of strings, of which the last is row `number`."""
    first = number - len(column) + 1
    pieces = [
        Piece(f"{file.name}:{row}", text)
        for row, text in enumerate(column.to_pylist(), first)
        if text and text.strip()
    ]
    return Batch(pieces, place, number, share, len(column) - len(pieces))


def _read_parquet(file: File, place: int, number: int) -> Iterator[Batch]:
    """A document a row. `place` is the row group."""
    parquet = _import("pyarrow.parquet", file)
    with _damage(file), parquet.ParquetFile(file.path) as table:
        column = _text_column(table.schema_arrow, file)
        groups = table.num_row_groups
        row = sum(table.metadata.row_group(group).num_rows for group in range(place))
        for group in range(place, groups):
            for rows in table.iter_batches(ROWS, [group], [column]):
                row += len(rows)
                if row > number:  # else they were read before
                    share = row / max(1, table.metadata.num_rows)
                    yield _rows(file, rows.column(0), group, row, share)


def _read_arrow(file: File, place: int, number: int) -> Iterator[Batch]:
    """A document a row, of a file that `datasets` saved. `place` is the batch."""
    arrow = _import("pyarrow", file)
    with _opened(file) as opened, _damage(file):
        is_stream = opened.read(6) != b"ARROW1"
        opened.seek(0)
        if is_stream:
            reader = arrow.ipc.open_stream(opened)
            batches = iter(reader)
        else:
            reader = arrow.ipc.open_file(opened)
            batches = map(reader.get_batch, range(reader.num_record_batches))
        column = _text_column(reader.schema, file)
        for index, rows in enumerate(batches):
            if index >= place:
                number += len(rows)
                share = opened.tell() / max(1, file.size)
                yield _rows(file, rows.column(column), index + 1, number, share)


# --- Archives, as WebDataset writes them ------------------------------------------------------


def _read_tar(file: File, place: int, number: int) -> Iterator[Batch]:
    """A document a member: `.txt`, or `.json` with a "text". `place` is in bytes."""
    with _opened(file) as opened, _damage(file):
        opened.seek(place)
        with tarfile.open(fileobj=opened, mode="r:") as archive:
            while (member := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined] - it lists all that it read
                number += 1
                piece = _member(file, archive, member)
                is_text = member.isreg() and member.name.lower().endswith(MEMBER_SUFFIXES)
                share = archive.offset / max(1, file.size)
                pieces = [] if piece is None else [piece]
                yield Batch(pieces, archive.offset, number, share, is_text and not pieces)


MEMBER_SUFFIXES = (".txt", ".json")


def _member(file: File, archive: tarfile.TarFile, member: tarfile.TarInfo) -> Piece | None:
    """The document of a member, or None if it is none."""
    if not member.isreg() or not 0 < member.size <= MAX_DOCUMENT:
        return None
    if not member.name.lower().endswith(MEMBER_SUFFIXES):
        return None
    content = archive.extractfile(member)
    data = content.read() if content is not None else b""
    try:
        is_json = member.name.lower().endswith(".json")
        text = _DECODER.decode(data).text if is_json else data.decode("utf-8-sig")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    text = text.replace("\r\n", "\n")
    return Piece(f"{file.name}:{member.name}", text) if text.strip() else None


_PLAIN = tuple(sorted(TEXT_SUFFIXES - {".jsonl"}))

FORMATS = (
    Format("text", _PLAIN, _read_plain),
    Format("text", (".jsonl",), _read_lines),
    Format("compressed JSON lines", (".jsonl.gz", ".jsonl.zst"), _read_lines, growth=4),
    Format("Parquet", (".parquet",), _read_parquet, growth=3),
    Format("Arrow", (".arrow",), _read_arrow),
    Format("tar", (".tar",), _read_tar),
)
"""The formats; the first is that of a file with another suffix."""

LINES = ("text", "compressed JSON lines")
"""The groups that hold JSON lines."""
