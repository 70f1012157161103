"""The user's own images: a folder of image files, or archives and tables of images.

Images that do not fit into memory, and every archive or table, are decoded once into a file in the
cache, which is mapped and not read. `decoded.json` beside it says how far that is; a process that
is killed loses at most KEEP_EVERY images.
"""

import hashlib
import math
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np

from genui.base import paths
from genui.base.errors import MisuseError
from genui.base.files import cannot_write, show
from genui.engine.data.captions import MAX_NOTES, clean_caption, open_folder, shorten_notes
from genui.engine.data.image_files import SIDE, SUFFIXES, read_square
from genui.engine.data.image_sources import FOLDER, FORMATS, Entry, find_images
from genui.engine.data.images import RawImages
from genui.engine.data.preparation import (
    QUIET,
    Preparation,
    Prepared,
    Report,
    bytes_in,
    cut_short,
    locked,
    open_end,
    read_record,
    write_record,
)
from genui.engine.data.sources import Batch, ReadingProgress, Source, read
from genui.runs.system import usable_cores

MAX_IMAGES = 100_000
"""The most images that are read into memory: 400 MB as 32×32 RGBA."""

PIXELS = "rgba.bin"
DECODED = "decoded.json"
KEEP_EVERY = 20_000  # images
SAMPLE = 2048  # images that a speed is measured with


def read_own(
    path: str | os.PathLike[str], every: bool = False, preparation: Preparation = QUIET
) -> RawImages:
    """Read the usable images of a file or folder, with their captions.

    If there are more than MAX_IMAGES, only the first are read, or all with `every`. Images that are
    left out are listed in `notes`. Raises MisuseError if there are none, GenuiError if the disk is
    full.
    """
    source = find_images(path)
    if not source.files:
        needs = "images need a folder, such as cat.png with cat.txt, or a .tar, .parquet or .arrow"
        folder = open_folder(path, f"{needs} file")
        suffixes = (*SUFFIXES, *(suffix for each in FORMATS for suffix in each.suffixes))
        raise MisuseError(f"{show(folder)}: no images in it; looked for {', '.join(suffixes)}")
    cache = _decoded_dir() / source.key
    name = clean_caption(source.path.resolve().name) or "images"
    most = sys.maxsize if every else MAX_IMAGES
    is_folder = source.files[0].format is FOLDER
    if is_folder and not (every and is_large(path)):
        return _load(source, name, MAX_IMAGES)
    if preparation.is_trial and not _is_enough(_read_decoded(cache), sys.maxsize):
        return _load(source, name, MAX_IMAGES if is_folder else SAMPLE)
    with locked(cache, name, preparation.report):
        decoded = _read_decoded(cache) or _Decoded(name, str(source.path))
        if not _is_enough(decoded, most):
            decoded = _decode(source, cache, decoded, most, preparation.report)
    count = min(len(decoded.captions), most)
    if not count:
        raise _nothing(source, decoded.notes)
    shape = (len(decoded.captions), SIDE, SIDE, 4)
    pixels = cache / PIXELS
    if not pixels.exists() or pixels.stat().st_size < math.prod(shape):
        raise cut_short(pixels)
    rgba = np.memmap(pixels, np.uint8, "r", shape=shape)
    is_whole = decoded.done and count == len(decoded.captions)
    digest = decoded.digest if is_whole else ""
    return _raw(name, rgba[:count], decoded.captions, decoded.notes, is_whole, digest)


def _raw(
    name: str,
    rgba: np.ndarray,
    captions: list[str],
    notes: list[str],
    is_whole: bool,
    digest: str = "",
) -> RawImages:
    """Images [N, 32, 32, 4] with the first N captions."""
    count = len(rgba)
    return RawImages(
        rgba,
        tuple(captions[:count]),
        fingerprint=digest[:16],
        name=name,
        notes=shorten_notes(notes if is_whole else [f"only the first {count:,} taken", *notes]),
    )


