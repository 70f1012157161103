"""Diffusion models that draw captioned pictures."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from genui.errors import MisuseError
from genui.recipes.base import Count, Fraction, Positive, Rate, Recipe, Share
from genui.recipes.transformer import whole_heads


@dataclass(frozen=True, kw_only=True)
class DiffusionRecipe(Recipe):
    """A captioned diffusion Transformer at 32×32 RGB (Karras et al. 2022; Peebles & Xie 2023)."""

    family: str = "diffusion"
    medium: str = "image"
    batch: Positive = 64
    learning_rate: Rate = 1.5e-3
    beta2: Fraction = 0.98
    warmup: Count = 100
    decay_from: Share = 0.5
    weight_decay: Annotated[float, Meta(ge=0, le=10)] = 0.01
    eval_every: Positive = 200
    sample_every: Positive = 200
    patch: Annotated[int, Meta(ge=2, le=8)] = 4  # pixels
    layers: Annotated[int, Meta(ge=1, le=64)] = 4
    width: Annotated[int, Meta(ge=16, le=4096)] = 256
    heads: Annotated[int, Meta(ge=1, le=64)] = 4
    caption_width: Annotated[int, Meta(ge=16, le=2048)] = 192
    caption_words: Annotated[int, Meta(ge=2, le=64)] = 12  # longest caption, in words
    caption_dropout: Fraction = 0.12  # for classifier-free guidance
    canvas_batch: Count = 192  # extra captions a step for the canvas loss; 0 turns the canvas off
    sigma_data: Annotated[float, Meta(gt=0)] = 0.75
    log_sigma_mean: float = -0.5
    log_sigma_std: Annotated[float, Meta(gt=0)] = 1.3
    sample_captions: tuple[str, ...] = ()

    ARCHITECTURE: ClassVar[tuple[str, ...]] = (
        *("patch", "layers", "width", "heads", "caption_width", "caption_words"),
        *("canvas_batch", "sigma_data"),
    )

    def check(self) -> None:
        whole_heads(self.width, self.heads)
        if 32 % self.patch:
            raise MisuseError(f"patch={self.patch} does not divide 32: use 2, 4 or 8")

    @property
    def prompts(self) -> tuple[str, ...]:
        return self.sample_captions


RECIPES: tuple[Recipe, ...] = (
    DiffusionRecipe(
        name="icons",
        dataset="icons",
        caption_words=8,
        summary="icons, one colour on another",
        steps=1500,
        sample_captions=(
            "red heart on black",
            "blue heart on yellow",
            "green cat on white",
            "white rocket on blue",
            "orange umbrella on purple",
            "yellow star on black",
            "pink guitar on green",
            "black anchor on cyan",
        ),
    ),
    DiffusionRecipe(
        name="emoji",
        dataset="emoji",
        caption_words=10,
        summary="colour emoji by name",
        steps=1500,
        sample_captions=(
            "octopus",
            "red apple",
            "cat face on blue",
            "pizza",
            "rocket",
            "sunflower on white",
            "crying face",
            "soccer ball on green",
        ),
    ),
)
