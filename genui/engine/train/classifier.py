"""The training of classifiers by cross-entropy, of images and of texts."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from genui.base.errors import MisuseError
from genui.engine.data.image_datasets import LabelledImages, describe_labelled, load_labelled_images
from genui.engine.data.preparation import QUIET, Preparation
from genui.engine.data.text import Example, load_labelled_text
from genui.engine.data.tokenizer import bag
from genui.engine.device import Machine, autocast, to_device
from genui.engine.models.classifiers import ClassifierNetwork, ConvNet, NGramClassifier
from genui.engine.models.linear import accuracy, calibration_error, log_loss
from genui.engine.sample.media import to_rgb
from genui.engine.train.batches import augment, examples_of
from genui.engine.train.task import WHOLE, PerStep, Sample, Share, png
from genui.recipes.classifier import (
    ClassifierRecipe,
    ImageClassifierRecipe,
    TextClassifierRecipe,
)
from genui.runs import recomputed

R = TypeVar("R", bound=ClassifierRecipe)
Extra = Mapping[str, Any] | None  # metadata of the checkpoint that a training resumes from
Indices = NDArray[np.int64]


class Labelled(Protocol):
    """The facts about labelled data in checkpoints and messages."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    @property
    def licence(self) -> str: ...

    @property
    def notes(self) -> tuple[str, ...]: ...


class ClassifierTask(Generic[R]):
    """Cross-entropy on labelled examples; accuracy and calibration on held-out ones.

    A subclass provides the data of its medium. Raises MisuseError if the labels of a checkpoint are
    different.
    """

    unit = "img"
    network: ClassVar[type[ClassifierNetwork]]
    targets: Indices  # [N], the index of each example's label
    held_out: Indices  # the examples for evaluation

    def __init__(
        self,
        recipe: R,
        device: torch.device,
        data: Labelled,
        labels: tuple[str, ...],
        data_line: str,
        count: int,
        extra: Extra,
    ) -> None:
        if extra and tuple(extra["labels"]) != labels:
            raise MisuseError(
                f"{data.name}: its {len(labels)} labels are not the {len(extra['labels'])} that "
                "these weights were trained for; train a new one"
            )
        self._recipe, self._device, self._labels = recipe, device, labels
        self.data_line, self.notes = data_line, data.notes
        self.units_per_step, self.units_per_epoch = recipe.batch, count
        self.extra = {
            "labels": list(labels),
            "dataset": data.name,
            "fingerprint": data.fingerprint,
            "licence": data.licence,
        }
        self._batch = PerStep(self._draw)
        torch.manual_seed(recipe.seed)
        self.model = self.network.of(recipe, len(labels)).to(device)

    @abstractmethod
    def _inputs(self, indices: Indices, rng: np.random.Generator) -> tuple[Any, Indices]:
        """The network's inputs for training examples, and their labels [B]."""

    @abstractmethod
    def _predict(self, model: nn.Module, machine: Machine, indices: Indices) -> NDArray[np.float32]:
        """p(label | example) without augmentation, float32 [N, labels]."""

    def loss(self, step: int, share: Share = WHOLE) -> Tensor:
        _, inputs, targets = self._batch(step)
        rows = share.rows(len(targets))
        logits = self.model(inputs[rows]).float()
        labels = to_device(targets[rows], self._device)
        loss = F.cross_entropy(logits, labels, label_smoothing=self._recipe.smoothing)
        return share.scale(loss, len(labels), len(targets))

    def _draw(self, step: int) -> tuple[Indices, Any, Indices]:
        rng = np.random.default_rng((self._recipe.seed, step))
        indices = self._draw_indices(step, rng)
        return indices, *self._inputs(indices, rng)

    def _draw_indices(self, step: int, rng: np.random.Generator) -> Indices:
        """The training examples of a step, each once per epoch."""
        return examples_of(step, self._recipe.batch, self.units_per_epoch, self._recipe.seed)

    @abstractmethod
    def _show(self, index: int, given: Any) -> tuple[str, bytes]:
        """A training example and what the network is given of it, as text and as PNG; "" and b""
        are neither."""

    def _describe_source(self, index: int) -> str:
        """Where a training example comes from."""
        return f"{self.extra['dataset']} {index}"

    def examples(self, step: int) -> list[recomputed.Example]:
        examples = []
        indices, inputs, targets = self._batch(step)
        for row, (index, target) in enumerate(zip(indices, targets, strict=True)):
            text, image = self._show(index, inputs[row])
            label = self._labels[target]
            examples.append(
                recomputed.Example(
                    row=row,
                    source=self._describe_source(index),
                    text=f"{label}: {text}" if text else label,
                    image=image,
                )
            )
        return examples

    def _evaluation_indices(self, whole: bool) -> Indices:
        return self.held_out

    def _sample_indices(self) -> Indices:
        return self.held_out

    @torch.inference_mode()
    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        """`val_loss` (nats), `val_accuracy` and `val_ece` (both 0 to 1) on held-out examples."""
        indices = self._evaluation_indices(whole)
        probabilities, targets = self._predict(model, machine, indices), self.targets[indices]
        return {
            "val_loss": log_loss(probabilities, targets),
            "val_accuracy": accuracy(probabilities, targets),
            "val_ece": calibration_error(probabilities, targets),
        }

    @torch.inference_mode()
    def sample(self, model: nn.Module, machine: Machine) -> tuple[Sample, ...]:
        """The confusions on held-out examples, as text."""
        indices = self._sample_indices()
        predictions = self._predict(model, machine, indices).argmax(1)
        text = confusions(self._labels, predictions, self.targets[indices])
        return (Sample(".txt", text.encode(), 0),)


