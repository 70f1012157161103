"""Recipes of speech, and of what labels it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from genui.base.errors import MisuseError
from genui.base.schema import about
from genui.recipes.base import Count, Fraction, Positive, Rate, Recipe, Share, Strength
from genui.recipes.classifier import ClassifierRecipe
from genui.recipes.diffusion import CaptionWidth, CaptionWords, EDMRecipe, Heads
from genui.recipes.transformer import check_heads

MEL_FRAMES = 80  # of a spectrogram, a second


@dataclass(frozen=True, kw_only=True)
class VoiceRecipe(EDMRecipe):
    """A captioned diffusion Transformer of log-mel spectrograms (Karras et al. 2022)."""

    medium: str = "audio"
    batch: Positive = 48
    sample_every: Positive = 400
    patch: Annotated[int, Meta(ge=1, le=16), about("frames per token")] = 2
    layers: Annotated[int, Meta(ge=1, le=64), about("blocks of the network")] = 6
    width: Annotated[int, Meta(ge=16, le=4096), about("features of a token")] = 192
    heads: Heads = 4
    caption_width: CaptionWidth = 128
    caption_words: CaptionWords = 4

    ARCHITECTURE: ClassVar[tuple[str, ...]] = (
        *("patch", "layers", "width", "heads", "caption_width", "caption_words", "sigma_data"),
    )

    METADATA: ClassVar[Mapping[str, Any]] = {"voices": list[str]}
    READS_DIGITS: ClassVar[bool] = True

    def check(self) -> None:
        check_heads(self.width, self.heads)
        if MEL_FRAMES % self.patch:
            raise MisuseError(
                f"patch={self.patch} does not divide {MEL_FRAMES} frames: use 1, 2 or 4"
            )


VOICE_RECIPES: tuple[Recipe, ...] = (
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


# --- Classifiers of sound ---------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class SoundClassifierRecipe(ClassifierRecipe):
    """A small convolutional network for log-mel spectrograms of a second."""

    medium: str = "audio"
    asks: Annotated[Literal["digit", "voice"], about("which word of a caption is the label")] = (
        "digit"
    )
    batch: Positive = 64
    steps: Positive = 500
    learning_rate: Rate = 2e-3
    muon_rate: Strength = 0.0  # there are hardly any matrices
    beta2: Fraction = 0.99
    weight_decay: Strength = 0.05
    warmup: Count = 50
    decay_from: Share = 0.3
    ema: Fraction = 0.99
    eval_every: Positive = 100
    sample_every: Positive = 250
    width: Annotated[int, Meta(ge=8, le=1024), about("channels at half size; doubled twice")] = 24

    ARCHITECTURE: ClassVar[tuple[str, ...]] = ("asks", "width")


SOUND_CLASSIFIER_RECIPES: tuple[Recipe, ...] = (
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
