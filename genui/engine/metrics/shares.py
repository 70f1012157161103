"""Bias: what the data have and what a model draws, side by side, by guidance and truncation.

Samples and data are labelled in the same way, so that a judge's errors are on both sides. A sample
counts once, so that all are independent.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from genui.base.errors import MisuseError
from genui.base.shares import CONFIDENCE, Share, ShareRow, ShareTable
from genui.base.text import clean_line
from genui.engine.data.image_datasets import load_images, load_labelled_images, side_of
from genui.engine.data.images import as_floats, as_pixels
from genui.engine.data.text import load_text
from genui.engine.load import Streams
from genui.engine.metrics.classifiers import ImageClassifier, render_images
from genui.engine.metrics.distance import CLASSIFIERS
from genui.engine.metrics.images import colours_of
from genui.engine.metrics.table import ReportProgress, draw_images
from genui.protocol import Start, TextFrame, TextSettings
from genui.protocol.kinds import KINDS
from genui.recipes import Recipe
from genui.runs.models import find_model, own_recipe

COLUMNS: Mapping[str, Mapping[str, float]] = {
    "guidance 0": {"guidance": 0},  # the caption is not used
    "guidance 1": {"guidance": 1},
    "guidance 4": {"guidance": 4},
    "truncation 1": {"truncation": 1},
    "truncation 0.5": {"truncation": 0.5},
    "temperature 1": {"temperature": 1, "top_p": 1},
    "temperature 0.7": {"temperature": 0.7, "top_p": 1},
    "top-p 0.8": {"temperature": 1, "top_p": 0.8},
}
"""Settings to sample with. A model has the columns whose settings are all its own."""

MOST_LABELS = 10  # rows; rarer labels are counted together
OTHERS = "others"


def area_under_curve(low: NDArray[np.floating], high: NDArray[np.floating]) -> float:
    """The area under the ROC curve: the chance that one of the scores `high` [N] exceeds one of
    `low` [M], where equal ones count half. 0.5 is a coin."""
    return float((np.sign(high[:, None] - low).mean() + 1) / 2)


class Subject(NamedTuple):
    """What is counted."""

    title: str
    real: Sequence[str]  # the label of each real example
    draw: Callable[[Any, str], Sequence[str]]
    """The labels of samples by their settings; the second argument is what progress says."""


def measure_shares(models: Sequence[str], count: int, progress: ReportProgress) -> ShareTable:
    """Count what the data of one model have, and what it draws with each of COLUMNS.

    Raises MisuseError for a model of whose samples nothing can be counted, and what the loaders of
    its data raise.
    """
    [model] = models
    recipe = own_recipe(model)
    kind = KINDS[recipe.family, recipe.medium]
    if not (kind.batches or isinstance(kind.defaults, TextSettings)):
        raise MisuseError(f"{model}: only samples of images and texts are counted")
    count_what = _count_images if kind.batches else _count_speakers
    subject = count_what(model, recipe, count, progress)
    drawn = {"data": subject.real}
    for title, settings in vary(model):
        drawn[title] = subject.draw(settings, f"{model}, {title}")
    return ShareTable(
        title=f"{subject.title}: the data of {model}, and what it draws",
        columns=tuple(drawn),
        rows=tuple(count_labels(list(drawn.values()))),
        notes=(
            "▲ more, ▼ less than the data: the chance that any of these marks is noise is below "
            f"{1 - CONFIDENCE:.0%}; without a mark it may be noise. A range is the "
            f"{CONFIDENCE:.0%} interval of one share",
        ),
    )


def vary(model: str) -> Iterator[tuple[str, Any]]:
    """The titles of the columns that a model has, and all of its settings there."""
    info = find_model(model)
    usual = KINDS[info.family, info.medium].defaults.represent_data(())
    for title, settings in COLUMNS.items():
        if settings.keys() <= set(usual.__struct_fields__):
            yield title, replace(usual, **settings)


def count_labels(columns: Sequence[Sequence[str]]) -> Iterator[ShareRow]:
    """The share of each label in each column; the commonest of the first column come first."""
    counts = [Counter(labels) for labels in columns]
    known = [label for label, _ in counts[0].most_common(MOST_LABELS)]
    rows = {label: [each[label] for each in counts] for label in known}
    others = [each.total() - sum(each[label] for label in known) for each in counts]
    if any(others):
        rows[OTHERS] = others
    for label, hits in rows.items():
        shares = tuple(Share(n, each.total()) for n, each in zip(hits, counts, strict=True))
        yield ShareRow(label=clean_line(label, 24), shares=shares, is_rest=label == OTHERS)


# --- Images: the class that a classifier finds, or the colour of the ground -------------------

MOST_REAL = 2000  # images whose colours are random


def _count_images(model: str, recipe: Recipe, count: int, progress: ReportProgress) -> Subject:
    """Raises MisuseError if the data have neither a shipped classifier nor random colours."""
    is_judged = recipe.dataset in CLASSIFIERS and not recipe.data
    title, real, captions, label = (_classes if is_judged else _grounds)(recipe)

    def draw(settings: Any, what: str) -> Sequence[str]:
        return label(draw_images(model, captions[:count], settings, what, progress))

    return Subject(title, label(real), draw)


Counted = tuple[str, NDArray[np.uint8], list[str], Callable[[NDArray[np.uint8]], list[str]]]
"""A title, real images [N, H, W, 3], captions to draw, and what labels images."""


def _classes(recipe: Recipe) -> Counted:
    """The classes of held-out images, with captions as in training."""
    data, judge = load_labelled_images(recipe.dataset), CLASSIFIERS[recipe.dataset]
    classifier = ImageClassifier.load(judge)
    chosen = np.random.default_rng(0).permutation(data.train)
    captions = [data.labels[target] for target in data.targets[chosen]]

    def label(rgb: NDArray[np.uint8]) -> list[str]:
        return [classifier.labels[i] for i in classifier.probabilities(rgb).argmax(1)]

    real, _ = render_images(data, data.held_out)
    return f"class by {judge}", real, captions, label


def _grounds(recipe: Recipe) -> Counted:
    """Colours of the ground as in training, with captions that name no colour."""
    images = load_images(recipe.dataset, recipe.data, side=side_of(recipe.dataset))
    if images.scheme != "figure-ground":
        raise MisuseError(
            f"{images.name}: has neither classes of a shipped classifier nor random colours, "
            f"as {', '.join(CLASSIFIERS)} and icons have"
        )
    rng = np.random.default_rng(0)
    chosen = rng.choice(images.train, MOST_REAL)

    def label(rgb: NDArray[np.uint8]) -> list[str]:
        return [colours_of(sample)[0] for sample in as_floats(rgb)]

    real = as_pixels(images.batch(chosen, rng).rgb)
    return "ground if no colour is named", real, [images.captions[i] for i in chosen], label


# --- Texts: who speaks next -------------------------------------------------------------------

_SPEAKER = re.compile(r"(?:^|\n\n)([^\n:]{1,40}):\n")
LINES_END = ".\n\n"
"""The prompt: after it a speech begins in every play."""
NAME_TOKENS = 48
FEWEST_SPEECHES = 100


def _count_speakers(model: str, recipe: Recipe, count: int, progress: ReportProgress) -> Subject:
    """Raises MisuseError if the text is no play."""
    data = load_text(recipe.dataset, recipe.data)
    real = [name for play in data.train for name in _SPEAKER.findall(play)]
    if len(real) < FEWEST_SPEECHES:
        raise MisuseError(f"{model}: {data.name} has no speeches (NAME:) whose speakers to count")

    def draw(settings: Any, what: str) -> Sequence[str]:
        names = []
        for text in write(model, [LINES_END] * count, replace(settings, tokens=NAME_TOKENS)):
            progress(what, len(names), count)
            found = _SPEAKER.match(text)
            names.append(found[1] if found else "no name")
        return names

    return Subject("who speaks next", real, draw)


def write(model: str, prompts: Iterable[str], settings: Any) -> Iterator[str]:
    """What a model writes after each prompt, with seeds 0, 1, …"""
    for frames in write_frames(model, prompts, settings):
        yield "".join(frame.text for frame in frames)


def write_frames(model: str, prompts: Iterable[str], settings: Any) -> Iterator[list[TextFrame]]:
    """As `write`, with all that is known of each token."""
    starts = (
        Start(trace=seed, model=model, prompt=prompt, seed=seed, settings=settings)
        for seed, prompt in enumerate(prompts)
    )
    for messages in Streams(starts):
        yield [each for each in messages if isinstance(each, TextFrame)]


def take_passages(texts: Sequence[str], count: int, size: int) -> list[str]:
    """At most `count` pieces of `size` characters, evenly spaced over the texts; none overlap."""
    whole = "\n".join(texts)
    count = max(1, min(count, len(whole) // size))
    starts = [at * len(whole) // count for at in range(count)]
    return [whole[start : start + size] for start in starts]
