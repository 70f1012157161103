"""The request for a generation: its settings, the edits of a branch, and where it starts from.

Requests to the worker, saved files and shell commands all use these types.
"""

import math
import re
from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from msgspec import Meta, Struct
from msgspec.structs import replace

from genui.base.errors import MisuseError, did_you_mean
from genui.base.plugins import UnknownNameError
from genui.base.schema import about, setting, settings_of
from genui.base.watermarks import list_keys
from genui.protocol.samplers import SAMPLERS

Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]
SEED = setting("seed", Seed)
WatermarkKey = Annotated[
    str,
    Meta(max_length=40),
    about("watermark key by name; `genui config key NAME` makes it", rare=True, known=list_keys),
]


if TYPE_CHECKING:

    class Tagged(Struct, frozen=True, kw_only=True):
        """A base class of Structs that are distinguished by tags; kinds add classes of their own.

        At run time it is no Struct itself: msgspec leaves a field of such a type to
        `genui.protocol.kinds.decode_tagged`, which finds the class.
        """

else:

    class Tagged:
        __slots__ = ()

        def __init_subclass__(cls, **options: Any) -> None:
            """Take the options that the type checker needs."""


# --- settings -----------------------------------------------------------------------
# The annotation of a field is the only place that describes a setting: shell options, forms,
# Settings panels, `+` and `-`, grid axes and errors are derived from it (`genui.base.schema`).


class Settings(Tagged, frozen=True, kw_only=True):
    """The base of the settings of a generation: each kind of model has its own class."""

    __slots__ = ()

    GROUP: ClassVar[str]
    """The heading of its options in the help."""
    FIRST: ClassVar[tuple[str, ...]] = ()
    """The settings that a panel lists first."""

    def sample_step(self, last: int) -> int:
        """The step that represents a trace of `last` steps without edits: by default the last."""
        return last

    def show(self, name: str) -> str:
        """A setting as a panel shows it."""
        return settings_of(type(self))[name].show(getattr(self, name))

    def represent_data(self, given: Container[str]) -> "Settings":
        """The settings for samples that represent the data; those that are `given` stay."""
        return self


class TextSettings(Settings, Struct, frozen=True, tag="text", kw_only=True):
    """How a token is chosen; the filters apply in this order.

    A `grammar` excludes tokens after which the text could not become valid.
    """

    GROUP: ClassVar[str] = "text models"
    FIRST: ClassVar[tuple[str, ...]] = ("temperature", "top_k", "top_p", "min_p")

    repetition_penalty: Annotated[
        float,
        Meta(ge=1, le=10),
        about(
            "penalty on tokens already written; 1 is off",
            "repetition",
            id="repetition",
            step=0.05,
            off=1,
            format="penalty {:.2f}",
            source="Keskar et al. 2019",
        ),
    ] = 1.0
    dry: Annotated[
        float,
        Meta(ge=0, le=10),
        about(
            "penalty on a token that would continue a repetition; 0 is off",
            "DRY",
            step=0.1,
            off=0,
            format="{:.2f}",
            source="p-e-w 2024",
        ),
    ] = 0.0
    dry_length: Annotated[
        int, Meta(ge=1, le=50), about("longest repetition without a DRY penalty, in tokens")
    ] = 2
    temperature: Annotated[
        float,
        Meta(ge=0, le=10),
        about(
            "0 always takes the likeliest token; 1 is the model's own distribution",
            step=0.05,
            format="{:.2f}",
        ),
    ] = 0.8
    top_k: Annotated[
        int,
        Meta(ge=0),
        about(
            "keep only the k likeliest tokens; 0 is off",
            "top-k",
            step=(0, 1, 2, 3, 5, 10, 20, 40, 80, 160),
            off=0,
            source="Fan et al. 2018",
        ),
    ] = 0
    top_p: Annotated[
        float,
        Meta(gt=0, le=1),
        about(
            "keep the likeliest tokens up to this total probability; 1 is off",
            "top-p",
            step=0.05,
            off=1,
            format="{:.2f}",
            source="Holtzman et al. 2020",
        ),
    ] = 0.95
    min_p: Annotated[
        float,
        Meta(ge=0, le=1),
        about(
            "drop tokens below this share of the highest probability; 0 is off",
            "min-p",
            step=0.01,
            off=0,
            format="{:.2f}",
            source="Nguyen et al. 2024",
        ),
    ] = 0.0
    grammar: Annotated[
        Literal["none", "python"],
        about(
            "exclude tokens that would make the text invalid in this language",
            choices={"none": "off", "python": "Python"},
        ),
    ] = "none"
    watermark: Annotated[
        Literal["none", "green", "tournament"],
        about(
            "favour tokens marked by a secret key, so that its owner can recognise the text: a "
            "green list raises their logits, a tournament keeps the odds on average",
            choices={"none": "off", "green": "green list", "tournament": "tournament"},
            source="Kirchenbauer et al. 2023, Dathathri et al. 2024",
            rare=True,
        ),
    ] = "none"
    watermark_key: WatermarkKey = "mine"
    watermark_delta: Annotated[
        float,
        Meta(ge=0, le=20),
        about(
            "logit bonus of a marked token, with a green list",
            "watermark δ",
            step=0.5,
            format="{:.1f}",
            rare=True,
        ),
    ] = 2.0
    watermark_context: Annotated[
        int,
        Meta(ge=1, le=16),
        about("how many previous tokens decide whether a token is marked", rare=True),
    ] = 4
    tokens: Annotated[int, Meta(ge=1, le=100_000), about("how many tokens to write", step=50)] = 400

    @property
    def is_greedy(self) -> bool:
        """Whether the likeliest token is always taken; logits divided by less would overflow."""
        return self.temperature < 1e-6


