"""Trained classifiers: labels for a step of a trace, features, and the classifiers' own metrics.

Papers use Inception's features; here the features are those of a network trained on the same
data. Distances in them can be compared with one another, not with published numbers.
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
from genui.engine.data.image_datasets import LabelledImages, load_labelled_images
from genui.engine.data.image_files import SIDE
from genui.engine.data.images import as_floats, as_pixels
from genui.engine.data.text import PASSAGE, load_labelled_text
from genui.engine.data.tokenizer import bag
from genui.engine.kinds import Labels as LabelsFace
from genui.engine.load import recipe_errors
from genui.engine.models.classifiers import ClassifierNetwork, ConvNet, NGramClassifier
from genui.engine.models.frozen import load_frozen
from genui.engine.models.linear import accuracy, calibration_error, fit_logistic, log_loss
from genui.engine.sample.text import TextGenerator, TextState
from genui.engine.sample.trace import Trace
from genui.engine.train.checkpoint import load_weights
from genui.engine.train.classifier import bags_of
from genui.protocol import ImageFrame, Labels
from genui.protocol.kinds import KINDS, open_face
from genui.recipes import Recipe, recipe_from_dict
from genui.recipes.classifier import (
    ClassifierRecipe,
    ImageClassifierRecipe,
    TextClassifierRecipe,
)
from genui.runs.models import ModelInfo, find_model, read_header

# --- The labels of one step of a trace --------------------------------------------------------

MAX_LABELS = 8


def labels(trace: Trace, step: int, model: str) -> Labels:
    """The likeliest labels of the sample at `step` by the classifier `model`.

    If there are none, `fault` says why: `model` is not a classifier, or has another medium.
    Raises MisuseError for a step that was not computed.
    """
    if not 0 <= step <= trace.reached:
        raise MisuseError(f"step {step}: this trace is at step {trace.reached}")
    try:
        likeliest, fault = _classify(trace, step, model), ""
    except GenuiError as error:
        likeliest, fault = (), clean_line(str(error), 200)
    return Labels(trace=trace.request.trace, step=step, model=model, labels=likeliest, fault=fault)


def _classify(trace: Trace, step: int, model: str) -> tuple[tuple[str, float], ...]:
    info = find_model(model)
    recipe = read_header(info.path).recipe
    kind = KINDS[recipe.family, recipe.medium]
    face = open_face(kind.labels, LabelsFace)
    if face is None:
        raise MisuseError(
            f"{info.name} is a {recipe.family} of {recipe.medium} and gives no labels: "
            "name a classifier"
        )
    started = trace.started
    medium = KINDS[started.family, started.medium].classifier_medium or started.medium
    if medium != recipe.medium:
        raise _other_medium(trace, recipe)
    classifier = _loaded(face.load, str(info.path), _changed(info.path))
    example = face.example(trace, step, recipe, classifier)
    p = classifier.probabilities(example)[0]
    order = np.argsort(-p, kind="stable")[:MAX_LABELS].tolist()
    return tuple((clean_line(classifier.labels[i], 40), float(p[i])) for i in order)


def text_example(trace: Trace, step: int, recipe: Recipe, classifier: Any) -> list[str]:
    """The text at a step, with its prompt. Raises MisuseError if there is none."""
    generator, state = trace.generator, trace.state(step)
    frame = generator.frame(state)
    if isinstance(generator, TextGenerator) and isinstance(state, TextState):
        written = generator.tokenizer.decode(state.token_ids.since(state.prompt).tolist())
        before, after = state.gap or (trace.started.prompt, "")
        page = before + written + after
    elif frame is None or (page := frame.page) is None:
        raise _other_medium(trace, recipe)
    text = classifier.excerpt(page)
    if not text.strip():
        raise MisuseError("there is no text yet to give a label to")
    return [text]


def image_example(trace: Trace, step: int, recipe: Recipe, classifier: Any) -> np.ndarray:
    """The denoised image at a step, uint8 [1, H, W, 3]."""
    frame = trace.generator.frame(trace.state(step))
    if not isinstance(frame, ImageFrame):
        raise _other_medium(trace, recipe)
    if trace.request.grid:
        raise MisuseError("a grid is several images, and one is given a label: draw one")
    if (frame.width, frame.height) != (SIDE, SIDE):
        raise MisuseError(
            f"{recipe.name} gives labels to images of {SIDE}×{SIDE}, and this one has "
            f"{frame.width}×{frame.height}"
        )
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

N = TypeVar("N", bound=ClassifierNetwork)
E = TypeVar("E")


class Classifier(Generic[N, E]):
    """A trained classifier. Subclasses convert examples to the inputs of the network."""

    recipe: ClassVar[type[ClassifierRecipe]]
    network: ClassVar[type[ClassifierNetwork]]
    things: ClassVar[str]  # the examples, for an error
    batch_size: ClassVar[int]

    def __init__(self, network: N, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self._network = network.eval()
        self._device = next(network.parameters()).device

    @classmethod
    def load(cls, ref: str) -> Self:
        """The classifier by name, run or path.

        Raises MisuseError if it is another kind of model, GenuiError if the file is damaged.
        """
        info = find_model(ref)
        tensors, described = load_weights(info.path)
        recipe = recipe_from_dict(described["recipe"])
        if not isinstance(recipe, cls.recipe):
            raise MisuseError(
                f"{ref}: a {recipe.family} of {recipe.medium}, no classifier of {cls.things}"
            )
        with recipe_errors(info.path):
            return cls.of(recipe, tensors, described)

    @classmethod
    def of(
        cls, recipe: ClassifierRecipe, tensors: dict[str, Tensor], described: Mapping[str, Any]
    ) -> Self:
        """The classifier with a checkpoint's weights.

        Raises KeyError, TypeError or RuntimeError if they do not fit the recipe.
        """
        labels = tuple(map(str, described["labels"]))
        network: Any = load_frozen(lambda: cls.network.of(recipe, len(labels)), tensors)
        return cls(network.to(device.choose_device()), labels)

    def probabilities(self, examples: Sequence[E] | NDArray[Any]) -> NDArray[np.float32]:
        """p(label | example), float32 [N, labels]."""
        return self._apply(examples, lambda x: self._network(x).softmax(dim=1))

    def features(self, examples: Sequence[E] | NDArray[Any]) -> NDArray[np.float32]:
        """The penultimate layer, float32 [N, D]."""
        return self._apply(examples, self._network.features)

    @abstractmethod
    def _inputs(self, examples: Any) -> Any:
        """The network's inputs for these examples."""

    @torch.inference_mode()
    def _apply(self, examples: Any, function: Callable[[Any], Tensor]) -> NDArray[np.float32]:
        parts = [
            function(self._inputs(examples[at : at + self.batch_size])).float().cpu().numpy()
            for at in range(0, len(examples), self.batch_size)
        ]
        return np.concatenate(parts)


