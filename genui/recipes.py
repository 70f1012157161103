"""The built-in recipes, as one readable table, and the rules for overriding them.

A recipe is everything needed to train a model again: dataset, family, hyperparameters
and budget. It is a frozen dataclass; `override` changes any field from text, as
`--set width=384` does, and says in one line what is wrong where it cannot.
"""

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from genui.errors import MisuseError, did_you_mean

Positive = Annotated[int, Meta(ge=1)]
Count = Annotated[int, Meta(ge=0)]
Rate = Annotated[float, Meta(gt=0, le=10)]
Fraction = Annotated[float, Meta(ge=0, lt=1)]
Share = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What every family shares. Sizes are counts; times are steps unless a unit is named."""

    name: str
    family: str
    medium: str
    dataset: str
    summary: str = ""

    # budget
    steps: Positive = 2000
    batch: Positive = 16  # sequences or pictures a step
    seed: Count = 1

    # optimiser: Muon on matrices inside blocks (0 turns it off), AdamW on the rest
    learning_rate: Rate = 3e-3
    muon_rate: Annotated[float, Meta(ge=0, le=10)] = 0.02
    beta1: Fraction = 0.9
    beta2: Fraction = 0.95
    weight_decay: Annotated[float, Meta(ge=0, le=10)] = 0.1
    warmup: Count = 50
    decay_from: Share = 0.4  # share of the budget after which the rate falls linearly to zero
    grad_clip: Annotated[float, Meta(gt=0)] = 1.0
    ema: Fraction = 0.998  # 0 turns it off

    # what is written while it trains
    eval_every: Positive = 100
    sample_every: Positive = 100
    checkpoint_every: Positive = 500
    eval_batches: Positive = 16

    # the machine; "auto" measures and chooses, run.json records what was chosen
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    threads: Count = 0  # 0: all cores but one

    # the user's own data, from --data
    data: str = ""


@dataclass(frozen=True, kw_only=True)
class TransformerRecipe(Recipe):
    """A decoder-only Transformer on tokens (Vaswani et al. 2017; Radford et al. 2019)."""

    family: str = "transformer"
    medium: str = "text"
    tokenizer: Literal["chars", "bytes", "bpe"] = "chars"
    vocab_size: Annotated[int, Meta(ge=256, le=65536)] = 2048  # for bpe
    layers: Annotated[int, Meta(ge=1, le=96)] = 6
    width: Annotated[int, Meta(ge=8, le=8192)] = 256
    heads: Annotated[int, Meta(ge=1, le=128)] = 4
    context: Annotated[int, Meta(ge=8, le=8192)] = 256  # tokens
    dropout: Fraction = 0.1
    sample_prompt: str = "\n"
    sample_tokens: Positive = 300


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


FAMILIES: Mapping[str, type[Recipe]] = types.MappingProxyType(
    {"transformer": TransformerRecipe, "diffusion": DiffusionRecipe}
)

ARCHITECTURE: Mapping[str, tuple[str, ...]] = types.MappingProxyType(
    {
        "transformer": ("tokenizer", "vocab_size", "layers", "width", "heads"),
        "diffusion": (
            *("patch", "layers", "width", "heads", "caption_width", "caption_words"),
            *("canvas_batch", "sigma_data"),
        ),
    }
)
"""The settings of each family that its weights are made for, largest matter first."""

_RECIPES: tuple[Recipe, ...] = (
    TransformerRecipe(
        name="shakespeare",
        dataset="shakespeare",
        summary="plays, a character at a time",
        steps=2400,
        eval_every=150,
        eval_batches=6,
        sample_prompt="ROMEO:\n",
    ),
    TransformerRecipe(
        name="python",
        medium="code",
        dataset="python",
        summary="Python source, BPE tokens",
        tokenizer="bpe",
        steps=1500,
        eval_every=200,
        eval_batches=6,
        dropout=0.0,
        sample_prompt="\n\ndef",
        sample_tokens=160,
    ),
    TransformerRecipe(
        name="prose",
        dataset="prose",
        summary="Python's own manual, BPE tokens",
        tokenizer="bpe",
        vocab_size=1024,
        steps=1200,
        layers=4,
        dropout=0.2,
        sample_prompt="The ",
        sample_tokens=120,
    ),
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

RECIPES: Mapping[str, Recipe] = types.MappingProxyType({r.name: r for r in _RECIPES})

FIXED = frozenset({"name", "family", "medium"})
"""Fields that say what a recipe is and so cannot be overridden."""


def find_recipe(name: str) -> Recipe:
    """The built-in recipe of that name.

    Raises MisuseError naming the nearest one.
    """
    try:
        return RECIPES[name]
    except KeyError:
        raise MisuseError(f"no recipe '{name}': {did_you_mean(name, RECIPES)}") from None


def parse_settings(pairs: Iterable[str]) -> dict[str, str]:
    """`["width=384"]` to `{"width": "384"}`. Raises MisuseError on a pair without `=`."""
    settings: dict[str, str] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key.strip():
            raise MisuseError(f"--set {pair!r}: expected KEY=VALUE, as in --set steps=500")
        settings[key.strip()] = value.strip()
    return settings


def override(recipe: Recipe, settings: Mapping[str, str]) -> Recipe:
    """The recipe with fields replaced from text.

    Raises MisuseError for an unknown field (with the nearest name), a value of the wrong
    type or out of range, or sizes that do not fit each other.
    """
    hints = typing.get_type_hints(type(recipe), include_extras=True)
    changed = dataclasses.asdict(recipe)
    for key, text in settings.items():
        if key not in hints or key in FIXED:
            raise MisuseError(
                f"--set {key}: the {recipe.family} recipe has no such setting; "
                f"{did_you_mean(key, hints.keys() - FIXED)}"
            )
        value: Any = text
        if typing.get_origin(hints[key]) is tuple:
            value = [part.strip() for part in text.split(",") if part.strip()]
        try:
            changed[key] = msgspec.convert(value, hints[key], strict=False)
        except msgspec.ValidationError as error:
            raise MisuseError(f"--set {key}={text}: {_plainly(error)}") from None
    result = recipe_from_dict(changed)
    check(result)
    return result


def _plainly(error: msgspec.ValidationError) -> str:
    """The library's reason in words for someone who does not write Python."""
    reason = str(error).partition(", got")[0].replace("Expected", "expected")
    return reason.replace("`int`", "a whole number").replace("`float`", "a number")


