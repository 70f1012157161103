"""Generative models as classifiers by Bayes' rule, compared with discriminative models."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

from genui.base.errors import MisuseError, did_you_mean
from genui.engine.data.captions import split_words
from genui.engine.data.image_datasets import IMAGE_DATASETS, load_labelled_images
from genui.engine.data.images import as_floats
from genui.engine.data.text import LABELLED_TEXTS, load_labelled_text
from genui.engine.load import find_and_load
from genui.engine.metrics.classifiers import ImageClassifier, pool, render_images
from genui.engine.models.linear import (
    Linear,
    accuracy,
    calibration_error,
    fit_logistic,
    fit_naive_bayes,
    fit_word_bayes,
    log_loss,
)
from genui.engine.sample.diffusion import DiffusionGenerator
from genui.protocol.kinds import KINDS
from genui.runs.models import find_model

# --- p(label | x) from p(x | label), by Bayes' rule -------------------------------------------
# A diffusion model has no p(x | label), but a bound on it (Kingma et al. 2021, eq. 17; used in this
# way by Li et al. 2023, "Your diffusion model is secretly a zero-shot classifier"):
#
#     -ln p(x | label) <= constant + the integral over ln σ of |x - D(x + σ·noise; σ, label)|² / σ²
#
# The estimate has the same noise for every label, so most of its error cancels.

SIGMAS = (0.1, 10.0)
"""The noise levels. Below them all labels denoise alike, above them the image is not visible."""

BATCH = 128


def posterior(
    generator: DiffusionGenerator, rgb: NDArray[np.uint8], labels: Sequence[str], samples: int
) -> NDArray[np.float32]:
    """p(label | image), float32 [N, labels], for images uint8 [N, 32, 32, 3].

    Labels are captions of the model with a uniform prior. The integral is estimated at `samples`
    noise levels, stratified; the cost is N · labels · samples evaluations of the network.
    """
    rng = np.random.default_rng(0)
    energies = np.empty((len(rgb), len(labels)))
    for row, image in zip(energies, rgb, strict=True):
        row[:] = _energies(generator, image, labels, samples, rng)
    powers = np.exp(-(energies - energies.min(1, keepdims=True)))
    return (powers / powers.sum(1, keepdims=True)).astype(np.float32)


@torch.inference_mode()
def _energies(
    generator: DiffusionGenerator,
    image: NDArray[np.uint8],
    labels: Sequence[str],
    samples: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """The bound on -ln p(image | label) for each label, without the constant: float64 [labels]."""
    token_ids = generator.token_ids(labels)
    clean = torch.from_numpy(as_floats(image))
    if generator.medium.shape[0] == 1:
        clean = clean.mean(dim=0, keepdim=True)
    low, high = np.log(SIGMAS)
    log_sigma = low + (high - low) * (np.arange(samples) + rng.random(samples)) / samples
    sigma = torch.from_numpy(np.exp(log_sigma).astype(np.float32))
    noise = torch.from_numpy(rng.standard_normal((samples, *clean.shape), np.float32))
    clean, sigma, noise = (each.to(token_ids.device) for each in (clean, sigma, noise))
    noisy = clean + sigma.view(-1, 1, 1, 1) * noise
    total = np.zeros(len(labels))
    # One row for each label and sample, label by label.
    for at in range(0, len(labels) * samples, BATCH):
        rows = torch.arange(at, min(at + BATCH, len(labels) * samples))
        label, sample = rows // samples, rows % samples
        denoised = generator.model(noisy[sample], sigma[sample], token_ids[label])
        error = (denoised - clean).square().sum(dim=(1, 2, 3)) / sigma[sample] ** 2
        np.add.at(total, label.numpy(), error.double().cpu().numpy())
    return total * (high - low) / samples


# --- Learning curves of a discriminative model, p(y|x), and a generative one, p(x|y)p(y) -------
# Ng & Jordan 2002. The generative model needs fewer examples; the discriminative one is more
# accurate in the end and better calibrated, since the assumptions about p(x|y) hold only roughly.
# Both are linear in the same features.

COUNTS = (10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 60_000)
REPEATS = 5  # random subsets that are averaged, of small sizes
MANY = 3000  # examples from which one subset is enough
MAX_TESTED = 10_000
WORDS = 2048  # the most frequent words of the training texts

Fit = Callable[[NDArray[np.float32], NDArray[np.int64], int], Linear]


@dataclass(frozen=True, eq=False, kw_only=True)
class Examples:
    """A data set as features, and the two models to fit."""

    name: str
    features: str  # a description: "256 averages of 2×2 pixels"
    labels: tuple[str, ...]
    x: NDArray[np.float32]  # [N, D]
    targets: NDArray[np.int64]  # [N]
    test_x: NDArray[np.float32]  # [M, D]
    test_targets: NDArray[np.int64]  # [M]
    pair: Mapping[str, Fit]  # "discriminative" and "generative"


@dataclass(frozen=True)
class Scores:
    """A model's metrics on the held-out examples."""

    accuracy: float
    log_loss: float  # nats
    calibration_error: float  # expected


@dataclass(frozen=True)
class Point:
    """Both models after training on `examples` examples, averaged over random subsets."""

    examples: int
    scores: Mapping[str, Scores]  # "discriminative" and "generative"


