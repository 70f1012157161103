"""Short clips, drawn by a diffusion model that moves an icon."""

from argparse import ArgumentParser
from pathlib import Path

from msgspec.structs import replace

from genui.base.late import late_imports
from genui.base.manual import Page
from genui.kinds.image import DENOISED
from genui.protocol.kinds import Recipes

with late_imports():
    from genui.cli import generation
    from genui.cli import kinds as cli
    from genui.engine import kinds as engine
    from genui.formats import kinds as formats
    from genui.kinds.video import data, exports, medium, metrics, mp4, recipe, shell, task
    from genui.ui import kinds as ui
    from genui.ui.generate import image as pane
    from genui.ui.widgets import image


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument_group("files of clips").add_argument(
        "--denoising",
        action="store_true",
        help="--out shows all frames at every step, not the clip",
    )


_PAGE = Page("video", "clips of 16 frames", Path(__file__).with_name("help.md"))

KINDS = (
    replace(
        DENOISED,
        medium="video",
        first=(1, "video"),
        folder=Path(__file__).parent,
        help=_PAGE,
        place=60,
        ability="draws short clips",
        limitations="It knows 159 icons and 10 motions by name. The shape of an icon is "
        "memorized: the caption draws it, and the network moves it. New are its size, start "
        "and distance, and combinations of icon, motion and colours that were not trained "
        "together. Words that it was not trained on draw no icon. A motion always begins at "
        "the same point of its path: a bounce on the ground, an orbit at the top.",
        recipes=lambda: Recipes(recipe.VideoRecipe, recipe.VIDEO_RECIPES),
        prepares=lambda: engine.Prepares(check=data.check_clips),
        trains=lambda: engine.Trains(
            task=task.VideoTask, measure=metrics.measure_clips, nearest=metrics.nearest_clips
        ),
        generates=lambda: engine.Generates(load=medium.CLIPS.load),
        options=(*DENOISED.options, "denoising"),
        makes="a clip",
        shows=lambda: ui.Shows(pane=pane.CANVAS, view=image.ImageView, exports=exports.CLIPS),
        files=(".gif", ".apng", ".mp4", ".png", ".cast"),
        saves=lambda: formats.Saves(codecs=(mp4.CODEC,)),
        prints=lambda: cli.Prints(
            as_json=generation.image_as_json,
            draw=generation.draw_images,
            check=shell.check_denoising,
            choose_view=shell.choose_view,
        ),
        add_options={"generate": _add_options},
        examples=(
            "genui generate video --prompt 'red heart moving up on black' --out up.gif --scale 8",
        ),
    ),
)
