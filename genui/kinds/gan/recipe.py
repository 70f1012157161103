"""Recipes of captioned generative adversarial networks."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from genui.base.errors import MisuseError
from genui.base.schema import about
from genui.recipes.base import (
    SEVERAL_NETWORKS,
    Count,
    Fraction,
    Positive,
    Rate,
    Recipe,
    Share,
    Skip,
    Strength,
)


@dataclass(frozen=True, kw_only=True)
class GanRecipe(Recipe):
    """A captioned GAN at 32×32 RGB with R3GAN's objective (Huang et al. 2024)."""

    family: str = "gan"
    medium: str = "image"
    batch: Positive = 32
    learning_rate: Rate = 1e-3
    muon_rate: Strength = 0.0
    # No momentum: it would follow gradients of an opponent that has changed since.
    beta1: Fraction = 0.0
    beta2: Fraction = 0.99
    weight_decay: Strength = 0.0
    warmup: Count = 50
    decay_from: Share = 0.5
    grad_clip: Annotated[float, Meta(gt=0)] = 10.0
    ema: Fraction = 0.999
    eval_every: Positive = 500
    sample_every: Positive = 250
    width: Annotated[
        int, Meta(ge=4, le=512), about("channels at 16×16; doubled at 8×8 and again at 4×4")
    ] = 32
    blocks: Annotated[int, Meta(ge=1, le=16), about("residual blocks at each of three sizes")] = 2
    latent: Annotated[int, Meta(ge=2, le=1024), about("size of the latent vector")] = 64
    channels: Annotated[Literal[1, 3], about("3 for colour, 1 for grey")] = 3
    caption_width: Annotated[
        int, Meta(ge=4, le=1024), about("size of a word's embedding in a caption")
    ] = 32
    caption_words: Annotated[int, Meta(ge=1, le=64), about("longest caption, in words")] = 12
    penalty: Annotated[
        float, Meta(ge=0, le=1e6), about("γ of the gradient penalties R₁ and R₂")
    ] = 1.0
    penalty_batch: Annotated[Positive, about("pairs of images to compute the penalties on")] = 16
    skip: Skip = ""
    sample_captions: Annotated[
        tuple[str, ...], about("captions of the samples during training")
    ] = ()

    ARCHITECTURE: ClassVar[tuple[str, ...]] = (
        *("width", "blocks", "latent", "channels", "caption_width", "caption_words"),
    )
    EVALUATED: ClassVar[tuple[str, ...]] = ("coverage", "variety")

    def check(self) -> None:
        if self.width % 2:
            raise MisuseError(f"width={self.width} is odd: a block halves it; use {self.width + 1}")

    @property
    def widest(self) -> int:
        return 9 * self.width  # of a 3×3 convolution

    @property
    def why_whole(self) -> str:
        return SEVERAL_NETWORKS


GAN_RECIPES: tuple[Recipe, ...] = (
    GanRecipe(
        name="fashion-gan",
        dataset="fashion",
        summary="greyscale clothing, in one step",
        steps=4000,
        width=56,
        channels=1,
        caption_words=2,
        sample_captions=(
            *("t-shirt", "trouser", "pullover", "dress", "coat"),
            *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
        ),
    ),
    GanRecipe(
        name="icons-gan",
        dataset="icons",
        summary="icons, one colour on another, in one step",
        steps=6000,
        width=48,
        caption_width=96,
        caption_words=8,
        sample_captions=(
            *("red heart on black", "blue heart on yellow", "green cat on white"),
            *("white rocket on blue", "yellow star on black"),
        ),
    ),
    GanRecipe(
        name="emoji-gan",
        dataset="emoji",
        summary="colour emoji by name, in one step",
        steps=6000,
        width=48,
        caption_width=96,
        caption_words=10,
        sample_captions=("octopus", "red apple", "cat face on blue", "pizza", "rocket"),
    ),
)
