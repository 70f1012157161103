"""Generative models beside classifiers: Bayes' rule, learning curves, synthetic data."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

from genui.base.errors import MisuseError, did_you_mean
from genui.engine import device
from genui.engine.data.captions import split_words
from genui.engine.data.image_files import load_folder
from genui.engine.data.image_labels import LabelledImages, load_labelled_images
from genui.engine.data.images import IMAGE_DATASETS, as_floats
from genui.engine.data.text import LABELLED_TEXTS, load_labelled_text
from genui.engine.load import find_and_load
from genui.engine.metrics.classifiers import ImageJudge, images_of, pooled
from genui.engine.models.classifiers import ConvNet
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
from genui.engine.train.classifier import ImageClassifierTask
from genui.engine.train.optimizer import Optimizers, gradient_norm
from genui.engine.train.task import players_of
from genui.protocol.registry import KINDS
from genui.recipes.classifier import ImageClassifierRecipe
from genui.runs.models import find_model

# --- p(label | x) from p(x | label), by Bayes' rule -------------------------------------------
# A diffusion model gives no p(x | label), but a bound of it (Kingma et al. 2021, eq. 17; used so by
# Li et al. 2023, "Your diffusion model is secretly a zero-shot classifier"):
#
#     -ln p(x | label) <= constant + the integral over ln σ of |x - D(x + σ·noise; σ, label)|² / σ²
#
# which is estimated with the same noise for every label, so that most of its error cancels.

SIGMAS = (0.1, 10.0)
"""Below it every label denoises alike, above it none sees the image."""

BATCH = 128


def posterior(
    generator: DiffusionGenerator, rgb: NDArray[np.uint8], labels: Sequence[str], draws: int
) -> NDArray[np.float32]:
    """p(label | image), float32 [N, labels], of images uint8 [N, 32, 32, 3].

    Labels are captions of the model, equally likely before the image is seen. `draws` is how
    many noise levels the integral is estimated by, stratified; the cost is N · labels · draws
    evaluations of the network.
    """
    rng = np.random.default_rng(0)
    energies = np.empty((len(rgb), len(labels)))
    for row, image in zip(energies, rgb, strict=True):
        row[:] = _energies(generator, image, labels, draws, rng)
    powers = np.exp(-(energies - energies.min(1, keepdims=True)))
    return (powers / powers.sum(1, keepdims=True)).astype(np.float32)


@torch.inference_mode()
def _energies(
    generator: DiffusionGenerator,
    image: NDArray[np.uint8],
    labels: Sequence[str],
    draws: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """The bound on -ln p(image | label) of each label, without its constant."""
    token_ids = generator.token_ids(labels)
    clean = torch.from_numpy(as_floats(image))
    if generator.medium.shape[0] == 1:
        clean = clean.mean(dim=0, keepdim=True)
    low, high = np.log(SIGMAS)
    log_sigma = low + (high - low) * (np.arange(draws) + rng.random(draws)) / draws
    sigma = torch.from_numpy(np.exp(log_sigma).astype(np.float32))
    noise = torch.from_numpy(rng.standard_normal((draws, *clean.shape), np.float32))
    clean, sigma, noise = (each.to(token_ids.device) for each in (clean, sigma, noise))
    noisy = clean + sigma.view(-1, 1, 1, 1) * noise
    total = np.zeros(len(labels))
    # One row a label and draw, the draws of a label beside each other.
    for at in range(0, len(labels) * draws, BATCH):
        rows = torch.arange(at, min(at + BATCH, len(labels) * draws))
        label, draw = rows // draws, rows % draws
        denoised = generator.model(noisy[draw], sigma[draw], token_ids[label])
        error = (denoised - clean).square().sum(dim=(1, 2, 3)) / sigma[draw] ** 2
        np.add.at(total, label.numpy(), error.double().cpu().numpy())
    return total * (high - low) / draws


# --- Two questions of one dataset: p(y|x) learned, and p(x|y)p(y) by Bayes' rule -------------
# Ng & Jordan 2002.
# The discriminative model needs more examples and ends better; the generative one is there sooner
# and is worse calibrated, since what it assumes of x is never quite so. Both are linear in the same
# features, so that nothing differs but the question.

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
    """The labelled images or texts of that name, as features.

    Raises MisuseError or GenuiError as `load_labelled_images` and `load_labelled_text` do.
    """
    if dataset in LABELLED_TEXTS:
        return _texts(dataset, data)
    if dataset in IMAGE_DATASETS:
        return _images(dataset, data)
    known = (*IMAGE_DATASETS, *LABELLED_TEXTS)
    raise MisuseError(f"no labelled data '{dataset}': {did_you_mean(dataset, known)}")


def curves(examples: Examples, counts: Sequence[int] = (), repeats: int = REPEATS,
           seed: int = 0) -> Iterator[Point]:  # fmt: skip
    """A point a number of training examples, the fewest first, as soon as it is known.

    `counts` are by default COUNTS as far as there are so many examples. Raises MisuseError for a
    count that there is not.
    """
    there = len(examples.x)
    sizes = sorted(set(counts)) or [*(n for n in COUNTS if n < there), min(there, COUNTS[-1])]
    if sizes[0] < 2 or sizes[-1] > there:
        wrong = sizes[0] if sizes[0] < 2 else sizes[-1]
        raise MisuseError(
            f"{wrong:,} examples: {examples.name} has {there:,} to train on, and two are the least"
        )
    for count in sizes:
        draws = 1 if count >= MANY or count == there else repeats
        measured: dict[str, list[Scores]] = {name: [] for name in examples.pair}
        for draw in range(draws):
            rng = np.random.default_rng((seed, count, draw))
            chosen = rng.choice(there, count, replace=False)
            for name, fit in examples.pair.items():
                model = fit(examples.x[chosen], examples.targets[chosen], len(examples.labels))
                measured[name].append(
                    scores(model.probabilities(examples.test_x), examples.test_targets)
                )
        yield Point(count, MappingProxyType({k: _mean(each) for k, each in measured.items()}))


def scores(p: NDArray[np.floating], targets: NDArray[np.int64]) -> Scores:
    """Of probabilities [N, labels] and true labels [N]."""
    return Scores(accuracy(p, targets), log_loss(p, targets), calibration_error(p, targets))


def _mean(scores: Sequence[Scores]) -> Scores:
    return Scores(
        float(np.mean([each.accuracy for each in scores])),
        float(np.mean([each.log_loss for each in scores])),
        float(np.mean([each.calibration_error for each in scores])),
    )


def _images(dataset: str, data: str) -> Examples:
    labelled = load_labelled_images(dataset, data)
    rgb, targets = images_of(labelled, labelled.train, seed=1)
    test_rgb, test_targets = images_of(labelled, labelled.held_out[:MOST_TESTED])
    x = pooled(rgb)
    return Examples(
        name=labelled.images.name,
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


# --- The same two questions answered by models already trained: a classifier, and Bayes' rule -

DRAWS = 16  # noise levels a label that the bound on p(image | label) is estimated by


@dataclass(frozen=True)
class Answer:
    """How a trained model labels held-out images."""

    model: str
    question: str  # "discriminative" or "generative"
    examples: int  # images that it was trained on
    tested: int
    scores: Scores


def answer(model: str, dataset: str, tested: int) -> Answer:
    """What a classifier, or a diffusion model by Bayes' rule, says of so many held-out images.

    Raises MisuseError for a model of other data or of no labels, and what `find_model` raises.
    """
    info = find_model(model)
    kind = KINDS[info.family, info.medium]
    if info.dataset != dataset or not (kind.judge or kind.batches):
        raise MisuseError(
            f"{model}: a model of {info.dataset} ({info.medium}); name one of {dataset} images"
        )
    data = load_labelled_images(dataset)
    rng = np.random.default_rng(0)
    chosen = rng.permutation(data.held_out)[:tested]
    rgb, targets = images_of(data, chosen)
    if kind.judge:
        judge = ImageJudge.load(model)
        if judge.labels != data.labels:
            raise MisuseError(f"{model}: its labels are not those of {dataset}; train it anew")
        p, question = judge.probabilities(rgb), "discriminative"
    else:
        generator = find_and_load(model)
        if not isinstance(generator, DiffusionGenerator) or data.images.scheme != "plain":
            raise MisuseError(
                f"{model}: only a diffusion model whose captions are the labels gives "
                "p(image | label); fashion is one"
            )
        p, question = posterior(generator, rgb, data.labels, DRAWS), "generative"
    return Answer(model, question, len(data.train), len(chosen), scores(p, targets))


# --- What synthetic data is worth: a classifier trained on it, tested on real images --------
# The classification accuracy score (Ravuri & Vinyals 2019): beside it stands the accuracy of the
# same classifier, trained as long on as many real images.

Progress = Callable[[str, int, int], None]
"""Told what is trained, the steps done and the steps there are."""


@dataclass(frozen=True)
class Score:
    """A classifier by what it was trained on; `right` is its share of the real test set."""

    trained_on: str
    images: int
    right: float


@dataclass(frozen=True)
class Worth:
    """What came of it: the scores, and what both classifiers share."""

    scores: tuple[Score, ...]
    labels: int
    test: int  # real images they were tested on
    steps: int
    notes: tuple[str, ...] = ()


def worth(folder: Path, dataset: str, steps: int, seed: int, progress: Progress) -> Worth:
    """The worth of the images in `folder`, whose captions are labels of `dataset`.

    Raises MisuseError where no caption is a label, or only one is; and what `load_folder` and
    `load_labelled_images` raise.
    """
    real = load_labelled_images(dataset)
    made, notes = _labelled_as(real, folder)
    rng = np.random.default_rng(seed)
    count = min(len(made.train), len(real.train))
    few = replace(real, train=np.sort(rng.choice(real.train, count, replace=False)))
    made = replace(made, train=made.train[:count])
    rgb, targets = images_of(real, real.held_out)
    scores = []
    for name, data in (("real", few), ("generated", made)):
        judge = trained(data, steps, seed, lambda done, name=name: progress(name, done, steps))
        scores.append(Score(name, count, _right(judge, rgb, targets)))
    return Worth(tuple(scores), len(real.labels), len(targets), steps, notes)


def trained(
    data: LabelledImages, steps: int, seed: int, progress: Callable[[int], None]
) -> ImageJudge:
    """A classifier trained for so many steps of 128 images, with the usual augmentation."""
    recipe = ImageClassifierRecipe(
        name="worth", dataset=data.images.name, steps=steps, seed=seed, warmup=min(100, steps)
    )
    place = torch.device(device.choose_device())
    task = ImageClassifierTask(recipe, place, data=data)
    optimizers = Optimizers(players_of(task), recipe)
    task.model.train()
    for step in range(steps):
        loss = task.loss(step)
        loss.backward()
        gradient_norm(task.model.parameters(), recipe.grad_clip)
        optimizers.step(step, players_of(task)[0])
        progress(step + 1)
    assert isinstance(task.model, ConvNet)
    return ImageJudge(task.model, data.labels)


def _labelled_as(real: LabelledImages, folder: Path) -> tuple[LabelledImages, tuple[str, ...]]:
    """The folder's images under the labels of the real ones, all to train on."""
    images = load_folder(folder)
    number = {label: i for i, label in enumerate(real.labels)}
    targets = np.array([number.get(caption, -1) for caption in images.captions])
    known = np.flatnonzero(targets >= 0)
    kinds = np.unique(targets[known])
    if len(kinds) < 2:
        matches = f"only {real.labels[kinds[0]]!r}" if len(kinds) else "none"
        raise MisuseError(
            f"{folder}: of the {len(real.labels)} labels of {real.images.name} its captions "
            f"have {matches}; generate without --prompt, so that all of them come"
        )
    notes = list(images.notes)
    if len(known) < len(targets):
        notes.append(f"{len(targets) - len(known):,} captions are no label and left out")
    missing = len(real.labels) - len(kinds)
    if missing:
        notes.append(f"{missing} of {len(real.labels)} labels have no generated image")
    order: NDArray[np.int64] = np.random.default_rng(0).permutation(known)
    data = LabelledImages(
        images=images,
        labels=real.labels,
        targets=targets,
        train=order,
        held_out=np.empty(0, np.int64),
    )
    return data, tuple(notes)


def _right(judge: ImageJudge, rgb: NDArray[np.uint8], targets: NDArray[np.int64]) -> float:
    return float((judge.probabilities(rgb).argmax(1) == targets).mean())
