"""Pictures with a label each: what a classifier is trained on and tested by."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genui.engine.data.kinds_of_things import FEWEST as FEWEST_OF_KIND
from genui.engine.data.kinds_of_things import kind_of_thing
from genui.engine.data.pictures import Pictures, load_pictures, shuffle_key, with_notes
from genui.errors import MisuseError
from genui.recipes.classifier import ImageClassifierRecipe

TEST_SHARE = 6  # one picture in so many is held out where a set has no test set of its own
FEWEST = 2  # pictures of a label


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelledPictures:
    """A picture set and the label of each picture; those without one are in neither part."""

    pictures: Pictures
    labels: tuple[str, ...]
    targets: NDArray[np.int64]  # [N], -1 where a picture has no label
    train: NDArray[np.int64]  # indices
    held_out: NDArray[np.int64]  # indices never trained

    def batch(
        self, indices: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Pictures [B, 3, 32, 32] in -1 to 1, in colours drawn from `rng`, and their labels."""
        return self.pictures.batch(indices, rng).rgb, self.targets[indices]


def load_labelled(dataset: str, data: str = "") -> LabelledPictures:
    """The set of that name, or the user's folder.

    Labels are the captions; of icons and emoji, where each picture has one of its own, the kinds
    of things that their words tell. Raises MisuseError where the labels cannot be learned, and
    whatever `load_pictures` raises.
    """
    pictures = load_pictures(dataset, data)
    by_kind = pictures.scheme != "plain"
    named = [kind_of_thing(each) for each in pictures.captions] if by_kind else pictures.captions
    counts = Counter(named)
    fewest = FEWEST_OF_KIND if by_kind else FEWEST
    known = dict.fromkeys(name for name in named if name and counts[name] >= fewest)
    labels = tuple(known)
    where = data or dataset
    if len(counts) == 1:
        raise MisuseError(
            f"{where}: every picture is {named[0]!r}; a classifier needs two labels at the least"
        )
    if len(labels) < 2:
        raise MisuseError(
            f"{where}: no two captions stand at {FEWEST} pictures or more; "
            "a classifier needs several pictures of each label"
        )
    number = {label: i for i, label in enumerate(labels)}
    targets = np.array([number.get(name, -1) for name in named], np.int64)
    if dataset == "fashion" and pictures.name == "fashion":
        train, held_out = pictures.train, pictures.held_out
    else:
        train, held_out = _split(targets, pictures.captions)
    return LabelledPictures(
        pictures=pictures, labels=labels, targets=targets, train=train, held_out=held_out
    )


def check_labelled(recipe: ImageClassifierRecipe) -> str:
    """One line describing the labelled pictures a recipe would train on, having read them."""
    data = load_labelled(recipe.dataset, recipe.data)
    return with_notes(describe(data), data.pictures.notes)


def describe(data: LabelledPictures) -> str:
    """One line for a person."""
    return (
        f"{data.pictures.name}: {len(data.labels)} labels, {len(data.train):,} pictures to train "
        f"on, {len(data.held_out):,} held out"
    )


def _split(
    targets: NDArray[np.int64], names: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(trained, held out): of each label one in six, chosen by a hash, and one at the least."""
    held: list[int] = []
    for label in range(targets.max() + 1):
        there = np.flatnonzero(targets == label).tolist()
        of = sorted(there, key=lambda i: shuffle_key(f"{names[i]} {i}"))
        held += of[: max(1, len(of) // TEST_SHARE)]
    trained = np.setdiff1d(np.flatnonzero(targets >= 0), held)
    return trained, np.array(sorted(held), np.int64)
