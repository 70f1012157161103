"""Trained classifiers: labels of a step of a trace, features, and their own accuracy.

Features of a network trained here, on the very kind of example that is measured, stand where
papers use Inception's: distances in them can be compared with one another and with nothing else.
"""

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from genui.base.errors import GenuiError, MisuseError
from genui.base.text import clean_line
from genui.engine import device
from genui.engine.data.image_labels import LabelledImages, load_labelled_images
from genui.engine.data.images import SIDE, as_floats, as_pixels
from genui.engine.data.speech import (
    SAMPLE_RATE,
    Mels,
    Samples,
    load_labelled_speech,
    log_mel,
    pad_take,
    prepare,
)
from genui.engine.data.text import PASSAGE, load_labelled_text
from genui.engine.data.tokenizer import bag
from genui.engine.load import fitting_its_recipe
from genui.engine.models.classifiers import ConvNet, NGramClassifier, SoundNet, build_classifier
from genui.engine.models.frozen import load_frozen
from genui.engine.models.linear import accuracy, calibration_error, fit_logistic, log_loss
from genui.engine.sample.text import TextGenerator, TextState
from genui.engine.sample.trace import Trace
from genui.engine.train.checkpoint import load_weights
from genui.engine.train.classifier import bags_of
from genui.protocol import ImageFrame, Labels
from genui.protocol.registry import KINDS, resolve
from genui.recipes import Recipe, recipe_from_dict
from genui.recipes.classifier import (
    ClassifierRecipe,
    ImageClassifierRecipe,
    SoundClassifierRecipe,
    TextClassifierRecipe,
)
from genui.runs.models import ModelInfo, find_model, read_header

# --- The labels of one step of a trace --------------------------------------------------------

MOST_LABELS = 8  # the likeliest first


def labels(trace: Trace, step: int, model: str) -> Labels:
    """The labels that the classifier `model` gives to the sample at `step`.

    `fault` says why there are none: it is of another medium, or no classifier.
    Raises MisuseError for a step that has not been reached.
    """
    if not 0 <= step <= trace.reached:
        raise MisuseError(f"step {step}: this trace stands at step {trace.reached}")
    try:
        likeliest, fault = _classify(trace, step, model), ""
    except GenuiError as error:
        likeliest, fault = (), clean_line(str(error), 200)
    return Labels(trace=trace.request.trace, step=step, model=model, labels=likeliest, fault=fault)


def _classify(trace: Trace, step: int, model: str) -> tuple[tuple[str, float], ...]:
    info = find_model(model)
    recipe = read_header(info.path).recipe
    kind = KINDS[recipe.family, recipe.medium]
    if not kind.classifier:
        raise MisuseError(
            f"{info.name} is a {recipe.family} of {recipe.medium} and gives no labels: "
            "name a classifier"
        )
    made = trace.started
    if (KINDS[made.family, made.medium].classifier_medium or made.medium) != recipe.medium:
        raise _other_medium(trace, recipe)
    classifier = _loaded(resolve(kind.classifier), str(info.path), _changed(info.path))
    example = resolve(kind.example)(trace, step, recipe, classifier)
    chances = classifier.probabilities(example)[0]
    order = np.argsort(-chances, kind="stable")[:MOST_LABELS].tolist()
    return tuple((clean_line(classifier.labels[at], 40), float(chances[at])) for at in order)


def text_example(trace: Trace, step: int, recipe: Recipe, classifier: Any) -> list[str]:
    """The text at a step, its prompt before it. Raises MisuseError where there is none."""
    generator, state = trace.generator, trace.state(step)
    if not (isinstance(generator, TextGenerator) and isinstance(state, TextState)):
        raise _other_medium(trace, recipe)
    written = generator.tokenizer.decode(state.token_ids.since(state.prompt).tolist())
    text = classifier.excerpt(trace.started.prompt + written + trace.started.suffix)
    if not text.strip():
        raise MisuseError("there is no text yet to give a label to")
    return [text]


def image_example(trace: Trace, step: int, recipe: Recipe, classifier: Any) -> np.ndarray:
    """The clean image as the model sees it at a step, uint8 [1, H, W, 3]."""
    frame = trace.generator.frame(trace.state(step))
    if not isinstance(frame, ImageFrame):
        raise _other_medium(trace, recipe)
    if trace.request.grid:
        raise MisuseError("a grid is several images, and one is given a label: draw one")
    return np.frombuffer(frame.denoised, np.uint8).reshape(1, frame.height, frame.width, 3)


