"""The documents of text files in several formats, read a part at a time."""

import codecs
import gzip
import hashlib
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import msgspec

from genui.base.errors import MisuseError
from genui.base.files import show
from genui.engine.data.sources import (
    BLOCK,
    TEXT,
    Batch,
    File,
    Format,
    Open,
    Source,
    damage,
    find_files,
    import_optional,
    members,
    open_arrow,
    open_parquet,
    opened_file,
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


def find_source(path: Path) -> Source:
    """The files that a file or folder stands for.

    What has no known suffix is taken for text. A path that is missing has one file of size 0.
    """
    return find_files(path, FORMATS, FORMATS[0])


def is_held_out(document: str) -> bool:
    """Whether a document is held out, by the hash of its name."""
    return int(hashlib.sha256(document.encode("utf-8", "replace")).hexdigest(), 16) % HELD_OUT == 0


# --- Plain text -------------------------------------------------------------------------------

_BORDER = re.compile(r".*\S(?=\s)", re.DOTALL)
_TAIL = 4096  # characters searched for a border


def _read_plain(file: File, place: int, number: int) -> Iterator[Batch[Piece]]:
    """One document, in pieces."""
    with opened_file(file) as opened:
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
            if "\r" in text:  # found many times faster than two characters
                text = text.replace("\r\n", "\n")
            piece = Piece(file.name, text, starts, last)
            yield Batch([piece], place, 1, place / max(1, file.size))


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


class Row(msgspec.Struct):
    """A line. Other keys are ignored."""

    text: str


def _read_lines(file: File, place: int, number: int) -> Iterator[Batch[Piece]]:
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
    with opened_file(file) as opened:
        if file.name.lower().endswith(".gz"):
            inside = cast("IO[bytes]", gzip.GzipFile(fileobj=opened))
        elif file.name.lower().endswith(".zst"):
            inside = import_optional("pyarrow", file).CompressedInputStream(opened, "zstd")
        else:
            opened.seek(place)
            yield opened
            return
        with damage(file):
            while place and (skipped := inside.read(min(place, BLOCK))):
                place -= len(skipped)
            yield inside


# --- Parquet and Arrow (the extra `data`) -------------------------------------------------------

TEXT_COLUMNS = ("text", "content")


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


def _read_table(open_table: Open, file: File, place: int, number: int) -> Iterator[Batch[Piece]]:
    """A document a row. `place` is the row group or batch."""
    with open_table(file) as table:
        column = _text_column(table.schema, file)
        for rows in table.rows([column], ROWS, place, number):
            texts = rows.columns[0].to_pylist()
            pieces = [
                Piece(f"{file.name}:{row}", text)
                for row, text in enumerate(texts, rows.number - len(texts) + 1)
                if text and text.strip()
            ]
            without_text = len(texts) - len(pieces)
            yield Batch(pieces, rows.place, rows.number, rows.share, without_text)


# --- Archives, as WebDataset writes them ------------------------------------------------------


def _read_tar(file: File, place: int, number: int) -> Iterator[Batch[Piece]]:
    """A document a member: `.txt`, or `.json` with a "text". `place` is in bytes."""
    with opened_file(file) as opened, damage(file):
        opened.seek(place)
        for archive, member in members(opened):
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
    Format(TEXT, _PLAIN, _read_plain),
    Format(TEXT, (".jsonl",), _read_lines),
    Format("compressed JSON lines", (".jsonl.gz", ".jsonl.zst"), _read_lines, growth=4),
    Format("Parquet", (".parquet",), partial(_read_table, open_parquet), growth=3),
    Format("Arrow", (".arrow",), partial(_read_table, open_arrow)),
    Format("tar", (".tar",), _read_tar),
)
"""The formats; the first is that of a file with another suffix."""

LINES = (TEXT, "compressed JSON lines")
"""The groups that hold JSON lines."""
