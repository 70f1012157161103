"""Text by discrete diffusion: its tokens are decided in any order, with both sides in sight."""

from functools import partial
from pathlib import Path

from msgspec.structs import replace

from genui.base.late import late_imports
from genui.base.manual import Page
from genui.kinds.text_diffusion.settings import (
    CanvasFrame,
    Erase,
    Pin,
    TextDiffusionSettings,
)
from genui.protocol.edits import VariationMethod, resample
from genui.protocol.kinds import Kind, Recipes

with late_imports():
    from genui.cli import generation
    from genui.cli import kinds as cli
    from genui.engine import kinds as engine
    from genui.engine.data import shards
    from genui.engine.data import text as data
    from genui.kinds.text_diffusion import (
        keys,
        metrics,
        network,
        page,
        pane,
        recipe,
        sample,
        shell,
        task,
    )
    from genui.ui import kinds as ui
    from genui.ui.traces import export

_TEXT = Kind(
    family="discrete-diffusion",
    medium="text",
    place=15,
    ability="writes text in any order",
    limitations="It was trained on one small text: it imitates the style, invents words and knows "
    "no facts. Tokens that are decided at one step do not see each other.",
    folder=Path(__file__).parent,
    recipes=lambda: Recipes(recipe.TextDiffusionRecipe, recipe.TEXT_DIFFUSION_RECIPES),
    prepares=lambda: engine.Prepares(check=shards.check_text, is_large=data.is_large_file),
    trains=lambda: engine.Trains(
        task=task.TextDiffusionTask, measure=metrics.measure_text_diffusion
    ),
    generates=lambda: engine.Generates(
        load=sample.load_text_diffusion, network=network.build_text_denoiser
    ),
    settings=TextDiffusionSettings,
    messages=(CanvasFrame, Erase, Pin),
    edits=("seed", "pin", "erase"),
    variation=VariationMethod(
        partial(resample, unit="step"), "sample again from an earlier step on"
    ),
    makes="text",
    pane="page",
    title="Page",
    keys=lambda: keys.KEYS,
    replaces_canvas=True,
    shows=lambda: ui.Shows(
        pane=pane.PAGE,
        view=page.Page,
        exports=[form for form in export.TEXTS if form.suffix != ".cast"],
    ),
    files=(".txt",),
    prints=lambda: cli.Prints(as_json=generation.text_as_json, draw=shell.print_pages),
    help=Page(
        "diffused-text",
        "text that is not written from left to right",
        Path(__file__).with_name("help.md"),
    ),
    examples=(
        "genui generate masked-shakespeare --prompt 'ROMEO:' --block 16",
        "genui generate masked-shakespeare --prompt 'What <FILL> through yonder window?' --gap 12",
    ),
)

KINDS = (_TEXT, replace(_TEXT, medium="code", syntax="python"))