def _other_medium(trace: Trace, recipe: Recipe) -> MisuseError:
    return MisuseError(
        f"{recipe.name} gives labels to {_PLURALS.get(recipe.medium, recipe.medium)}, and this is "
        f"{trace.started.medium}: choose another classifier"
    )


_PLURALS = {"image": "images", "text": "texts"}


def _changed(path: Path) -> int:
    return path.stat().st_mtime_ns


@lru_cache(maxsize=4)
def _loaded(load: Callable[[str], Any], path: str, changed: int) -> Any:
    """A classifier, cached until its file changes."""
    return load(path)


# --- A trained classifier of any medium -------------------------------------------------------

N = TypeVar("N", ConvNet, NGramClassifier, SoundNet)
E = TypeVar("E")


class Classifier(Generic[N, E]):
    """A trained classifier. A subclass knows how examples become what its network takes."""

    recipe: ClassVar[type[ClassifierRecipe]]
    things: ClassVar[str]  # what it labels, in the plural
    at_once: ClassVar[int]  # examples in one batch

    def __init__(self, network: N, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self._network = network.eval()
        self._device = next(network.parameters()).device

    @classmethod
    def load(cls, ref: str) -> Self:
        """The classifier of that name, run or path.

        Raises MisuseError where it labels other things, GenuiError where it is damaged.
        """
        info = find_model(ref)
        tensors, described = load_weights(info.path)
        recipe = recipe_from_dict(described["recipe"])
        if not isinstance(recipe, cls.recipe):
            raise MisuseError(
                f"{ref}: a {recipe.family} of {recipe.medium}, no classifier of {cls.things}"
            )
        with fitting_its_recipe(info.path):
            return cls.of(recipe, tensors, described)

    @classmethod
    def of(
        cls, recipe: ClassifierRecipe, tensors: dict[str, Tensor], described: Mapping[str, Any]
    ) -> Self:
        """The classifier of a checkpoint's weights.

        Raises KeyError, TypeError or RuntimeError where they do not fit the recipe.
        """
        labels = tuple(map(str, described["labels"]))
        network: Any = load_frozen(lambda: build_classifier(recipe, len(labels)), tensors)
        return cls(network.to(device.choose_device()), labels)

    def probabilities(self, examples: Sequence[E] | NDArray[Any]) -> NDArray[np.float32]:
        """p(label | example), float32 [N, labels]."""
        return self._apply(examples, lambda x: self._network(x).softmax(dim=1))

    def features(self, examples: Sequence[E] | NDArray[Any]) -> NDArray[np.float32]:
        """The penultimate layer, float32 [N, D]."""
        return self._apply(examples, self._network.features)

    @abstractmethod
    def _inputs(self, examples: Any) -> Any:
        """Examples as the network takes them."""

    @torch.inference_mode()
    def _apply(self, examples: Any, function: Callable[[Any], Tensor]) -> NDArray[np.float32]:
        parts = [
            function(self._inputs(examples[at : at + self.at_once])).float().cpu().numpy()
            for at in range(0, len(examples), self.at_once)
        ]
        return np.concatenate(parts)


def _report(
    p: NDArray[np.floating],
    targets: NDArray[np.int64],
    things: str,
    beside: NDArray[np.floating],
    features: str,
    labels: str,
) -> dict[str, str]:
    """Accuracy and calibration of probabilities [N, labels] on held-out examples, beside those
    of logistic regression on simple features."""
    return {
        "held-out accuracy": f"{accuracy(p, targets):.1%} of {len(targets):,} {things}",
        "logistic regression": f"{accuracy(beside, targets):.1%}, on {features}",
        "log-loss": f"{log_loss(p, targets):.3f} nats",
        "calibration error": f"{calibration_error(p, targets):.3f}, expected",
        "labels": labels,
    }


# --- Images -----------------------------------------------------------------------------------

COLOURINGS = 4  # of each training image that logistic regression sees, where there are many
POOLED = 2  # pixels of a side that are averaged into one for it


class ImageClassifier(Classifier[ConvNet, Any]):
    """An image classifier; images are uint8 [N, 32, 32, 3]."""

    recipe = ImageClassifierRecipe
    things = "images"
    at_once = 512

    def _inputs(self, examples: NDArray[np.uint8]) -> Tensor:
        if examples.dtype != np.uint8 or examples.shape[1:] != (SIDE, SIDE, 3):
            raise ValueError(f"images are uint8 [N, {SIDE}, {SIDE}, 3], not {examples.shape}")
        return torch.from_numpy(as_floats(examples)).to(self._device)


def measure_classifier(info: ModelInfo, recipe: ImageClassifierRecipe) -> dict[str, str]:
    """How good an image classifier is on held-out images."""
    classifier, data = (
        ImageClassifier.load(str(info.path)),
        load_labelled_images(recipe.dataset, recipe.data),
    )
    rgb, targets = images_of(data, data.held_out)
    return _report(
        classifier.probabilities(rgb),
        targets,
        "images",
        linear_beside(data, rgb),
        f"averages of {POOLED}×{POOLED} pixels",
        f"{len(data.labels)}: {', '.join(data.labels[:12])}",
    )


def linear_beside(data: LabelledImages, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """p(label | image) by logistic regression on the same training images: [N, labels]."""
    train, targets = _training(data)
    return fit_logistic(pooled(train), targets, len(data.labels)).probabilities(pooled(rgb))


def images_of(
    data: LabelledImages, indices: NDArray[np.int64], seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """These images as a classifier takes them, uint8 [N, 32, 32, 3], and their labels."""
    rng = np.random.default_rng(seed)
    rgb = np.empty((len(indices), SIDE, SIDE, 3), np.uint8)
    for at in range(0, len(indices), ImageClassifier.at_once):
        part, _ = data.batch(indices[at : at + ImageClassifier.at_once], rng)
        rgb[at : at + ImageClassifier.at_once] = as_pixels(part)
    return rgb, data.targets[indices]


def pooled(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Images [N, 32, 32, 3] as rows of averages of 2×2 pixels, 0 to 1; of grey ones a third."""
    if (rgb[..., :1] == rgb[..., 1:]).all():
        rgb = rgb[..., :1]
    count, height, width, channels = rgb.shape
    blocks = rgb.reshape(count, height // POOLED, POOLED, width // POOLED, POOLED, channels)
    means = blocks.sum(axis=(2, 4), dtype=np.uint16).reshape(count, -1)
    return means.astype(np.float32) / (255 * POOLED**2)


def _training(data: LabelledImages) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Training images for logistic regression, each in several colourings where there are any."""
    if data.images.scheme == "plain":
        return images_of(data, data.train)
    parts = [images_of(data, data.train, seed) for seed in range(1, COLOURINGS + 1)]
    return np.concatenate([rgb for rgb, _ in parts]), np.concatenate([y for _, y in parts])


# --- Texts ------------------------------------------------------------------------------------

REGRESSION_STEPS = 150
REGRESSION_RATE = 0.05
REGRESSION_DECAY = 1e-4  # of the squared weights


class TextClassifier(Classifier[NGramClassifier, str]):
    """A classifier of texts. `excerpt` is the part of a longer text that it is given."""

    recipe = TextClassifierRecipe
    things = "texts"
    at_once = 1 << 30

    excerpt: Callable[[str], str]

    @classmethod
    def of(
        cls, recipe: ClassifierRecipe, tensors: dict[str, Tensor], described: Mapping[str, Any]
    ) -> Self:
        classifier = super().of(recipe, tensors, described)
        classifier.excerpt = EXCERPTS.get(str(described["dataset"]), last_passage)
        return classifier

    def _inputs(self, examples: Sequence[str]) -> list[np.ndarray]:
        return [bag(text, self._network.embedding.num_embeddings) for text in examples]


def last_passage(text: str) -> str:
    """The end of a text, as long as the passages of the training data."""
    return text[-PASSAGE:]


def last_speech(text: str) -> str:
    """The last speech of a play without its speaker's name, which would give the label away."""
    speech = text.rstrip("\n").rpartition("\n\n")[2].lstrip("\n")
    name, colon, rest = speech.partition(":\n")
    return rest if colon and "\n" not in name else speech


EXCERPTS: Mapping[str, Callable[[str], str]] = {"shakespeare": last_speech}
"""By data set: which part of a longer text a classifier is given."""


def measure_text_classifier(info: ModelInfo, recipe: TextClassifierRecipe) -> dict[str, str]:
    """How good a classifier of texts is on held-out ones, and the likeliest label beside it."""
    data = load_labelled_text(recipe.dataset, recipe.data)
    classifier = TextClassifier.load(str(info.path))
    bags, targets = bags_of(data.train, recipe.buckets)
    held, held_targets = bags_of(data.validation, recipe.buckets)
    most_frequent = Counter(targets.tolist()).most_common(1)[0][0]
    return _report(
        classifier.probabilities([text for text, _ in data.validation]),
        held_targets,
        "texts",
        logistic_regression(bags, targets, held, recipe.buckets),
        "the same n-grams",
        f"{len(data.labels)}: {', '.join(data.labels[:12])}",
    ) | {"most frequent label": f"{(held_targets == most_frequent).mean():.1%}"}


def logistic_regression(
    bags: Sequence[np.ndarray], targets: np.ndarray, held: Sequence[np.ndarray], buckets: int
) -> np.ndarray:
    """p(label | bag) of the held-out bags, float32 [N, labels], by multinomial regression.

    On the counts of n-grams divided by the root of their sum, with a ridge, by Adam on all
    examples at once; nothing is random.
    """
    labels = int(targets.max()) + 1
    known, others = _Counts(bags), _Counts(held)
    weights = torch.zeros(buckets, labels, requires_grad=True)
    bias = torch.zeros(labels, requires_grad=True)
    optimizer: Any = torch.optim.Adam([weights, bias], lr=REGRESSION_RATE)
    labels_of_rows = torch.from_numpy(targets)
    for _ in range(REGRESSION_STEPS):
        optimizer.zero_grad()
        loss = F.cross_entropy(known.weighted(weights) + bias, labels_of_rows)
        (loss + REGRESSION_DECAY * weights.square().sum()).backward()
        optimizer.step()
    with torch.inference_mode():
        return (others.weighted(weights) + bias).softmax(dim=1).numpy()


class _Counts:
    """How often each n-gram is in each bag, by the root of how many there are: [N, buckets]."""

    def __init__(self, bags: Sequence[np.ndarray]) -> None:
        sizes = np.array([len(bag) for bag in bags])
        self._numbers = torch.from_numpy(np.concatenate(bags))
        self._starts = torch.from_numpy(sizes.cumsum() - sizes)
        self._scale = torch.from_numpy(sizes**-0.5).float()[:, None]

    def weighted(self, weights: torch.Tensor) -> torch.Tensor:
        """Their product with weights [buckets, labels]."""
        return F.embedding_bag(self._numbers, weights, self._starts, mode="sum") * self._scale


# --- Sound ------------------------------------------------------------------------------------


class SoundClassifier(Classifier[SoundNet, Samples]):
    """A classifier of sound: words at SAMPLE_RATE, prepared as its training data was.

    `probabilities` raises ValueError, a reason, where a word is silence.
    """

    recipe = SoundClassifierRecipe
    things = "sound"
    at_once = 64

    def _inputs(self, examples: Sequence[Samples]) -> Tensor:
        words = [pad_take(prepare(sound, SAMPLE_RATE)) for sound in examples]
        return torch.from_numpy(log_mel(np.stack(words)))[:, None].to(self._device)


def measure_sound_classifier(info: ModelInfo, recipe: SoundClassifierRecipe) -> dict[str, str]:
    """How good a classifier of sound is on held-out takes; of a small set, on trained ones."""
    classifier, data = SoundClassifier.load(str(info.path)), load_labelled_speech(recipe)
    speech, targets = data.speech, data.targets
    held = speech.held_out if len(speech.held_out) else speech.train
    train = _coarse(speech.mels(speech.train))
    linear = fit_logistic(train, targets[speech.train], len(data.labels))
    return _report(
        classifier.probabilities([speech.takes[i].samples for i in held]),
        targets[held],
        "takes",
        linear.probabilities(_coarse(speech.mels(held))),
        "the same spectrograms, halved",
        f"{len(data.labels)}: {', '.join(data.labels)}",
    )


def _coarse(mels: Mels) -> Mels:
    """Spectrograms [N, MELS, FRAMES] at half the size either way, as rows of numbers."""
    count, height, width = mels.shape
    return mels.reshape(count, height // 2, 2, width // 2, 2).mean(axis=(2, 4)).reshape(count, -1)