class ImageSettings(Settings, Struct, frozen=True, tag="image", kw_only=True):
    """How noise becomes an image.

    `eta` goes from 0, the probability-flow ODE, to 1, the reverse SDE: DDPM for DDIM, and
    SDE-DPM-Solver++ for DPM-Solver++. Other samplers ignore it. `sigma_min`, `rho` and `s_tmin` are
    EDM's (Karras et al. 2022, table 1).
    """

    GROUP: ClassVar[str] = "image models"
    FIRST: ClassVar[tuple[str, ...]] = ("sampler", "eta")

    sampler: Annotated[
        str, about("how each step removes noise", choices=SAMPLERS, axis="heun, ddpm")
    ] = "dpmpp-2m"
    steps: Annotated[
        int,
        Meta(ge=1, le=1000),
        about("denoising steps; more are finer and slower", step=1),
    ] = 20
    guidance: Annotated[
        float,
        Meta(ge=0, le=20),
        about(
            "classifier-free guidance scale; 1 is off",
            step=0.5,
            axis="1, 2, 4, 8",
            source="Ho & Salimans 2022",
        ),
    ] = 2.0
    negative: Annotated[
        str,
        Meta(max_length=2000),
        about(
            "negative prompt: guidance steers away from it instead of from no caption; no effect "
            "at guidance 1",
            "negative prompt",
            off="",
            rare=True,
        ),
    ] = ""
    size: Annotated[
        int,
        Meta(ge=0, le=4096),
        about(
            "side of the image in pixels, for models that draw several sizes; 0 is the default",
            step=64,
            rare=True,
        ),
    ] = 0
    decoder: Annotated[
        Literal["last", "every"],
        about(
            "latent models: which steps the full decoder shows; others use a cheap one",
            choices={"last": "last step", "every": "every step"},
            rare=True,
        ),
    ] = "last"
    autoguidance: Annotated[
        float,
        Meta(ge=0, le=20),
        about(
            "autoguidance scale, away from a weaker copy of the model; 1 is off",
            step=0.25,
            source="Karras et al. 2024",
        ),
    ] = 1.0
    eta: Annotated[
        float,
        Meta(ge=0, le=1),
        about(
            "share of fresh noise per step: 0 is none, 1 is DDPM, or the SDE of DPM++",
            step=0.1,
            axis="0, 0.5, 1",
        ),
    ] = 0.0
    sigma_min: Annotated[
        Annotated[float, Meta(ge=0.0001, le=1)] | None,
        about(
            "lowest noise level before 0; by default it depends on the number of steps",
            rare=True,
        ),
    ] = None
    rho: Annotated[
        float,
        Meta(ge=1, le=20),
        about("how dense the noise levels are near the lowest", rare=True),
    ] = 5.0
    s_tmin: Annotated[
        float,
        Meta(ge=0, le=40),
        about("no fresh noise at or below this noise level", rare=True),
    ] = 0.0
    watermark: Annotated[
        Literal["none", "noise"],
        about(
            "hide a secret key's pattern in the initial noise, so that its owner can recognise "
            "the image; for genui's own models",
            choices={"none": "off", "noise": "in the noise"},
            source="after Wen et al. 2023",
            rare=True,
        ),
    ] = "none"
    watermark_key: WatermarkKey = "mine"

    def __post_init__(self) -> None:
        """Raises UnknownNameError for an unknown sampler."""
        if self.sampler not in SAMPLERS:
            hint = did_you_mean(self.sampler, SAMPLERS, lists="genui help samplers")
            raise UnknownNameError(f"sampler '{self.sampler[:40]}'", hint)

    @property
    def lowest_sigma(self) -> float:
        """The noise level before 0: `sigma_min`, or a default by the number of steps.

        Ten steps or more end at 0.03. Fewer end higher: one step from a high level to a very low
        one is worse than stopping earlier (`python -m tests.bench few_steps --samplers`).
        """
        if self.sigma_min is not None:
            return self.sigma_min
        return min(1.0, 0.03 * max(1.0, 10 / self.steps) ** 3.5)

    def show(self, name: str) -> str:
        if name == "eta":
            return self._show_eta()
        return self._show_steps() if name == "steps" else super().show(name)

    def _show_eta(self) -> str:
        """η, for the samplers that have it."""
        if SAMPLERS[self.sampler].noise != "eta":
            return "DPM++ and DDIM only"
        above = f" above σ {self.s_tmin:g}" if self.s_tmin else ""
        return f"{self.eta:g}{above}"

    def _show_steps(self) -> str:
        """The number of steps, and their spacing if it was set on the command line."""
        parts = [str(self.steps)]
        if self.lowest_sigma != ImageSettings(steps=self.steps).lowest_sigma:
            parts.append(f"σ ≥ {self.lowest_sigma:g}")
        if self.rho != ImageSettings().rho:
            parts.append(f"ρ {self.rho:g}")
        return ", ".join(parts)

    def represent_data(self, given: Container[str]) -> "ImageSettings":
        settings = replace(self, **{k: v for k, v in FOR_DATA.items() if k not in given})
        if "sigma_min" not in given and settings.steps < UNGUIDED.steps // 2:
            settings = replace(settings, sigma_min=None)  # few steps end higher
        return settings


