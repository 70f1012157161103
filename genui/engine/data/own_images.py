"""The user's own images: a folder of image files, or archives and tables of images.

What does not fit into memory, and every archive or table, is decoded once into a file in the cache,
which is mapped and not read. `decoded.json` beside it says how far that is; a process that is
killed loses at most KEEP_EVERY images.
"""

import hashlib
import math
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import msgspec
import numpy as np

from genui.base import paths
from genui.base.errors import MisuseError
from genui.base.files import atomic_write, cannot_write, show
from genui.engine.data.dataset import Prepared, bytes_in, cut_short, locked, uses_stand_ins
from genui.engine.data.image_files import (
    MAX_IMAGES,
    MAX_NOTES,
    METADATA,
    SUFFIXES,
    UnusableError,
    clean_caption,
    files_below,
    is_large_folder,
    load_folder,
    open_folder,
    read_square,
    shorten_notes,
    with_captions,
)
from genui.engine.data.image_sources import AT_ONCE, Entry, find_images
from genui.engine.data.images import (
    OWN_LICENCE,
    SIDE,
    CaptionedImages,
    fingerprint,
    hold_out_images,
)
from genui.engine.data.sources import Batch, Format, Progress, Source, file_at, read
from genui.runs.system import usable_cores

PIXELS = "rgba.bin"
DECODED = "decoded.json"
KEEP_EVERY = 20_000  # images
SAMPLE = 2048  # images that a speed is measured with


def load_own(path: str | os.PathLike[str], every: bool = False) -> CaptionedImages:
    """Load the usable images that a file or folder stands for, with their captions.

    Of more than MAX_IMAGES only the first are loaded, or with `every` all are. What is left out is
    listed in `notes`. Raises MisuseError if there are none, GenuiError if the disk is full.
    """
    source = find_images(path)
    if source is None:
        if not every or uses_stand_ins() or not is_large_folder(path):
            return load_folder(path)
        source = _folder_source(open_folder(path, "images need a folder"))
    cache = _decoded_dir() / _key(source)
    name = clean_caption(source.path.resolve().name) or "images"
    most = sys.maxsize if every else MAX_IMAGES
    if uses_stand_ins() and not _is_enough(_read_decoded(cache), sys.maxsize):
        return _load_sample(source, name)
    with locked(cache, name):
        decoded = _read_decoded(cache) or _Decoded(name, str(source.path), len(source.files))
        if not _is_enough(decoded, most):
            decoded = _decode(source, cache, decoded, most)
    count = min(len(decoded.captions), most)
    if not count:
        raise _nothing(source, decoded.notes)
    shape = (len(decoded.captions), SIDE, SIDE, 4)
    pixels = cache / PIXELS
    if not pixels.exists() or pixels.stat().st_size < math.prod(shape):
        raise cut_short(pixels)
    rgba = np.memmap(pixels, np.uint8, "r", shape=shape)
    is_whole = decoded.done and count == len(decoded.captions)
    notes = decoded.notes if is_whole else [*decoded.notes, f"only the first {count:,} taken"]
    digest = decoded.digest if is_whole else ""
    return _captioned(name, rgba[:count], decoded.captions[:count], notes, digest)


def _captioned(
    name: str,
    rgba: np.ndarray,
    captions: list[str],
    notes: list[str],
    digest: str = "",
) -> CaptionedImages:
    trained, held_out = hold_out_images(len(captions))
    return CaptionedImages(
        name=name,
        licence=OWN_LICENCE,
        fingerprint=digest[:16] or fingerprint(rgba, captions),
        rgba=rgba,
        captions=tuple(captions),
        scheme="plain",
        train=trained,
        held_out=held_out,
        notes=shorten_notes(notes),
    )


def _load_sample(source: Source, name: str) -> CaptionedImages:
    """The first images of a source, in memory."""
    images: list[bytes] = []
    captions: list[str] = []
    notes: list[str] = []
    for _, batch in _entries(source):
        notes += _notes(batch)
        for entry in batch.items:
            if isinstance(image := _decode_entry(entry), str):
                notes.append(image)
            else:
                images.append(image)
                captions.append(entry.caption)
        if len(images) >= SAMPLE:
            break
    if not images:
        raise _nothing(source, notes)
    rgba = np.frombuffer(b"".join(images), np.uint8).reshape(-1, SIDE, SIDE, 4)
    return _captioned(name, rgba, captions, notes)


def is_large(path: str | os.PathLike[str]) -> bool:
    """Whether images are decoded into a file before they are trained on."""
    return find_images(path) is not None or is_large_folder(path)


def check_large(path: str | os.PathLike[str]) -> str:
    """Describe images that are decoded into a file, by the first of them that can be used; "" for
    a folder that is read into memory. Raises MisuseError if there is none."""
    if (source := find_images(path)) is None:
        if not is_large_folder(path):
            return ""
        source = _folder_source(open_folder(path, "images need a folder"))
    notes: list[str] = []
    for _, batch in _entries(source):
        notes += _notes(batch)
        decoded = list(map(_decode_entry, batch.items))
        if any(isinstance(image, bytes) for image in decoded):
            return f"{source.describe()}, decoded once, on disk"
        notes += map(str, decoded)
    raise _nothing(source, notes)


def _nothing(source: Source, notes: list[str]) -> MisuseError:
    first = notes[0] if notes else "it is empty"
    return MisuseError(f"{show(source.path)}: none of its images can be used: {first}")


# --- The entries of a source ------------------------------------------------------------------


