"""Captions: the ten colours that they can name, their words as token ids, and captions in files.

Nothing in a file is trusted.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from genui.base.errors import MisuseError
from genui.base.files import read_regular, show
from genui.base.text import split_words as split_words
from genui.formats.recipe import METADATA

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (226, 52, 52),
    "orange": (250, 138, 30),
    "yellow": (250, 214, 50),
    "green": (44, 162, 76),
    "cyan": (58, 210, 220),
    "blue": (44, 92, 224),
    "purple": (132, 60, 200),
    "pink": (250, 130, 184),
    "white": (244, 244, 240),
    "black": (16, 18, 24),
}
"""sRGB, 0 to 255. White and black are slightly grey, so that no image needs the extreme values."""

DEFAULT_GROUND = "black"
"""The background colour of an image whose caption names none."""


# --- Words to token ids -----------------------------------------------------------------------

PAD = 0
UNKNOWN = 1
RESERVED = 2
"""The number of reserved ids; words are numbered from here on."""

MAX_WORDS = 20_000
"""Limit of a vocabulary, which keeps the commonest words: the embedding of a larger one would
hold most of a small model's parameters."""

STOP_WORDS = frozenset(("and", "in", "of", "on", "the", "to", "with", "without"))
"""Words that mean nothing alone."""


def use_one_word(
    captions: Sequence[str],
    names: Sequence[str],
    share: float,
    rng: np.random.Generator,
    known: Collection[str] = (),
) -> list[str]:
    """Replace the name in a random `share` of the captions by one word of that name.

    "cat face on blue" becomes "face on blue", which fits many images. A word that is itself one
    of the `known` names is not used: it stands for exactly one image.
    """

    def shorten(name: str) -> str:
        words = [word for word in split_words(name) if word not in STOP_WORDS and word not in known]
        return words[rng.integers(len(words))] if words else name

    chosen = rng.random(len(captions)) < share
    return [
        caption.replace(name, shorten(name), 1) if is_chosen else caption
        for caption, name, is_chosen in zip(captions, names, chosen, strict=True)
    ]


@dataclass(frozen=True)
class Vocabulary:
    """The words a model knows. The id of `words[i]` is `i + RESERVED`."""

    words: tuple[str, ...]

    @classmethod
    def build(cls, captions: Iterable[str]) -> "Vocabulary":
        """Collect the words of the captions, the colours and "on", in alphabetical order."""
        counts = Counter(word for caption in captions for word in split_words(caption))
        common = {word for word, _ in counts.most_common(MAX_WORDS)}
        return cls(tuple(sorted({*common, *COLOURS, "on"})))

    @property
    def size(self) -> int:
        """Rows of an embedding of this vocabulary."""
        return len(self.words) + RESERVED

    @cached_property
    def _id_of(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words, RESERVED)}

    def encode(self, captions: Sequence[str], length: int) -> NDArray[np.int64]:
        """Token ids [B, length]: UNKNOWN for words not in the vocabulary, PAD after the last word.

        Words beyond `length` are cut off.
        """
        token_ids = np.full((len(captions), length), PAD, np.int64)
        for row, caption in zip(token_ids, captions, strict=True):
            ids = [self._id_of.get(word, UNKNOWN) for word in split_words(caption)[:length]]
            row[: len(ids)] = ids
        return token_ids

    def unknown(self, caption: str) -> list[str]:
        """The words of a caption that are not in the vocabulary, in order."""
        return [word for word in split_words(caption) if word not in self._id_of]

    def remarks(self, captions: Iterable[str], length: int) -> list[str]:
        """Lines about the words that a model ignores if it reads `length` words: unknown words,
        words beyond the length. Empty if every word is read."""
        captions = dict.fromkeys(captions)
        lines = []
        unknown = [word for caption in captions for word in self.unknown(caption)]
        if unknown:
            lines.append("not in this model's vocabulary: " + ", ".join(dict.fromkeys(unknown)))
        if any(len(split_words(caption)) > length for caption in captions):
            lines.append(f"only the first {length} words are read")
        return lines


