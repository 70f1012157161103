"""How panes show a trace: a setting is an annotated field, which gives its row in the settings and
its entry in the palette. Nothing here imports Textual."""

from typing import Annotated, Literal

from msgspec import Struct

from genui.base.schema import about
from genui.protocol import LogitBase

InsideView = Literal["odds", "attention", "layers", "parts", "sources"]
ImagePart = Literal["denoised", "x", "noise"]
"""An image of a denoising step, in the order of the keys `[` and `]`."""
Layout = Literal["one", "three", "spread"]

ImageInside = Literal["off", "words", "channels"]

_BASES = {"other": "likeliest other", "mean": "mean of all"}
PART_NAMES: dict[ImagePart, str] = {"denoised": "predicted", "x": "noisy", "noise": "noise"}
_LAYOUTS = {"one": "one image", "three": "three images", "spread": "all frames"}


class TextLook(Struct, frozen=True):
    """Settings for code, and for the token at the cursor."""

    highlight: Annotated[
        Literal["syntax", "surprise"],
        about("Colour code by syntax, or by how surprising its tokens were", "colours"),
    ] = "syntax"
    inside: Annotated[
        InsideView,
        about(
            "How the network computed the token at the cursor; [ and ] change it too",
            "look inside",
        ),
    ] = "odds"
    over: Annotated[
        LogitBase,
        about(
            "Compare the logit with the likeliest other token's, or with the mean of all",
            "logit over",
            choices=_BASES,
        ),
    ] = "other"


class ImageLook(Struct, frozen=True):
    """Settings for the images of a denoising step."""

    view: Annotated[
        ImagePart,
        about(
            "The step's large image: the predicted x₀, the noisy one or the noise",
            "large image",
            choices=PART_NAMES,
        ),
    ] = "denoised"
    layout: Annotated[
        Layout,
        about(
            "One image large, or all three side by side; of a clip also all its frames",
            choices=_LAYOUTS,
        ),
    ] = "one"
    inside: Annotated[
        ImageInside,
        about(
            "In place of the large image: its attention to each caption word, or the model's "
            "channels, blue below 0 and orange above",
            "look inside",
        ),
    ] = "off"
    agreement: Annotated[
        Literal["off", "on"],
        about(
            "Whether three seeds give one picture of the caption or many; the manual says how "
            "often this is wrong",
            "one or many",
        ),
    ] = "off"
