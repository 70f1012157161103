"""Classifiers: the discriminative twin of what generates, which says what a thing is."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from genui.recipes.base import Count, Fraction, Positive, Rate, Recipe, Share, Strength


@dataclass(frozen=True, kw_only=True)
class ClassifierRecipe(Recipe):
    """p(label | example), by cross-entropy; what classifiers of every medium have in common."""

    family: str = "classifier"
    smoothing: Fraction = 0.0  # share of the target spread over all labels (Szegedy et al. 2016)


@dataclass(frozen=True, kw_only=True)
class ImageClassifierRecipe(ClassifierRecipe):
    """A small convolutional network for 32×32 pictures."""

    medium: str = "image"
    batch: Positive = 128
    steps: Positive = 3000
    learning_rate: Rate = 2e-3
    muon_rate: Strength = 0.0  # no matrices to speak of
    beta2: Fraction = 0.99
    weight_decay: Strength = 0.05
    warmup: Count = 100
    decay_from: Share = 0.3
    eval_every: Positive = 200
    sample_every: Positive = 500
    width: Annotated[int, Meta(ge=8, le=1024)] = 32  # channels at 16×16; doubled twice
    figure: bool = False  # also shown what stands out from the ground
    shift: Annotated[float, Meta(ge=0, le=16)] = 2.0  # pixels a training picture is moved at most
    zoom: Fraction = 0.1  # share it is enlarged or reduced at most
    flip: bool = True  # half of them mirrored

    ARCHITECTURE: ClassVar[tuple[str, ...]] = ("width", "figure")


RECIPES: tuple[Recipe, ...] = (
    ImageClassifierRecipe(
        name="fashion-labels",
        dataset="fashion",
        summary="what piece of clothing it is",
        steps=3600,
    ),
    ImageClassifierRecipe(
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
    ),
    ImageClassifierRecipe(
        name="emoji-labels",
        dataset="emoji",
        summary="what kind of thing an emoji shows",
        steps=500,
        figure=True,
        smoothing=0.2,
        shift=4.0,
        zoom=0.25,
        eval_every=50,
        checkpoint_every=250,
    ),
)
