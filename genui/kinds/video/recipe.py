"""The recipe of short clips."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from genui.base.errors import MisuseError
from genui.base.schema import about
from genui.recipes.base import Count, Positive, Recipe
from genui.recipes.diffusion import (
    CaptionWords,
    EDMRecipe,
    Heads,
    LogSigmaMean,
    LogSigmaStd,
    SigmaData,
)
from genui.recipes.transformer import check_heads


@dataclass(frozen=True, kw_only=True)
class VideoRecipe(EDMRecipe):
    """A captioned diffusion Transformer of clips of 16 frames, 32×32 RGB."""

    medium: str = "video"
    dataset: str = "motion"
    batch: Positive = 24
    patch: Annotated[Literal[4, 8, 16], about("side of a patch, in pixels")] = 8
    span: Annotated[Literal[1, 2, 4], about("frames per token")] = 4
    layers: Annotated[int, Meta(ge=2, le=64), about("blocks of the network")] = 6
    width: Annotated[int, Meta(ge=16, le=4096), about("features of a token")] = 192
    heads: Heads = 4
    caption_words: CaptionWords = 8
    canvas_batch: Annotated[Count, about("extra captions per step for the canvas loss")] = 160
    sigma_data: SigmaData = 0.7
    log_sigma_mean: LogSigmaMean = 0.4
    log_sigma_std: LogSigmaStd = 1.6

    ARCHITECTURE: ClassVar[tuple[str, ...]] = (
        *("patch", "span", "layers", "width", "heads", "caption_width", "caption_words"),
        "sigma_data",
    )
    EVALUATED: ClassVar[tuple[str, ...]] = (
        *("seen_loss", "val_loss", "pose_error", "canvas_error"),
    )

    def check(self) -> None:
        check_heads(self.width, self.heads)
        if self.caption_width % 4:
            raise MisuseError(f"caption_width={self.caption_width}: use a multiple of 4")


VIDEO_RECIPES: tuple[Recipe, ...] = (
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
