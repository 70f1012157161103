"""Diffusion models that draw images, trained by genui."""

from collections.abc import Sequence

from msgspec.structs import replace

from genui.protocol.edits import VariationMethod, renoise
from genui.protocol.kinds import Kind, Recipes, Target
from genui.protocol.settings import ImageSettings


def _recipes() -> Recipes:
    from genui.recipes.diffusion import IMAGE_RECIPES, DiffusionRecipe

    return Recipes(DiffusionRecipe, IMAGE_RECIPES)


def _prepares() -> object:
    from genui.engine.data.image_datasets import check_diffusion_images
    from genui.engine.data.own_images import is_large
    from genui.engine.kinds import Prepares

    return Prepares(check=check_diffusion_images, is_large=is_large)


def _trains() -> object:
    from genui.engine.kinds import Trains
    from genui.engine.metrics.copying import nearest_images
    from genui.engine.metrics.images import measure_images
    from genui.engine.train.diffusion import ImageTask

    return Trains(task=ImageTask, measure=measure_images, nearest=nearest_images)


def _generates() -> object:
    from genui.engine.convert.image import write_image_model
    from genui.engine.kinds import Generates
    from genui.engine.sample.diffusion import IMAGES

    return Generates(load=IMAGES.load, converts={"diffusers": write_image_model})


def _shows() -> object:
    from genui.ui.generate.image import CANVAS
    from genui.ui.kinds import Shows
    from genui.ui.traces.export import IMAGES
    from genui.ui.widgets.image import ImageView

    return Shows(pane=CANVAS, view=ImageView, exports=IMAGES)


def _tour() -> Sequence[object]:
    from genui.kinds.image.tour import STEPS

    return STEPS


def _demo() -> object:
    from genui.ui.demo import Demonstration

    return Demonstration(pane="canvas", model="icons", prompts=CAPTIONS)


def prints() -> object:
    """How images are printed, and what is shown as an image."""
    from genui.cli.generation import draw_images, image_as_json
    from genui.cli.kinds import Prints

    return Prints(as_json=image_as_json, draw=draw_images)


CAPTIONS = (
    "green cat on white",
    "red heart on black",
    "blue rocket on yellow",
    "orange fish on blue",
    "purple ghost on white",
    "yellow star on blue",
    "pink flower on black",
)
"""Captions that `icons` has not seen and draws well."""

DENOISED = Kind(
    family="diffusion",
    medium="image",
    place=20,
    does="draws images",
    settings=ImageSettings,
    # As good as 20 steps for every shipped model: `python -m tests.bench few_steps`.
    default_settings=ImageSettings(steps=12),
    edits=("seed", "caption", "noise", "denoise"),
    variation=VariationMethod(renoise, "add noise and denoise again"),
    options=("init", "strength", "forward", "mask", "grid", "film", "frames", "scale"),
    makes="an image",
    pane="canvas",
    title="Canvas",
    help="images",
    replaces_canvas=True,
    shows=_shows,
    tour=_tour,
    demo=_demo,
    files=(".png", ".gif", ".apng", ".cast"),
    prints=prints,
)
"""What all kinds share that denoise pixels and are shown on the Canvas."""

KINDS = (
    replace(
        DENOISED,
        limitations="Words that it was not trained on seldom work. 'copying' measures how new "
        "its images are. Guidance above 1 gives more typical images and less variety.",
        recipes=_recipes,
        prepares=_prepares,
        trains=_trains,
        generates=_generates,
        targets={
            "diffusers": Target(
                title="a diffusers folder", reader="diffusers", dtypes=("fp32", "bf16", "fp16")
            )
        },
        batches=True,
        first=(2, "icons"),
    ),
)
