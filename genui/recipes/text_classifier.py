"""Classifiers of text: what p(label | text) is, beside the models of p(text)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from genui.recipes.base import Count, Fraction, Positive, Rate, Recipe, Strength
from genui.recipes.classifier import ClassifierRecipe


@dataclass(frozen=True, kw_only=True)
class TextClassifierRecipe(ClassifierRecipe):
    """A linear classifier of bags of n-grams (fastText, Joulin et al. 2017)."""

    medium: str = "text"
    buckets: Annotated[int, Meta(ge=64, le=1 << 22)] = 1 << 15  # that n-grams are hashed into
    width: Annotated[int, Meta(ge=2, le=4096)] = 32
    dropout: Fraction = 0.2  # of the features
    left_out: Fraction = 0.5  # share of a text's n-grams that a training step does not see
    learning_rate: Rate = 1e-2
    muon_rate: Strength = 0.0
    batch: Positive = 64
    warmup: Count = 10
    ema: Fraction = 0.98

    ARCHITECTURE: ClassVar[tuple[str, ...]] = ("buckets", "width")


RECIPES: tuple[Recipe, ...] = (
    TextClassifierRecipe(
        name="speakers",
        dataset="speakers",
        summary="who of eight speaks in a play",
        steps=90,
        eval_every=15,
        sample_every=45,
    ),
    TextClassifierRecipe(
        name="python-or-prose",
        dataset="python-or-prose",
        summary="Python, or English about it",
        steps=120,
        eval_every=15,
        sample_every=60,
    ),
)
