"""How good, how various and how new what a GAN draws is."""

import time

import numpy as np

from genui.engine.data.pictures import Pictures, as_floats, load_pictures
from genui.engine.generate.latent import LatentGenerator
from genui.engine.probes.collapse import Drawn, collapse, pairs_of_a_caption
from genui.engine.probes.distribution import JUDGES, measure_distribution
from genui.protocol import LatentSettings
from genui.recipes.gan import GanRecipe

SAMPLES = 5000  # pictures measured in a judge's features
PAIRS = 512  # pictures, and as many of the same captions, compared pixel by pixel
TIMED = 20  # pictures drawn one by one

SETTINGS = LatentSettings()


def measure_gan(generator: LatentGenerator, recipe: GanRecipe) -> dict[str, str]:
    """Label to value with its unit: the distribution's figures where a judge of the data is
    shipped, and always the variety of a batch and the time a picture takes."""

    def draw(captions: list[str], seeds: list[int]) -> np.ndarray:
        return generator.draw(captions, seeds, SETTINGS)

    found = {}
    if recipe.dataset in JUDGES and not recipe.data:
        found |= measure_distribution(draw, recipe.dataset, SAMPLES)
    pictures = load_pictures(recipe.dataset, recipe.data)
    collapsed = collapse(*(_drawn(generator, pictures, part) for part in (0, 1)))
    if "density, coverage" not in found:
        found["coverage"] = f"{collapsed['coverage']:.2f} of real pictures (k 5, 8×8 means)"
    found["variety of a batch"] = (
        f"{collapsed['variety']:.2f} of the data's (rms between two pictures of a caption)"
    )
    found["time"] = f"{_milliseconds(generator, pictures.captions[0]):.1f} ms a picture, one by one"
    return found


def _drawn(generator: LatentGenerator, pictures: Pictures, part: int) -> Drawn:
    """Real pictures of a pair's first or second part, and generated ones of their captions."""
    pool = pictures.held_out if len(pictures.held_out) >= PAIRS else pictures.train
    rng = np.random.default_rng(0)
    batch = pictures.batch(pairs_of_a_caption(pictures.captions, pool, PAIRS, rng)[part], rng)
    rgb = generator.draw(batch.captions, [part * PAIRS + i for i in range(PAIRS)], SETTINGS)
    return Drawn(batch.rgb, as_floats(rgb))


def _milliseconds(generator: LatentGenerator, caption: str) -> float:
    """The fastest of TIMED pictures, which other work disturbed the least."""
    times = []
    for seed in range(TIMED):
        begin = time.perf_counter()
        generator.draw([caption], [seed], SETTINGS)
        times.append(time.perf_counter() - begin)
    return 1000 * min(times)
