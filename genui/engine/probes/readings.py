"""How many pictures a model draws for a caption that many pictures answer to."""

from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genui.engine.data.captions import JOINING, split_words
from genui.engine.data.pictures import Pictures
from genui.engine.probes.distance import nearest

WORDS = 25  # that are asked
LEAST = 5  # trained names that have a word, for it to be asked
SEEDS = 8  # a word


Draw = Callable[[list[str]], NDArray[np.float32]]
"""Captions to samples [B, 3, 32, 32] in -1 to 1, from the seeds 0, 1, …"""


class Readings(NamedTuple):
    """Of single words, means over them."""

    different: float  # pictures that `SEEDS` samples of one word are nearest to, 1 to SEEDS
    bearing: float  # share of the samples whose nearest picture has the word in its name
    chance: float  # the same share of pictures drawn from the set at random


def answers(pictures: Pictures) -> dict[str, frozenset[int]]:
    """The trained pictures of each word that `LEAST` of their names have, and is no name."""
    found: defaultdict[str, set[int]] = defaultdict(set)
    for index in pictures.train.tolist():
        for word in split_words(pictures.captions[index]):
            found[word].add(index)
    return {
        word: frozenset(indices)
        for word, indices in sorted(found.items())
        if len(indices) >= LEAST and word not in JOINING and word not in pictures.names
    }


def readings(draw: Draw, pictures: Pictures) -> Readings | None:
    """Draws words of the set in its usual colours; None where no word has several pictures."""
    of_word = answers(pictures)
    if not of_word:
        return None
    rng = np.random.default_rng(0)
    asked = rng.permutation(sorted(of_word))[:WORDS].tolist()
    lineup = pictures.in_colours_of("", pictures.train).reshape(len(pictures.train), -1)
    different, bearing = [], []
    for word in asked:
        drawn = draw(pictures.in_usual_colours([word]) * SEEDS).reshape(SEEDS, -1)
        _, rows = nearest(drawn, lineup)
        theirs = pictures.train[rows].tolist()
        different.append(len(set(theirs)))
        bearing.append(np.mean([index in of_word[word] for index in theirs]))
    chance = np.mean([len(of_word[word]) / len(pictures.train) for word in asked])
    return Readings(float(np.mean(different)), float(np.mean(bearing)), float(chance))
