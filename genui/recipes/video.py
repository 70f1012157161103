"""Diffusion models of short clips: icons in motion."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from genui.errors import MisuseError
from genui.recipes.base import Count, Fraction, Positive, Rate, Recipe, Share, Strength
from genui.recipes.transformer import whole_heads


@dataclass(frozen=True, kw_only=True)
class VideoRecipe(Recipe):
    """A captioned diffusion Transformer over 16 frames of 32×32 RGB, attending over time."""

    family: str = "diffusion"
    medium: str = "video"
    dataset: str = "motion"
    batch: Positive = 24
    learning_rate: Rate = 1.5e-3
    beta2: Fraction = 0.98
    warmup: Count = 100
    decay_from: Share = 0.5
    weight_decay: Strength = 0.01
    eval_every: Positive = 200
    sample_every: Positive = 200
    patch: Literal[4, 8, 16] = 8  # pixels
    span: Literal[1, 2, 4] = 4  # frames a token
    layers: Annotated[int, Meta(ge=2, le=64)] = 6
    width: Annotated[int, Meta(ge=16, le=4096)] = 192
    heads: Annotated[int, Meta(ge=1, le=64)] = 4
    caption_width: Annotated[int, Meta(ge=16, le=2048)] = 192
    caption_words: Annotated[int, Meta(ge=2, le=64)] = 8  # longest caption, in words
    caption_dropout: Fraction = 0.1  # for classifier-free guidance
    canvas_batch: Count = 160  # extra captions a step for the canvas loss
    sigma_data: Annotated[float, Meta(gt=0)] = 0.7
    log_sigma_mean: float = 0.4  # higher than of pictures: 16 frames tell more through noise
    log_sigma_std: Annotated[float, Meta(gt=0)] = 1.6
    sample_captions: tuple[str, ...] = ()

    ARCHITECTURE: ClassVar[tuple[str, ...]] = (
        *("patch", "span", "layers", "width", "heads", "caption_width", "caption_words"),
        "sigma_data",
    )

    def check(self) -> None:
        whole_heads(self.width, self.heads)
        if self.caption_width % 4:
            raise MisuseError(f"caption_width={self.caption_width}: use a multiple of 4")

    @property
    def prompts(self) -> tuple[str, ...]:
        return self.sample_captions


RECIPES: tuple[Recipe, ...] = (
    VideoRecipe(
        name="video",
        summary="icons in motion, 16 frames",
        steps=1480,
        sample_captions=(
            "red heart moving up on black",
            "yellow star orbiting on blue",
            "green cat bouncing on white",
            "white rocket moving right on purple",
            "orange key turning on black",
            "blue balloon growing on yellow",
            "pink duck moving left on cyan",
            "black ghost shrinking on orange",
        ),
    ),
)