FOR_DATA = {
    "steps": 20,
    "guidance": 1.0,
    "eta": 0.5,
    "sigma_min": 0.01,
    "rho": 7.0,
    "s_tmin": 0.3,
}
UNGUIDED = ImageSettings(**FOR_DATA)
"""For images that represent their data; a generated dataset has FOR_DATA unless options differ.

Guided images are more typical than the data. Fresh noise in each step corrects the errors of the
steps before (Karras et al. 2022, §4); at low noise levels it would only remove grain. Levels end
lower than for an image to look at.
"""


# --- Edits: what makes a fork ---------------------------------------------------------


class Edit(Tagged, frozen=True):
    """The base of edits: an edit changes the state at one step, and later steps differ.

    The tag of an edit of a kind is its name in `--fork STEP:NAME=VALUE`.
    """

    __slots__ = ()

    def change(self, settings: Settings) -> Settings:
        """The settings from here on, which were `settings` before."""
        return settings

    @classmethod
    def parse_value(cls, text: str) -> Self:
        """The edit with a VALUE as typed. Raises MisuseError, one line."""
        raise NotImplementedError

    def format_value(self) -> str:
        """Its VALUE as it is typed."""
        raise NotImplementedError


class SetSettings(Edit, Struct, frozen=True, tag="settings"):
    """Other settings from here on. For images, `steps` counts the steps of the whole trace."""

    settings: Settings

    def change(self, settings: Settings) -> Settings:
        return self.settings


