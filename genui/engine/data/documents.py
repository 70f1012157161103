"""The documents of text files in several formats, read a part at a time."""

import codecs
import gzip
import hashlib
import io
import re
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import msgspec

from genui.base.errors import MisuseError
from genui.base.files import show
from genui.engine.data.sources import (
    BLOCK,
    STRINGS,
    TEXT,
    Batch,
    File,
    Format,
    Source,
    choose_column,
    find_files,
    import_optional,
    open_archive,
    open_table,
    opened_file,
    read_member,
)

TEXT_SUFFIXES = {".txt", ".md", ".rst", ".py", ".tex", ".csv", ".json", ".jsonl", ".html"}

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


def is_held_out(document: str) -> bool:
    """Whether a document is held out, by the hash of its name."""
    return int(hashlib.sha256(document.encode("utf-8", "replace")).hexdigest(), 16) % HELD_OUT == 0


# --- Plain text -------------------------------------------------------------------------------

_BORDER = re.compile(r".*\S(?=\s)", re.DOTALL)
_TAIL = 4096  # characters searched for a border


def _read_plain(file: File) -> Iterator[Batch[Piece]]:
    """One document, in pieces."""
    decoder, rest, last = codecs.getincrementaldecoder("utf-8")(), "", False
    with opened_file(file) as opened:
        while not last:
            place, waiting = opened.tell(), len(decoder.getstate()[0])
            data = opened.read(BLOCK)
            if not place and not data.strip():
                raise MisuseError(f"{show(file.path)}: the file is empty")
            if not place and b"\0" in data[:65536]:
                raise MisuseError(
                    f"{show(file.path)}: looks binary, not text; pass a UTF-8 text file"
                )
            last = len(data) < BLOCK
            try:
                text = rest + decoder.decode(data, last)
            except UnicodeDecodeError as error:
                raise MisuseError(
                    f"{show(file.path)}: not UTF-8 at byte {place - waiting + error.start}; "
                    "convert it first (iconv -t utf-8)"
                ) from None
            cut = len(text) if last else _cut(text)
            text, rest = text[:cut], text[cut:]
            if not place:
                text = text.removeprefix("\ufeff")
            if "\r" in text:  # found many times faster than two characters
                text = text.replace("\r\n", "\n")
            piece = Piece(file.name, text, not place, last)
            yield Batch([piece], opened.tell() / max(1, file.size))


def _cut(text: str) -> int:
    """Where a text is cut: before the last space after a word, or nearly at its end."""
    start = max(0, len(text) - _TAIL)
    border = _BORDER.match(text, start)
    return border.end() if border else len(text) - text.endswith("\r")


