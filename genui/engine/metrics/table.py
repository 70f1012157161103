"""A table of models of any family that were trained on the same data.

The metrics are the fields of `distance.Distribution`. The first row has them for real training
images.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genui.base.errors import GenuiError, MisuseError
from genui.engine.data.image_datasets import load_labelled_images
from genui.engine.load import find_and_load
from genui.engine.metrics.classifiers import ImageClassifier, render_images
from genui.engine.metrics.distance import CLASSIFIERS, Distribution, Evaluator
from genui.engine.sample.diffusion import BatchGenerator
from genui.logs.native import training_minutes
from genui.protocol.kinds import KINDS
from genui.runs.models import ModelInfo, find_model

BATCH = 50
REAL = "real images"

ReportProgress = Callable[[str, int, int], None]
"""Called with the model, the number of samples so far, and the number in all."""


@dataclass(frozen=True)
class ModelRow:
    """One model; if it could not be measured, `found` is None and `fault` says why."""

    model: str
    family: str = ""
    parameters: int = 0
    minutes: float | None = None  # of training
    milliseconds: float | None = None  # per sample, in batches of BATCH on this machine
    found: Distribution | None = None
    fault: str = ""


def check(models: Sequence[str]) -> tuple[list[ModelInfo], str]:
    """The models and their data set.

    Raises MisuseError if one does not draw images, they have different data, or no classifier of
    the data is shipped; and what `find_model` raises.
    """
    infos = [find_model(model) for model in models]
    for model, info in zip(models, infos, strict=True):
        if not KINDS[info.family, info.medium].batches:
            raise MisuseError(
                f"{model}: a {info.family} of {info.medium}; the table is of models that draw"
            )
    datasets = list(dict.fromkeys(info.dataset for info in infos))
    if len(datasets) > 1:
        raise MisuseError(
            f"{models[0]} and others were trained on {' and '.join(datasets)}: "
            "only models of the same data can be compared"
        )
    if datasets[0] not in CLASSIFIERS:
        raise MisuseError(
            f"{models[0]}: no classifier of {datasets[0]} is here to measure it by; "
            f"known: {', '.join(CLASSIFIERS)}"
        )
    return infos, datasets[0]


def rows(models: Sequence[str], count: int, progress: ReportProgress) -> Iterator[ModelRow]:
    """The row of the real images, then one for each model. Raises what `check` raises."""
    infos, dataset = check(models)
    progress("the test set", 0, count)
    evaluator = Evaluator(ImageClassifier.load(CLASSIFIERS[dataset]), load_labelled_images(dataset))
    yield ModelRow(REAL, found=_real(evaluator, count))
    for model, info in zip(models, infos, strict=True):
        try:
            yield _row(model, info, evaluator, count, progress)
        except GenuiError as fault:
            yield ModelRow(model, info.family, info.parameters, fault=str(fault))


def _row(
    model: str, info: ModelInfo, evaluator: Evaluator, count: int, progress: ReportProgress
) -> ModelRow:
    find_and_load(model)  # which is not timed
    settings = KINDS[info.family, info.medium].defaults.represent_data(())
    captions, begin = evaluator.captions(count), time.perf_counter()
    rgb = draw_images(model, captions, settings, model, progress)
    return ModelRow(
        model,
        info.family,
        info.parameters,
        training_minutes(info),
        1000 * (time.perf_counter() - begin) / count,
        evaluator.measure(rgb, captions),
    )


def draw_images(
    model: str, captions: Sequence[str], settings: Any, what: str, progress: ReportProgress
) -> NDArray[np.uint8]:
    """An image [N, 32, 32, 3] for each caption, with seeds 0, 1, … Raises MisuseError if the model
    draws no batches."""
    generator = find_and_load(model)
    if not isinstance(generator, BatchGenerator):
        raise MisuseError(f"{model}: draws no batches of images")
    parts = []
    for at in range(0, len(captions), BATCH):
        progress(what, at, len(captions))
        part = list(captions[at : at + BATCH])
        parts.append(generator.draw(part, list(range(at, at + len(part))), settings))
    return np.concatenate(parts)


def _real(evaluator: Evaluator, count: int) -> Distribution:
    """The metrics of as many training images, which a perfect model would have."""
    chosen = np.random.default_rng(0).choice(evaluator.data.train, count, replace=False)
    rgb, targets = render_images(evaluator.data, chosen)
    return evaluator.measure(rgb, [evaluator.data.labels[target] for target in targets])
