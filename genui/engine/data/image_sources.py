"""Captioned images in archives and tables: tar files of WebDataset, and Parquet and Arrow files as
Hugging Face's `datasets` writes them.

An image is bytes in its file; a path that stands beside them is a name and is never opened.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

import msgspec

from genui.base.errors import MisuseError
from genui.base.files import sanitize, show
from genui.engine.data.image_files import (
    MAX_CAPTION,
    MAX_IMAGE_BYTES,
    SUFFIXES,
    caption_from_name,
    clean_caption,
    has_images,
)
from genui.engine.data.sources import (
    Batch,
    File,
    Format,
    Open,
    Source,
    damage,
    find_files,
    members,
    open_arrow,
    open_parquet,
    opened_file,
)

AT_ONCE = 32
"""Images that are read at a time, of at most AT_ONCE_BYTES together or a single one."""

AT_ONCE_BYTES = 16 * 2**20

MAX_MEMBERS = 500_000  # of an archive, whose names and places are kept in memory
MAX_TEXT = 2**20  # bytes of a member with a caption


class Entry(NamedTuple):
    """An image that is not decoded yet, with its caption."""

    name: str  # for messages
    caption: str
    data: bytes | Path


# --- Captions ---------------------------------------------------------------------------------

Value = str | int | list[str] | None
CAPTION_KEYS = ("caption", "text", "label")
"""The names of captions in a table or in JSON; the first that an image has is its caption."""


class _Fields(msgspec.Struct):
    """The JSON beside an image. Other keys are ignored."""

    caption: Value = None
    text: Value = None
    label: Value = None


_FIELDS = msgspec.json.Decoder(_Fields)


def _caption(value: Value, labels: tuple[str, ...] = ()) -> str:
    """The caption in a value: a text, the first of several, or a number, by its label if it has
    one."""
    if isinstance(value, list):
        value = value[0] if value else ""
    if isinstance(value, int):
        is_label = 0 <= value < (len(labels) or sys.maxsize)  # -1 is that of no label
        value = (labels[value] if labels else str(value)) if is_label else ""
    return clean_caption(value or "")


def _caption_in(name: str, data: bytes) -> str:
    """The caption in a member of an archive: `.txt`, `.cls` or `.json`."""
    if not name.lower().endswith(".json"):
        return clean_caption(data[: 16 * MAX_CAPTION].decode("utf-8-sig", "replace"))
    try:
        fields = _FIELDS.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return ""
    return next(filter(None, (_caption(getattr(fields, key)) for key in CAPTION_KEYS)), "")


# --- Archives ---------------------------------------------------------------------------------

CAPTION_SUFFIXES = (".txt", ".json", ".cls")
"""Of the members with captions, the best first."""


class _Member(NamedTuple):
    name: str
    start: int  # of its bytes in the archive
    size: int


def _read_tar(file: File, place: int, number: int) -> Iterator[Batch[Entry]]:
    """The images of an archive from the member `number` on; a caption stands beside its image
    under the same name, anywhere in the archive, else it is the image's own name."""
    with opened_file(file) as opened, damage(file):
        images, captions, notes = _list_members(file, opened)
        if not images:
            first = f": {notes[0]}" if notes else f"; looked for {', '.join(SUFFIXES)}"
            raise MisuseError(f"{show(file.path)}: no images in it{first}")
        if number:
            notes = []  # they were kept
        entries: list[Entry] = []
        octets = 0
        for index, image in enumerate(images[number:], number + 1):
            name = f"{show(file.path)}: {sanitize(image.name)}"
            caption = _caption_of(opened, image, captions)
            if image.size > MAX_IMAGE_BYTES:
                notes.append(f"{name}: larger than {MAX_IMAGE_BYTES >> 20} MiB; make it smaller")
            elif not caption:
                stem = sanitize(PurePosixPath(image.name).stem)
                wanted = f"its caption in {stem}.txt" if captions else "a name that says what it is"
                notes.append(f"{name}: no caption; give it {wanted}")
            else:
                entries.append(Entry(name, caption, _bytes_of(opened, image)))
                octets += image.size
            if len(entries) >= AT_ONCE or octets >= AT_ONCE_BYTES or index == len(images):
                share = min(1.0, (image.start + image.size) / max(1, file.size))
                yield Batch(entries, index, index, share, notes=notes)
                entries, notes, octets = [], [], 0


def _list_members(
    file: File, opened: Any
) -> tuple[list[_Member], dict[str, list[_Member]], list[str]]:
    """The images of an archive, the members with captions by name without suffix, and notes on
    what is neither read nor a file."""
    images: list[_Member] = []
    captions: dict[str, list[_Member]] = {}
    notes: list[str] = []
    for count, (_, info) in enumerate(members(opened)):
        if count >= MAX_MEMBERS:
            raise MisuseError(
                f"{show(file.path)}: over {MAX_MEMBERS:,} members; split it into several archives"
            )
        suffix = _suffix(info.name)
        if PurePosixPath(info.name).name.startswith("."):
            continue
        member = _Member(info.name, info.offset_data, info.size)
        if info.isreg() and not info.issparse():
            if suffix in SUFFIXES:
                images.append(member)
            elif suffix in CAPTION_SUFFIXES and 0 < info.size <= MAX_TEXT:
                captions.setdefault(_stem(info.name), []).append(member)
        elif suffix in SUFFIXES:
            notes.append(
                f"{show(file.path)}: {sanitize(info.name)}: is a link or no plain file; store the "
                "image itself (tar --dereference --hard-dereference)"
            )
    return images, captions, notes


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _caption_of(opened: BinaryIO, image: _Member, captions: Mapping[str, list[_Member]]) -> str:
    if not captions:
        return caption_from_name(Path(image.name), Path("."))
    stem = _stem(image.name)
    folder, _, name = stem.rpartition("/")
    short = f"{folder}/{name.partition('.')[0]}" if folder else name.partition(".")[0]
    beside = captions.get(stem) or captions.get(short, [])  # 0001.image.png has 0001.txt
    best = sorted(beside, key=lambda member: CAPTION_SUFFIXES.index(_suffix(member.name)))
    read = (_caption_in(member.name, _bytes_of(opened, member)) for member in best)
    return next(filter(None, read), "")


