"""Classifiers of sound: what is said, and who says it."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from genui.recipes.base import Count, Fraction, Positive, Rate, Recipe, Share, Strength
from genui.recipes.classifier import ClassifierRecipe


@dataclass(frozen=True, kw_only=True)
class SoundClassifierRecipe(ClassifierRecipe):
    """A small convolutional network over log-mel spectrograms of a second."""

    medium: str = "audio"
    asks: Literal["digit", "voice"] = "digit"  # which word of a caption is the label
    batch: Positive = 64
    steps: Positive = 500
    learning_rate: Rate = 2e-3
    muon_rate: Strength = 0.0  # no matrices to speak of
    beta2: Fraction = 0.99
    weight_decay: Strength = 0.05
    warmup: Count = 50
    decay_from: Share = 0.3
    ema: Fraction = 0.99
    eval_every: Positive = 100
    sample_every: Positive = 250
    width: Annotated[int, Meta(ge=8, le=1024)] = 24  # channels at half the size; doubled twice

    ARCHITECTURE: ClassVar[tuple[str, ...]] = ("asks", "width")


RECIPES: tuple[Recipe, ...] = (
    SoundClassifierRecipe(
        name="voice-digits",
        dataset="fsdd",
        summary="which digit is said",
    ),
    SoundClassifierRecipe(
        name="voice-speakers",
        dataset="fsdd",
        asks="voice",
        summary="who of six says it",
    ),
)
