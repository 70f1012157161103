"""Captioned images in folders, archives and tables: tar files of WebDataset, and Parquet and Arrow
files as Hugging Face's `datasets` writes them.

An image is bytes in its file; a path that stands beside them is a name and is never opened.
"""

import hashlib
import os
import sys
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import msgspec

from genui.base.errors import MisuseError
from genui.base.files import files_below, sanitize, show
from genui.engine.data.captions import MAX_CAPTION, caption_from_name, clean_caption, with_captions
from genui.engine.data.image_files import MAX_IMAGE_BYTES, SUFFIXES
from genui.engine.data.sources import (
    STRINGS,
    Batch,
    File,
    Format,
    Source,
    choose_column,
    find_files,
    open_archive,
    open_table,
    read_member,
)
from genui.formats.recipe import METADATA

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

CAPTION_KEYS = ("caption", "text", "label")
"""The names of captions in a table or in JSON; the first that an image has is its caption."""


def _caption(value: Any, labels: tuple[str, ...] = ()) -> str:
    """The caption in a value: a text, the first of several, or a number, by its label if it has
    one; "" in any other."""
    if isinstance(value, list):
        value = value[0] if value else ""
    if isinstance(value, int):
        is_label = 0 <= value < (len(labels) or sys.maxsize)  # -1 is that of no label
        value = (labels[value] if labels else str(value)) if is_label else ""
    return clean_caption(value) if isinstance(value, str) else ""


def _caption_in(name: str, data: bytes) -> str:
    """The caption in a member of an archive: `.txt`, `.cls` or `.json`."""
    if not name.lower().endswith(".json"):
        return clean_caption(data[: 16 * MAX_CAPTION].decode("utf-8-sig", "replace"))
    try:
        fields = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return ""
    return next(filter(None, (_caption(fields.get(key)) for key in CAPTION_KEYS)), "")


# --- Archives ---------------------------------------------------------------------------------

CAPTION_SUFFIXES = (".txt", ".json", ".cls")
"""The suffixes of members with captions, the best first."""


Captions = dict[str, list[tarfile.TarInfo]]
"""The members of an archive with captions, by name without suffix."""


def _read_tar(file: File) -> Iterator[Batch[Entry]]:
    """The images of an archive; a caption stands beside its image under the same name, anywhere in
    the archive, else it is the image's own name."""
    with open_archive(file) as (archive, members):
        images, captions, notes = _list_members(file, members)
        if not images:
            first = f": {notes[0]}" if notes else f"; looked for {', '.join(SUFFIXES)}"
            raise MisuseError(f"{show(file.path)}: no images in it{first}")
        entries: list[Entry] = []
        octets = 0
        for image in images:
            name = f"{show(file.path)}: {sanitize(image.name)}"
            caption = _caption_of(archive, image, captions)
            if image.size > MAX_IMAGE_BYTES:
                notes.append(f"{name}: larger than {MAX_IMAGE_BYTES >> 20} MiB; make it smaller")
            elif not caption:
                stem = sanitize(PurePosixPath(image.name).stem)
                wanted = f"its caption in {stem}.txt" if captions else "a name that says what it is"
                notes.append(f"{name}: no caption; give it {wanted}")
            else:
                entries.append(Entry(name, caption, read_member(archive, image)))
                octets += image.size
            if len(entries) >= AT_ONCE or octets >= AT_ONCE_BYTES or image is images[-1]:
                share = (image.offset_data + image.size) / max(1, file.size)
                yield Batch(entries, share, notes=notes)
                entries, notes, octets = [], [], 0


def _list_members(
    file: File, members: Iterator[tarfile.TarInfo]
) -> tuple[list[tarfile.TarInfo], Captions, list[str]]:
    """The images of an archive, the members with captions, and notes about members that are not
    read or not files."""
    images: list[tarfile.TarInfo] = []
    captions: Captions = {}
    notes: list[str] = []
    for count, member in enumerate(members):
        if count >= MAX_MEMBERS:
            raise MisuseError(
                f"{show(file.path)}: over {MAX_MEMBERS:,} members; split it into several archives"
            )
        suffix = _suffix(member.name)
        if PurePosixPath(member.name).name.startswith("."):
            continue
        if member.isreg() and not member.issparse():
            if suffix in SUFFIXES:
                images.append(member)
            elif suffix in CAPTION_SUFFIXES and 0 < member.size <= MAX_TEXT:
                captions.setdefault(_stem(member.name), []).append(member)
        elif suffix in SUFFIXES:
            notes.append(
                f"{show(file.path)}: {sanitize(member.name)}: is a link or no plain file; store "
                "the image itself (tar --dereference --hard-dereference)"
            )
    return images, captions, notes


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _caption_of(archive: tarfile.TarFile, image: tarfile.TarInfo, captions: Captions) -> str:
    if not captions:
        return caption_from_name(Path(image.name), Path("."))
    stem = _stem(image.name)
    folder, _, name = stem.rpartition("/")
    short = f"{folder}/{name.partition('.')[0]}" if folder else name.partition(".")[0]
    beside = captions.get(stem) or captions.get(short, [])  # 0001.image.png has 0001.txt
    best = sorted(beside, key=lambda member: CAPTION_SUFFIXES.index(_suffix(member.name)))
    read = (_caption_in(member.name, read_member(archive, member)) for member in best)
    return next(filter(None, read), "")


