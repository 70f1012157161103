"""Train on synthetic images, test on real ones.

The classification accuracy score (Ravuri & Vinyals 2019), compared with the same classifier trained
for as many steps on as many real images.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from genui.base.errors import MisuseError
from genui.engine import device
from genui.engine.data.image_datasets import LabelledImages, load_labelled_images, load_own
from genui.engine.metrics.classifiers import ImageClassifier, render_images
from genui.engine.models.classifiers import ConvNet
from genui.engine.models.linear import accuracy
from genui.engine.train.classifier import ImageClassifierTask
from genui.engine.train.optimizer import Optimizers, gradient_norm
from genui.engine.train.task import players_of
from genui.recipes.classifier import ImageClassifierRecipe

Progress = Callable[[str, int, int], None]
"""Called with the name of the training data, the steps done and the number of steps."""


@dataclass(frozen=True)
class Score:
    """A classifier by its training data; `right` is its accuracy on the real test set."""

    trained_on: str
    images: int
    right: float


@dataclass(frozen=True)
class SyntheticScores:
    """The scores, and the facts that hold for both classifiers."""

    scores: tuple[Score, ...]
    labels: int
    test: int  # real test images
    steps: int
    notes: tuple[str, ...] = ()


def score_synthetic(
    folder: Path, dataset: str, steps: int, seed: int, progress: Progress
) -> SyntheticScores:
    """The scores of classifiers trained on `dataset` and on the images of `folder`, whose captions
    are labels of `dataset`.

    Raises MisuseError if fewer than two labels are captions, and what `load_own` and
    `load_labelled_images` raise.
    """
    real = load_labelled_images(dataset)
    generated, notes = _load_generated(real, folder)
    rng = np.random.default_rng(seed)
    count = min(len(generated.train), len(real.train))
    few = replace(real, train=np.sort(rng.choice(real.train, count, replace=False)))
    generated = replace(generated, train=generated.train[:count])
    rgb, targets = render_images(real, real.held_out)
    scores = []
    for name, data in (("real", few), ("generated", generated)):
        classifier = train_classifier(
            data, steps, seed, lambda done, name=name: progress(name, done, steps)
        )
        scores.append(Score(name, count, accuracy(classifier.probabilities(rgb), targets)))
    return SyntheticScores(tuple(scores), len(real.labels), len(targets), steps, notes)


def train_classifier(
    data: LabelledImages, steps: int, seed: int, progress: Callable[[int], None]
) -> ImageClassifier:
    """A classifier trained for `steps` steps of 128 images, with the usual augmentation."""
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


def _load_generated(real: LabelledImages, folder: Path) -> tuple[LabelledImages, tuple[str, ...]]:
    """The folder's images with the labels of the real data, all for training, and notes."""
    images = load_own(folder)
    index = {label: i for i, label in enumerate(real.labels)}
    targets = np.array([index.get(caption, -1) for caption in images.captions])
    known = np.flatnonzero(targets >= 0)
    present = np.unique(targets[known])
    if len(present) < 2:
        matches = f"only {real.labels[present[0]]!r}" if len(present) else "none"
        raise MisuseError(
            f"{folder}: of the {len(real.labels)} labels of {real.images.name} its captions "
            f"have {matches}; generate without --prompt, so that there are images of every label"
        )
    notes = list(images.notes)
    if len(known) < len(targets):
        notes.append(f"{len(targets) - len(known):,} captions are not labels and were left out")
    missing = len(real.labels) - len(present)
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
