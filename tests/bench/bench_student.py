"""How near a few-step student comes to its teacher: Fréchet distances by the number of steps.

    python -m tests.bench student [--model fashion-student] [--images 5000] [--searched 400]

Both draw without guidance for the captions of the training set, from seeds 0, 1, …; the distance
is to the test set, in the features of fashion-labels. A finite number of images is farther than
what draws them, so the distance of as many training images is there too, and only distances of one
number of images can be compared.

The teacher has its default schedule, and at 4 steps also its best one: of all samplers that add no
noise, lowest noise levels and ρ, the best by `--searched` images, measured again with all.
"""

import argparse
from collections.abc import Iterator
from itertools import product

import numpy as np
from harness import machine, quick_generator, report_machine
from msgspec.structs import replace

from genui.engine.data.image_datasets import load_labelled_images
from genui.engine.metrics.classifiers import ImageClassifier
from genui.engine.metrics.distance import CLASSIFIERS, Evaluator, frechet_distance
from genui.engine.sample.diffusion import BatchGenerator
from genui.kinds.student.recipe import TAUGHT_STEPS, StudentRecipe
from genui.kinds.student.task import student_settings
from genui.protocol import SAMPLERS, ImageSettings
from genui.runs.models import find_model, read_header

BATCH = 50
TEACHER = ImageSettings(steps=12, guidance=1.0)
SEARCHED_STEPS = 4


def schedules() -> Iterator[ImageSettings]:
    """The schedules of four steps among which the best is searched."""
    quiet = [name for name, row in SAMPLERS.items() if row.noise != "full"]
    for sampler, sigma_min, rho in product(quiet, (0.1, 0.2, 0.4, 0.7), (3.0, 5.0, 7.0)):
        yield replace(TEACHER, steps=SEARCHED_STEPS, sampler=sampler, sigma_min=sigma_min, rho=rho)


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
    data = load_labelled_images(recipe.dataset)
    evaluator = Evaluator(ImageClassifier.load(CLASSIFIERS[recipe.dataset]), data)
    captions = evaluator.captions(args.images)

    def distance(generator: BatchGenerator, settings: ImageSettings, count: int) -> float:
        parts = []
        for at in range(0, count, BATCH):
            part = captions[at : min(at + BATCH, count)]
            rgb = generator.draw(part, list(range(at, at + len(part))), settings)
            parts.append(evaluator.classifier.features(rgb))
        return frechet_distance(np.concatenate(parts), evaluator.held_out)

    chosen = np.random.default_rng(0).choice(len(evaluator.train), args.images, replace=False)
    real = frechet_distance(evaluator.train[chosen], evaluator.held_out)
    print(f"{args.images:,} training images{real:>24.3f}", flush=True)
    teacher, student = quick_generator(recipe.teacher), quick_generator(args.model)
    assert isinstance(teacher, BatchGenerator)
    assert isinstance(student, BatchGenerator)
    rows = [(f"teacher, {n} steps", teacher, replace(TEACHER, steps=n)) for n in (12, 8, 4)]
    if args.searched:
        best = min(schedules(), key=lambda each: distance(teacher, each, args.searched))
        name = f"teacher, 4 steps of {best.sampler}, σ {best.sigma_min}, ρ {best.rho:g}"
        rows.append((name, teacher, best))
    rows += [(f"student, {n} steps", student, student_settings(n)) for n in TAUGHT_STEPS]
    for name, generator, settings in rows:
        print(f"{name:<40}{distance(generator, settings, args.images):>8.3f}", flush=True)


if __name__ == "__main__":
    main()