def recipe_from_dict(fields: Mapping[str, Any]) -> Recipe:
    """A recipe read back from a file. Raises MisuseError where it does not fit its family."""
    family = str(fields.get("family"))
    if family not in FAMILIES:
        raise MisuseError(f"family {family[:40]!r}: {did_you_mean(family, FAMILIES)}")
    known = {f.name for f in dataclasses.fields(FAMILIES[family])}
    try:
        return msgspec.convert({k: v for k, v in fields.items() if k in known}, FAMILIES[family])
    except msgspec.ValidationError as error:
        raise MisuseError(f"recipe does not fit family {family}: {error}") from None


def check(recipe: Recipe) -> None:
    """Raises MisuseError where two fields contradict each other."""
    if isinstance(recipe, TransformerRecipe | DiffusionRecipe) and recipe.width % recipe.heads:
        raise MisuseError(
            f"width={recipe.width} is not a multiple of heads={recipe.heads}: change one of them"
        )
    if isinstance(recipe, TransformerRecipe) and (recipe.width // recipe.heads) % 2:
        raise MisuseError(
            f"width/heads={recipe.width // recipe.heads} is odd: rotary positions need it even"
        )
    if isinstance(recipe, DiffusionRecipe) and 32 % recipe.patch:
        raise MisuseError(f"patch={recipe.patch} does not divide 32: use 2, 4 or 8")
