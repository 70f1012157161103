"""Metrics of diffusion models of images."""

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from genui.engine.data.captions import COLOURS, STOP_WORDS, split_words
from genui.engine.data.image_datasets import load_images
from genui.engine.data.images import Batch, CaptionedImages, as_floats
from genui.engine.metrics.distance import (
    CLASSIFIERS,
    copying_share,
    measure_distribution,
    nearest,
)
from genui.engine.models.denoisers import EDMDenoiser
from genui.engine.sample.diffusion import DiffusionGenerator, draw_in_batches
from genui.protocol import ImageSettings
from genui.protocol.settings import UNGUIDED
from genui.recipes import DiffusionRecipe

# --- Diffusion models: object, colours, memorization ------------------------------------------

DIFFUSION_SAMPLES = 100
DISTRIBUTION_SAMPLES = 5000  # for `measure_distribution`
DIFFUSION_SETTINGS = ImageSettings(steps=12, guidance=2.0)
COPY_ERROR = 0.003
"""Mean squared error (range -1 to 1) below which a sample is a copy of its training image."""

_NAMES = list(COLOURS)
_PALETTE = np.array(list(COLOURS.values()), np.float32) / 127.5 - 1  # [10, 3]


def measure_images(generator: DiffusionGenerator, recipe: DiffusionRecipe) -> dict[str, str]:
    """The shares of right objects and colours, also for held-out names, and of memorized images;
    for data with many images per caption `measure_distribution`."""
    if recipe.dataset in CLASSIFIERS and not recipe.data:
        draw = partial(draw_in_batches, generator, settings=UNGUIDED)
        return measure_distribution(draw, recipe.dataset, DISTRIBUTION_SAMPLES)
    images = load_images(recipe.dataset, recipe.data)
    metrics = measure_captioned(partial(_draw, generator), images)
    if recipe.canvas_batch:
        _, batch = draw_trained(images, np.random.default_rng(0))
        error = _canvas_error(generator, batch.captions, batch.canvas)
        metrics["canvas alone"] = f"error {error:.4f}"
    return metrics


def measure_captioned(draw: "Draw", images: CaptionedImages) -> dict[str, str]:
    """The shares of right objects and colours of the samples that `draw` draws, and how new they
    are."""
    rng = np.random.default_rng(0)
    chosen, batch = draw_trained(images, rng)
    samples = draw(batch.captions)
    ranks = [rank_of(images, *each) for each in zip(batch.captions, chosen, samples, strict=True)]
    errors = ((samples - batch.rgb) ** 2).mean(axis=(1, 2, 3))
    metrics = {"trained captions": f"{_percent(r == 0 for r in ranks)}% right"}
    if images.scheme != "plain":
        metrics["colours right"] = f"{_percent(map(colours_are_right, batch.captions, samples))}%"
    if images.held_pairs:
        captions = images.batch(chosen, rng, held_pairs=True).captions
        right = map(colours_are_right, captions, draw(captions))
        metrics["new colour pairs right"] = f"{_percent(right)}%"
    if len(images.held_out):
        metrics |= _held_out(draw, images, rng)
    metrics["error"] = f"{errors.mean():.4f} mean squared, of the true image"
    metrics["memory"] = f"{_percent(errors < COPY_ERROR)}% are their training image again"
    if len(images.held_out):
        metrics["copying"] = describe_copying(draw, images)
    if (alone := word_variety(draw, images)) is not None:
        metrics["a word alone"] = (
            f"{alone.different:.1f} different images in {SEEDS} seeds; {alone.matching:.0%} bear "
            f"the word (at random {alone.chance:.0%})"
        )
    metrics["seeds differ by"] = f"{_spread(draw, batch.captions[:8]):.3f} rms"
    return metrics


def draw_trained(
    images: CaptionedImages, rng: np.random.Generator
) -> tuple[NDArray[np.int64], Batch]:
    """Random training images, in random colours: their indices and examples."""
    few = len(images.train) < DIFFUSION_SAMPLES
    chosen = rng.choice(images.train, DIFFUSION_SAMPLES, replace=few)
    return chosen, images.batch(chosen, rng)


def _draw(
    generator: DiffusionGenerator, captions: list[str], first: int = 0
) -> NDArray[np.float32]:
    """Samples float32 [B, 3, 32, 32] in -1 to 1, with seeds from `first` on."""
    seeds = list(range(first, first + len(captions)))
    return as_floats(generator.draw(captions, seeds, DIFFUSION_SETTINGS))


def _percent(hits: object) -> int:
    values = np.fromiter(hits, bool)  # type: ignore[arg-type]
    return round(100 * float(values.mean()))


def rank_of(images: CaptionedImages, caption: str, index: int, sample: NDArray[np.float32]) -> int:
    """The number of images in the caption's colours that are nearer than those with the name of
    image `index`."""
    candidates = images.draw_all(caption)
    if candidates is None:
        return len(images)
    errors = ((candidates - sample) ** 2).mean(axis=(1, 2, 3))
    named = [name == images.captions[index] for name in images.captions]
    return int((errors < errors[named].min()).sum())