def confusions(
    labels: tuple[str, ...], predictions: NDArray[np.int64], targets: NDArray[np.int64]
) -> str:
    """A line for each label: how often it is recognised, and its most frequent confusion."""
    width = max(map(len, labels))
    lines = []
    for index, label in enumerate(labels):
        predicted = predictions[targets == index]
        total = len(predicted)
        if not total:
            continue
        counts = np.bincount(predicted, minlength=len(labels))
        line = f"{label:{width}}  {counts[index] / total:4.0%} right"
        counts[index] = 0
        if counts.max():
            line += f", {counts.max() / total:4.0%} taken for {labels[int(counts.argmax())]}"
        lines.append(line)
    return "\n".join(lines) + "\n"


# --- Images -----------------------------------------------------------------------------------

EVALUATION_IMAGES = 2000
EVALUATION_BATCH = 500


class ImageClassifierTask(ClassifierTask[ImageClassifierRecipe]):
    """Trains on augmented images, of the recipe's dataset or of `data` if it is given."""

    network = ConvNet

    def __init__(
        self,
        recipe: ImageClassifierRecipe,
        device: torch.device,
        extra: Extra = None,
        preparation: Preparation = QUIET,
        data: LabelledImages | None = None,
    ) -> None:
        if data is None:
            data = load_labelled_images(recipe.dataset, recipe.data, preparation)
        self._data = data
        self.targets, self.held_out = data.targets, data.held_out
        line, count = describe_labelled(data), len(data.train)
        super().__init__(recipe, device, data.images, data.labels, line, count, extra)

    def _inputs(self, indices: Indices, rng: np.random.Generator) -> tuple[Tensor, Indices]:
        recipe = self._recipe
        rgb, targets = self._data.batch(indices, rng)
        x = torch.from_numpy(rgb).to(self._device)
        return augment(x, rng, recipe.shift, recipe.zoom, recipe.flip), targets

    def _draw_indices(self, step: int, rng: np.random.Generator) -> Indices:
        return self._data.train[super()._draw_indices(step, rng)]

    def _describe_source(self, index: int) -> str:
        return self._data.images.describe_source(index)

    def _show(self, index: int, given: Tensor) -> tuple[str, bytes]:
        return "", png(to_rgb(given[None])[0])

    def _evaluation_indices(self, whole: bool) -> Indices:
        held = self.held_out
        if whole or len(held) <= EVALUATION_IMAGES:
            return held
        return np.random.default_rng(0).choice(held, EVALUATION_IMAGES, replace=False)

    def _sample_indices(self) -> Indices:
        return np.random.default_rng(0).permutation(self.held_out)[:EVALUATION_IMAGES]

    def _predict(self, model: nn.Module, machine: Machine, indices: Indices) -> NDArray[np.float32]:
        rng = np.random.default_rng(0)
        parts = []
        for at in range(0, len(indices), EVALUATION_BATCH):
            rgb, _ = self._data.batch(indices[at : at + EVALUATION_BATCH], rng)
            with autocast(machine):
                logits = model(torch.from_numpy(rgb).to(self._device)).float()
            parts.append(logits.softmax(dim=1).cpu().numpy())
        return np.concatenate(parts)


# --- Texts ------------------------------------------------------------------------------------


class TextClassifierTask(ClassifierTask[TextClassifierRecipe]):
    """Trains on bags of n-grams, with a random part of each bag left out."""

    unit = "texts"
    network = NGramClassifier

    def __init__(
        self,
        recipe: TextClassifierRecipe,
        device: torch.device,
        extra: Extra = None,
        preparation: Preparation = QUIET,
    ) -> None:
        data = load_labelled_text(recipe.dataset, recipe.data, preparation)
        self._texts = [text for text, _ in data.train]
        self._train, self._train_targets = bags_of(data.train, recipe.buckets)
        self._held, self.targets = bags_of(data.validation, recipe.buckets)
        self.held_out = np.arange(len(self._held))
        line, count = data.describe(), len(self._train)
        super().__init__(recipe, device, data, data.labels, line, count, extra)

    def _inputs(
        self, indices: Indices, rng: np.random.Generator
    ) -> tuple[list[np.ndarray], Indices]:
        bags = [thin(self._train[index], self._recipe.left_out, rng) for index in indices]
        return bags, self._train_targets[indices]

    def _show(self, index: int, given: np.ndarray) -> tuple[str, bytes]:
        return self._texts[index], b""

    def _predict(self, model: nn.Module, machine: Machine, indices: Indices) -> NDArray[np.float32]:
        return model([self._held[i] for i in indices]).float().softmax(dim=1).cpu().numpy()


def bags_of(examples: tuple[Example, ...], buckets: int) -> tuple[list[np.ndarray], np.ndarray]:
    """The examples as bags of n-grams, and their labels, int64 [N]."""
    targets = np.array([label for _, label in examples], np.int64)
    return [bag(text, buckets) for text, _ in examples], targets


def thin(grams: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Remove a random share of a bag's n-grams, but not all of them."""
    thinned = grams[rng.random(len(grams)) >= share]
    return thinned if len(thinned) else grams[:1]
