"""The recipes of diffusion models of latents."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from genui.base.schema import about
from genui.recipes.base import Count, Fraction, MuonEvery, Positive, Recipe
from genui.recipes.classifier import ImageClassifierRecipe
from genui.recipes.diffusion import (
    CaptionDropout,
    CaptionWords,
    EDMRecipe,
    Heads,
    LogSigmaMean,
    OneWord,
    SigmaData,
)
from genui.recipes.transformer import check_heads


@dataclass(frozen=True, kw_only=True)
class LatentRecipe(EDMRecipe):
    """A captioned diffusion Transformer of the latents of 128×128 images (Rombach et al. 2022)."""

    family: str = "latent"
    medium: str = "image"
    autoencoder: Annotated[
        str, about("the autoencoder whose latents are denoised: a model's name, a run or a file")
    ] = "autoencoder-128"
    examples: Annotated[Positive, about("examples drawn and encoded once, when first needed")] = (
        32_768
    )
    batch: Positive = 64
    muon_every: MuonEvery = 2  # its share of a step would be a quarter
    patch: Annotated[Literal[1, 2, 4], about("side of a token, in latents")] = 2
    layers: Annotated[int, Meta(ge=1, le=64), about("blocks of the network")] = 4
    width: Annotated[int, Meta(ge=16, le=4096), about("features of a token")] = 256
    heads: Heads = 4
    caption_words: CaptionWords = 16
    caption_dropout: CaptionDropout = 0.12
    one_word: OneWord = 0.2
    canvas_batch: Annotated[
        Count, about("extra captions per step for the canvas loss; 0 turns the canvas off")
    ] = 192
    canvas_width: Annotated[
        Count, about("features of the hidden layer that predicts the canvas; 0 is width")
    ] = 0
    canvas_dropout: Annotated[
        Fraction, about("share of examples denoised without their canvas")
    ] = 0.2
    sigma_data: SigmaData = 1.0  # latents are standardised
    log_sigma_mean: LogSigmaMean = -0.2

    ARCHITECTURE: ClassVar[tuple[str, ...]] = (
        *("patch", "layers", "width", "heads", "caption_width", "caption_words"),
        *("canvas_batch", "canvas_width", "sigma_data"),
    )
    METADATA: ClassVar[Mapping[str, Any]] = {"autoencoder": str}

    @property
    def canvas(self) -> bool:
        """Whether the network also predicts coarse latents from the caption."""
        return self.canvas_batch > 0

    def check(self) -> None:
        check_heads(self.width, self.heads)


_EMOJI = LatentRecipe(
    name="emoji-128",
    dataset="emoji-128",
    summary="colour emoji by name, in three styles, 128×128",
    steps=7_000,
    sample_captions=(
        "octopus",
        "fluent octopus on yellow",
        "twemoji red apple",
        "noto penguin on blue",
        "cat face on white",
        "pizza",
        "two red hearts",
        "small sunflower on green",
    ),
)

LATENT_RECIPES: tuple[Recipe, ...] = (
    LatentRecipe(
        name="icons-128",
        dataset="icons-128",
        summary="icons with their variants, one colour on another, 128×128",
        steps=7_000,
        canvas_width=1024,  # 256 blur the shapes of 3,690 icons into each other
        sample_captions=(
            "white rocket on blue",
            "red heart outline on black",
            "orange bell off on purple",
            "green account with plus on white",
            "yellow star in a circle on black",
            "black cat on cyan",
            "two pink hearts on green",
            "blue umbrella above cloud on yellow",
        ),
    ),
    replace(
        _EMOJI,
        name="mini-emoji-128",
        dataset="mini-emoji-128",
        summary="smileys, animals and food as emoji in three styles, 128×128",
    ),
    _EMOJI,
)


# --- The judges of icons: which object, and which variant of it ------------------------------


OBJECTS, VARIANTS = "icons-128-objects", "icons-128-variants"

_OBJECTS = ImageClassifierRecipe(
    name=OBJECTS,
    medium="variant",
    dataset=OBJECTS,
    summary="which object an icon shows, in any variant",
    figure=True,
    smoothing=0.1,
    flip=False,  # an arrow in a mirror is another one
)

JUDGE_RECIPES: tuple[Recipe, ...] = (
    _OBJECTS,
    replace(
        _OBJECTS, name=VARIANTS, dataset=VARIANTS, summary="which variant of its object an icon is"
    ),
)