def report(
    p: NDArray[np.floating],
    targets: NDArray[np.int64],
    things: str,
    baseline: NDArray[np.floating],
    features: str,
    labels: str,
) -> dict[str, str]:
    """Accuracy and calibration of probabilities [N, labels] on held-out examples, and the accuracy
    of the `baseline`, logistic regression on simple features."""
    return {
        "held-out accuracy": f"{accuracy(p, targets):.1%} of {len(targets):,} {things}",
        "logistic regression": f"{accuracy(baseline, targets):.1%}, on {features}",
        "log-loss": f"{log_loss(p, targets):.3f} nats",
        "calibration error": f"{calibration_error(p, targets):.3f}, expected",
        "labels": labels,
    }


# --- Images -----------------------------------------------------------------------------------

# For logistic regression:
COLOURINGS = 4  # per training image, if the images can be coloured
POOLED = 2  # pixels along each side that are averaged


class ImageClassifier(Classifier[ConvNet, Any]):
    """An image classifier; images are uint8 [N, 32, 32, 3]."""

    recipe = ImageClassifierRecipe
    network = ConvNet
    things = "images"
    batch_size = 512

    def _inputs(self, examples: NDArray[np.uint8]) -> Tensor:
        if examples.dtype != np.uint8 or examples.shape[1:] != (SIDE, SIDE, 3):
            raise ValueError(f"images are uint8 [N, {SIDE}, {SIDE}, 3], not {examples.shape}")
        return torch.from_numpy(as_floats(examples)).to(self._device)


def measure_classifier(info: ModelInfo, recipe: ImageClassifierRecipe) -> dict[str, str]:
    """Metrics of an image classifier on held-out images."""
    classifier = ImageClassifier.load(str(info.path))
    data = load_labelled_images(recipe.dataset, recipe.data)
    rgb, targets = render_images(data, data.held_out)
    return report(
        classifier.probabilities(rgb),
        targets,
        "images",
        linear_baseline(data, rgb),
        f"averages of {POOLED}×{POOLED} pixels",
        f"{len(data.labels)}: {', '.join(data.labels[:12])}",
    )


