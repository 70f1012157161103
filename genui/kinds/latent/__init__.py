"""Images of 128×128 pixels: an autoencoder, and diffusion in its latents."""

from pathlib import Path

from msgspec.structs import replace

from genui.base.late import late_imports
from genui.base.manual import Page
from genui.kinds.image import CAPTIONS, DENOISED
from genui.kinds.latent.walk import AutoencoderSettings
from genui.protocol import ImageSettings
from genui.protocol.kinds import Kind, Recipes

with late_imports():
    from genui.engine import kinds as engine
    from genui.engine.data import image_datasets
    from genui.engine.metrics import classifiers
    from genui.engine.train import classifier as train
    from genui.kinds.latent import (
        data,
        denoiser_recipe,
        denoising,
        judging,
        keys,
        medium,
        metrics,
        pane,
        recipe,
        sample,
        task,
        variants,
    )
    from genui.ui import demo
    from genui.ui import kinds as ui
    from genui.ui.traces import export
    from genui.ui.widgets import image


_PAGE = Page("latent", "autoencoders of 128×128 images", Path(__file__).with_name("help.md"))

KINDS = (
    replace(
        DENOISED,
        family="autoencoder",
        medium="image",
        help=_PAGE,
        place=25,
        ability="encodes images and decodes them again",
        limitations="It keeps an image as 16×16 latents and decodes what is likely for them: fine "
        "lines, lettering and patterns are smoothed. 'PSNR' says by how much.",
        folder=Path(__file__).parent,
        recipes=lambda: Recipes(recipe.AutoencoderRecipe, recipe.AUTOENCODER_RECIPES),
        datasets=lambda: data.DATASETS,
        prepares=lambda: engine.Prepares(check=data.check_sets),
        trains=lambda: engine.Trains(
            task=task.AutoencoderTask, measure=metrics.measure_autoencoder
        ),
        generates=lambda: engine.Generates(load=sample.load_autoencoder),
        settings=AutoencoderSettings,
        default_settings=None,
        edits=("caption",),
        variation=None,
        options=("init", "film", "frames", "scale"),
        makes="a walk",
        cell=128,
        pane="blend",
        title="Blend",
        keys=lambda: keys.KEYS,
        shows=lambda: ui.Shows(pane=pane.BLEND, view=image.ImageView, exports=export.IMAGES),
        tour=None,
        demo=None,
        examples=(
            "genui generate autoencoder-128 --prompt 'red heart on black' "
            "--to 'blue star on white' --out walk.gif --scale 2",
        ),
    ),
    replace(
        DENOISED,
        family="latent",
        place=19,
        # Of 100 captions icons-128 drew 69, 73 and 75 rightly with guidance 2, 3 and 4; with 4
        # and few steps, flat colours become uneven.
        default_settings=ImageSettings(steps=12, guidance=3.0),
        cell=128,
        ability="draws images of 128×128",
        help=_PAGE,
        folder=Path(__file__).parent,
        limitations="It draws in the latents of an autoencoder, which smooths fine lines. Words "
        "that it was not trained on seldom work. 'copying' measures how new its images are. "
        "Guidance above 1 gives more typical images and less variety.",
        recipes=lambda: Recipes(denoiser_recipe.LatentRecipe, denoiser_recipe.LATENT_RECIPES),
        prepares=lambda: engine.Prepares(check=denoising.check_latents),
        trains=lambda: engine.Trains(
            task=denoising.LatentTask,
            measure=judging.measure_latents,
            nearest=judging.nearest_latent_images,
        ),
        generates=lambda: engine.Generates(load=medium.LATENTS.load),
        tour=None,
        demo=lambda: demo.Demonstration(pane="canvas", model="icons-128", prompts=CAPTIONS),
        batches=True,
        first=(2, "icons-128"),
    ),
    Kind(
        family="classifier",
        medium="variant",
        place=71,
        ability="labels icons of 128×128",
        help=_PAGE,
        folder=Path(__file__).parent,
        limitations="It always answers with one of its own labels, and reads an image at 32×32.",
        recipes=lambda: Recipes(
            denoiser_recipe.ImageClassifierRecipe, denoiser_recipe.JUDGE_RECIPES
        ),
        datasets=lambda: variants.LABEL_DATASETS,
        prepares=lambda: engine.Prepares(check=image_datasets.check_labelled_images),
        trains=lambda: engine.Trains(
            task=train.ImageClassifierTask,
            measure=classifiers.measure_classifier,
            classifier=classifiers.ImageClassifier.of,
        ),
    ),
)