class SetSeed(Edit, Struct, frozen=True, tag="seed"):
    """Other random numbers from here on."""

    seed: Seed


class SetPrompt(Edit, Struct, frozen=True, tag="prompt"):
    """Another caption from here on."""

    prompt: str


class WriteText(Edit, Struct, frozen=True, tag="write"):
    """The next tokens are those of this text, not sampled."""

    text: str


class WriteToken(Edit, Struct, frozen=True, tag="token"):
    """The next token is this one, not sampled."""

    token: Annotated[int, Meta(ge=0)]


class SendMessage(Edit, Struct, frozen=True, tag="say"):
    """In a chat, the user's next message: it ends the answer, and the model answers it."""

    text: str


class AddNoise(Edit, Struct, frozen=True, tag="noise", kw_only=True):
    """Adds noise, up to the level of step `to` of the schedule (0: pure noise).

    With a mask (a byte for each pixel, row by row, 1 where the image may change) only the
    masked part is drawn again; the rest keeps the clean image of this step.
    """

    to: Annotated[int, Meta(ge=0)]
    mask: bytes = b""


class Denoise(Edit, Struct, frozen=True, tag="denoise"):
    """Ends a forward process: from here on the image is denoised."""


# Edits inside a network. Layers and heads count from 1. The text so far stays; the token at the end
# of it, from which the next one is predicted, and all later ones are read with the edit.

LayerNumber = Annotated[int, Meta(ge=1, le=1000)]


class Ablate(Edit, Struct, frozen=True, tag="ablate", kw_only=True):
    """Removes an attention head, or without `head` the feed-forward, from the residual stream."""

    layer: LayerNumber
    head: Annotated[int, Meta(ge=1, le=1000)] | None = None


class Steer(Edit, Struct, frozen=True, tag="steer", kw_only=True):
    """Adds a vector to the residual stream after a layer (Turner et al. 2023).

    It is `strength` times the mean of that stream over the tokens of `towards`, less that over
    the tokens of `away`. The first token of a text, which attention uses as a sink (Xiao et al.
    2023), does not count if there are others.
    """

    layer: LayerNumber
    strength: Annotated[float, Meta(ge=-1000, le=1000)]
    towards: Annotated[str, Meta(min_length=1)]
    away: Annotated[str, Meta(min_length=1)]


class Patch(Edit, Struct, frozen=True, tag="patch", kw_only=True):
    """Replaces the residual stream after a layer, at one position, by that of another text
    (Meng et al. 2022).

    `position` counts the tokens of the model's input from 0, prompt included; below 0 from the end
    of each text, so that -1 is the last token read. The text so far is read again from there on.
    The other text is the tokens of `text`, as if it were a prompt, then `token_ids`.
    """

    layer: LayerNumber
    position: Annotated[int, Meta(ge=-10_000_000, le=10_000_000)]
    text: str = ""
    token_ids: tuple[Annotated[int, Meta(ge=0)], ...] = ()


LayerEdit = Ablate | Steer | Patch

CoreEdit = (
    SetSettings | SetSeed | SetPrompt | WriteText | WriteToken | SendMessage | AddNoise | Denoise
    | Ablate | Steer | Patch
)  # fmt: skip


class EditAt(Struct, frozen=True, kw_only=True):
    """An edit of the state at `step`: this step and the earlier ones stay as they are."""

    step: Annotated[int, Meta(ge=0)]
    edit: Edit


_AXES = {name: one for name, one in settings_of(ImageSettings).items() if one.about.axis}

if TYPE_CHECKING:
    AxisName = str
else:
    AxisName = Literal["seed", "caption", *_AXES]


class Axis(Struct, frozen=True, kw_only=True):
    """One axis of a grid: the seed, the caption or a setting, and its values as typed."""

    name: AxisName
    values: Annotated[tuple[str, ...], Meta(min_length=1, max_length=16)]


FROM_DATA = "data:"
"""As `Start.init`: the training image nearest to the caption."""