def load_examples(dataset: str, data: str = "") -> Examples:
    """The features of a labelled data set of images or texts.

    Raises MisuseError or GenuiError as `load_labelled_images` and `load_labelled_text` do.
    """
    if dataset in LABELLED_TEXTS:
        return _texts(dataset, data)
    if dataset in IMAGE_DATASETS:
        return _images(dataset, data)
    known = (*IMAGE_DATASETS, *LABELLED_TEXTS)
    raise MisuseError(f"no labelled data '{dataset}': {did_you_mean(dataset, known)}")


def learning_curves(examples: Examples, counts: Sequence[int] = (), repeats: int = REPEATS,
           seed: int = 0) -> Iterator[Point]:  # fmt: skip
    """The scores for each number of training examples, in ascending order.

    `counts` are COUNTS by default, up to the size of the data. Raises MisuseError for a count below
    2 or above that size.
    """
    size = len(examples.x)
    sizes = sorted(set(counts)) or [*(n for n in COUNTS if n < size), min(size, COUNTS[-1])]
    if sizes[0] < 2 or sizes[-1] > size:
        wrong = sizes[0] if sizes[0] < 2 else sizes[-1]
        raise MisuseError(
            f"{wrong:,} examples: {examples.name} has {size:,} to train on; give 2 or more"
        )
    for count in sizes:
        subsets = 1 if count >= MANY or count == size else repeats
        results: dict[str, list[Scores]] = {name: [] for name in examples.pair}
        for subset in range(subsets):
            rng = np.random.default_rng((seed, count, subset))
            chosen = rng.choice(size, count, replace=False)
            for name, fit in examples.pair.items():
                model = fit(examples.x[chosen], examples.targets[chosen], len(examples.labels))
                p = model.probabilities(examples.test_x)
                results[name].append(scores(p, examples.test_targets))
        yield Point(count, MappingProxyType({k: _mean(each) for k, each in results.items()}))


def scores(p: NDArray[np.floating], targets: NDArray[np.int64]) -> Scores:
    """The scores of probabilities [N, labels] for true labels [N]."""
    return Scores(accuracy(p, targets), log_loss(p, targets), calibration_error(p, targets))


def _mean(scores: Sequence[Scores]) -> Scores:
    columns = zip(*map(astuple, scores), strict=True)
    return Scores(*(float(np.mean(column)) for column in columns))


def _images(dataset: str, data: str) -> Examples:
    labelled = load_labelled_images(dataset, data)
    rgb, targets = render_images(labelled, labelled.train, seed=1)
    test_rgb, test_targets = render_images(labelled, labelled.held_out[:MAX_TESTED])
    x = pool(rgb)
    return Examples(
        name=labelled.images.name,
        features=f"{x.shape[1]} averages of 2×2 pixels",
        labels=labelled.labels,
        x=x,
        targets=targets,
        test_x=pool(test_rgb),
        test_targets=test_targets,
        pair=MappingProxyType({"discriminative": fit_logistic, "generative": fit_naive_bayes}),
    )


def _texts(dataset: str, data: str) -> Examples:
    labelled = load_labelled_text(dataset, data)
    counts = Counter(word for text, _ in labelled.train for word in split_words(text))
    common = sorted(counts, key=lambda word: (-counts[word], word))[:WORDS]
    index = {word: i for i, word in enumerate(common)}

    def count_words(texts: Sequence[tuple[str, int]]) -> NDArray[np.float32]:
        x = np.zeros((len(texts), len(index)), np.float32)
        for row, (text, _) in zip(x, texts, strict=True):
            for word in split_words(text):
                if word in index:
                    row[index[word]] += 1
        return x

    return Examples(
        name=labelled.name,
        features=f"counts of {len(index):,} words",
        labels=labelled.labels,
        x=count_words(labelled.train),
        targets=np.array([label for _, label in labelled.train], np.int64),
        test_x=count_words(labelled.validation),
        test_targets=np.array([label for _, label in labelled.validation], np.int64),
        pair=MappingProxyType({"discriminative": fit_logistic, "generative": fit_word_bayes}),
    )


# --- Trained models: a classifier, or a diffusion model by Bayes' rule ------------------------

DRAWS = 16  # noise levels per label, for the bound on p(image | label)


@dataclass(frozen=True)
class ModelScores:
    """A trained model as a classifier of held-out images."""

    model: str
    question: str  # "discriminative" or "generative"
    examples: int  # training images
    tested: int  # held-out images
    scores: Scores


def score_model(model: str, dataset: str, tested: int) -> ModelScores:
    """The scores of a model on `tested` held-out images.

    Raises MisuseError for a model of other data or without labels, and what `find_model` raises.
    """
    info = find_model(model)
    kind = KINDS[info.family, info.medium]
    if info.dataset != dataset or not (kind.labels or kind.batches):
        raise MisuseError(
            f"{model}: a model of {info.dataset} ({info.medium}); name one of {dataset} images"
        )
    data = load_labelled_images(dataset)
    rng = np.random.default_rng(0)
    chosen = rng.permutation(data.held_out)[:tested]
    rgb, targets = render_images(data, chosen)
    if kind.labels:
        classifier = ImageClassifier.load(model)
        if classifier.labels != data.labels:
            raise MisuseError(f"{model}: its labels are not those of {dataset}; train it again")
        p, question = classifier.probabilities(rgb), "discriminative"
    else:
        generator = find_and_load(model)
        if not isinstance(generator, DiffusionGenerator) or data.images.scheme != "plain":
            raise MisuseError(
                f"{model}: only a diffusion model whose captions are the labels gives "
                "p(image | label); fashion is one"
            )
        p, question = posterior(generator, rgb, data.labels, DRAWS), "generative"
    return ModelScores(model, question, len(data.train), len(chosen), scores(p, targets))
