"""Short clips, drawn by a diffusion model that moves an icon."""

from argparse import ArgumentParser
from pathlib import Path

from msgspec.structs import replace

from genui.base.manual import Page
from genui.kinds.image import DENOISED
from genui.protocol.kinds import Recipes


def _recipes() -> Recipes:
    from genui.kinds.video.recipe import VIDEO_RECIPES, VideoRecipe

    return Recipes(VideoRecipe, VIDEO_RECIPES)


def _prepares() -> object:
    from genui.engine.kinds import Prepares
    from genui.kinds.video.data import check_clips

    return Prepares(check=check_clips)


def _trains() -> object:
    from genui.engine.kinds import Trains
    from genui.kinds.video.metrics import measure_clips, nearest_clips
    from genui.kinds.video.task import VideoTask

    return Trains(task=VideoTask, measure=measure_clips, nearest=nearest_clips)


def _generates() -> object:
    from genui.engine.kinds import Generates
    from genui.kinds.video.medium import CLIPS

    return Generates(load=CLIPS.load)


def _shows() -> object:
    from genui.kinds.video.exports import CLIPS
    from genui.ui.generate.image import CANVAS
    from genui.ui.kinds import Shows
    from genui.ui.widgets.image import ImageView

    return Shows(pane=CANVAS, view=ImageView, exports=CLIPS)


def _saves() -> object:
    from genui.formats.kinds import Saves
    from genui.kinds.video import mp4

    return Saves(codecs=(mp4.CODEC,))


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument_group("files of clips").add_argument(
        "--denoising",
        action="store_true",
        help="--out shows all frames at every step, not the clip",
    )


def _prints() -> object:
    from genui.cli.generation import draw_images, image_as_json
    from genui.cli.kinds import Prints
    from genui.kinds.video.shell import check_denoising, choose_view

    return Prints(
        as_json=image_as_json, draw=draw_images, check=check_denoising, choose_view=choose_view
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
        does="draws short clips",
        limitations="It knows 159 icons and 10 motions by name. The shape of an icon is "
        "memorized: the caption draws it, and the network moves it. New are its size, start "
        "and distance, and combinations of icon, motion and colours that were not trained "
        "together. Words that it was not trained on draw no icon. A motion always begins at "
        "the same point of its path: a bounce on the ground, an orbit at the top.",
        recipes=_recipes,
        prepares=_prepares,
        trains=_trains,
        generates=_generates,
        options=(*DENOISED.options, "denoising"),
        makes="a clip",
        shows=_shows,
        files=(".gif", ".apng", ".mp4", ".png", ".cast"),
        saves=_saves,
        prints=_prints,
        add_options={"generate": _add_options},
        examples=(
            "genui generate video --prompt 'red heart moving up on black' --out up.gif --scale 8",
        ),
    ),
)
