"""Diffusion models that draw images, trained by genui."""

from msgspec.structs import replace

from genui.base.late import late_imports
from genui.base.watermarks import Watermark
from genui.protocol.edits import VariationMethod, renoise
from genui.protocol.kinds import Kind, Recipes, Target
from genui.protocol.settings import ImageSettings

with late_imports():
    from genui.cli import generation
    from genui.cli import kinds as cli
    from genui.engine import kinds as engine
    from genui.engine.convert import image as convert
    from genui.engine.data import image_datasets, own_images
    from genui.engine.metrics import copying, images, noise_watermark
    from genui.engine.sample import diffusion as sample
    from genui.engine.train import diffusion as train
    from genui.kinds.image import tour
    from genui.recipes import diffusion as recipes
    from genui.ui import demo
    from genui.ui import kinds as ui
    from genui.ui.generate import image as pane
    from genui.ui.traces import export
    from genui.ui.widgets import image as widget


def prints() -> object:
    """The printing of images, for kinds that are shown as images."""
    return cli.Prints(as_json=generation.image_as_json, draw=generation.draw_images)


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
    ability="draws images",
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
    shows=lambda: ui.Shows(pane=pane.CANVAS, view=widget.ImageView, exports=export.IMAGES),
    tour=lambda: tour.STEPS,
    demo=lambda: demo.Demonstration(pane="canvas", model="icons", prompts=CAPTIONS),
    files=(".png", ".gif", ".apng", ".cast"),
    prints=prints,
)
"""The common part of kinds that denoise pixels and are shown on the Canvas."""

KINDS = (
    replace(
        DENOISED,
        limitations="Words that it was not trained on seldom work. 'copying' measures how new "
        "its images are. Guidance above 1 gives more typical images and less variety.",
        recipes=lambda: Recipes(recipes.DiffusionRecipe, recipes.IMAGE_RECIPES),
        prepares=lambda: engine.Prepares(
            check=image_datasets.check_diffusion_images, is_large=own_images.is_large
        ),
        trains=lambda: engine.Trains(
            task=train.ImageTask,
            measure=images.measure_images,
            nearest=copying.nearest_images,
            prepare=copying.compare_seeds,
        ),
        generates=lambda: engine.Generates(
            load=sample.IMAGES.load, converts={"diffusers": convert.write_image_model}
        ),
        watermarks=(
            Watermark(
                name="noise",
                media=("image",),
                counts="frequencies",
                read=lambda search: noise_watermark.read(search),
            ),
        ),
        targets={
            "diffusers": Target(
                title="a diffusers folder", reader="diffusers", dtypes=("fp32", "bf16", "fp16")
            )
        },
        batches=True,
        first=(3, "icons"),
    ),
)
