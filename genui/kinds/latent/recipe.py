"""The recipe of autoencoders of 128×128 images."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from genui.base.schema import about
from genui.recipes.base import Count, Fraction, Positive, Rate, Recipe, Share, Strength

SIDE = 128  # pixels


@dataclass(frozen=True, kw_only=True)
class AutoencoderRecipe(Recipe):
    """An autoencoder of 128×128 images, for diffusion in its latents (Rombach et al. 2022)."""

    family: str = "autoencoder"
    medium: str = "image"
    batch: Positive = 8
    learning_rate: Rate = 2e-3
    muon_rate: Strength = 0.0  # its kernels are no matrices
    beta2: Fraction = 0.98
    weight_decay: Strength = 0.01
    warmup: Count = 50
    decay_from: Share = 0.4
    eval_every: Positive = 250
    sample_every: Positive = 250
    checkpoint_every: Positive = 250
    also: Annotated[tuple[str, ...], about("more datasets; examples come equally from each")] = ()
    width: Annotated[
        int, Meta(ge=4, le=512), about("channels at 32×32; three times as many at 16×16")
    ] = 64
    blocks: Annotated[int, Meta(ge=1, le=16), about("residual blocks at 32×32, each way")] = 2
    deep_blocks: Annotated[int, Meta(ge=1, le=16), about("residual blocks at 16×16, each way")] = 4
    latent: Annotated[int, Meta(ge=1, le=64), about("channels of a latent, at 16×16")] = 8
    crop: Annotated[
        Literal[32, 64, 128], about("side of the crop of each image used in a step")
    ] = 64
    noise: Annotated[
        Strength, about("std of noise added to the latents in training; theirs is 1")
    ] = 0.05
    edge: Annotated[Strength, about("weight of the loss on differences of neighbouring pixels")] = (
        0.5
    )

    ARCHITECTURE: ClassVar[tuple[str, ...]] = ("width", "blocks", "deep_blocks", "latent")
    EVALUATED: ClassVar[tuple[str, ...]] = ("val_loss", "psnr")

    @property
    def datasets(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.dataset, *self.also)))


AUTOENCODER_RECIPES: tuple[Recipe, ...] = (
    AutoencoderRecipe(
        name="autoencoder-128",
        dataset="emoji-128",
        also=("icons-128",),
        summary="128×128 images to 16×16 latents and back",
        steps=26000,
        eval_every=1000,
        sample_every=1000,
        checkpoint_every=1000,
    ),
)
