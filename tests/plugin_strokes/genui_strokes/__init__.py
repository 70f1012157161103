"""A plug-in of genui: a whole kind of model in one folder. It draws with a pen, stroke by stroke.

This file imports neither torch nor Textual: the app, the shell, the worker and the trainer each
call the function of the face that they need.
"""

from pathlib import Path

from genui.base.late import late_imports
from genui.base.manual import Page
from genui.kinds.image import prints
from genui.protocol.kinds import Kind, Recipes
from genui_strokes.settings import Jump, StrokesSettings

with late_imports():
    from genui.engine import kinds as engine
    from genui.ui import kinds as ui
    from genui.ui.traces import export
    from genui.ui.widgets import image
    from genui_strokes import keys, network, pane, recipe

KINDS = (
    Kind(
        family="strokes",
        medium="drawing",
        ability="draws with a pen",
        folder=Path(__file__).parent,
        limitations="It draws round shapes only.",
        recipes=lambda: Recipes(recipe.StrokesRecipe, recipe.STROKES_RECIPES),
        prepares=lambda: engine.Prepares(check=recipe.describe_data),
        trains=lambda: engine.Trains(task=network.StrokesTask, measure=network.measure_strokes),
        generates=lambda: engine.Generates(load=network.load_strokes),
        settings=StrokesSettings,
        messages=(Jump,),
        edits=("seed", "jump"),
        makes="a drawing",
        pane="pen",
        title="Pen",
        keys=lambda: keys.KEYS,
        replaces_canvas=True,
        shows=lambda: ui.Shows(pane=pane.PEN, view=image.ImageView, exports=export.IMAGES),
        tour=lambda: pane.STEPS,
        files=(".png", ".gif"),
        prints=prints,
        help=Page("pen", "drawings, stroke by stroke", Path(__file__).with_name("help.md")),
    ),
)
