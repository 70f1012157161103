"""Metrics of GANs: quality, variety and speed."""

import time

import numpy as np

from genui.engine.data.image_datasets import load_images
from genui.engine.data.images import CaptionedImages, as_floats
from genui.engine.metrics.distance import CLASSIFIERS, measure_distribution
from genui.kinds.gan.collapse import SampleSet, collapse, sample_caption_pairs
from genui.kinds.gan.recipe import GanRecipe
from genui.kinds.gan.sample import LatentGenerator
from genui.kinds.gan.walk import LatentSettings

SAMPLES = 5000  # for `measure_distribution`
PAIRS = 512  # of images with the same caption, for coverage and variety
TIMED = 20  # images, one at a time

SETTINGS = LatentSettings()


def measure_gan(generator: LatentGenerator, recipe: GanRecipe) -> dict[str, str]:
    """`measure_distribution`, if a classifier of the data is shipped; the variety of a batch, and
    the time per image."""

    def draw(captions: list[str]) -> np.ndarray:
        return generator.draw(captions, list(range(len(captions))), SETTINGS)

    metrics = {}
    if recipe.dataset in CLASSIFIERS and not recipe.data:
        metrics |= measure_distribution(draw, recipe.dataset, SAMPLES)
    images = load_images(recipe.dataset, recipe.data)
    collapsed = collapse(*(_sample_pairs(generator, images, part) for part in (0, 1)))
    if "density, coverage" not in metrics:
        metrics["coverage"] = f"{collapsed['coverage']:.2f} of real images (k 5, 8×8 means)"
    metrics["variety of a batch"] = (
        f"{collapsed['variety']:.2f} of the data's (rms between two images of a caption)"
    )
    metrics["time"] = f"{_milliseconds(generator, images.captions[0]):.1f} ms an image, one by one"
    return metrics


def _sample_pairs(generator: LatentGenerator, images: CaptionedImages, part: int) -> SampleSet:
    """The first (0) or second (1) images of the pairs, and generated ones with their captions."""
    pool = images.held_out if len(images.held_out) >= PAIRS else images.train
    rng = np.random.default_rng(0)
    batch = images.batch(sample_caption_pairs(images.captions, pool, PAIRS, rng)[part], rng)
    rgb = generator.draw(batch.captions, [part * PAIRS + i for i in range(PAIRS)], SETTINGS)
    return SampleSet(batch.rgb, as_floats(rgb))


def _milliseconds(generator: LatentGenerator, caption: str) -> float:
    """The time for an image: the fastest of TIMED, which is least affected by other work."""
    times = []
    for seed in range(TIMED):
        begin = time.perf_counter()
        generator.draw([caption], [seed], SETTINGS)
        times.append(time.perf_counter() - begin)
    return 1000 * min(times)