def _bytes_of(opened: BinaryIO, member: _Member) -> bytes:
    opened.seek(member.start)
    data = opened.read(member.size)
    if len(data) < member.size:
        raise EOFError("it ends within a member")
    return data


# --- Tables -----------------------------------------------------------------------------------

IMAGE_KEYS = ("image", "img")
_BINARY = ("binary", "large_binary")
_STRINGS = ("string", "large_string")
_LISTS = tuple(f"list<{name}: {kind}>" for name in ("item", "element") for kind in _STRINGS)
_NUMBERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))


class _Columns(NamedTuple):
    image: str
    caption: str
    labels: tuple[str, ...]  # of the numbers in the column of captions


class _Label(msgspec.Struct, frozen=True):
    names: list[str] = []


class _Info(msgspec.Struct, frozen=True):
    features: dict[str, msgspec.Raw] = {}


class _HuggingFace(msgspec.Struct, frozen=True):
    """What `datasets` keeps in a schema: the names of labels. Other keys are ignored."""

    info: _Info = _Info()


def _choose_columns(schema: Any, file: File) -> _Columns:
    """The columns of images and captions. Raises MisuseError, which lists all with their types."""
    images = [field.name for field in schema if _holds_bytes(field.type)]
    captions = [field.name for field in schema if _is_caption(field.type)]
    chosen = []
    for keys, names, things in (
        (IMAGE_KEYS, images, "images, as bytes or as a struct of bytes and path"),
        (CAPTION_KEYS, captions, "captions, as text or numbers of labels"),
    ):
        named = [key for key in keys if key in names] or (names if len(names) == 1 else [])
        if not named:
            columns = ", ".join(f"{field.name} {field.type}" for field in schema)
            raise MisuseError(
                f"{show(file.path)}: no column {' or '.join(map(repr, keys))} with {things} (its "
                f"columns: {sanitize(columns, 300)}); rename the one that has them"
            )
        chosen.append(named[0])
    return _Columns(chosen[0], chosen[1], _labels(schema.metadata, chosen[1]))


def _holds_bytes(kind: Any) -> bool:
    if str(kind) in _BINARY:
        return True
    index = kind.get_field_index("bytes") if str(kind).startswith("struct<") else -1
    return index >= 0 and str(kind.field(index).type) in _BINARY


def _is_caption(kind: Any) -> bool:
    return str(kind) in (*_STRINGS, *_LISTS, *_NUMBERS)


def _labels(metadata: Mapping[bytes, bytes] | None, column: str) -> tuple[str, ...]:
    """The names of a column of labels, if `datasets` kept them in the schema."""
    try:
        known = msgspec.json.decode((metadata or {}).get(b"huggingface", b"{}"), type=_HuggingFace)
        if (feature := known.info.features.get(column)) is None:
            return ()
        return tuple(msgspec.json.decode(feature, type=_Label).names)
    except (msgspec.DecodeError, RecursionError):
        return ()


def _read_table(open_table: Open, file: File, place: int, number: int) -> Iterator[Batch[Entry]]:
    """The images of a table, one a row."""
    with open_table(file) as table:
        columns = _choose_columns(table.schema, file)
        is_empty = True
        for rows in table.rows(columns[:2], AT_ONCE, place, number):
            images, captions = rows.columns
            entries, notes = [], []
            for row, (data, value) in enumerate(
                zip(_buffers(images), captions.to_pylist(), strict=True),
                rows.number - len(images) + 1,
            ):
                name = f"{show(file.path)}: row {row:,}"
                caption = _caption(value, columns.labels)
                if data is None:
                    column = repr(columns.image)
                    notes.append(
                        f"{name}: no bytes in {column}, and no path is followed; save bytes"
                    )
                elif data.size > MAX_IMAGE_BYTES:
                    limit = f"{MAX_IMAGE_BYTES >> 20} MiB"
                    notes.append(f"{name}: larger than {limit}; make it smaller")
                elif not caption:
                    notes.append(f"{name}: no caption; give it one in {columns.caption!r}")
                else:
                    entries.append(Entry(name, caption, data.to_pybytes()))
            is_empty = False
            yield Batch(entries, rows.place, rows.number, rows.share, notes=notes)
        if is_empty and not number:
            raise MisuseError(f"{show(file.path)}: no images in it; it has no rows")


def _buffers(images: Any) -> Iterator[Any]:
    """The bytes of each row, not copied, or None."""
    if str(images.type) not in _BINARY:
        images = images.flatten()[images.type.get_field_index("bytes")]
    for image in images:
        yield image.as_buffer() if image.is_valid else None


FORMATS = (
    Format("Parquet", (".parquet",), partial(_read_table, open_parquet)),
    Format("Arrow", (".arrow",), partial(_read_table, open_arrow)),
    Format("tar", (".tar",), _read_tar),
)


def find_images(path: str | os.PathLike[str]) -> Source | None:
    """The archives or tables of images that a path stands for, or None if it stands for image
    files: those of a folder are preferred to what else is in it."""
    expanded = Path(os.path.expanduser(path))
    if not os.path.exists(expanded) or has_images(expanded):
        return None
    source = find_files(expanded, FORMATS)
    return source if source.files else None
