"""Metrics of diffusion models of latents, of their images at 32×32: objects, variants and colours,
copies, and distances in the features of classifiers."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from genui.base.errors import MisuseError
from genui.engine.data.image_datasets import load_images
from genui.engine.data.images import CaptionedImages, as_floats, as_pixels
from genui.engine.metrics.classifiers import ImageClassifier
from genui.engine.metrics.copying import nearest_images
from genui.engine.metrics.distance import frechet_distance, manifold_metrics
from genui.engine.metrics.images import (
    describe_copying,
    draw_trained,
    measure_captioned,
    rank_of,
)
from genui.engine.models.denoisers import EDMDenoiser
from genui.engine.models.dit import DiT
from genui.engine.sample.diffusion import DiffusionGenerator, draw_in_batches
from genui.engine.sample.trace import Trace
from genui.kinds.latent.denoiser_recipe import OBJECTS, VARIANTS, LatentRecipe
from genui.kinds.latent.recipe import SIDE
from genui.kinds.latent.variants import shrink, split_name
from genui.protocol import Neighbours
from genui.protocol.kinds import KINDS

SETTINGS = KINDS["latent", "image"].defaults

FEATURES = {
    "icons-128": "icons-labels",
    "emoji-128": "emoji-labels",
    "mini-emoji-128": "emoji-labels",
}
"""A dataset to the shipped classifier in whose features distances are measured."""

COMPARED = 600  # samples for distances

Pixels = NDArray[np.uint8]


def measure_latents(generator: DiffusionGenerator, recipe: LatentRecipe) -> dict[str, str]:
    """The metrics of `measure_captioned`; of icons how often a pair of object and variant that was
    never trained is right by classifiers; distances in features; what the canvas adds."""
    images = load_images(recipe.dataset, recipe.data, side=SIDE)
    images = replace(images, rgba=shrink(images.rgba))
    draw = partial(_draw, generator)
    metrics = measure_captioned(draw, images)
    if images.styles:
        metrics["copying with the style"] = describe_copying(draw, images, styled=True)
    else:
        metrics |= _measure_pairs(generator, images)
    if recipe.dataset in FEATURES:
        metrics |= _measure_features(generator, images, FEATURES[recipe.dataset])
    if recipe.canvas:
        metrics["without its canvas"] = f"{_right_without_canvas(generator, images):.0%} right"
    return metrics


def _draw_small(generator: DiffusionGenerator, captions: Sequence[str], first: int = 0) -> Pixels:
    """Samples with seeds from `first` on, uint8 [B, 32, 32, 3]: means of squares."""
    return shrink_rgb(draw_in_batches(generator, captions, SETTINGS, first))


def _draw(
    generator: DiffusionGenerator, captions: Sequence[str], first: int = 0
) -> NDArray[np.float32]:
    """`_draw_small` as float32 [B, 3, 32, 32] in -1 to 1."""
    return as_floats(_draw_small(generator, captions, first))


def shrink_rgb(rgb: Pixels) -> Pixels:
    """Images [N, S, S, 3] at [N, 32, 32, 3]."""
    opaque = np.full((*rgb.shape[:3], 1), 255, np.uint8)
    return shrink(np.concatenate((rgb, opaque), axis=-1))[..., :3]


def _measure_pairs(generator: DiffusionGenerator, images: CaptionedImages) -> dict[str, str]:
    """How often classifiers find the object and the variant of a pair that was never trained, in
    samples and in the real images."""
    try:
        judges = [ImageClassifier.load(name) for name in (OBJECTS, VARIANTS)]
    except MisuseError as error:
        return {"new pairs right": f"not measured: {error}"}
    batch = images.batch(images.held_out, np.random.default_rng(2))
    names = [split_name(images.captions[i]) for i in images.held_out]

    def share_right(rgb: Pixels) -> float:
        right = np.ones(len(rgb), bool)
        for part, judge in enumerate(judges):
            best = judge.probabilities(rgb).argmax(1)
            right &= [judge.labels[i] == name[part] for i, name in zip(best, names, strict=True)]
        return float(right.mean())

    drawn = share_right(_draw_small(generator, batch.captions))
    return {
        "new pairs right": (
            f"{drawn:.0%} of {len(names)} by {OBJECTS} and {VARIANTS}, which are both right of "
            f"{share_right(as_pixels(batch.rgb)):.0%} of the real images"
        )
    }


def _measure_features(
    generator: DiffusionGenerator, images: CaptionedImages, name: str
) -> dict[str, str]:
    """Distances of samples to training images in the features of a classifier."""
    judge, rng = ImageClassifier.load(name), np.random.default_rng(3)
    batch = images.batch(rng.choice(images.train, COMPARED), rng)
    samples = judge.features(_draw_small(generator, batch.captions))
    real = judge.features(as_pixels(images.batch(images.train, rng).rgb))
    held = judge.features(as_pixels(images.batch(images.held_out, rng).rgb))
    distance, of_held = (frechet_distance(each, real) for each in (samples, held))
    overlap = manifold_metrics(real[rng.choice(len(real), COMPARED, False)], samples, 3)
    return {
        "Fréchet distance": (
            f"{distance:.2f} to the training images ({COMPARED} samples, features of {name}); of "
            f"{len(held)} held-out images {of_held:.2f}"
        ),
        "precision, recall": f"{overlap.precision:.2f}, {overlap.recall:.2f} (k 3)",
    }


def _right_without_canvas(generator: DiffusionGenerator, images: CaptionedImages) -> float:
    """The share of trained captions that are drawn rightly without what the canvas says."""
    network = generator.model.network if isinstance(generator.model, EDMDenoiser) else None
    assert isinstance(network, DiT)
    chosen, batch = draw_trained(images, np.random.default_rng(0))
    network.canvas_share = 0.0
    try:
        samples = _draw(generator, batch.captions)
    finally:
        network.canvas_share = 1.0
    ranks = [rank_of(images, *each) for each in zip(batch.captions, chosen, samples, strict=True)]
    return float(np.mean([rank == 0 for rank in ranks]))


def nearest_latent_images(recipe: LatentRecipe, trace: Trace, step: int, count: int) -> Neighbours:
    """As `nearest_images`, at 128×128."""
    return nearest_images(recipe, trace, step, count, SIDE)
