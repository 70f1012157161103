"""Whether few steps are enough: Fréchet distances to the training images at 10 and 100 steps.

    python tests/bench/bench_few_steps.py [--model icons] [--images 128]
    python tests/bench/bench_few_steps.py --table icons fashion [--images 8]

The shipped model draws the captions of training examples, with the same seeds at 10 steps of
DPM-Solver++ and of Heun and at 100 of DPM-Solver++, where the trajectory has converged. The
goal is a distance of at most 1.1 times that at 100 steps.

The distance (Dowson & Landau 1982) is between normal distributions fitted to features of a
fixed random convolutional network (untrained embeddings as in Naeem et al. 2020), reduced
to their leading principal components over the training images. No Inception network sees
32×32 icons as it was trained to, so this is not the number that papers report, and it is
comparable only within this table. The interval is a bootstrap over images, the same ones
for both numbers of steps.

`--table` prints how far few steps are from where the trajectory goes: the mean squared error to
50 steps of Heun's method from the same seeds, at the last noise level 0.03 that every number of
steps once had, and at the one that it has now.
"""

import argparse
import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from harness import Figure, home, machine, percentile, report
from msgspec.structs import replace
from numpy.typing import NDArray

from genui import protocol
from genui.engine.data.images import load_images
from genui.engine.load import find_and_load
from genui.engine.sample.diffusion import DiffusionGenerator
from genui.protocol import ImageSettings
from genui.recipes import DiffusionRecipe, find_recipe

FEW, MANY = 10, 100
LIMIT = 1.1  # times the distance at MANY steps
COMPARED: tuple[str, ...] = ("dpmpp-2m", "heun")
REAL = 4096  # training images
COMPONENTS = 24
BATCH = 32
RESAMPLES = 400

REFERENCE = ImageSettings(sampler="heun", steps=50, sigma_min=0.03)
STEPS = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12)
CAPTIONS = {
    "icons": ("red heart", "blue star", "green house", "black user"),
    "emoji": ("red heart", "cat face", "pizza", "rocket"),
    "fashion": ("trouser", "bag", "sneaker", "dress"),
    "video": ("red heart moving up on black", "green cat bouncing on white"),
    "voice": ("seven george", "two jackson"),
}

Features = NDArray[np.float64]


class RandomFeatures:
    """Images [B, 3, 32, 32] in -1 to 1 to [B, 128]: means and deviations over places."""

    def __init__(self) -> None:
        rng = torch.Generator().manual_seed(0)
        widths = (3, 32, 64, 64)
        self._layers = [
            torch.randn(out, into, 3, 3, generator=rng) * (2 / (9 * into)) ** 0.5
            for into, out in itertools.pairwise(widths)
        ]

    @torch.inference_mode()
    def __call__(self, rgb: NDArray[np.float32]) -> Features:
        x = torch.from_numpy(rgb)
        for weight in self._layers:
            x = F.relu(F.conv2d(x, weight, padding=1, stride=2))
        return torch.cat((x.mean((2, 3)), x.std((2, 3))), 1).double().numpy()


@dataclass(frozen=True)
class Normal:
    """The normal distribution fitted to features."""

    mean: Features
    covariance: Features

    @classmethod
    def of(cls, features: Features) -> "Normal":
        return cls(features.mean(0), np.cov(features, rowvar=False))

    def distance(self, other: "Normal") -> float:
        """Fréchet's, squared: |μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2(Σ₁Σ₂)^½)."""
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(values.clip(0)) @ vectors.T
        mixed = np.linalg.eigvalsh(root @ other.covariance @ root).clip(0)
        apart = ((self.mean - other.mean) ** 2).sum()
        traces = np.trace(self.covariance) + np.trace(other.covariance)
        return float(apart + traces - 2 * np.sqrt(mixed).sum())


def drawn(
    generator: DiffusionGenerator, captions: list[str], sampler: str, steps: int
) -> NDArray[np.float32]:
    """[N, 3, 32, 32] in -1 to 1, seeds 0, 1, …"""
    settings = ImageSettings(sampler=sampler, steps=steps)
    parts = []
    for at in range(0, len(captions), BATCH):
        part = captions[at : at + BATCH]
        parts.append(generator.draw(part, list(range(at, at + len(part))), settings))
    return np.concatenate(parts).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1