def _load(source: Source, name: str, most: int) -> RawImages:
    """The first images of a source, in memory."""
    images: list[bytes] = []
    captions: list[str] = []
    names: list[str] = []  # not the entries: those of an archive hold its files
    notes: list[str] = []
    for batch in _decoded_batches(source, notes):
        images += [image for _, image in batch.items]
        captions += [entry.caption for entry, _ in batch.items]
        names += [entry.name for entry, _ in batch.items]
        if len(images) > most:
            break
    if not images:
        raise _nothing(source, notes)
    rgba = np.frombuffer(b"".join(images[:most]), np.uint8).reshape(-1, SIDE, SIDE, 4)
    raw = _raw(name, rgba, captions, notes, len(images) <= most)
    folder = f"{show(source.path)}/"
    return raw._replace(files=tuple(each.removeprefix(folder) for each in names[:most]))


def is_large(path: str | os.PathLike[str]) -> bool:
    """Whether images are decoded into a file before they are trained on."""
    files = find_images(path).files
    return bool(files) and (files[0].format is not FOLDER or files[0].files > MAX_IMAGES)


def check_large(path: str | os.PathLike[str]) -> str:
    """Describe images that are decoded into a file, by the first of them that can be used. Raises
    MisuseError if there is none."""
    source = find_images(path)
    notes: list[str] = []
    if any(batch.items for batch in _decoded_batches(source, notes)):
        return f"{source.describe()}, decoded once, on disk"
    raise _nothing(source, notes)


def _nothing(source: Source, notes: list[str]) -> MisuseError:
    first = notes[0] if notes else "it is empty"
    return MisuseError(f"{show(source.path)}: none of its images can be used: {first}")


# --- Decoding ---------------------------------------------------------------------------------


def _decoded_batches(
    source: Source, notes: list[str], file: int = 0, number: int = 0
) -> Iterator[Batch[tuple[Entry, bytes]]]:
    """The images of a source with their pixels, as `sources.read` has them; images that are left
    out are added to `notes`."""
    with ThreadPoolExecutor(min(8, usable_cores()), "decode") as workers:
        for batch in read(source, file, number):
            notes += batch.notes
            images = list(workers.map(_decode_entry, batch.items))
            notes += [image for image in images if isinstance(image, str)]
            pairs = zip(batch.items, images, strict=True)
            usable = [(entry, rgba) for entry, rgba in pairs if isinstance(rgba, bytes)]
            yield batch._replace(items=usable)


def _decode_entry(entry: Entry) -> bytes | str:
    """The bytes of its pixels, or why it cannot be used."""
    try:
        return read_square(entry.data, entry.name).rgba.tobytes()
    except MisuseError as reason:
        return str(reason)


def _decoded_dir() -> Path:
    """One folder a source."""
    return paths.cache_dir() / "images"


class _Decoded(msgspec.Struct):
    """The progress of decoding a source."""

    name: str
    path: str
    captions: list[str] = []
    notes: list[str] = []
    digest: str = ""
    file: int = 0  # where decoding goes on: after so many batches of that file
    number: int = 0
    share: float = 0.0
    done: bool = False


def _read_decoded(cache: Path) -> _Decoded | None:
    return read_record(cache / DECODED, _Decoded)


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


def _decode(source: Source, cache: Path, decoded: _Decoded, most: int, report: Report) -> _Decoded:
    """Decode the rest of a source, or until there are `most` images."""
    progress = ReadingProgress(source, decoded.share, report)
    notes = decoded.notes
    kept = len(decoded.captions)
    try:
        with open_end(cache / PIXELS, kept * SIDE * SIDE * 4) as pixels:
            for batch in _decoded_batches(source, notes, decoded.file, decoded.number):
                del notes[MAX_NOTES + 1 :]
                for entry, image in batch.items:
                    pixels.write(image)
                    decoded.captions.append(entry.caption)
                    decoded.digest = hashlib.sha256(decoded.digest.encode() + image).hexdigest()
                decoded.file, decoded.number, decoded.share = batch.file, batch.number, batch.share
                doing = f"decoding {decoded.name}, {len(decoded.captions):,} images"
                progress.show(doing, batch.share)
                if len(decoded.captions) - kept >= KEEP_EVERY:
                    kept = len(decoded.captions)
                    write_record(cache / DECODED, decoded, [pixels])
                if len(decoded.captions) >= most:
                    break
            else:
                decoded.done = True
            write_record(cache / DECODED, decoded, [pixels])
    except OSError as error:
        raise cannot_write(cache, error) from None
    return decoded
