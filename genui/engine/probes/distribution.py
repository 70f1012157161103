"""How near what a model draws is to pictures it never saw, for sets of many pictures a caption.

Everything is measured in the features of a classifier trained here on the same data, so the
numbers compare models of this data and nothing else; beside each distance stands the one of as
many real training pictures, which is what a perfect model would have.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genui.engine.data.picture_labels import LabelledPictures, load_labelled
from genui.engine.probes.distance import (
    copying_share,
    density_coverage,
    frechet_distance,
    precision_recall,
)
from genui.engine.probes.judge import Judge, load_judge, pictures_of
from genui.errors import GenuiError

JUDGES = {"fashion": "fashion-labels"}
"""Data set to the shipped classifier whose features measure it."""

MOST_NEIGHBOURS = 5000  # pictures of each side among which neighbours are sought

Draw = Callable[[list[str], list[int]], NDArray[np.uint8]]
"""Captions and seeds to pictures uint8 [N, 32, 32, 3]."""


@dataclass(frozen=True)
class Distribution:
    """N samples against the held-out set."""

    count: int
    frechet: float  # to the held-out pictures
    frechet_real: float  # of as many training pictures to the held-out ones
    right: float  # share whose label, by the judge, is their caption
    right_real: float  # the same of the held-out pictures
    precision: float  # k = 3 (Kynkäänniemi et al. 2019)
    recall: float
    density: float  # k = 5 (Naeem et al. 2020)
    coverage: float
    copying: float  # share nearer to the training set than to as many held-out pictures


class Ruler:
    """A judge, and the real pictures of its data in its features, computed once."""

    def __init__(self, judge: Judge, data: LabelledPictures) -> None:
        self.judge, self.data = judge, data
        train_rgb, _ = pictures_of(data, data.train)
        self._held_rgb, self._held_targets = pictures_of(data, data.held_out)
        self.train = judge.features(train_rgb)  # float32 [N, D], as `data.train`
        self.held_out = judge.features(self._held_rgb)

    def captions(self, count: int) -> list[str]:
        """Captions in the shares that the training set has them, in a fixed random order."""
        chosen = np.random.default_rng(0).choice(self.data.train, count)
        return [self.data.labels[target] for target in self.data.targets[chosen]]

    def measure(self, rgb: NDArray[np.uint8], captions: list[str]) -> Distribution:
        """Samples uint8 [N, 32, 32, 3] that were drawn for these captions.

        Neighbours are sought among at most MOST_NEIGHBOURS of each side. Raises ValueError
        where a caption is no label, or there are too few samples to measure anything.
        """
        wanted = np.array([self.data.labels.index(caption) for caption in captions])
        found = self.judge.features(rgb)
        rng = np.random.default_rng(0)
        real = self.train[rng.choice(len(self.train), min(len(rgb), len(self.train)), False)]
        few, few_held = found[:MOST_NEIGHBOURS], self.held_out[:MOST_NEIGHBOURS]
        near, dense = precision_recall(few_held, few), density_coverage(few_held, few)
        return Distribution(
            count=len(rgb),
            frechet=frechet_distance(found, self.held_out),
            frechet_real=frechet_distance(real, self.held_out),
            right=self._right(rgb, wanted),
            right_real=self._right(self._held_rgb, self._held_targets),
            precision=near.precision,
            recall=near.recall,
            density=dense.density,
            coverage=dense.coverage,
            copying=copying_share(few, self.train, self.held_out),
        )

    def _right(self, rgb: NDArray[np.uint8], wanted: NDArray[np.int64]) -> float:
        return float((self.judge.probabilities(rgb).argmax(1) == wanted).mean())


def measure_distribution(draw: Draw, dataset: str, count: int) -> dict[str, str]:
    """The figures of a card for a model of a data set with many pictures a caption.

    Raises GenuiError where no classifier of that data is shipped.
    """
    try:
        judge = load_judge(JUDGES[dataset])
    except KeyError:
        raise GenuiError(f"{dataset}: no shipped classifier measures this data") from None
    ruler = Ruler(judge, load_labelled(dataset))
    captions = ruler.captions(count)
    return in_words(ruler.measure(draw(captions, list(range(count))), captions), JUDGES[dataset])


def in_words(found: Distribution, judge: str) -> dict[str, str]:
    """Label to value with its unit, the most telling one first."""
    return {
        "right object": (
            f"{found.right:.0%} by {judge}, which is right of {found.right_real:.0%} of real ones"
        ),
        "Fréchet distance": (
            f"{found.frechet:.2f} to the test set ({found.count:,} samples, own features); as many "
            f"training pictures {found.frechet_real:.2f}"
        ),
        "precision, recall": f"{found.precision:.2f}, {found.recall:.2f} (k 3)",
        "density, coverage": f"{found.density:.2f}, {found.coverage:.2f} (k 5)",
        "copying": f"{found.copying:.3f} are nearer to training than to test pictures (0.5: none)",
    }