def linear_baseline(data: LabelledImages, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """p(label | image), [N, labels], by logistic regression on the training images of `data`."""
    seeds = (0,) if data.images.scheme == "plain" else range(1, COLOURINGS + 1)
    parts = [render_images(data, data.train, seed) for seed in seeds]
    x = pool(np.concatenate([rgb for rgb, _ in parts]))
    targets = np.concatenate([y for _, y in parts])
    return fit_logistic(x, targets, len(data.labels)).probabilities(pool(rgb))


def render_images(
    data: LabelledImages, indices: NDArray[np.int64], seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The images uint8 [N, 32, 32, 3] at these indices, and their labels int64 [N]; `seed` is that
    of the colours."""
    rng = np.random.default_rng(seed)
    rgb = np.empty((len(indices), SIDE, SIDE, 3), np.uint8)
    for at in range(0, len(indices), ImageClassifier.batch_size):
        part, _ = data.batch(indices[at : at + ImageClassifier.batch_size], rng)
        rgb[at : at + ImageClassifier.batch_size] = as_pixels(part)
    return rgb, data.targets[indices]


def pool(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Images [N, 32, 32, 3] as rows of averages of 2×2 pixels, 0 to 1: [N, 768], or [N, 256] if all
    are grey."""
    if (rgb[..., :1] == rgb[..., 1:]).all():
        rgb = rgb[..., :1]
    count, height, width, channels = rgb.shape
    blocks = rgb.reshape(count, height // POOLED, POOLED, width // POOLED, POOLED, channels)
    means = blocks.sum(axis=(2, 4), dtype=np.uint16).reshape(count, -1)
    return means.astype(np.float32) / np.float32(255 * POOLED**2)


# --- Texts ------------------------------------------------------------------------------------

REGRESSION_STEPS = 150
REGRESSION_RATE = 0.05
REGRESSION_DECAY = 1e-4  # the L2 penalty


class TextClassifier(Classifier[NGramClassifier, str]):
    """A text classifier. `excerpt` selects the part of a longer text that it labels."""

    recipe = TextClassifierRecipe
    network = NGramClassifier
    things = "texts"
    batch_size = 1 << 30

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
    """The end of a text, as long as a passage of the training data."""
    return text[-PASSAGE:]


def last_speech(text: str) -> str:
    """The last speech of a play without the speaker's name, which is the label."""
    speech = text.rstrip("\n").rpartition("\n\n")[2].lstrip("\n")
    name, colon, rest = speech.partition(":\n")
    return rest if colon and "\n" not in name else speech


EXCERPTS: Mapping[str, Callable[[str], str]] = {"shakespeare": last_speech}
"""Data set to the function that selects a part of a longer text."""


def measure_text_classifier(info: ModelInfo, recipe: TextClassifierRecipe) -> dict[str, str]:
    """Metrics of a text classifier on held-out texts, and the share of the most frequent label."""
    data = load_labelled_text(recipe.dataset, recipe.data)
    classifier = TextClassifier.load(str(info.path))
    bags, targets = bags_of(data.train, recipe.buckets)
    held, held_targets = bags_of(data.validation, recipe.buckets)
    most_frequent = Counter(targets.tolist()).most_common(1)[0][0]
    return report(
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

    The features are counts of n-grams, divided by the square root of their sum. Adam with an L2
    penalty runs on all examples as one batch, so the result is deterministic.
    """
    labels = int(targets.max()) + 1
    train, test = _Counts(bags), _Counts(held)
    weights = torch.zeros(buckets, labels, requires_grad=True)
    bias = torch.zeros(labels, requires_grad=True)
    optimizer: Any = torch.optim.Adam([weights, bias], lr=REGRESSION_RATE)
    y = torch.from_numpy(targets)
    for _ in range(REGRESSION_STEPS):
        optimizer.zero_grad()
        loss = F.cross_entropy(train.times(weights) + bias, y)
        (loss + REGRESSION_DECAY * weights.square().sum()).backward()
        optimizer.step()
    with torch.inference_mode():
        return (test.times(weights) + bias).softmax(dim=1).numpy()


class _Counts:
    """A sparse matrix [N, buckets]: the counts of n-grams by the square root of their sum."""

    def __init__(self, bags: Sequence[np.ndarray]) -> None:
        sizes = np.array([len(bag) for bag in bags])
        self._numbers = torch.from_numpy(np.concatenate(bags))
        self._starts = torch.from_numpy(sizes.cumsum() - sizes)
        self._scale = torch.from_numpy(sizes**-0.5).float()[:, None]

    def times(self, weights: torch.Tensor) -> torch.Tensor:
        """The product with weights [buckets, labels]."""
        return F.embedding_bag(self._numbers, weights, self._starts, mode="sum") * self._scale
