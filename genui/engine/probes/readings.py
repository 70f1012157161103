"""How many pictures a model draws for a caption that many pictures answer to."""

from collections import defaultdict
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genui.engine.data.captions import JOINING, split_words
from genui.engine.data.pictures import Pictures
from genui.engine.generate.diffusion import DiffusionGenerator
from genui.protocol import ImageSettings

SETTINGS = ImageSettings(steps=12, guidance=2.0)
WORDS = 25  # that are asked
LEAST = 5  # trained names that have a word, for it to be asked
SEEDS = 8  # a word


class Readings(NamedTuple):
    """Of single words, means over them."""

    different: float  # pictures that `SEEDS` samples of one word are nearest to, 1 to SEEDS
    bearing: float  # share of the samples whose nearest picture has the word in its name
    chance: float  # the same share of pictures drawn from the set at random


def answers(pictures: Pictures) -> dict[str, frozenset[int]]:
    """The trained pictures of each word that `LEAST` of their names have, and is no name."""
    found: defaultdict[str, set[int]] = defaultdict(set)
    names = frozenset(pictures.captions)
    for index in pictures.train.tolist():
        for word in split_words(pictures.captions[index]):
            found[word].add(index)
    return {
        word: frozenset(indices)
        for word, indices in sorted(found.items())
        if len(indices) >= LEAST and word not in JOINING and word not in names
    }


def readings(generator: DiffusionGenerator, pictures: Pictures) -> Readings | None:
    """Draws words of the set in its usual colours; None where no word has several pictures."""
    of_word = answers(pictures)
    if not of_word:
        return None
    rng = np.random.default_rng(0)
    asked = rng.permutation(sorted(of_word))[:WORDS].tolist()
    usual = "white {} on black" if pictures.scheme == "figure-ground" else "{}"
    lineup = pictures.in_colours_of("", pictures.train).reshape(len(pictures.train), -1)
    different, bearing = [], []
    for word in asked:
        rgb = generator.draw([usual.format(word)] * SEEDS, list(range(SEEDS)), SETTINGS)
        drawn = rgb.transpose(0, 3, 1, 2).reshape(SEEDS, -1).astype(np.float32) / 127.5 - 1
        nearest = pictures.train[_nearest(drawn, lineup)].tolist()
        different.append(len(set(nearest)))
        bearing.append(np.mean([index in of_word[word] for index in nearest]))
    chance = np.mean([len(of_word[word]) / len(pictures.train) for word in asked])
    return Readings(float(np.mean(different)), float(np.mean(bearing)), float(chance))


def _nearest(rows: NDArray[np.float32], lineup: NDArray[np.float32]) -> NDArray[np.int64]:
    """The row of `lineup` [N, D] nearest to each of `rows` [B, D]."""
    return ((lineup**2).sum(1) - 2 * rows @ lineup.T).argmin(1)
