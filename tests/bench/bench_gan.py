"""The GAN of `fashion` beside the diffusion model of equal data, size and training time.

    python tests/bench/bench_gan.py [--models fashion-gan fashion] [--images 5000]

For each model, in the features of the shipped `fashion-labels` (never comparable with published
numbers): Fréchet distance to the test set, precision and recall (Kynkäänniemi et al. 2019),
density and coverage (Naeem et al. 2020), copying share, and how often the classifier agrees;
milliseconds an image on one thread, one by one; and what the card says of its training. The goal
is the GAN's: coverage of the test set at least 0.5, so that it has not collapsed. Coverage is of
5,000 test images and rises with how many are drawn, so it is that of as many: with fewer only
the models can be compared.

It exits with 1 where the goal is missed.
"""

import argparse
import sys
import time

import numpy as np
import torch
from harness import Figure, machine, report

from genui.engine.data.image_datasets import load_labelled_images
from genui.engine.load import find_and_load
from genui.engine.metrics.classifiers import ImageClassifier
from genui.engine.metrics.distance import Distribution, Evaluator
from genui.engine.sample.diffusion import BatchGenerator
from genui.kinds.gan.walk import LatentSettings
from genui.protocol.settings import UNGUIDED
from genui.runs.models import find_model

COVERAGE = 0.5
BATCH = 100
TIMED = 10  # images drawn one by one


def measured(name: str, evaluator: Evaluator, count: int) -> tuple[Distribution, float]:
    """What a model's images are like, and milliseconds an image."""
    generator = find_and_load(name)
    if not isinstance(generator, BatchGenerator):
        sys.exit(f"{name}: draws no batches of images")
    settings = LatentSettings() if find_model(name).family == "gan" else UNGUIDED
    captions, parts = evaluator.captions(count), []
    for at in range(0, count, BATCH):
        asked = captions[at : at + BATCH]
        parts.append(generator.draw(asked, list(range(at, at + len(asked))), settings))
    times = []
    for seed in range(TIMED):
        begin = time.perf_counter()
        generator.draw(captions[:1], [seed], settings)
        times.append(time.perf_counter() - begin)
    return evaluator.measure(np.concatenate(parts), captions), 1000 * min(times)


def figures_of(name: str, found: Distribution, milliseconds: float) -> list[Figure]:
    info = find_model(name)
    limit = COVERAGE if info.family == "gan" else None
    return [
        Figure(f"{name}: Fréchet distance of {found.count:,} drawn", found.frechet, "",
               found.frechet_real, "training images"),
        Figure(f"{name}: coverage of the test set (k 5)", found.coverage, "", limit=limit),
        Figure(f"{name}: density (k 5)", found.density, ""),
        Figure(f"{name}: precision (k 3)", found.precision, ""),
        Figure(f"{name}: recall (k 3)", found.recall, ""),
        Figure(f"{name}: copying share", found.copying, "", 0.5, "none copied"),
        Figure(f"{name}: right object", found.right, "", found.right_real, "test images"),
        Figure(f"{name}: an image", milliseconds, "ms"),
        Figure(f"{name}: parameters", info.parameters / 1e6, "M"),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="the GAN of fashion beside its diffusion model")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--models", nargs="+", default=["fashion-gan", "fashion"], metavar="MODEL")
    parser.add_argument("--images", type=int, default=5000, metavar="N", help="(5000)")
    args = parser.parse_args()
    before = machine()
    evaluator = Evaluator(ImageClassifier.load("fashion-labels"), load_labelled_images("fashion"))
    torch.set_num_threads(1)
    figures, low = [], []
    for name in args.models:
        found, milliseconds = measured(name, evaluator, args.images)
        figures += figures_of(name, found, milliseconds)
        if find_model(name).family == "gan" and found.coverage < COVERAGE:
            low.append(name)
    report(before, figures, args.json)
    if not args.json:
        print(f"coverage of at least {COVERAGE}: {'missed' if low else 'reached'}")
    sys.exit(1 if low else 0)


if __name__ == "__main__":
    main()
