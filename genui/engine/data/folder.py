"""A user's own folder of captioned pictures. Nothing in it is trusted.

Captions come from `metadata.jsonl` where there is one ({"file_name": …, "text": …}, as in
Hugging Face's imagefolder), else from a `name.txt` beside `name.png`, else from the names.
"""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from genui.engine.data.picture_file import MOST_BYTES, UnusableError, read_square
from genui.engine.data.pictures import Pictures, fingerprint, hold_out_pictures
from genui.errors import MisuseError
from genui.runs.disk import read_regular
from genui.saved.drawn import METADATA

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")
EXAMPLE_ROW = '{"file_name": "cat.png", "text": "a cat"}'
MOST_PICTURES = 100_000  # 400 MB as 32×32 RGBA
MOST_PIXELS = 50_000_000  # of a picture before it is reduced
MOST_CAPTION = 300  # characters
MOST_NOTES = 20

T = TypeVar("T")
CaptionOf = Callable[[Path, Path], str]
"""(file, the folder given) to the caption that its name says, or ""."""


class _Row(msgspec.Struct):
    """A line of metadata.jsonl; other keys are ignored."""

    file_name: str
    text: str


def load_folder(path: str | os.PathLike[str]) -> Pictures:
    """Every usable picture in the folder and its sub-folders, with its caption.

    What is left out is listed in `notes`. Raises MisuseError where the path is no folder
    or nothing in it can be used.
    """
    folder = open_folder(path, "pictures need a folder, such as cat.png with cat.txt")
    notes: list[str] = []
    usable, _ = read_captioned(folder, SUFFIXES, "pictures", MOST_PICTURES, read_picture, notes)
    rgba = np.stack([picture for picture, _ in usable])
    captions = tuple(caption for _, caption in usable)
    trained, held_out = hold_out_pictures(len(captions))
    return Pictures(
        name=clean_caption(folder.resolve().name) or "folder",
        licence="the user's own",
        fingerprint=fingerprint(rgba, captions),
        rgba=rgba,
        captions=captions,
        scheme="plain",
        train=trained,
        held_out=held_out,
        notes=shortened(notes),
    )


def open_folder(path: str | os.PathLike[str], needs: str) -> Path:
    """The folder that `--data` names. Raises MisuseError, saying what it `needs`, where it is
    none or may not be read."""
    folder = Path(os.path.expanduser(path))
    # os.path and not Path: a name too long or a folder above it closed is False, not an error.
    if not os.path.exists(folder):
        raise MisuseError(f"{shown(folder)}: no such folder; check the path given to --data")
    if not os.path.isdir(folder):
        raise MisuseError(f"{shown(folder)}: is a file; {needs}")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise MisuseError(f"{shown(folder)}: may not be read; change its permissions")
    return folder


def read_captioned(
    folder: Path,
    suffixes: tuple[str, ...],
    things: str,
    most: int,
    read: Callable[[Path], T],
    notes: list[str],
    of_name: CaptionOf | None = None,
) -> tuple[list[tuple[T, str]], int]:
    """What `read` makes of each file in a folder and its sub-folders that ends so, with its
    caption; and how many such files there are.

    Each that has no caption, or for which `read` raises MisuseError, is noted and left out.
    Raises MisuseError where none is left; `things` is what a person calls them.
    """
    files = _files_below(folder, suffixes)
    if not files:
        raise MisuseError(f"{shown(folder)}: no {things} in it; looked for {', '.join(suffixes)}")
    if len(files) > most:
        notes.append(f"{shown(folder)}: only the first {most:,} of {len(files):,} taken")
    usable: list[tuple[T, str]] = []
    for file, caption in _captioned(folder, files[:most], notes, of_name or caption_from_name):
        try:
            usable.append((read(file), caption))
        except MisuseError as reason:
            notes.append(str(reason))
    if not usable:
        first = notes[0] if notes else f"{METADATA} names none of them"
        raise MisuseError(f"{shown(folder)}: none of its {len(files)} {things} works: {first}")
    return usable, len(files)


def read_picture(path: Path) -> NDArray[np.uint8]:
    """The picture, upright, padded to a square and fitted to [32, 32, 4].

    Raises MisuseError naming the file where it cannot be used.
    """
    try:
        return read_square(path, MOST_PIXELS).rgba
    except UnusableError as reason:
        raise MisuseError(f"{shown(path)}: {reason}") from None


def clean_caption(text: str) -> str:
    """Printable, lower case, one space between words, of bounded length."""
    printable = "".join(c if c.isprintable() else " " for c in text[: 4 * MOST_CAPTION])
    return " ".join(printable.lower().split())[:MOST_CAPTION].rstrip()


def _files_below(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The regular files in a folder and its sub-folders that end so, sorted, but hidden ones."""
    found = (
        Path(root) / name
        for root, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(suffixes) and not name.startswith(".")
    )
    return sorted(path for path in found if os.path.isfile(path))


def _captioned(
    folder: Path, files: list[Path], notes: list[str], of_name: CaptionOf
) -> Iterator[tuple[Path, str]]:
    """Each file with its caption; one without is noted and left out.

    `of_name(path, folder)` is what a name says where nothing else does.
    """
    from_metadata = _metadata(folder, notes)
    beside = {path for path in files if path.with_suffix(".txt").is_file()}
    for path in files:
        if from_metadata is not None:
            caption, wanted = from_metadata.get(path.resolve(), ""), f"a line in {METADATA}"
        elif beside:
            caption, wanted = _text_beside(path), f"its caption in {path.stem}.txt"
        else:
            caption, wanted = of_name(path, folder), "a name that says what it is"
        if caption:
            yield path, caption
        else:
            notes.append(f"{shown(path)}: no caption; give it {wanted}")


def _metadata(folder: Path, notes: list[str]) -> dict[Path, str] | None:
    """Captions by picture from metadata.jsonl, or None where there is none."""
    path = folder / METADATA
    if not path.is_file():
        return None
    lines = read_regular(path, MOST_BYTES, "split the folder", MisuseError).splitlines()
    decoder = msgspec.json.Decoder(_Row)
    captions: dict[Path, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = decoder.decode(line)
            captions[(folder / row.file_name).resolve()] = clean_caption(row.text)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, OSError):
            notes.append(f"{shown(path)} line {number}: expected {EXAMPLE_ROW}")
    return captions


def _text_beside(path: Path) -> str:
    try:
        with path.with_suffix(".txt").open("rb") as file:
            return clean_caption(file.read(16 * MOST_CAPTION).decode("utf-8-sig", "replace"))
    except OSError:
        return ""


def caption_from_name(path: Path, folder: Path) -> str:
    """The name "red-cat_012.png" says "red cat", and "cats/012.png" says "cats"."""
    name = re.sub(r"[\s_-]*\d+$", "", path.stem)
    if not name and path.parent != folder:
        name = path.parent.name
    return clean_caption(re.sub(r"[_-]+", " ", name))


def shortened(notes: list[str]) -> tuple[str, ...]:
    """The first notes, and how many more there are."""
    more = len(notes) - MOST_NOTES
    return (*notes[:MOST_NOTES], f"and {more} more like these") if more > 0 else tuple(notes)


def shown(path: Path) -> str:
    """A file name fit for a message: names may hold control characters."""
    return "".join(c if c.isprintable() else "?" for c in str(path))
