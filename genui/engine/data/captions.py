"""Captions: the ten colours that they name, and their words as numbers."""

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
"""sRGB, 0 to 255. White and black are soft, so that no image needs the ends of the range."""

DEFAULT_GROUND = "black"
"""The ground of an image whose caption names none."""


# --- Captions as words: a caption is split, and its words become ids of an embedding ----------

PAD = 0
UNKNOWN = 1
RESERVED = 2
"""Numbers below this one stand for no word."""

MOST_WORDS = 20_000
"""Words at most, the commonest: a larger vocabulary would be most of a small model."""

JOINING = frozenset(("and", "in", "of", "on", "the", "to", "with", "without"))
"""Words of a name that mean nothing alone."""


@lru_cache(maxsize=1 << 16)
def split_words(caption: str) -> tuple[str, ...]:
    """`"Red-heart, on BLACK"` to `("red", "heart", "on", "black")`, in any script.

    A word is a run of letters and digits with the marks that belong to them.
    """
    text = unicodedata.normalize("NFKC", caption).lower()
    spaced = "".join(c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in text)
    return tuple(word for word in spaced.split() if any(c.isalnum() for c in word))


def use_one_word(
    captions: Sequence[str],
    names: Sequence[str],
    share: float,
    rng: np.random.Generator,
    known: Collection[str] = (),
) -> list[str]:
    """`share` of these captions with one word of the `names` in them for the whole name.

    "cat face on blue" becomes "face on blue", which fits many images. A word that is itself one
    of the `known` names is not used: it means that image and no other.
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
        """Ids [B, length]: PAD after the last word, UNKNOWN for a word not in the vocabulary.

        Words beyond `length` are cut off.
        """
        numbers = np.full((len(captions), length), PAD, np.int64)
        for row, caption in zip(numbers, captions, strict=True):
            known = [self._number.get(word, UNKNOWN) for word in split_words(caption)[:length]]
            row[: len(known)] = known
        return numbers

    def unknown(self, caption: str) -> list[str]:
        """The words of a caption that are not in the vocabulary, in order."""
        return [word for word in split_words(caption) if word not in self._number]

    def remarks(self, captions: Iterable[str], length: int) -> list[str]:
        """Remarks on captions of which `length` words are read: one on unknown words, one on words
        beyond that length; none where every word is read."""
        captions = dict.fromkeys(captions)
        lines = []
        unknown = [word for caption in captions for word in self.unknown(caption)]
        if unknown:
            lines.append("not in this model's vocabulary: " + ", ".join(dict.fromkeys(unknown)))
        if any(len(split_words(caption)) > length for caption in captions):
            lines.append(f"only the first {length} words are read")
        return lines
