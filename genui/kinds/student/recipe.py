"""The recipe of few-step students."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from genui.base.errors import MisuseError
from genui.base.schema import about
from genui.engine.data.preparation import QUIET, Preparation
from genui.recipes import RECIPES, EDMRecipe
from genui.recipes.base import Count, Fraction, Positive, Rate, Recipe, Share, Strength
from genui.recipes.diffusion import CaptionDropout
from genui.runs.models import Header, find_model, read_header

TAUGHT_STEPS = (1, 2, 4, 8)
"""The numbers of steps that a student learns."""


@dataclass(frozen=True, kw_only=True)
class StudentRecipe(Recipe):
    """A student of a diffusion model of images, which draws in a few steps."""

    family: str = "student"
    medium: str = "image"
    batch: Positive = 32
    learning_rate: Rate = 5e-4
    muon_rate: Strength = 0.0
    beta2: Fraction = 0.98
    warmup: Count = 30
    decay_from: Share = 0.3
    weight_decay: Strength = 0.0
    ema: Fraction = 0.995
    eval_every: Positive = 200
    sample_every: Positive = 200
    checkpoint_every: Positive = 200
    caption_dropout: CaptionDropout = 0.05
    teacher: Annotated[str, about("the diffusion model it learns from")] = ""
    guidance: Annotated[
        float, Meta(ge=0, le=20), about("guidance scale distilled from the teacher; 1 is off")
    ] = 1.0
    reuse: Annotated[
        int, Meta(ge=1, le=1024), about("steps learned from each sample of the teacher")
    ] = 16

    ARCHITECTURE: ClassVar[tuple[str, ...]] = ("teacher",)
    EVALUATED: ClassVar[tuple[str, ...]] = tuple(f"error_{steps}" for steps in TAUGHT_STEPS)

    @property
    def prompts(self) -> tuple[str, ...]:
        """Those of the recipe of its dataset, which its teacher has learned too."""
        recipe = RECIPES.get(self.dataset)
        return recipe.prompts if recipe is not None else ()


def read_teacher(recipe: StudentRecipe) -> Header:
    """The header of the teacher. Raises MisuseError if it is no diffusion model of the recipe's
    medium, or has learned another dataset."""
    header = read_header(find_model(recipe.teacher).path)
    taught = header.recipe
    if not isinstance(taught, EDMRecipe) or taught.medium != recipe.medium:
        raise MisuseError(
            f"teacher={recipe.teacher}: it is a {taught.family} of {taught.medium}; "
            f"name a diffusion model of {recipe.medium}"
        )
    if taught.dataset != recipe.dataset:
        raise MisuseError(
            f"teacher={recipe.teacher}: it has learned {taught.dataset} and this recipe is for "
            f"{recipe.dataset}; add --set dataset={taught.dataset}"
        )
    return header


def check_teacher(recipe: StudentRecipe, preparation: Preparation = QUIET) -> str:
    """Describe what is learned, in one line. Raises as `read_teacher`."""
    header = read_teacher(recipe)
    return f"what {recipe.teacher} draws ({header.parameters:,} parameters)"


STUDENT_RECIPES: tuple[Recipe, ...] = (
    StudentRecipe(
        name="fashion-student",
        dataset="fashion",
        teacher="fashion",
        summary="clothing in grey, in 1 to 8 steps",
        steps=1200,
    ),
    StudentRecipe(
        name="icons-128-student",
        dataset="icons-128",
        teacher="icons-128",
        guidance=2.0,
        summary="icons with their variants, 128×128, in 1 to 8 steps",
        steps=900,
    ),
)
