"""The ten colours pictures are drawn in, by the names captions use."""

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

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
"""sRGB, 0 to 255. White and black are soft, so that no picture needs the ends of the range."""

DEFAULT_GROUND = "black"
"""The ground of a picture whose caption names none."""


# --- Captions as words: a caption is split, its words become numbers a network can look up ----

PAD = 0
UNKNOWN = 1
RESERVED = 2
"""Numbers below this one are no words."""

MOST_WORDS = 20_000
"""A vocabulary larger than this would be most of a small model; the rarest words go."""

JOINING = frozenset(("and", "in", "of", "on", "the", "to", "with", "without"))
"""Words of a name that say nothing alone."""


@lru_cache(maxsize=1 << 16)
def split_words(caption: str) -> tuple[str, ...]:
    """`"Red-heart, on BLACK"` to `("red", "heart", "on", "black")`, in any script.

    A word is a run of letters and digits with the marks that belong to them.
    """
    text = unicodedata.normalize("NFKC", caption).lower()
    spaced = "".join(c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in text)
    return tuple(word for word in spaced.split() if any(c.isalnum() for c in word))


def in_one_word(
    captions: Sequence[str],
    names: Sequence[str],
    share: float,
    rng: np.random.Generator,
    known: Collection[str] = (),
) -> list[str]:
    """`share` of these captions with one word of the `names` in them for the whole name.

    "cat face on blue" becomes "face on blue", which many pictures answer to. A word that is
    itself one of the `known` names means that picture and no other.
    """
    chosen = rng.random(len(captions)) < share
    return [
        caption.replace(name, _word_of(name, rng, known), 1) if short else caption
        for caption, name, short in zip(captions, names, chosen, strict=True)
    ]


def _word_of(name: str, rng: np.random.Generator, known: Collection[str]) -> str:
    words = [word for word in split_words(name) if word not in JOINING and word not in known]
    return words[rng.integers(len(words))] if words else name


@dataclass(frozen=True)
class Vocabulary:
    """The words a model knows. `words[i]` has the number `i + RESERVED`."""

    words: tuple[str, ...]

    @classmethod
    def build(cls, captions: Iterable[str]) -> "Vocabulary":
        """All words of the captions in alphabetical order, with the palette's colours and "on"."""
        counts = Counter(word for caption in captions for word in split_words(caption))
        always = {*COLOURS, "on"}
        common = {word for word, _ in counts.most_common(MOST_WORDS)}
        return cls(tuple(sorted(common | always)))

    @property
    def size(self) -> int:
        """Rows an embedding of this vocabulary needs."""
        return len(self.words) + RESERVED

    @cached_property
    def _number(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words, RESERVED)}

    def encode(self, captions: Sequence[str], length: int) -> NDArray[np.int64]:
        """Numbers [B, length]: PAD after the last word, UNKNOWN for a word never seen.

        Words beyond `length` are cut off.
        """
        numbers = np.full((len(captions), length), PAD, np.int64)
        for row, caption in zip(numbers, captions, strict=True):
            found = [self._number.get(word, UNKNOWN) for word in split_words(caption)[:length]]
            row[: len(found)] = found
        return numbers

    def unknown(self, caption: str) -> list[str]:
        """The words of a caption the model has never seen, in order."""
        return [word for word in split_words(caption) if word not in self._number]

    def unread(self, captions: Iterable[str], length: int) -> list[str]:
        """What a person should know of captions of which so many words are read: none, or one
        remark on the words never seen and one on those beyond."""
        captions = dict.fromkeys(captions)
        remarks = []
        unknown = [word for caption in captions for word in self.unknown(caption)]
        if unknown:
            remarks.append("words this model never saw: " + ", ".join(dict.fromkeys(unknown)))
        if any(len(split_words(caption)) > length for caption in captions):
            remarks.append(f"only the first {length} words are read")
        return remarks
