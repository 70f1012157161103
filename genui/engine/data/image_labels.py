"""Labels of images, for classifiers: the caption, or what the dataset derives from it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genui.base.errors import MisuseError
from genui.engine.data.images import CaptionedImages, load_images, shuffle_key, with_notes
from genui.engine.data.preparation import QUIET, Preparation
from genui.recipes.classifier import ImageClassifierRecipe

FEWEST = 12  # names of a kind; a kind with fewer is dropped
HELD_OUT_ONE_IN = 6  # if a dataset has no test set of its own
CAPTION_FEWEST = 2  # images of a caption, for it to be a label


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelledImages:
    """Images with labels. Images without a label are neither trained on nor held out."""

    images: CaptionedImages
    labels: tuple[str, ...]
    targets: NDArray[np.int64]  # [N], -1 for an image without a label
    train: NDArray[np.int64]  # indices
    held_out: NDArray[np.int64]  # indices never trained

    def batch(
        self, indices: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Images [B, 3, 32, 32] in -1 to 1, in random colours, and their labels [B]."""
        return self.images.batch(indices, rng).rgb, self.targets[indices]


def load_labelled_images(
    dataset: str, data: str = "", preparation: Preparation = QUIET
) -> LabelledImages:
    """Load a dataset, or the user's folder, with labels.

    The labels are the captions, or what the dataset's `label_of` returns for them. Raises
    MisuseError if there are fewer than two usable labels, and whatever `load_images` raises.
    """
    images = load_images(dataset, data, preparation=preparation)
    label_of_image = images.captions
    if images.label_of:
        label_of_image = tuple(map(images.label_of, images.captions))
    counts = Counter(label_of_image)
    fewest = FEWEST if images.label_of else CAPTION_FEWEST
    labels = tuple(label for label in counts if label and counts[label] >= fewest)
    source = data or dataset
    if len(counts) == 1:
        raise MisuseError(
            f"{source}: every image is {label_of_image[0]!r}; "
            "a classifier needs two labels at the least"
        )
    if len(labels) < 2:
        raise MisuseError(
            f"{source}: no two captions stand at {fewest} images or more; "
            "a classifier needs several images of each label"
        )
    index_of = {label: i for i, label in enumerate(labels)}
    targets = np.array([index_of.get(label, -1) for label in label_of_image], np.int64)
    if images.test_set:
        train, held_out = images.train, images.held_out
    else:
        train, held_out = _split_labelled(targets, images.captions)
    return LabelledImages(
        images=images, labels=labels, targets=targets, train=train, held_out=held_out
    )


def check_labelled_images(recipe: ImageClassifierRecipe, preparation: Preparation = QUIET) -> str:
    """Load the labelled images of a recipe and describe them in one line."""
    data = load_labelled_images(recipe.dataset, recipe.data, preparation)
    return with_notes(describe(data), data.images.notes)


def describe(data: LabelledImages) -> str:
    """Describe the data in one line."""
    return (
        f"{data.images.name}: {len(data.labels)} labels, {len(data.train):,} images to train "
        f"on, {len(data.held_out):,} held out"
    )


def _split_labelled(
    targets: NDArray[np.int64], names: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(trained, held out) indices: of each label one in six is held out by hash, at least one."""
    held: list[int] = []
    for label in range(targets.max() + 1):
        indices = np.flatnonzero(targets == label).tolist()
        indices.sort(key=lambda i: shuffle_key(f"{names[i]} {i}"))
        held += indices[: max(1, len(indices) // HELD_OUT_ONE_IN)]
    trained = np.setdiff1d(np.flatnonzero(targets >= 0), held)
    return trained, np.array(sorted(held), np.int64)
