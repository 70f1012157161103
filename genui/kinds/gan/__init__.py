"""Generators that were trained against a discriminator, and walks in their latent space."""

from collections.abc import Sequence
from pathlib import Path

from genui.base.manual import Page
from genui.kinds.gan.walk import VARIATION, LatentSettings, WalkFrame
from genui.kinds.image import prints
from genui.protocol.kinds import Kind, Recipes


def _recipes() -> Recipes:
    from genui.kinds.gan.recipe import GAN_RECIPES, GanRecipe

    return Recipes(GanRecipe, GAN_RECIPES)


def _prepares() -> object:
    from genui.engine.data.image_datasets import check_images
    from genui.engine.data.own_images import is_large
    from genui.engine.kinds import Prepares

    return Prepares(check=check_images, is_large=is_large)


def _trains() -> object:
    from genui.engine.kinds import Trains
    from genui.engine.metrics.copying import nearest_images
    from genui.kinds.gan.metrics import measure_gan
    from genui.kinds.gan.task import GanTask

    return Trains(task=GanTask, measure=measure_gan, nearest=nearest_images)


def _generates() -> object:
    from genui.engine.kinds import Generates
    from genui.kinds.gan.sample import load_latent_model

    return Generates(load=load_latent_model)


def _keys() -> Sequence[object]:
    from genui.kinds.gan.keys import KEYS

    return KEYS


def _shows() -> object:
    from genui.kinds.gan.pane import WALK, WALKS
    from genui.ui.kinds import Shows
    from genui.ui.widgets.image import ImageView

    return Shows(pane=WALK, view=ImageView, exports=WALKS)


_PAGE = Page("walk", "the latent space of a GAN", Path(__file__).with_name("help.md"))

KINDS = (
    Kind(
        family="gan",
        medium="image",
        help=_PAGE,
        place=30,
        does="draws images in one step",
        limitations="It was trained by a discriminator and never on the images themselves, so "
        "its images are new. It leaves out what is hard to draw: 'coverage' and 'recall' "
        "measure how much.",
        folder=Path(__file__).parent,
        recipes=_recipes,
        prepares=_prepares,
        trains=_trains,
        generates=_generates,
        settings=LatentSettings,
        messages=(WalkFrame,),
        edits=("seed", "caption"),
        variation=VARIATION,
        options=("grid", "film", "frames", "scale"),
        batches=True,
        makes="a walk",
        pane="walk",
        title="Walk",
        keys=_keys,
        replaces_canvas=True,
        shows=_shows,
        files=(".gif", ".apng", ".png", ".cast"),
        prints=prints,
        examples=(
            "genui generate fashion-gan --prompt sneaker --direction 2 --out walk.gif --scale 8",
        ),
    ),
)
