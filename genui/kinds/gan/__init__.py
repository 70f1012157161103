"""Generators that were trained against a discriminator, and walks in their latent space."""

from pathlib import Path

from genui.base.late import late_imports
from genui.base.manual import Page
from genui.kinds.gan.walk import VARIATION, LatentSettings, WalkFrame
from genui.kinds.image import prints
from genui.protocol.kinds import Kind, Recipes

with late_imports():
    from genui.engine import kinds as engine
    from genui.engine.data import image_datasets, own_images
    from genui.engine.metrics import copying
    from genui.kinds.gan import keys, metrics, pane, recipe, sample, task
    from genui.ui import kinds as ui
    from genui.ui.widgets import image


_PAGE = Page("walk", "the latent space of a GAN", Path(__file__).with_name("help.md"))

KINDS = (
    Kind(
        family="gan",
        medium="image",
        help=_PAGE,
        place=30,
        ability="draws images in one step",
        limitations="It was trained by a discriminator and never on the images themselves, so "
        "its images are new. It leaves out what is hard to draw: 'coverage' and 'recall' "
        "measure how much.",
        folder=Path(__file__).parent,
        recipes=lambda: Recipes(recipe.GanRecipe, recipe.GAN_RECIPES),
        prepares=lambda: engine.Prepares(
            check=image_datasets.check_images, is_large=own_images.is_large
        ),
        trains=lambda: engine.Trains(
            task=task.GanTask, measure=metrics.measure_gan, nearest=copying.nearest_images
        ),
        generates=lambda: engine.Generates(load=sample.load_latent_model),
        settings=LatentSettings,
        messages=(WalkFrame,),
        edits=("seed", "caption"),
        variation=VARIATION,
        options=("grid", "film", "frames", "scale"),
        batches=True,
        makes="a walk",
        pane="walk",
        title="Walk",
        keys=lambda: keys.KEYS,
        replaces_canvas=True,
        shows=lambda: ui.Shows(pane=pane.WALK, view=image.ImageView, exports=pane.WALKS),
        files=(".gif", ".apng", ".png", ".cast"),
        prints=prints,
        examples=(
            "genui generate fashion-gan --prompt sneaker --direction 2 --out walk.gif --scale 8",
        ),
    ),
)
