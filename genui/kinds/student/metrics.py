"""The metrics of students, for each number of steps."""

import copy

import numpy as np
from numpy.typing import NDArray

from genui.base.numbers import quantity
from genui.engine.data.image_datasets import load_labelled_images
from genui.engine.kinds import trains
from genui.engine.metrics.classifiers import ImageClassifier
from genui.engine.metrics.distance import (
    CLASSIFIERS,
    Evaluator,
    format_distribution,
    frechet_distance,
)
from genui.engine.sample.diffusion import DiffusionGenerator, Prompts, draw_in_batches
from genui.kinds.student.recipe import TAUGHT_STEPS, StudentRecipe, read_teacher
from genui.kinds.student.task import held_out_captions, student_settings
from genui.protocol import ImageSettings

SAMPLES = 5000
COMPARED = 100  # samples without a classifier of their data
MEASURED = 2  # steps of all metrics but the distances


def measure_student(generator: DiffusionGenerator, recipe: StudentRecipe) -> dict[str, str]:
    """The metrics of two steps, and the Fréchet distance for each number of steps; for data without
    a classifier the teacher's metrics, of two steps, and how far fewer steps are from the most."""
    if recipe.dataset in CLASSIFIERS:
        return _distances(generator, CLASSIFIERS[recipe.dataset], recipe.dataset)
    captions = held_out_captions(Prompts(recipe.teacher, recipe.seed), COMPARED)
    *fewer, most = TAUGHT_STEPS
    goal = draw(generator, captions, most) / 127.5
    errors = {
        steps: ((draw(generator, captions, steps) / 127.5 - goal) ** 2).mean() for steps in fewer
    }
    taught = read_teacher(recipe).recipe
    metrics = trains(taught).measure(_fix_steps(generator, MEASURED), taught)
    return {f"{label}, {MEASURED} steps": text for label, text in metrics.items()} | {
        quantity(steps, "step"): f"{error:.4f} mean squared, from {most} steps"
        for steps, error in errors.items()
    }


def _fix_steps(generator: DiffusionGenerator, steps: int) -> DiffusionGenerator:
    """The generator, which draws in so many steps whatever the settings are."""

    def draw_in_steps(
        captions: list[str], seeds: list[int], settings: ImageSettings
    ) -> NDArray[np.uint8]:
        return generator.draw(captions, seeds, student_settings(steps))

    fixed = copy.copy(generator)
    fixed.draw = draw_in_steps  # type: ignore[method-assign]
    return fixed


def _distances(generator: DiffusionGenerator, classifier: str, dataset: str) -> dict[str, str]:
    evaluator = Evaluator(ImageClassifier.load(classifier), load_labelled_images(dataset))
    captions = evaluator.captions(SAMPLES)
    drawn = {steps: draw(generator, captions, steps) for steps in TAUGHT_STEPS}
    features = {steps: evaluator.classifier.features(rgb) for steps, rgb in drawn.items()}
    by_steps = ", ".join(
        f"{steps}: {frechet_distance(found, evaluator.held_out):.3f}"
        for steps, found in features.items()
    )
    metrics = format_distribution(evaluator.measure(drawn[MEASURED], captions), classifier)
    return {"Fréchet distance by steps": by_steps, **metrics}


def draw(generator: DiffusionGenerator, captions: list[str], steps: int) -> NDArray[np.uint8]:
    """Samples uint8 [N, 32, 32, 3] with seeds 0, 1, …"""
    return draw_in_batches(generator, captions, student_settings(steps))