def _folder_source(folder: Path) -> Source:
    """The image files of a folder."""
    image = Format("image files", SUFFIXES, lambda *_: iter(()))
    return Source(
        folder, tuple(file_at(path, path.name, image) for path in files_below(folder, SUFFIXES))
    )


def _is_folder(source: Source) -> bool:
    return source.group == "image files"


def _entries(
    source: Source, file: int = 0, place: int = 0, number: int = 0
) -> Iterator[tuple[int, Batch[Entry]]]:
    """The images of a source from there on, as `sources.read` has them."""
    if _is_folder(source):
        return _folder_entries(source, file + (number > 0))
    return read(source, file, place, number)


def _folder_entries(source: Source, first: int) -> Iterator[tuple[int, Batch[Entry]]]:
    """The images of a folder from the file `first` on."""
    paths = [file.path for file in source.files]
    numbers = {path: number for number, path in enumerate(paths)}
    entries: list[Entry] = []
    notes: list[str] = []
    for path, caption in with_captions(source.path, paths, notes):
        if numbers[path] < first:
            notes.clear()  # they were kept
            continue
        entries.append(Entry(show(path), caption, path))
        if len(entries) >= AT_ONCE:
            yield numbers[path], Batch(entries, 0, 1, 1.0, notes=tuple(notes))
            entries = []
            notes.clear()
    yield len(paths) - 1, Batch(entries, 0, 1, 1.0, notes=notes)


def _notes(batch: Batch[Entry]) -> list[str]:
    return [*batch.notes, *([batch.unreadable] if batch.unreadable else [])]


def _decode_entry(entry: Entry) -> bytes | str:
    """The bytes of its pixels, or why it cannot be used."""
    try:
        return read_square(entry.data).rgba.tobytes()
    except UnusableError as reason:
        return f"{entry.name}: {reason}"


# --- Decoding into the cache ------------------------------------------------------------------


def _decoded_dir() -> Path:
    """One folder a source."""
    return paths.cache_dir() / "images"


class _Decoded(msgspec.Struct):
    """How far a source is decoded."""

    name: str
    path: str
    total: int  # files
    files: int = 0  # where decoding goes on, as `sources.read` counts
    captions: list[str] = []
    notes: list[str] = []
    digest: str = ""
    place: int = 0
    number: int = 0
    share: float = 0.0
    done: bool = False


def _key(source: Source) -> str:
    """16 hexadecimal digits that change when a file of the source does."""
    if not _is_folder(source):
        return source.key
    digest = hashlib.sha256(str(source.path.resolve()).encode("utf-8", "replace"))
    beside = files_below(source.path, (".txt", METADATA))
    for path in (*(file.path for file in source.files), *beside):
        status = path.stat()
        digest.update(
            f"{path.name}\0{status.st_size}\0{status.st_mtime_ns}\1".encode("utf-8", "replace")
        )
    return digest.hexdigest()[:16]


def _read_decoded(cache: Path) -> _Decoded | None:
    try:
        return msgspec.json.decode((cache / DECODED).read_bytes(), type=_Decoded)
    except (OSError, msgspec.DecodeError):
        return None


def _is_enough(decoded: _Decoded | None, most: int) -> bool:
    return decoded is not None and (decoded.done or len(decoded.captions) >= most)


def list_decoded() -> list[Prepared]:
    """The images that are decoded in the cache, wholly or in part."""
    return [
        Prepared(
            name=decoded.name,
            path=decoded.path,
            content=f"{len(decoded.captions):,} images",
            octets=bytes_in(folder),
            share=1.0 if decoded.done else decoded.share,
            folder=folder,
        )
        for folder in _decoded_dir().glob("*")
        if (decoded := _read_decoded(folder)) is not None
    ]


def _decode(source: Source, cache: Path, decoded: _Decoded, most: int) -> _Decoded:
    """Decode the rest of a source, or until there are `most` images."""
    progress = Progress(source, decoded.share)
    notes: list[str] = []
    kept = len(decoded.captions)

    def keep(pixels: IO[bytes]) -> None:
        pixels.flush()
        os.fsync(pixels.fileno())
        decoded.notes = [*decoded.notes, *notes][: MAX_NOTES + 1]
        notes.clear()
        atomic_write(cache / DECODED, msgspec.json.encode(decoded))

    try:
        with (
            open(cache / PIXELS, "ab") as pixels,
            ThreadPoolExecutor(min(8, usable_cores()), "decode") as workers,
        ):
            octets = kept * SIDE * SIDE * 4
            if os.fstat(pixels.fileno()).st_size < octets:  # else black images would be trained on
                raise cut_short(cache / PIXELS)
            pixels.truncate(octets)
            for index, batch in _entries(source, decoded.files, decoded.place, decoded.number):
                notes += _notes(batch)
                del notes[MAX_NOTES + 1 :]
                images = workers.map(_decode_entry, batch.items)
                for entry, image in zip(batch.items, images, strict=True):
                    if isinstance(image, str):
                        notes.append(image)
                        continue
                    pixels.write(image)
                    decoded.captions.append(entry.caption)
                    decoded.digest = hashlib.sha256(decoded.digest.encode() + image).hexdigest()
                decoded.files, decoded.place, decoded.number = index, batch.place, batch.number
                doing = f"decoding {decoded.name}, {len(decoded.captions):,} images"
                decoded.share = progress.show(doing, index, batch.share)
                if len(decoded.captions) - kept >= KEEP_EVERY:
                    kept = len(decoded.captions)
                    keep(pixels)
                if len(decoded.captions) >= most:
                    break
            else:
                decoded.done = True
            keep(pixels)
    except OSError as error:
        raise cannot_write(cache, error) from None
    return decoded
