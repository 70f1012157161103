"""What can be trained."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from genui.base.schema import about
from genui.engine.data.preparation import QUIET, Preparation
from genui.recipes import Recipe


@dataclass(frozen=True, kw_only=True)
class StrokesRecipe(Recipe):
    """A network that moves a pen along circles of any size."""

    family: str = "strokes"
    medium: str = "drawing"
    width: Annotated[int, Meta(ge=4, le=256), about("features of the network")] = 32
    sample_strokes: Annotated[int, Meta(ge=1, le=1000), about("strokes of a sample")] = 24

    ARCHITECTURE: ClassVar[tuple[str, ...]] = ("width",)
    EVALUATED: ClassVar[tuple[str, ...]] = ("val_loss",)


STROKES_RECIPES = (
    StrokesRecipe(
        name="circles",
        dataset="circles",
        summary="circles, stroke by stroke",
        steps=300,
        muon_rate=0,
    ),
)


def describe_data(recipe: StrokesRecipe, preparation: Preparation = QUIET) -> str:
    """Describe the training data, which are computed, in one line."""
    return "circles of radius 0.3 to 0.8, 24 strokes each"
