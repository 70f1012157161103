"""Adversarial networks that draw captioned pictures."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from genui.recipes.base import Count, Fraction, Positive, Rate, Recipe, Share


@dataclass(frozen=True, kw_only=True)
class GanRecipe(Recipe):
    """A captioned GAN at 32×32 with R3GAN's objective (Huang et al. 2024)."""

    family: str = "gan"
    medium: str = "image"
    batch: Positive = 64
    learning_rate: Rate = 1e-3
    muon_rate: Annotated[float, Meta(ge=0, le=10)] = 0.0
    beta1: Fraction = 0.0
    beta2: Fraction = 0.99
    weight_decay: Annotated[float, Meta(ge=0, le=10)] = 0.0
    warmup: Count = 50
    decay_from: Share = 0.5
    grad_clip: Annotated[float, Meta(gt=0)] = 10.0
    ema: Fraction = 0.998
    latent: Annotated[int, Meta(ge=2, le=1024)] = 64
    caption_width: Annotated[int, Meta(ge=4, le=1024)] = 32
    caption_words: Annotated[int, Meta(ge=1, le=64)] = 12
    width: Annotated[int, Meta(ge=4, le=512)] = 64
    blocks: Annotated[int, Meta(ge=1, le=16)] = 2
    channels: Literal[1, 3] = 3
    penalty: Annotated[float, Meta(ge=0)] = 1.0
    penalty_batch: Positive = 32
    sample_captions: tuple[str, ...] = ()

    ARCHITECTURE: ClassVar[tuple[str, ...]] = (
        *("width", "blocks", "latent", "channels", "caption_width", "caption_words"),
    )