# --- Tables -----------------------------------------------------------------------------------

IMAGE_KEYS = ("image", "img")
_BINARY = ("binary", "large_binary")
_LISTS = tuple(f"list<{name}: {kind}>" for name in ("item", "element") for kind in STRINGS)
_NUMBERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))


class _Columns(NamedTuple):
    image: str
    caption: str
    labels: tuple[str, ...]  # of the numbers in the column of captions


def _choose_columns(schema: Any, file: File) -> _Columns:
    """The columns of images and captions. Raises MisuseError if there are none."""
    images = "images, as bytes or as a struct of bytes and path"
    captions = "captions, as text or numbers of labels"
    image = choose_column(file, schema, IMAGE_KEYS, _holds_bytes, images)
    caption = choose_column(file, schema, CAPTION_KEYS, _is_caption, captions)
    return _Columns(image, caption, _labels(schema.metadata, caption))


def _holds_bytes(kind: Any) -> bool:
    if str(kind) in _BINARY:
        return True
    index = kind.get_field_index("bytes") if str(kind).startswith("struct<") else -1
    return index >= 0 and str(kind.field(index).type) in _BINARY


def _is_caption(kind: Any) -> bool:
    return str(kind) in (*STRINGS, *_LISTS, *_NUMBERS)


def _labels(metadata: Mapping[bytes, bytes] | None, column: str) -> tuple[str, ...]:
    """The names of a column of labels, if `datasets` kept them in the schema."""
    try:
        known = msgspec.json.decode((metadata or {})[b"huggingface"])
        return tuple(map(str, known["info"]["features"][column]["names"]))
    except (msgspec.DecodeError, RecursionError, KeyError, TypeError):
        return ()


def _read_table(file: File) -> Iterator[Batch[Entry]]:
    """The images of a table, one a row."""
    first = 1
    with open_table(file) as table:
        columns = _choose_columns(table.schema, file)
        for (images, captions), share in table.rows(columns[:2], AT_ONCE):
            entries, notes = [], []
            values = zip(_buffers(images), captions.to_pylist(), strict=True)
            for row, (data, value) in enumerate(values, first):
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
            yield Batch(entries, share, notes=notes)
            first += len(images)
        if first == 1:
            raise MisuseError(f"{show(file.path)}: no images in it; it has no rows")


def _buffers(images: Any) -> Iterator[Any]:
    """The bytes of each row, not copied, or None."""
    if str(images.type) not in _BINARY:
        images = images.flatten()[images.type.get_field_index("bytes")]
    for image in images:
        yield image.as_buffer() if image.is_valid else None


FORMATS = (
    Format("Parquet", (".parquet",), _read_table),
    Format("Arrow", (".arrow",), _read_table),
    Format("tar", (".tar",), _read_tar),
)


# --- Folders of image files -------------------------------------------------------------------


def _read_folder(file: File) -> Iterator[Batch[Entry]]:
    """The images of a folder and its sub-folders."""
    paths = files_below(file.path, SUFFIXES)
    entries: list[Entry] = []
    notes: list[str] = []
    for number, (path, caption) in enumerate(with_captions(file.path, paths, notes), 1):
        entries.append(Entry(show(path), caption, path))
        if len(entries) >= AT_ONCE:
            yield Batch(entries, number / len(paths), notes=tuple(notes))
            entries = []
            notes.clear()
    yield Batch(entries, 1.0, notes=notes)


FOLDER = Format("image files", (), _read_folder)


def find_images(path: str | os.PathLike[str]) -> Source:
    """The image files, as one file of the source, or the archives or tables of a path; no files if
    there are none. Image files in a folder are preferred to what else is in it."""
    expanded = Path(os.path.expanduser(path))
    if not os.path.exists(expanded):
        return Source(expanded, ())
    images = files_below(expanded, SUFFIXES)
    if not images:
        return find_files(expanded, FORMATS)
    digest = hashlib.sha256(str(expanded.resolve()).encode("utf-8", "replace"))
    octets = 0
    for each in (*images, *files_below(expanded, (".txt", METADATA))):
        status = each.stat()
        octets += status.st_size
        line = f"{each.name}\0{status.st_size}\0{status.st_mtime_ns}\1"
        digest.update(line.encode("utf-8", "replace"))
    file = File(expanded, digest.hexdigest(), octets, 0, FOLDER, len(images))
    return Source(expanded, (file,))
