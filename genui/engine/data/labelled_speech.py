"""Takes of speech with a label each: the digit that is said, or who says it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genui.engine.data.captions import split_words
from genui.engine.data.speech import DIGITS, Speech, load_speech
from genui.errors import MisuseError
from genui.recipes.sound_classifier import SoundClassifierRecipe


@dataclass(frozen=True, eq=False)
class LabelledSpeech:
    """Takes and the number of the label of each."""

    speech: Speech
    labels: tuple[str, ...]
    targets: NDArray[np.int64]  # a label's number for each take


def load_labelled_speech(recipe: SoundClassifierRecipe) -> LabelledSpeech:
    """The takes of a recipe's data with the word of the caption that it asks for.

    Raises MisuseError where a caption has no such word or all have the same one, and what
    `load_speech` raises.
    """
    speech = load_speech(recipe.dataset, recipe.data)
    found = [_label(take.caption, recipe.asks == "digit") for take in speech.takes]
    bare = next(
        (t.caption for t, label in zip(speech.takes, found, strict=True) if not label), None
    )
    if bare is not None:
        raise MisuseError(
            f"{speech.name}: “{bare}” names no {recipe.asks}; name takes like 4_anna_0.wav"
        )
    labels = tuple(sorted(set(found), key=_order))
    if len(set(found)) < 2:
        raise MisuseError(
            f"{speech.name}: every take has the one label {found[0]!r}; add takes of another"
        )
    return LabelledSpeech(speech, labels, np.array([labels.index(label) for label in found]))


def check_labelled_speech(recipe: SoundClassifierRecipe) -> str:
    """One line describing the takes a recipe would train on, having read them."""
    data = load_labelled_speech(recipe)
    return f"{data.speech.name}: {len(data.targets):,} takes, {len(data.labels)} labels"


def _label(caption: str, digit: bool) -> str:
    return next((word for word in split_words(caption) if (word in DIGITS) == digit), "")


def _order(label: str) -> tuple[int, str]:
    """Digits by their number, and others by the alphabet."""
    return (DIGITS.index(label) if label in DIGITS else len(DIGITS)), label
