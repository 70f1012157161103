"""Recipes of classifiers, the discriminative counterpart of generative models."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from msgspec import Meta

from genui.base.schema import about
from genui.recipes.base import (
    Count,
    Flip,
    Fraction,
    Positive,
    Rate,
    Recipe,
    Share,
    Shift,
    Strength,
    Zoom,
)


@dataclass(frozen=True, kw_only=True)
class ClassifierRecipe(Recipe):
    """The settings of classifiers of every medium: p(label | example) by cross-entropy."""

    family: str = "classifier"
    smoothing: Annotated[
        Fraction, about("label smoothing: share spread over all labels (Szegedy et al. 2016)")
    ] = 0.0

    EVALUATED: ClassVar[tuple[str, ...]] = ("val_loss", "val_accuracy", "val_ece")


@dataclass(frozen=True, kw_only=True)
class ImageClassifierRecipe(ClassifierRecipe):
    """A small convolutional network for 32×32 images."""

    medium: str = "image"
    batch: Positive = 128
    steps: Positive = 3000
    learning_rate: Rate = 2e-3
    muon_rate: Strength = 0.0  # there are hardly any matrices
    beta2: Fraction = 0.99
    weight_decay: Strength = 0.05
    warmup: Count = 100
    decay_from: Share = 0.3
    eval_every: Positive = 200
    sample_every: Positive = 500
    width: Annotated[int, Meta(ge=8, le=1024), about("channels at 16×16; doubled twice")] = 32
    figure: Annotated[bool, about("add an input channel: the contrast with the border")] = False
    shift: Shift = 2.0
    zoom: Zoom = 0.1
    flip: Flip = True

    ARCHITECTURE: ClassVar[tuple[str, ...]] = ("width", "figure")


_ICONS = ImageClassifierRecipe(
    name="icons-labels",
    dataset="icons",
    summary="what kind of thing an icon shows",
    steps=500,
    figure=True,
    smoothing=0.2,
    shift=4.0,
    zoom=0.25,
    eval_every=50,
    checkpoint_every=250,
)

IMAGE_CLASSIFIER_RECIPES: tuple[Recipe, ...] = (
    ImageClassifierRecipe(
        name="fashion-labels",
        dataset="fashion",
        summary="what piece of clothing it is",
        steps=3600,
    ),
    _ICONS,
    replace(
        _ICONS,
        name="emoji-labels",
        dataset="emoji",
        summary="what kind of thing an emoji shows",
    ),
)


# --- Classifiers of text ----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class TextClassifierRecipe(ClassifierRecipe):
    """A linear classifier of bags of n-grams (fastText, Joulin et al. 2017)."""

    medium: str = "text"
    buckets: Annotated[int, Meta(ge=64, le=1 << 22), about("hash buckets of n-grams")] = 1 << 15
    width: Annotated[int, Meta(ge=2, le=4096), about("size of an n-gram's embedding")] = 32
    dropout: Annotated[Fraction, about("dropout rate of the features")] = 0.2
    left_out: Annotated[Fraction, about("share of a text's n-grams dropped in training")] = 0.5
    learning_rate: Rate = 1e-2
    muon_rate: Strength = 0.0
    batch: Positive = 64
    warmup: Count = 10
    ema: Fraction = 0.98

    ARCHITECTURE: ClassVar[tuple[str, ...]] = ("buckets", "width")


TEXT_CLASSIFIER_RECIPES: tuple[Recipe, ...] = (
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
