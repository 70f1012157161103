"""Diffusion models that draw captioned images."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from genui.base.errors import MisuseError
from genui.base.schema import about
from genui.recipes.base import Count, Fraction, Positive, Rate, Recipe, Share, Strength
from genui.recipes.transformer import whole_heads

# What the three media have in common.
Heads = Annotated[int, Meta(ge=1, le=64), about("of attention; they share the width")]
CaptionWidth = Annotated[
    int, Meta(ge=16, le=2048), about("numbers that stand for a word of a caption")
]
CaptionWords = Annotated[int, Meta(ge=2, le=64), about("words of the longest caption")]
CaptionDropout = Annotated[Fraction, about("share of the captions left out, for guidance")]
SigmaData = Annotated[float, Meta(gt=0), about("the standard deviation of the data")]
LogSigmaMean = Annotated[float, about("the mean of ln σ that is trained on")]
LogSigmaStd = Annotated[
    float, Meta(gt=0), about("the standard deviation of ln σ that is trained on")
]
SampleCaptions = Annotated[tuple[str, ...], about("what is drawn while it trains")]


@dataclass(frozen=True, kw_only=True)
class DiffusionRecipe(Recipe):
    """A captioned diffusion model of 32×32 images (Karras et al. 2022).

    Its network is a Transformer of patches (Peebles & Xie 2023) or a U-Net (Ho et al. 2020).
    """

    family: str = "diffusion"
    medium: str = "image"
    batch: Positive = 64
    learning_rate: Rate = 1.5e-3
    beta2: Fraction = 0.98
    warmup: Count = 100
    decay_from: Share = 0.5
    weight_decay: Strength = 0.01
    eval_every: Positive = 200
    sample_every: Positive = 200
    network: Annotated[Literal["dit", "unet"], about("a Transformer of patches, or a U-Net")] = (
        "dit"
    )
    channels: Annotated[Literal[1, 3], about("3 for colour, 1 for grey")] = 3
    border: Annotated[int, Meta(ge=0, le=8), about("black pixels around each image")] = 0
    patch: Annotated[
        int, Meta(ge=2, le=8), about("the side of a patch in pixels; of the Transformer")
    ] = 4
    layers: Annotated[
        int, Meta(ge=1, le=64), about("blocks; of the U-Net, on each side at each size")
    ] = 4
    width: Annotated[
        int,
        Meta(ge=16, le=4096),
        about("numbers that stand for a patch; of the U-Net, channels at half the side"),
    ] = 256
    heads: Heads = 4
    caption_width: CaptionWidth = 192
    caption_words: CaptionWords = 12
    caption_dropout: CaptionDropout = 0.12
    canvas_batch: Annotated[
        Count, about("extra captions a step for the canvas loss; 0 turns the canvas off")
    ] = 192
    sigma_data: SigmaData = 0.75
    log_sigma_mean: LogSigmaMean = -0.5
    log_sigma_std: LogSigmaStd = 1.3
    sample_captions: SampleCaptions = ()

    # training images are moved, scaled and mirrored at random, so that fewer are remembered
    shift: Annotated[
        float, Meta(ge=0, le=16), about("pixels that a training image is moved by at most")
    ] = 0.0
    zoom: Annotated[Fraction, about("share that it is enlarged or reduced by at most")] = 0.0
    flip: Annotated[bool, about("whether half of them are mirrored")] = False
    one_word: Annotated[
        Share, about("share of the captions that say one word of the image's name")
    ] = 0.0

    # on against what a model drew (`genui generate MODEL -n 6000 --out FOLDER`): its contrast
    # with the data is the loss then, and the model that drew is what it starts from, best of all
    against: Annotated[
        str, about("a folder that a model drew, which this one is trained on against")
    ] = ""
    against_scale: Annotated[
        float, Meta(gt=0, le=1e6), about("nats a unit of denoising error, with against")
    ] = 100.0

    ARCHITECTURE: ClassVar[tuple[str, ...]] = (
        *("network", "channels", "border"),
        *("patch", "layers", "width", "heads", "caption_width", "caption_words"),
        *("canvas_batch", "sigma_data"),
    )

    def check(self) -> None:
        if self.network == "unet":
            self._check_unet()
            return
        whole_heads(self.width, self.heads)
        if self.border or self.channels == 1:
            raise MisuseError("channels=1 and border are for the U-Net: set network=unet")
        if 32 % self.patch:
            raise MisuseError(f"patch={self.patch} does not divide 32: use 2, 4 or 8")

    def _check_unet(self) -> None:
        whole_heads(3 * self.width, self.heads)
        if self.border % 2:
            raise MisuseError(f"border={self.border}: use an even one, what is left is folded 4×4")
        if self.canvas_batch:
            raise MisuseError("the U-Net has no caption canvas: set canvas_batch=0")


IMAGE_RECIPES: tuple[Recipe, ...] = (
    DiffusionRecipe(
        name="icons",
        dataset="icons",
        caption_words=8,
        summary="icons, one colour on another",
        steps=1500,
        one_word=0.3,
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
        one_word=0.3,
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
    DiffusionRecipe(
        name="fashion",
        dataset="fashion",
        summary="clothing in grey, new every time",
        steps=5000,
        network="unet",
        channels=1,
        border=2,
        layers=1,
        width=64,
        caption_width=64,
        caption_words=2,
        canvas_batch=0,
        sigma_data=0.8,
        ema=0.999,
        sample_captions=(
            *("t-shirt", "trouser", "pullover", "dress", "coat"),
            *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
        ),
    ),
)


# --- Diffusion models of short clips: icons in motion -----------------------------------------


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
    patch: Annotated[Literal[4, 8, 16], about("the side of a patch in pixels")] = 8
    span: Annotated[Literal[1, 2, 4], about("frames a token")] = 4
    layers: Annotated[int, Meta(ge=2, le=64), about("blocks of the network")] = 6
    width: Annotated[int, Meta(ge=16, le=4096), about("numbers that stand for a patch")] = 192
    heads: Heads = 4
    caption_width: CaptionWidth = 192
    caption_words: CaptionWords = 8
    caption_dropout: CaptionDropout = 0.1
    canvas_batch: Annotated[Count, about("extra captions a step for the canvas loss")] = 160
    sigma_data: SigmaData = 0.7
    log_sigma_mean: LogSigmaMean = 0.4
    log_sigma_std: LogSigmaStd = 1.6
    sample_captions: SampleCaptions = ()

    ARCHITECTURE: ClassVar[tuple[str, ...]] = (
        *("patch", "span", "layers", "width", "heads", "caption_width", "caption_words"),
        "sigma_data",
    )

    def check(self) -> None:
        whole_heads(self.width, self.heads)
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


# --- Diffusion models that speak: spectrograms of spoken words --------------------------------

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
    patch: Annotated[int, Meta(ge=1, le=16), about("frames a token")] = 2
    layers: Annotated[int, Meta(ge=1, le=64), about("blocks of the network")] = 6
    width: Annotated[int, Meta(ge=16, le=4096), about("numbers that stand for a token")] = 192
    heads: Heads = 4
    caption_width: CaptionWidth = 128
    caption_words: CaptionWords = 4
    caption_dropout: CaptionDropout = 0.1
    sigma_data: SigmaData = 0.5
    log_sigma_mean: LogSigmaMean = -0.5
    log_sigma_std: LogSigmaStd = 1.3
    sample_captions: Annotated[tuple[str, ...], about("what is said while it trains")] = ()

    ARCHITECTURE: ClassVar[tuple[str, ...]] = (
        *("patch", "layers", "width", "heads", "caption_width", "caption_words", "sigma_data"),
    )

    def check(self) -> None:
        whole_heads(self.width, self.heads)
        if FRAMES % self.patch:
            raise MisuseError(f"patch={self.patch} does not divide {FRAMES} frames: use 1, 2 or 4")


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
