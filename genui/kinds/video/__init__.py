"""Short clips, drawn by a diffusion model that moves an icon."""

from pathlib import Path

from msgspec.structs import replace

from genui.base.manual import Page
from genui.kinds.image import DENOISED
from genui.protocol.kinds import Recipes


def _recipes() -> Recipes:
    from genui.recipes.diffusion import VIDEO_RECIPES, VideoRecipe

    return Recipes(VideoRecipe, VIDEO_RECIPES)


def _prepares() -> object:
    from genui.engine.data.clips import check_clips
    from genui.engine.kinds import Prepares

    return Prepares(check=check_clips)


def _trains() -> object:
    from genui.engine.kinds import Trains
    from genui.engine.metrics.clips import measure_clips, nearest_clips
    from genui.engine.train.clips import VideoTask

    return Trains(task=VideoTask, measure=measure_clips, nearest=nearest_clips)


def _generates() -> object:
    from genui.engine.kinds import Generates
    from genui.engine.sample.clips import CLIPS

    return Generates(load=CLIPS.load)


def _shows() -> object:
    from genui.ui.generate.image import CANVAS
    from genui.ui.kinds import Shows
    from genui.ui.traces.export import CLIPS
    from genui.ui.widgets.image import ImageView

    return Shows(pane=CANVAS, view=ImageView, exports=CLIPS)


_PAGE = Page("video", "clips of 16 frames", Path(__file__).with_name("help.md"))

KINDS = (
    replace(
        DENOISED,
        medium="video",
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
    ),
)
