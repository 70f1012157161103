"""Two questions of one data set (Ng & Jordan 2002): p(y|x) learned, and p(x|y)p(y) by Bayes' rule.

The discriminative model needs more examples and ends better; the generative one is there sooner
and is worse calibrated, since what it assumes of x is never quite so. Both are linear in the same
features, so that nothing differs but the question.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from genui.engine.data.captions import split_words
from genui.engine.data.labelled_text import LABELLED_TEXTS, load_labelled_text
from genui.engine.data.picture_labels import load_labelled
from genui.engine.data.pictures import PICTURE_SETS
from genui.engine.probes.calibration import accuracy, calibration_error, log_loss
from genui.engine.probes.judge import pictures_of, pooled
from genui.engine.probes.linear import (
    Linear,
    fit_logistic,
    fit_naive_bayes,
    fit_word_bayes,
)
from genui.errors import MisuseError, did_you_mean

COUNTS = (10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 60_000)
REPEATS = 5  # draws of the examples, where they are few; their mean is the point
MANY = 3000  # examples: one draw is enough from here on
MOST_TESTED = 10_000
WORDS = 2048  # the commonest words of the training texts

Fit = Callable[[NDArray[np.float32], NDArray[np.int64], int], Linear]


@dataclass(frozen=True, eq=False, kw_only=True)
class Examples:
    """One data set as rows of features, and the pair of models that suits them."""

    name: str
    features: str  # in words: "256 pixels"
    labels: tuple[str, ...]
    x: NDArray[np.float32]  # [N, D], to train on
    targets: NDArray[np.int64]  # [N]
    test_x: NDArray[np.float32]
    test_targets: NDArray[np.int64]
    pair: Mapping[str, Fit]  # "discriminative" and "generative"


@dataclass(frozen=True)
class Scores:
    """How a model answers the held-out examples."""

    accuracy: float
    log_loss: float  # nats
    calibration_error: float  # expected


@dataclass(frozen=True)
class Point:
    """Both models after `examples` of training, averaged over draws of them."""

    examples: int
    scores: Mapping[str, Scores]  # "discriminative" and "generative"


def load_examples(dataset: str, data: str = "") -> Examples:
    """The labelled pictures or texts of that name, as features.

    Raises MisuseError or GenuiError as `load_labelled` and `load_labelled_text` do.
    """
    if dataset in LABELLED_TEXTS:
        return _texts(dataset, data)
    if dataset in PICTURE_SETS:
        return _pictures(dataset, data)
    known = (*PICTURE_SETS, *LABELLED_TEXTS)
    raise MisuseError(f"no labelled data '{dataset}': {did_you_mean(dataset, known)}")


def curves(examples: Examples, counts: Sequence[int] = (), repeats: int = REPEATS,
           seed: int = 0) -> Iterator[Point]:  # fmt: skip
    """A point a number of training examples, the fewest first, as soon as it is known.

    `counts` are by default COUNTS as far as there are so many examples. Raises MisuseError for a
    count that there is not.
    """
    there = len(examples.x)
    wanted = sorted(set(counts)) or [*(n for n in COUNTS if n < there), min(there, COUNTS[-1])]
    if wanted[0] < 2 or wanted[-1] > there:
        wrong = wanted[0] if wanted[0] < 2 else wanted[-1]
        raise MisuseError(
            f"{wrong:,} examples: {examples.name} has {there:,} to train on, and two are the least"
        )
    for count in wanted:
        draws = 1 if count >= MANY or count == there else repeats
        found: dict[str, list[Scores]] = {name: [] for name in examples.pair}
        for draw in range(draws):
            rng = np.random.default_rng((seed, count, draw))
            chosen = rng.choice(there, count, replace=False)
            for name, fit in examples.pair.items():
                model = fit(examples.x[chosen], examples.targets[chosen], len(examples.labels))
                found[name].append(
                    scores(model.probabilities(examples.test_x), examples.test_targets)
                )
        yield Point(count, MappingProxyType({k: _mean(each) for k, each in found.items()}))


def scores(p: NDArray[np.floating], targets: NDArray[np.int64]) -> Scores:
    """Of probabilities [N, labels] and true labels [N]."""
    return Scores(accuracy(p, targets), log_loss(p, targets), calibration_error(p, targets))


def _mean(scores: Sequence[Scores]) -> Scores:
    return Scores(
        float(np.mean([each.accuracy for each in scores])),
        float(np.mean([each.log_loss for each in scores])),
        float(np.mean([each.calibration_error for each in scores])),
    )


def _pictures(dataset: str, data: str) -> Examples:
    labelled = load_labelled(dataset, data)
    rgb, targets = pictures_of(labelled, labelled.train, seed=1)
    test_rgb, test_targets = pictures_of(labelled, labelled.held_out[:MOST_TESTED])
    x = pooled(rgb)
    return Examples(
        name=labelled.pictures.name,
        features=f"{x.shape[1]} averages of 2×2 pixels",
        labels=labelled.labels,
        x=x,
        targets=targets,
        test_x=pooled(test_rgb),
        test_targets=test_targets,
        pair=MappingProxyType({"discriminative": fit_logistic, "generative": fit_naive_bayes}),
    )


def _texts(dataset: str, data: str) -> Examples:
    """Texts as counts of the commonest words."""
    labelled = load_labelled_text(dataset, data)
    counts: dict[str, int] = {}
    for text, _ in labelled.train:
        for word in split_words(text):
            counts[word] = counts.get(word, 0) + 1
    common = sorted(counts, key=lambda word: (-counts[word], word))[:WORDS]
    number = {word: i for i, word in enumerate(common)}

    def rows(texts: Sequence[tuple[str, int]]) -> NDArray[np.float32]:
        x = np.zeros((len(texts), len(number)), np.float32)
        for row, (text, _) in zip(x, texts, strict=True):
            for word in split_words(text):
                if word in number:
                    row[number[word]] += 1
        return x

    return Examples(
        name=labelled.name,
        features=f"counts of {len(number):,} words",
        labels=labelled.labels,
        x=rows(labelled.train),
        targets=np.array([label for _, label in labelled.train], np.int64),
        test_x=rows(labelled.validation),
        test_targets=np.array([label for _, label in labelled.validation], np.int64),
        pair=MappingProxyType({"discriminative": fit_logistic, "generative": fit_word_bayes}),
    )
