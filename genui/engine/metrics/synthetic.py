"""Train on synthetic images, test on real ones.

The classification accuracy score (Ravuri & Vinyals 2019), beside the accuracy of the same
classifier trained for as many steps on as many real images.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from genui.base.errors import MisuseError
from genui.engine import device
from genui.engine.data.image_files import load_folder
from genui.engine.data.image_labels import LabelledImages, load_labelled_images
from genui.engine.metrics.classifiers import ImageClassifier, images_of
from genui.engine.models.classifiers import ConvNet
from genui.engine.train.classifier import ImageClassifierTask
from genui.engine.train.optimizer import Optimizers, gradient_norm
from genui.engine.train.task import players_of
from genui.recipes.classifier import ImageClassifierRecipe

Progress = Callable[[str, int, int], None]
"""Called with what is trained on, the steps done and the number of steps."""


@dataclass(frozen=True)
class Score:
    """A classifier by what it was trained on; `right` is its share of the real test set."""

    trained_on: str
    images: int
    right: float


@dataclass(frozen=True)
class SyntheticScores:
    """The scores, and what both classifiers have in common."""

    scores: tuple[Score, ...]
    labels: int
    test: int  # real images they were tested on
    steps: int
    notes: tuple[str, ...] = ()


def score_synthetic(
    folder: Path, dataset: str, steps: int, seed: int, progress: Progress
) -> SyntheticScores:
    """How well the images in `folder`, whose captions are labels of `dataset`, train a classifier.

    Raises MisuseError where no caption is a label, or only one is; and what `load_folder` and
    `load_labelled_images` raise.
    """
    real = load_labelled_images(dataset)
    generated, notes = _labelled_as(real, folder)
    rng = np.random.default_rng(seed)
    count = min(len(generated.train), len(real.train))
    few = replace(real, train=np.sort(rng.choice(real.train, count, replace=False)))
    generated = replace(generated, train=generated.train[:count])
    rgb, targets = images_of(real, real.held_out)
    scores = []
    for name, data in (("real", few), ("generated", generated)):
        classifier = train_classifier(
            data, steps, seed, lambda done, name=name: progress(name, done, steps)
        )
        scores.append(Score(name, count, _right(classifier, rgb, targets)))
    return SyntheticScores(tuple(scores), len(real.labels), len(targets), steps, notes)


def train_classifier(
    data: LabelledImages, steps: int, seed: int, progress: Callable[[int], None]
) -> ImageClassifier:
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
    return ImageClassifier(task.model, data.labels)


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
            f"have {matches}; generate without --prompt, so that there are images of every label"
        )
    notes = list(images.notes)
    if len(known) < len(targets):
        notes.append(f"{len(targets) - len(known):,} captions are not labels and were left out")
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


def _right(
    classifier: ImageClassifier, rgb: NDArray[np.uint8], targets: NDArray[np.int64]
) -> float:
    return float((classifier.probabilities(rgb).argmax(1) == targets).mean())
