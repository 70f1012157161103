"""Captions: the ten colours they can name, and their words as token ids."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from genui.base.text import split_words as split_words

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
        """Lines on what a model that reads `length` words ignores: unknown words, words beyond
        the length. Empty if every word is read."""
        captions = dict.fromkeys(captions)
        lines = []
        unknown = [word for caption in captions for word in self.unknown(caption)]
        if unknown:
            lines.append("not in this model's vocabulary: " + ", ".join(dict.fromkeys(unknown)))
        if any(len(split_words(caption)) > length for caption in captions):
            lines.append(f"only the first {length} words are read")
        return lines