def colours_are_right(caption: str, sample: NDArray[np.float32]) -> bool:
    """Whether the ground and the figure, if the caption names one, have the caption's colours."""
    words = caption.split()
    named = "on" in words[:-1] and words[-1] in COLOURS
    ground, figure = colours_of(sample)
    if ground != (words[-1] if named else "black"):
        return False
    return words[0] not in COLOURS or not named or figure == words[0]


def colours_of(sample: NDArray[np.float32]) -> tuple[str, str]:
    """The colours of the ground (the most frequent one of the border) and of the figure (the most
    frequent other one, or "") of an image [3, 32, 32] in -1 to 1."""
    differences = sample.transpose(1, 2, 0)[:, :, None, :] - _PALETTE  # [32, 32, 10, 3]
    colour = (differences**2).sum(-1).argmin(-1)  # [32, 32]
    border = np.concatenate((colour[0], colour[-1], colour[:, 0], colour[:, -1]))
    ground = int(np.bincount(border, minlength=len(_NAMES)).argmax())
    figure = np.bincount(colour[colour != ground], minlength=len(_NAMES))
    return _NAMES[ground], _NAMES[int(figure.argmax())] if figure.sum() else ""


def _held_out(draw: "Draw", images: CaptionedImages, rng: np.random.Generator) -> dict[str, str]:
    """For names that were not trained, how often the true image is the nearest to the sample."""
    captions = images.batch(images.held_out, rng).captions
    samples = zip(captions, images.held_out, draw(captions), strict=True)
    ranks = [rank_of(images, *each) for each in samples]
    first, five = _percent(r == 0 for r in ranks), _percent(r < 5 for r in ranks)
    return {"names never trained": f"{first}% right first, {five}% among five"}


def describe_copying(draw: "Draw", images: CaptionedImages, styled: bool = False) -> str:
    """The share of samples nearer to training images than to as many held-out images; `styled` if
    the captions say the style of an image."""
    chosen = np.random.default_rng(1).choice(images.train, DIFFUSION_SAMPLES)
    captions = images.default_captions(chosen)
    if styled:
        captions = [f"{images.styles[i]} {text}" for i, text in zip(chosen, captions, strict=True)]
    samples = draw(captions).reshape(DIFFUSION_SAMPLES, -1)
    train, held = (
        images.draw_in_colours_of("", indices).reshape(len(indices), -1)
        for indices in (images.train, images.held_out)
    )
    share = copying_share(samples, train, held)
    return f"{share:.2f} are nearer to training than to as many held-out images (0.5: none)"


def _spread(draw: "Draw", captions: list[str]) -> float:
    """Root mean square difference between two seeds of one caption (range -1 to 1)."""
    return float(np.sqrt(((draw(captions) - draw(captions, 500)) ** 2).mean()))


@torch.inference_mode()
def _canvas_error(
    generator: DiffusionGenerator, captions: list[str], canvas: NDArray[np.float32]
) -> float:
    """The mean squared error of the coarse image that the caption alone gives."""
    assert isinstance(generator.model, EDMDenoiser)
    predicted = generator.model.draw_canvas(generator.token_ids(captions))
    return float(F.mse_loss(predicted.float().cpu(), torch.from_numpy(canvas)))


# --- Single words as captions: how varied the samples are -------------------------------------

WORDS = 25
LEAST = 5  # training images with a word in their name
SEEDS = 8  # per word


Draw = Callable[..., NDArray[np.float32]]
"""Captions, and the seed of the first, by default 0, to samples [B, 3, 32, 32] in -1 to 1."""


class WordVariety(NamedTuple):
    """Means over words."""

    different: float  # the number of images that are nearest to a sample, 1 to SEEDS
    matching: float  # the share of samples whose nearest image has the word in its name
    chance: float  # the same share for random images of the set


def images_by_word(images: CaptionedImages) -> dict[str, frozenset[int]]:
    """The training images of each word that at least `LEAST` names contain and none consists of."""
    by_word: defaultdict[str, set[int]] = defaultdict(set)
    for index in images.train.tolist():
        for word in split_words(images.captions[index]):
            by_word[word].add(index)
    return {
        word: frozenset(indices)
        for word, indices in sorted(by_word.items())
        if len(indices) >= LEAST and word not in STOP_WORDS and word not in images.names
    }


def word_variety(draw: Draw, images: CaptionedImages) -> WordVariety | None:
    """The variety for words in the set's usual colours; None if no word has several images."""
    by_word = images_by_word(images)
    if not by_word:
        return None
    rng = np.random.default_rng(0)
    words = rng.permutation(sorted(by_word))[:WORDS].tolist()
    candidates = images.draw_in_colours_of("", images.train).reshape(len(images.train), -1)
    different, matching = [], []
    for word in words:
        samples = draw(images.add_default_colours([word]) * SEEDS).reshape(SEEDS, -1)
        _, rows = nearest(samples, candidates)
        indices = images.train[rows].tolist()
        different.append(len(set(indices)))
        matching.append(np.mean([index in by_word[word] for index in indices]))
    chance = np.mean([len(by_word[word]) / len(images.train) for word in words])
    return WordVariety(float(np.mean(different)), float(np.mean(matching)), float(chance))