FILL = "<FILL>"
"""The gap in the prompt of a model that fills gaps."""


class RgbImage(Struct, frozen=True, kw_only=True):
    """An image to start from: height × width × 3 bytes, RGB, row by row."""

    width: int
    height: int
    rgb: bytes


# --- A grid of images as typed, one line for each axis: `seed 1..6`, `guidance 1, 2, 4, 8` ---

AXIS_NAMES: tuple[str, ...] = ("seed", "caption", *_AXES)
MAX_VALUES = 16  # on one axis
MAX_CELLS = 64
_RANGE = re.compile(r"(\d{1,19})\s*\.\.\s*(\d{1,19})")


def parse_axes(along_x: str, along_y: str) -> tuple[Axis, ...]:
    """Both axes; an empty line or `none` is no axis. Raises MisuseError, one line."""
    axes = tuple(axis for axis in (parse_axis(along_x), parse_axis(along_y)) if axis is not None)
    check_axes(axes)
    return axes


def check_axes(axes: Sequence[Axis]) -> None:
    """Raise MisuseError for more than two axes, equal ones, or too many images."""
    names = [axis.name for axis in axes]
    if len(axes) > 2:
        raise MisuseError(f"grid: {len(names)} axes ({', '.join(names)}); at most 2 fit")
    if len(set(names)) < len(names):
        raise MisuseError(f"{names[0]} is on both axes: choose two different settings")
    cells = math.prod(len(axis.values) for axis in axes)
    if cells > MAX_CELLS:
        raise MisuseError(f"{cells} images: at most {MAX_CELLS} are drawn at once")


def parse_axis(text: str) -> Axis | None:
    """One axis; captions are separated by semicolons, other values by commas."""
    name, _, rest = text.strip().partition(" ")
    name = name.lower()
    if name in ("", "none"):
        return None
    if name not in AXIS_NAMES:
        raise MisuseError(f"no setting '{name}': {did_you_mean(name, (*AXIS_NAMES, 'none'))}")
    values = _parse_values(name, rest.strip())
    if len(values) > MAX_VALUES:
        raise MisuseError(f"{name}: {len(values)} values; at most {MAX_VALUES} on one axis")
    for value in values:
        parse_axis_value(name, value, f"{name} '{value}'")
    return Axis(name=name, values=values)


def format_axis(axis: Axis) -> str:
    """The line that `parse_axis` reads as this axis."""
    values = axis.values
    if axis.name == "seed" and len(values) > 2:
        first = int(values[0])
        if values == tuple(str(first + i) for i in range(len(values))):
            return f"seed {first}..{values[-1]}"
    return f"{axis.name} {('; ' if axis.name == 'caption' else ', ').join(values)}"


def format_grid(axes: Sequence[Axis], with_values: bool) -> str:
    """The setting that varies in each direction: `seed → · guidance ↓`, or with the values."""
    return " · ".join(
        f"{format_axis(axis) if with_values else axis.name} {arrow}"
        for axis, arrow in zip(axes, "→↓", strict=False)
    )


def _parse_values(name: str, text: str) -> tuple[str, ...]:
    match = _RANGE.fullmatch(text) if name == "seed" else None
    if match is not None:
        first, last = int(match[1]), int(match[2])
        if not 0 <= last - first < MAX_VALUES:
            raise MisuseError(f"seed {text}: give 1 to {MAX_VALUES} seeds, the lowest first")
        return tuple(str(seed) for seed in range(first, last + 1))
    parts = text.split(";" if name == "caption" else ",")
    values = tuple(part.strip() for part in parts if part.strip())
    if not values:
        raise MisuseError(f"{name}: give its values, as in {_EXAMPLES[name]}")
    return values


_EXAMPLES = {
    "seed": "seed 1..6",
    "caption": "caption red heart; blue star",
    **{name: f"{name} {one.about.axis}" for name, one in _AXES.items()},
}


def parse_axis_value(name: str, text: str, label: str) -> str | int | float:
    """A value of an axis. Raises MisuseError, which begins with `label`."""
    if name == "caption":
        return text
    return (SEED if name == "seed" else _AXES[name]).parse(text, label)
