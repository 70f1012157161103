"""What synthetic data is worth: a classifier trained on it, tested on real pictures.

The classification accuracy score (Ravuri & Vinyals 2019): beside it stands the accuracy of the
same classifier, trained as long on as many real pictures.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from genui.engine import device
from genui.engine.data.folder import load_folder
from genui.engine.data.picture_labels import LabelledPictures, load_labelled
from genui.engine.models.convnet import ConvNet
from genui.engine.probes.judge import Judge, pictures_of
from genui.engine.train.classifier_task import ImageClassifierTask
from genui.engine.train.optimizer import Optimizers, gradient_norm
from genui.engine.train.task import sides_of
from genui.errors import MisuseError
from genui.recipes.classifier import ImageClassifierRecipe

Progress = Callable[[str, int, int], None]
"""Told what is trained, the steps done and the steps there are."""


@dataclass(frozen=True)
class Score:
    """A classifier by what it was trained on; `right` is its share of the real test set."""

    trained_on: str
    pictures: int
    right: float


@dataclass(frozen=True)
class Worth:
    """What came of it: the scores, and what both classifiers share."""

    scores: tuple[Score, ...]
    labels: int
    test: int  # real pictures they were tested on
    steps: int
    notes: tuple[str, ...] = ()


def worth(folder: Path, dataset: str, steps: int, seed: int, progress: Progress) -> Worth:
    """The worth of the pictures in `folder`, whose captions are labels of `dataset`.

    Raises MisuseError where no caption is a label, or only one is; and what `load_folder` and
    `load_labelled` raise.
    """
    real = load_labelled(dataset)
    made, notes = _labelled_as(real, folder)
    rng = np.random.default_rng(seed)
    count = min(len(made.train), len(real.train))
    few = replace(real, train=np.sort(rng.choice(real.train, count, replace=False)))
    made = replace(made, train=made.train[:count])
    rgb, targets = pictures_of(real, real.held_out)
    scores = []
    for name, data in (("real", few), ("generated", made)):
        judge = trained(data, steps, seed, lambda done, name=name: progress(name, done, steps))
        scores.append(Score(name, count, _right(judge, rgb, targets)))
    return Worth(tuple(scores), len(real.labels), len(targets), steps, notes)


def trained(
    data: LabelledPictures, steps: int, seed: int, progress: Callable[[int], None]
) -> Judge:
    """A classifier trained for so many steps of 128 pictures, with the usual augmentation."""
    recipe = ImageClassifierRecipe(
        name="worth", dataset=data.pictures.name, steps=steps, seed=seed, warmup=min(100, steps)
    )
    place = torch.device(device.choose_device())
    task = ImageClassifierTask(recipe, place, data=data)
    optimizers = Optimizers(sides_of(task), recipe)
    task.model.train()
    for step in range(steps):
        loss = task.loss(step)
        loss.backward()
        gradient_norm(task.model.parameters(), recipe.grad_clip)
        optimizers.step(step, sides_of(task)[0])
        progress(step + 1)
    assert isinstance(task.model, ConvNet)
    return Judge(task.model, data.labels)


def _labelled_as(real: LabelledPictures, folder: Path) -> tuple[LabelledPictures, tuple[str, ...]]:
    """The folder's pictures under the labels of the real ones, all to train on."""
    pictures = load_folder(folder)
    number = {label: i for i, label in enumerate(real.labels)}
    targets = np.array([number.get(caption, -1) for caption in pictures.captions])
    known = np.flatnonzero(targets >= 0)
    kinds = np.unique(targets[known])
    if len(kinds) < 2:
        found = f"only {real.labels[kinds[0]]!r}" if len(kinds) else "none"
        raise MisuseError(
            f"{folder}: of the {len(real.labels)} labels of {real.pictures.name} its captions "
            f"have {found}; generate without --prompt, so that all of them come"
        )
    notes = list(pictures.notes)
    if len(known) < len(targets):
        notes.append(f"{len(targets) - len(known):,} captions are no label and left out")
    missing = len(real.labels) - len(kinds)
    if missing:
        notes.append(f"{missing} of {len(real.labels)} labels have no generated picture")
    order: NDArray[np.int64] = np.random.default_rng(0).permutation(known)
    data = LabelledPictures(
        pictures=pictures,
        labels=real.labels,
        targets=targets,
        train=order,
        held_out=np.empty(0, np.int64),
    )
    return data, tuple(notes)


def _right(judge: Judge, rgb: NDArray[np.uint8], targets: NDArray[np.int64]) -> float:
    return float((judge.probabilities(rgb).argmax(1) == targets).mean())
