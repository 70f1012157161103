"""A kind of ten lines, for tests that need any kind and none of genui's: the fixture `marks`.

It draws as image models do, in a pane of its own.
"""

from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from genui.base.manual import Page
from genui.kinds import image
from genui.protocol.kinds import Recipes
from genui.recipes.diffusion import DiffusionRecipe
from genui.ui.keys import shared


@dataclass(frozen=True, kw_only=True)
class MarksRecipe(DiffusionRecipe):
    family: str = "pen"
    medium: str = "marks"


def _shows() -> object:
    from genui.ui.generate.image import CANVAS
    from genui.ui.kinds import Shows
    from genui.ui.traces.export import IMAGES
    from genui.ui.widgets.image import ImageView

    pane = CANVAS._replace(pane="pen", heading="Sketch")
    return Shows(pane=pane, view=ImageView, exports=IMAGES)


MARKS = MarksRecipe(name="marks-image", dataset="icons", summary="marks on paper")
KINDS = (
    replace(
        image.KINDS[0],
        family="pen",
        medium="marks",
        recipes=lambda: Recipes(MarksRecipe, (MARKS,)),
        pane="pen",
        title="Sketch",
        keys=lambda: shared("pen", "zoom", "fork", "branches", "settings", "save"),
        shows=_shows,
        help=Page("marks", "marks on paper", Path(__file__).with_suffix(".md")),
    ),
)