# --- The captions of files in a folder ---------------------------------------------------------
# Captions come from `metadata.jsonl` if there is one ({"file_name": …, "text": …}, as in
# Hugging Face's imagefolder), else from `name.txt` beside `name.png`, else from the file names.

EXAMPLE_ROW = '{"file_name": "cat.png", "text": "a cat"}'
MAX_CAPTION = 300  # characters
MAX_NOTES = 20
MAX_METADATA = 64 * 2**20  # bytes

CaptionOf = Callable[[Path, Path], str]
"""(file, the dataset's folder) to the caption in the file's name, or ""."""


class _MetadataLine(msgspec.Struct):
    """A line of metadata.jsonl. Other keys are ignored."""

    file_name: str
    text: str


def open_folder(path: str | os.PathLike[str], needs: str) -> Path:
    """The folder that `--data` names. Raises MisuseError, with `needs`, if it cannot be read."""
    folder = Path(os.path.expanduser(path))
    # os.path and not Path: for a name that is too long it returns False and does not raise.
    if not os.path.exists(folder):
        raise MisuseError(f"{show(folder)}: no such folder; check the path given to --data")
    if not os.path.isdir(folder):
        raise MisuseError(f"{show(folder)}: is a file; {needs}")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise MisuseError(f"{show(folder)}: may not be read; change its permissions")
    return folder


def clean_caption(text: str) -> str:
    """Make a caption printable and lower-case, with single spaces, of at most MAX_CAPTION."""
    printable = "".join(c if c.isprintable() else " " for c in text[: 4 * MAX_CAPTION])
    return " ".join(printable.lower().split())[:MAX_CAPTION].rstrip()


def with_captions(
    folder: Path, files: list[Path], notes: list[str], of_name: CaptionOf | None = None
) -> Iterator[tuple[Path, str]]:
    """Each file with its caption. One without a caption is left out with a note.

    `of_name` is used if there is neither metadata nor a text file.
    """
    from_metadata = _metadata(folder, notes)
    beside = {path for path in files if path.with_suffix(".txt").is_file()}
    for path in files:
        if from_metadata is not None:
            caption, wanted = from_metadata.get(path.resolve(), ""), f"a line in {METADATA}"
        elif beside:
            caption, wanted = _text_beside(path), f"its caption in {path.stem}.txt"
        else:
            caption = (of_name or caption_from_name)(path, folder)
            wanted = "a name that says what it is"
        if caption:
            yield path, caption
        else:
            notes.append(f"{show(path)}: no caption; give it {wanted}")


def _metadata(folder: Path, notes: list[str]) -> dict[Path, str] | None:
    """Captions by file from metadata.jsonl, or None if there is none."""
    path = folder / METADATA
    if not path.is_file():
        return None
    lines = read_regular(path, MAX_METADATA, "split the folder", MisuseError).splitlines()
    decoder = msgspec.json.Decoder(_MetadataLine)
    captions: dict[Path, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = decoder.decode(line)
            captions[(folder / row.file_name).resolve()] = clean_caption(row.text)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, OSError):
            notes.append(f"{show(path)} line {number}: expected {EXAMPLE_ROW}")
    return captions


def _text_beside(path: Path) -> str:
    try:
        with path.with_suffix(".txt").open("rb") as file:
            return clean_caption(file.read(16 * MAX_CAPTION).decode("utf-8-sig", "replace"))
    except OSError:
        return ""


def caption_from_name(path: Path, folder: Path) -> str:
    """The caption in a file's name: "red cat" of red-cat_012.png, "cats" of cats/012.png."""
    name = re.sub(r"[\s_-]*\d+$", "", path.stem)
    if not name and path.parent != folder:
        name = path.parent.name
    return clean_caption(re.sub(r"[_-]+", " ", name))


def shorten_notes(notes: list[str]) -> tuple[str, ...]:
    """The first MAX_NOTES notes, and how many more there are."""
    more = len(notes) - MAX_NOTES
    return (*notes[:MAX_NOTES], f"and {more} more like these") if more > 0 else tuple(notes)
