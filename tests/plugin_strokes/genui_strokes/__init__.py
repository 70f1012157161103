"""A plug-in of genui: a whole kind of model in one folder. It draws with a pen, stroke by stroke.

This file imports neither torch nor Textual: the app, the shell, the worker and the trainer each
call the function of the face that they need.
"""

from collections.abc import Sequence
from pathlib import Path

from genui.base.manual import Page
from genui.kinds.image import prints
from genui.protocol.kinds import Kind, Recipes
from genui_strokes.settings import Jump, StrokesSettings


def _recipes() -> Recipes:
    from genui_strokes.recipe import STROKES_RECIPES, StrokesRecipe

    return Recipes(StrokesRecipe, STROKES_RECIPES)


def _prepares() -> object:
    from genui.engine.kinds import Prepares
    from genui_strokes.recipe import describe_data

    return Prepares(check=describe_data)


def _trains() -> object:
    from genui.engine.kinds import Trains
    from genui_strokes.engine import StrokesTask, measure_strokes

    return Trains(task=StrokesTask, measure=measure_strokes)


def _generates() -> object:
    from genui.engine.kinds import Generates
    from genui_strokes.engine import load_strokes

    return Generates(load=load_strokes)


def _shows() -> object:
    from genui.ui.kinds import Shows
    from genui.ui.traces.export import IMAGES
    from genui.ui.widgets.image import ImageView
    from genui_strokes.pane import PEN

    return Shows(pane=PEN, view=ImageView, exports=IMAGES)


def _keys() -> Sequence[object]:
    from genui_strokes.keys import KEYS

    return KEYS


def _tour() -> Sequence[object]:
    from genui_strokes.pane import STEPS

    return STEPS


KINDS = (
    Kind(
        family="strokes",
        medium="drawing",
        does="draws with a pen",
        folder=Path(__file__).parent,
        limitations="It draws round shapes only.",
        recipes=_recipes,
        prepares=_prepares,
        trains=_trains,
        generates=_generates,
        settings=StrokesSettings,
        messages=(Jump,),
        edits=("seed", "jump"),
        makes="a drawing",
        pane="pen",
        title="Pen",
        keys=_keys,
        replaces_canvas=True,
        shows=_shows,
        tour=_tour,
        files=(".png", ".gif"),
        prints=prints,
        help=Page("pen", "drawings, stroke by stroke", Path(__file__).with_name("help.md")),
    ),
)
