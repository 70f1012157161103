"""Diffusion models that speak: spectrograms of spoken words."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from genui.errors import MisuseError
from genui.recipes.base import Count, Fraction, Positive, Rate, Recipe, Share, Strength
from genui.recipes.transformer import whole_heads

FRAMES = 80  # of a spectrogram: a second


@dataclass(frozen=True, kw_only=True)
class VoiceRecipe(Recipe):
    """A captioned diffusion Transformer over log-mel spectrograms (Karras et al. 2022)."""

    family: str = "diffusion"
    medium: str = "audio"
    batch: Positive = 48
    learning_rate: Rate = 1.5e-3
    beta2: Fraction = 0.98
    warmup: Count = 100
    decay_from: Share = 0.5
    weight_decay: Strength = 0.01
    eval_every: Positive = 200
    sample_every: Positive = 400
    patch: Annotated[int, Meta(ge=1, le=16)] = 2  # frames a token
    layers: Annotated[int, Meta(ge=1, le=64)] = 6
    width: Annotated[int, Meta(ge=16, le=4096)] = 192
    heads: Annotated[int, Meta(ge=1, le=64)] = 4
    caption_width: Annotated[int, Meta(ge=16, le=2048)] = 128
    caption_words: Annotated[int, Meta(ge=2, le=64)] = 4  # longest caption, in words
    caption_dropout: Fraction = 0.1  # for classifier-free guidance
    sigma_data: Annotated[float, Meta(gt=0)] = 0.5
    log_sigma_mean: float = -0.5
    log_sigma_std: Annotated[float, Meta(gt=0)] = 1.3
    sample_captions: tuple[str, ...] = ()

    ARCHITECTURE: ClassVar[tuple[str, ...]] = (
        *("patch", "layers", "width", "heads", "caption_width", "caption_words", "sigma_data"),
    )

    def check(self) -> None:
        whole_heads(self.width, self.heads)
        if FRAMES % self.patch:
            raise MisuseError(f"patch={self.patch} does not divide {FRAMES} frames: use 1, 2 or 4")

    @property
    def prompts(self) -> tuple[str, ...]:
        return self.sample_captions


RECIPES: tuple[Recipe, ...] = (
    VoiceRecipe(
        name="voice",
        dataset="fsdd",
        summary="spoken digits in six voices",
        steps=2400,
        sample_captions=(
            "four two seven jackson",
            "zero one two george",
            "three five eight theo",
            "nine six one lucas",
            "seven zero four nicolas",
            "two eight three yweweler",
        ),
    ),
)
