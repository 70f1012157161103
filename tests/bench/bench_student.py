"""How near a few-step student comes to its teacher: Fréchet distances by the number of steps.

    python -m tests.bench student [--model fashion-student] [--images 5000] [--searched 400]
    python -m tests.bench student --model icons-128-student --images 600

The teacher draws with the guidance that the student learned, for captions of the training set, from
seeds 0, 1, …. Distances are in the features of a shipped classifier: of fashion to the test set, of
images of 128×128, at 32×32, to the training images, whose names the held-out ones do not have. A
finite number of images is farther than what draws them, so the distance of as many training images
is there too, and only distances of one number of images can be compared.

The teacher has its default schedule, and at 4 steps also its best one: of all samplers that add no
noise, lowest noise levels and ρ, the best by `--searched` images, measured again with all.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace as replace_fields
from itertools import product
from typing import NamedTuple

import numpy as np
from harness import machine, quick_generator, report_machine
from msgspec.structs import replace
from numpy.typing import NDArray

from genui.engine.data.image_datasets import load_images, load_labelled_images
from genui.engine.data.images import as_pixels
from genui.engine.metrics.classifiers import ImageClassifier
from genui.engine.metrics.distance import CLASSIFIERS, Evaluator, frechet_distance
from genui.engine.sample.diffusion import BatchGenerator
from genui.kinds.latent.judging import FEATURES, shrink_rgb
from genui.kinds.latent.recipe import SIDE
from genui.kinds.latent.variants import shrink
from genui.kinds.student.recipe import TAUGHT_STEPS, StudentRecipe
from genui.kinds.student.task import student_settings
from genui.protocol import SAMPLERS, ImageSettings
from genui.runs.models import find_model, read_header

BATCH = 50
SEARCHED_STEPS = 4

Features = NDArray[np.float32]


class Data(NamedTuple):
    """What samples are compared with."""

    captions: list[str]
    features: Callable[[NDArray[np.uint8]], Features]
    """Of images [N, side, side, 3]."""
    goal: Features
    others: Features  # of as many training images as there are captions


def load_fashion(dataset: str, count: int) -> Data:
    evaluator = Evaluator(ImageClassifier.load(CLASSIFIERS[dataset]), load_labelled_images(dataset))
    chosen = np.random.default_rng(0).choice(len(evaluator.train), count, replace=False)
    others = evaluator.train[chosen]
    features = evaluator.classifier.features
    return Data(evaluator.captions(count), features, evaluator.held_out, others)


def load_latents(dataset: str, count: int) -> Data:
    judge, rng = ImageClassifier.load(FEATURES[dataset]), np.random.default_rng(0)
    images = load_images(dataset, side=SIDE)
    images = replace_fields(images, rgba=shrink(images.rgba))
    batch = images.batch(rng.choice(images.train, count), rng)
    goal = judge.features(as_pixels(images.batch(images.train, rng).rgb))
    others = judge.features(as_pixels(batch.rgb))
    return Data(batch.captions, lambda rgb: judge.features(shrink_rgb(rgb)), goal, others)


def schedules(teacher: ImageSettings) -> Iterator[ImageSettings]:
    """The schedules of four steps among which the best is searched."""
    quiet = [name for name, row in SAMPLERS.items() if row.noise != "full"]
    for sampler, sigma_min, rho in product(quiet, (0.1, 0.2, 0.4, 0.7), (3.0, 5.0, 7.0)):
        yield replace(teacher, steps=SEARCHED_STEPS, sampler=sampler, sigma_min=sigma_min, rho=rho)


def main() -> None:
    parser = argparse.ArgumentParser(description="a student beside its teacher")
    parser.add_argument("--model", default="fashion-student")
    parser.add_argument("--images", type=int, default=5000, metavar="N", help="(5000)")
    parser.add_argument("--searched", type=int, default=400, metavar="N",
                        help="images of each schedule (400); 0 searches none")  # fmt: skip
    args = parser.parse_args()
    recipe = read_header(find_model(args.model).path).recipe
    if not isinstance(recipe, StudentRecipe):
        parser.error(f"{args.model} is no student")
    report_machine(machine())
    load = load_fashion if recipe.dataset in CLASSIFIERS else load_latents
    data = load(recipe.dataset, args.images)
    usual = ImageSettings(steps=12, guidance=recipe.guidance)

    def distance(generator: BatchGenerator, settings: ImageSettings, count: int) -> float:
        parts = []
        for at in range(0, count, BATCH):
            part = data.captions[at : min(at + BATCH, count)]
            rgb = generator.draw(part, list(range(at, at + len(part))), settings)
            parts.append(data.features(rgb))
        return frechet_distance(np.concatenate(parts), data.goal)

    real = frechet_distance(data.others, data.goal)
    print(f"{args.images:,} training images{real:>24.3f}", flush=True)
    teacher, student = quick_generator(recipe.teacher), quick_generator(args.model)
    assert isinstance(teacher, BatchGenerator)
    assert isinstance(student, BatchGenerator)
    rows = [(f"teacher, {n} steps", teacher, replace(usual, steps=n)) for n in (12, 8, 4, 2)]
    if args.searched:
        best = min(schedules(usual), key=lambda each: distance(teacher, each, args.searched))
        name = f"teacher, 4 steps of {best.sampler}, σ {best.sigma_min}, ρ {best.rho:g}"
        rows.append((name, teacher, best))
    rows += [(f"student, {n} steps", student, student_settings(n)) for n in TAUGHT_STEPS]
    for name, generator, settings in rows:
        print(f"{name:<40}{distance(generator, settings, args.images):>8.3f}", flush=True)


if __name__ == "__main__":
    main()