def spread(file: File, count: int, most: int) -> Iterator[str]:
    """Evenly spread passages of at most `most` bytes each of a plain text."""
    with opened_file(file) as opened:
        for index in range(count):
            opened.seek(file.size * index // count)
            data = opened.read(most).lstrip(bytes(range(0x80, 0xC0)))  # the end of a character
            yield data.decode("utf-8", "ignore").replace("\r\n", "\n")


# --- JSON lines, as datasets are published: {"text": …} ---------------------------------------


class DocumentLine(msgspec.Struct):
    """A line. Other keys are ignored."""

    text: str


_DECODER = msgspec.json.Decoder(DocumentLine)


def _read_lines(file: File) -> Iterator[Batch[Piece]]:
    """A document a line."""
    pieces: list[Piece] = []
    without_text = octets = 0
    with opened_file(file) as opened:
        lines = iter(partial(_decompress(file, opened).readline, MAX_DOCUMENT + 1), b"")
        for number, line in enumerate(lines, 1):
            if len(line) > MAX_DOCUMENT:
                raise MisuseError(
                    f"{show(file.path)}: line {number} is over {MAX_DOCUMENT >> 20} MB; write each "
                    "document on a line of its own"
                )
            try:
                text = _DECODER.decode(line.removeprefix(codecs.BOM_UTF8)).text
            except (msgspec.DecodeError, RecursionError):
                text = ""
            if text.strip():
                pieces.append(Piece(f"{file.name}:{number}", text))
            else:
                without_text += bool(line.strip())
            octets += len(line)
            if octets >= BLOCK:
                yield Batch(pieces, opened.tell() / max(1, file.size), without_text)
                pieces, without_text, octets = [], 0, 0
        yield Batch(pieces, 1.0, without_text)


def _decompress(file: File, opened: BinaryIO) -> BinaryIO:
    """The contents of a file that may be compressed."""
    if file.name.lower().endswith(".gz"):
        return cast("BinaryIO", gzip.GzipFile(fileobj=opened))
    if file.name.lower().endswith(".zst"):
        stream = import_optional("pyarrow", file).CompressedInputStream(opened, "zstd")
        return io.BufferedReader(stream, BLOCK)
    return opened


# --- Parquet and Arrow (the extra `data`) -------------------------------------------------------

TEXT_COLUMNS = ("text", "content")


def _read_table(file: File) -> Iterator[Batch[Piece]]:
    """A document a row."""
    first = 1
    with open_table(file) as table:
        name = choose_column(
            file, table.schema, TEXT_COLUMNS, lambda kind: str(kind) in STRINGS, "texts"
        )
        for (column,), share in table.rows([name], ROWS):
            texts = column.to_pylist()
            pieces = [
                Piece(f"{file.name}:{row}", text)
                for row, text in enumerate(texts, first)
                if text and text.strip()
            ]
            yield Batch(pieces, share, len(texts) - len(pieces))
            first += len(texts)


# --- Archives, as WebDataset writes them ------------------------------------------------------


MEMBER_SUFFIXES = (".txt", ".json")


def _read_tar(file: File) -> Iterator[Batch[Piece]]:
    """A document a member: `.txt`, or `.json` with a "text"."""
    with open_archive(file) as (archive, members):
        for member in members:
            is_text = member.isreg() and member.name.lower().endswith(MEMBER_SUFFIXES)
            text = _text_of(archive, member) if is_text and member.size <= MAX_DOCUMENT else ""
            pieces = [Piece(f"{file.name}:{member.name}", text)] if text.strip() else []
            yield Batch(pieces, archive.offset / max(1, file.size), is_text and not pieces)


def _text_of(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    """The text of a member, "" if it has none."""
    data = read_member(archive, member)
    try:
        is_json = member.name.lower().endswith(".json")
        text = _DECODER.decode(data).text if is_json else data.decode("utf-8-sig")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return text.replace("\r\n", "\n")


PLAIN = Format(TEXT, tuple(sorted(TEXT_SUFFIXES - {".jsonl"})), _read_plain)
JSON_LINES = Format(TEXT, (".jsonl",), _read_lines)
FORMATS = (
    PLAIN,
    JSON_LINES,
    Format("compressed JSON lines", (".jsonl.gz", ".jsonl.zst"), _read_lines, growth=4),
    Format("Parquet", (".parquet",), _read_table, growth=3),
    Format("Arrow", (".arrow",), _read_table),
    Format("tar", (".tar",), _read_tar),
)


def find_source(path: Path) -> Source:
    """The files that a file or folder gives.

    A file without a known suffix counts as text. A path that is missing has one file of size 0.
    """
    return find_files(path, FORMATS, PLAIN)


def as_plain_text(source: Source) -> Source:
    """The source with its files read as plain text."""
    return source._replace(files=tuple(file._replace(format=PLAIN) for file in source.files))


def no_documents(source: Source) -> MisuseError:
    """The error for a source without any text."""
    suffixes = " ".join(suffix for each in FORMATS for suffix in each.suffixes)
    return MisuseError(
        f'{show(source.path)}: no document with a text; looked for {suffixes}, and for "text" in '
        "JSON and tables"
    )


def describe_left_out(source: Source, without_text: int, unreadable: int) -> tuple[str, ...]:
    """Notes on the documents and files of a source that are left out."""
    notes = {
        f"{unreadable} of {len(source.files)} files could not be read": unreadable,
        f'{without_text} documents have no "text"': without_text,
    }
    return tuple(note for note, count in notes.items() if count)
