"""Models of any family on the same data, as the rows of one table.

Everything is measured as `distance.py` says, in the features of the classifier trained here
on that data; the first row is that of as many real training images.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from genui.base.errors import GenuiError, MisuseError
from genui.engine.data.image_labels import load_labelled_images
from genui.engine.load import find_and_load
from genui.engine.metrics.classifiers import ImageClassifier, images_of
from genui.engine.metrics.distance import CLASSIFIERS, Distribution, Ruler
from genui.engine.sample.diffusion import BatchGenerator
from genui.logs.native import training_minutes
from genui.protocol.registry import KINDS
from genui.runs.models import ModelInfo, find_model

BATCH = 50
REAL = "real images"

Progress = Callable[[str, int, int], None]
"""Called with the model, how many samples it has generated and how many there will be."""


@dataclass(frozen=True)
class Row:
    """One model; `found` is None where it could not be measured, and `fault` says why.

    A sample's milliseconds are those of drawing in batches of BATCH on this machine.
    """

    model: str
    family: str = ""
    parameters: int = 0
    minutes: float | None = None  # of training
    milliseconds: float | None = None  # a sample
    found: Distribution | None = None
    fault: str = ""


def check(models: Sequence[str]) -> tuple[list[ModelInfo], str]:
    """The models and the data set they share.

    Raises MisuseError where one draws no images, they were trained on different data, or no
    classifier of that data is shipped; and what `find_model` raises.
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


def rows(models: Sequence[str], count: int, progress: Progress) -> Iterator[Row]:
    """The real images' row and then one a model, each when it is measured; as `check`."""
    infos, dataset = check(models)
    progress("the test set", 0, count)
    ruler = Ruler(ImageClassifier.load(CLASSIFIERS[dataset]), load_labelled_images(dataset))
    yield Row(REAL, found=_real(ruler, count))
    for model, info in zip(models, infos, strict=True):
        try:
            yield _row(model, info, ruler, count, progress)
        except GenuiError as fault:
            yield Row(model, info.family, info.parameters, fault=str(fault))


def _row(model: str, info: ModelInfo, ruler: Ruler, count: int, progress: Progress) -> Row:
    generator = find_and_load(model)
    if not isinstance(generator, BatchGenerator):
        raise MisuseError(f"{model}: draws no batches of images")
    kind = KINDS[info.family, info.medium]
    settings = kind.for_data or kind.defaults
    captions = ruler.captions(count)
    parts, seconds = [], 0.0
    for at in range(0, count, BATCH):
        progress(model, at, count)
        begin = time.perf_counter()
        seeds = list(range(at, min(at + BATCH, count)))
        parts.append(generator.draw(captions[at : at + BATCH], seeds, settings))
        seconds += time.perf_counter() - begin
    return Row(
        model,
        info.family,
        info.parameters,
        training_minutes(info),
        1000 * seconds / count,
        ruler.measure(np.concatenate(parts), captions),
    )


def _real(ruler: Ruler, count: int) -> Distribution:
    """As many training images: what a model that knew the data perfectly would have."""
    chosen = np.random.default_rng(0).choice(ruler.data.train, count, replace=False)
    rgb, targets = images_of(ruler.data, chosen)
    return ruler.measure(rgb, [ruler.data.labels[target] for target in targets])
