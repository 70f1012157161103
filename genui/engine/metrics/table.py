"""Models of any family on the same data, as the rows of one table."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genui.base.errors import GenuiError, MisuseError
from genui.engine.data.captions import JOINING, split_words
from genui.engine.data.image_labels import load_labelled_images
from genui.engine.data.images import CaptionedImages
from genui.engine.load import find_and_load
from genui.engine.metrics.classifiers import ImageJudge, images_of
from genui.engine.metrics.distance import JUDGES, Distribution, Ruler, nearest
from genui.engine.sample.diffusion import Draws
from genui.logs.native import training_minutes
from genui.protocol.registry import KINDS
from genui.runs.models import ModelInfo, find_model

# --- How many images a model draws for a caption that many images answer to ---------------

# --- How many images a model draws for a word that many images answer to ------------------

WORDS = 25  # that are asked
LEAST = 5  # trained names that have a word, for it to be asked
SEEDS = 8  # a word


Draw = Callable[[list[str]], NDArray[np.float32]]
"""Captions to samples [B, 3, 32, 32] in -1 to 1, from the seeds 0, 1, …"""


class Readings(NamedTuple):
    """Of single words, means over them."""

    different: float  # images that `SEEDS` samples of one word are nearest to, 1 to SEEDS
    bearing: float  # share of the samples whose nearest image has the word in its name
    chance: float  # the same share of images drawn from the set at random


def answers(images: CaptionedImages) -> dict[str, frozenset[int]]:
    """The trained images of each word that `LEAST` of their names have, and is no name."""
    images_of: defaultdict[str, set[int]] = defaultdict(set)
    for index in images.train.tolist():
        for word in split_words(images.captions[index]):
            images_of[word].add(index)
    return {
        word: frozenset(indices)
        for word, indices in sorted(images_of.items())
        if len(indices) >= LEAST and word not in JOINING and word not in images.names
    }


def readings(draw: Draw, images: CaptionedImages) -> Readings | None:
    """Draws words of the set in its usual colours; None where no word has several images."""
    of_word = answers(images)
    if not of_word:
        return None
    rng = np.random.default_rng(0)
    words = rng.permutation(sorted(of_word))[:WORDS].tolist()
    candidates = images.draw_in_colours_of("", images.train).reshape(len(images.train), -1)
    different, bearing = [], []
    for word in words:
        drawn = draw(images.add_usual_colours([word]) * SEEDS).reshape(SEEDS, -1)
        _, rows = nearest(drawn, candidates)
        matches = images.train[rows].tolist()
        different.append(len(set(matches)))
        bearing.append(np.mean([index in of_word[word] for index in matches]))
    chance = np.mean([len(of_word[word]) / len(images.train) for word in words])
    return Readings(float(np.mean(different)), float(np.mean(bearing)), float(chance))


# --- Models of any family on the same data, as the rows of one table --------------------------
# Everything is measured as `distribution.py` says, in the features of the classifier trained here
# on that data; the first row is that of as many real training images.

BATCH = 50
REAL = "real images"

Progress = Callable[[str, int, int], None]
"""Told the model, the samples drawn of it and how many there will be."""


@dataclass(frozen=True)
class Row:
    """One model; `found` is None where it could not be measured, and `fault` says why.

    A sample's milliseconds are those of drawing in batches of BATCH on this machine.
    """

    model: str
    family: str = ""
    parameters: int = 0
    minutes: float | None = None  # of training
    milliseconds: float | None = None  # a sample
    found: Distribution | None = None
    fault: str = ""


def check(models: Sequence[str]) -> tuple[list[ModelInfo], str]:
    """The models and the data set they share.

    Raises MisuseError where one draws no images, they were trained on different data, or no
    classifier of that data is shipped; and what `find_model` raises.
    """
    infos = [find_model(model) for model in models]
    for model, info in zip(models, infos, strict=True):
        if not KINDS[info.family, info.medium].batches:
            raise MisuseError(
                f"{model}: a {info.family} of {info.medium}; the table is of models that draw"
            )
    datasets = list(dict.fromkeys(info.dataset for info in infos))
    if len(datasets) > 1:
        raise MisuseError(
            f"{models[0]} and others were trained on {' and '.join(datasets)}: "
            "only models of the same data can be compared"
        )
    if datasets[0] not in JUDGES:
        raise MisuseError(
            f"{models[0]}: no classifier of {datasets[0]} is here to measure it by; "
            f"known: {', '.join(JUDGES)}"
        )
    return infos, datasets[0]


def rows(models: Sequence[str], count: int, progress: Progress) -> Iterator[Row]:
    """The real images' row and then one a model, each when it is measured; as `check`."""
    infos, dataset = check(models)
    progress("the test set", 0, count)
    ruler = Ruler(ImageJudge.load(JUDGES[dataset]), load_labelled_images(dataset))
    yield Row(REAL, found=_real(ruler, count))
    for model, info in zip(models, infos, strict=True):
        try:
            yield _row(model, info, ruler, count, progress)
        except GenuiError as fault:
            yield Row(model, info.family, info.parameters, fault=str(fault))


def _row(model: str, info: ModelInfo, ruler: Ruler, count: int, progress: Progress) -> Row:
    generator = find_and_load(model)
    if not isinstance(generator, Draws):
        raise MisuseError(f"{model}: draws no batches of images")
    kind = KINDS[info.family, info.medium]
    settings = kind.for_data or kind.defaults
    captions = ruler.captions(count)
    parts, seconds = [], 0.0
    for at in range(0, count, BATCH):
        progress(model, at, count)
        begin = time.perf_counter()
        seeds = list(range(at, min(at + BATCH, count)))
        parts.append(generator.draw(captions[at : at + BATCH], seeds, settings))
        seconds += time.perf_counter() - begin
    return Row(
        model,
        info.family,
        info.parameters,
        training_minutes(info),
        1000 * seconds / count,
        ruler.measure(np.concatenate(parts), captions),
    )


def _real(ruler: Ruler, count: int) -> Distribution:
    """As many training images: what a model that knew the data perfectly would have."""
    chosen = np.random.default_rng(0).choice(ruler.data.train, count, replace=False)
    rgb, targets = images_of(ruler.data, chosen)
    return ruler.measure(rgb, [ruler.data.labels[target] for target in targets])