def measure(model: str, count: int) -> tuple[list[Figure], dict[str, tuple[float, float]]]:
    """The distances, and for each sampler the 95 % interval of its ratio."""
    generator, recipe = find_and_load(model), find_recipe(model)
    assert isinstance(generator, DiffusionGenerator)
    assert isinstance(recipe, DiffusionRecipe)
    images = load_images(recipe.dataset, recipe.data)
    rng = np.random.default_rng(0)
    true = images.batch(rng.choice(images.train, REAL), rng)
    captions = images.batch(rng.choice(images.train, count), rng).captions

    embed = RandomFeatures()
    embedded = embed(true.rgb)
    centre = embedded.mean(0)
    _, _, axes = np.linalg.svd(embedded - centre, full_matrices=False)

    def features(rgb: NDArray[np.float32]) -> Features:
        return (embed(rgb) - centre) @ axes[:COMPONENTS].T

    real = Normal.of(features(true.rgb))
    many = features(drawn(generator, captions, "dpmpp-2m", MANY))
    reference = real.distance(Normal.of(many))
    figures, intervals = [], {}
    for sampler in COMPARED:
        few = features(drawn(generator, captions, sampler, FEW))
        figures.append(
            Figure(
                f"{model}: Fréchet distance, {FEW} steps of {sampler}",
                real.distance(Normal.of(few)), "", reference, f"{MANY} steps", LIMIT * reference,
            )
        )  # fmt: skip
        ratios = []
        for _ in range(RESAMPLES):
            chosen = rng.integers(count, size=count)
            one, other = (real.distance(Normal.of(each[chosen])) for each in (few, many))
            ratios.append(one / other)
        intervals[sampler] = percentile(ratios, 2), percentile(ratios, 97)
    return figures, intervals


def _followers() -> list[str]:
    """The samplers that add no noise, so that they go where the reference goes."""
    return [name for name, row in protocol.SAMPLERS.items() if row.noise != "full"]


def table(model: str, count: int) -> Iterator[str]:
    """A line for each number of steps and sampler: the last σ and the error, once and now."""
    generator = find_and_load(model)
    assert isinstance(generator, DiffusionGenerator)
    captions = [caption for _, caption in zip(range(count), itertools.cycle(CAPTIONS[model]))]
    seeds = list(range(count))
    goal = generator.denoised(captions, seeds, REFERENCE)

    def error(settings: ImageSettings) -> float:
        return float((generator.denoised(captions, seeds, settings) - goal).square().mean())

    yield f"{'model':<9}{'sampler':<10}{'steps':>5}{'σ then':>8}{'σ now':>7}{'then':>10}{'now':>10}"
    for sampler, steps in itertools.product(_followers(), STEPS):
        now = ImageSettings(sampler=sampler, steps=steps)
        then = replace(now, sigma_min=0.03)
        yield (
            f"{model:<9}{sampler:<10}{steps:>5}{then.lowest_sigma:>8.2f}{now.lowest_sigma:>7.2f}"
            f"{error(then):>10.4f}{error(now):>10.4f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="few steps of an image model against many")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--model", default="icons", choices=("icons", "emoji"))
    parser.add_argument("--table", nargs="+", choices=CAPTIONS, help="errors at few steps instead")
    parser.add_argument("--images", type=int, metavar="N", help="(128; of a table 8)")
    args = parser.parse_args()
    if args.table:
        for model in args.table:
            for line in table(model, args.images or 8):
                print(line, flush=True)
        return
    args.images = args.images or 128
    before = machine()
    with home():
        figures, intervals = measure(args.model, args.images)
    report(before, figures, args.json)
    if not args.json:
        print(
            f"features: {COMPONENTS} principal components of a fixed random convolutional "
            f"network; {args.images} images against {REAL:,} of training"
        )
        for figure, (low, high) in zip(figures, intervals.values(), strict=True):
            verdict = "reached" if figure.ratio and figure.ratio <= LIMIT else "missed"
            print(f"{figure.name}: ratio {figure.ratio:.3f} ({low:.3f} to {high:.3f}), "
                  f"goal {LIMIT}: {verdict}")  # fmt: skip
    if any(figure.ratio is None or figure.ratio > LIMIT for figure in figures):
        sys.exit(1)


if __name__ == "__main__":
    main()
