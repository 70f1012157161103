"""What tasks that train a classifier have in common, whatever it labels."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from genui.base.errors import MisuseError
from genui.engine.data.image_labels import LabelledImages, describe, load_labelled_images
from genui.engine.data.speech import Mels, load_labelled_speech
from genui.engine.data.text import Example, load_labelled_text
from genui.engine.data.tokenizer import bag
from genui.engine.device import Machine, autocast
from genui.engine.models.classifiers import ConvNet, NGramClassifier, SoundNet
from genui.engine.models.linear import accuracy, calibration_error, log_loss
from genui.engine.train.optimizer import augment, examples_of
from genui.engine.train.task import Sample
from genui.recipes.classifier import (
    ImageClassifierRecipe,
    SoundClassifierRecipe,
    TextClassifierRecipe,
)


def refuse_other_labels(
    name: str, labels: tuple[str, ...], extra: Mapping[str, Any] | None
) -> None:
    """Raises MisuseError where a checkpoint, whose `extra` it is, knows other labels than those
    of the data called `name`."""
    if extra and tuple(extra["labels"]) != labels:
        raise MisuseError(
            f"{name}: its {len(labels)} labels are not the {len(extra['labels'])} that these "
            "weights were trained for; train anew"
        )


def held_out_figures(
    probabilities: NDArray[np.floating], targets: NDArray[np.int64]
) -> dict[str, float]:
    """`val_loss` (nats), `val_accuracy` and `val_ece`, shares; of [N, labels] and [N]."""
    return {
        "val_loss": log_loss(probabilities, targets),
        "val_accuracy": accuracy(probabilities, targets),
        "val_ece": calibration_error(probabilities, targets),
    }


def confusions(
    labels: tuple[str, ...], found: NDArray[np.int64], targets: NDArray[np.int64]
) -> str:
    """For every label, a line a label: how often it is right, and what it is most taken for."""
    width = max(map(len, labels))
    lines = []
    for number, label in enumerate(labels):
        of = found[targets == number]
        if not len(of):
            continue
        counts = np.bincount(of, minlength=len(labels))
        line = f"{label:{width}}  {counts[number] / len(of):4.0%} right"
        counts[number] = 0
        if counts.max():
            line += f", {counts.max() / len(of):4.0%} taken for {labels[int(counts.argmax())]}"
        lines.append(line)
    return "\n".join(lines) + "\n"


# --- Training an image classifier by cross-entropy --------------------------------------------

EVALUATION_PICTURES = 2000
EVALUATION_BATCH = 500


class ImageClassifierTask:
    """Cross-entropy on augmented pictures; accuracy and calibration on held-out ones."""

    unit = "img"

    def __init__(
        self,
        recipe: ImageClassifierRecipe,
        device: torch.device,
        extra: Mapping[str, Any] | None = None,
        data: LabelledImages | None = None,
    ) -> None:
        if data is None:
            data = load_labelled_images(recipe.dataset, recipe.data)
        refuse_other_labels(data.images.name, data.labels, extra)
        self._recipe, self._device, self._data = recipe, device, data
        self.data_line = describe(data)
        self.notes = data.images.notes
        self.units_per_step = recipe.batch
        self.units_per_epoch = len(data.train)
        self.extra = {
            "labels": list(data.labels),
            "dataset": data.images.name,
            "fingerprint": data.images.fingerprint,
            "licence": data.images.licence,
        }
        torch.manual_seed(recipe.seed)
        self.model = ConvNet(len(data.labels), recipe.width, recipe.figure).to(device)

    def loss(self, step: int) -> Tensor:
        recipe, data = self._recipe, self._data
        rng = np.random.default_rng((recipe.seed, step))
        rgb, targets = data.batch(self._indices(step), rng)
        x = torch.from_numpy(rgb).to(self._device)
        x = augment(x, rng, recipe.shift, recipe.zoom, recipe.flip)
        logits = self.model(x).float()
        wanted = torch.from_numpy(targets).to(self._device)
        return F.cross_entropy(logits, wanted, label_smoothing=recipe.smoothing)

    def _indices(self, step: int) -> NDArray[np.int64]:
        """The pictures of a step."""
        recipe, train = self._recipe, self._data.train
        return train[examples_of(step, recipe.batch, len(train), recipe.seed)]

    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        """`val_loss` (nats), `val_accuracy` and `val_ece`, shares, on held-out pictures."""
        held = self._data.held_out
        if not whole and len(held) > EVALUATION_PICTURES:
            held = np.random.default_rng(0).choice(held, EVALUATION_PICTURES, replace=False)
        probabilities, targets = self._judged(model, machine, held)
        return held_out_figures(probabilities, targets)

    @torch.inference_mode()
    def _judged(
        self, model: nn.Module, machine: Machine, indices: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """p(label | picture) [N, labels] and the true labels [N]."""
        rng = np.random.default_rng(0)
        parts, targets = [], []
        for at in range(0, len(indices), EVALUATION_BATCH):
            rgb, wanted = self._data.batch(indices[at : at + EVALUATION_BATCH], rng)
            with autocast(machine):
                logits = model(torch.from_numpy(rgb).to(self._device)).float()
            parts.append(logits.softmax(dim=1).cpu().numpy())
            targets.append(wanted)
        return np.concatenate(parts), np.concatenate(targets)

    def sample(self, model: nn.Module, machine: Machine) -> tuple[Sample, ...]:
        """What it takes for what, as a table of text."""
        held = np.random.default_rng(0).permutation(self._data.held_out)[:EVALUATION_PICTURES]
        probabilities, targets = self._judged(model, machine, held)
        text = confusions(self._data.labels, probabilities.argmax(1), targets)
        return (Sample(".txt", text.encode()),)


# --- Training a classifier of texts by cross-entropy ------------------------------------------


class TextClassifierTask:
    """Cross-entropy on bags of n-grams, a part of each left out; accuracy on held-out texts."""

    unit = "texts"

    def __init__(
        self,
        recipe: TextClassifierRecipe,
        device: torch.device,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        data = load_labelled_text(recipe.dataset, recipe.data)
        refuse_other_labels(data.name, data.labels, extra)
        self._recipe, self._labels = recipe, data.labels
        self._train, self._targets = bags_of(data.train, recipe.buckets)
        self._held, self._held_targets = bags_of(data.validation, recipe.buckets)
        self.data_line = data.describe()
        self.notes = data.notes
        self.units_per_step = recipe.batch
        self.units_per_epoch = len(self._train)
        self.extra = {
            "labels": list(data.labels),
            "dataset": data.name,
            "fingerprint": data.fingerprint,
            "licence": data.licence,
        }
        torch.manual_seed(recipe.seed)
        self.model = NGramClassifier(
            len(data.labels), recipe.buckets, recipe.width, recipe.dropout
        ).to(device)

    def loss(self, step: int) -> Tensor:
        recipe = self._recipe
        chosen = self._indices(step)
        rng = np.random.default_rng((recipe.seed, step))
        bags = [_thinned(self._train[index], recipe.left_out, rng) for index in chosen]
        logits = self.model(bags).float()
        targets = torch.from_numpy(self._targets[chosen]).to(logits.device)
        return F.cross_entropy(logits, targets, label_smoothing=recipe.smoothing)

    def _indices(self, step: int) -> np.ndarray:
        """The texts of a step."""
        return examples_of(step, self._recipe.batch, len(self._train), self._recipe.seed)

    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        """`val_loss` (nats), `val_accuracy` and `val_ece`, shares, on all held-out texts."""
        return held_out_figures(self._judged(model), self._held_targets)

    @torch.inference_mode()
    def _judged(self, model: nn.Module) -> np.ndarray:
        """p(label | text) of the held-out texts, float32 [N, labels]."""
        return model(self._held).float().softmax(dim=1).cpu().numpy()

    def sample(self, model: nn.Module, machine: Machine) -> tuple[Sample, ...]:
        """What it takes for what, as a table of text."""
        found = self._judged(model).argmax(1)
        text = confusions(self._labels, found, self._held_targets)
        return (Sample(".txt", text.encode()),)


def bags_of(examples: tuple[Example, ...], buckets: int) -> tuple[list[np.ndarray], np.ndarray]:
    """The examples as bags, and their labels int64 [N]."""
    targets = np.array([label for _, label in examples], np.int64)
    return [bag(text, buckets) for text, _ in examples], targets


def _thinned(grams: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """A bag without a random share of its n-grams; one stays."""
    kept = grams[rng.random(len(grams)) >= share]
    return kept if len(kept) else grams[:1]


# --- Training a classifier of sound by cross-entropy ------------------------------------------

LOUDER = 0.15  # of the scale of -1 to 1: standard deviation of a take's level, and of its tilt
MASK = 10  # mels, or frames, that are hidden at most (SpecAugment, Park et al. 2019)


class SoundClassifierTask:
    """Cross-entropy on augmented takes; accuracy and calibration on held-out ones."""

    unit = "take"

    def __init__(
        self,
        recipe: SoundClassifierRecipe,
        device: torch.device,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        data = load_labelled_speech(recipe)
        refuse_other_labels(data.speech.name, data.labels, extra)
        self._recipe, self._device, self._data = recipe, device, data
        speech = data.speech
        self.data_line = (
            f"{speech.name}: {len(speech.train):,} takes to train on, {len(speech.held_out):,} "
            f"held out, {len(data.labels)} labels"
        )
        self.notes = speech.notes
        self.units_per_step = recipe.batch
        self.units_per_epoch = len(speech.train)
        self.extra = {
            "labels": list(data.labels),
            "dataset": speech.name,
            "fingerprint": speech.fingerprint,
            "licence": speech.licence,
        }
        torch.manual_seed(recipe.seed)
        self.model = SoundNet(len(data.labels), recipe.width).to(device)

    def loss(self, step: int) -> Tensor:
        recipe, data = self._recipe, self._data
        rng = np.random.default_rng((recipe.seed, step))
        indices = rng.choice(data.speech.train, recipe.batch)
        mels = varied(data.speech.batch(indices, rng).mels, rng)
        logits = self.model(torch.from_numpy(mels).to(self._device)).float()
        wanted = torch.from_numpy(data.targets[indices]).to(self._device)
        return F.cross_entropy(logits, wanted, label_smoothing=recipe.smoothing)

    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        """`val_loss` (nats), `val_accuracy` and `val_ece`, shares, on held-out takes."""
        return held_out_figures(*self._judged(model, machine))

    def sample(self, model: nn.Module, machine: Machine) -> tuple[Sample, ...]:
        """What it takes for what, as a table of text."""
        probabilities, targets = self._judged(model, machine)
        text = confusions(self._data.labels, probabilities.argmax(1), targets)
        return (Sample(".txt", text.encode()),)

    @torch.inference_mode()
    def _judged(
        self, model: nn.Module, machine: Machine
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """p(label | take) [N, labels] and the true labels [N]; of a small set, of trained takes."""
        speech = self._data.speech
        indices = speech.held_out if len(speech.held_out) else speech.train
        mels = torch.from_numpy(speech.mels(indices))[:, None].to(self._device)
        with autocast(machine):
            logits = torch.cat([model(part).float() for part in mels.split(100)])
        return logits.softmax(dim=1).cpu().numpy(), self._data.targets[indices]


def varied(mels: Mels, rng: np.random.Generator) -> Mels:
    """Takes [B, 1, MELS, FRAMES] louder or softer, brighter or duller, a band of them hidden."""
    count, _, height, width = mels.shape
    level, tilt = LOUDER * rng.standard_normal((2, count, 1, 1, 1))
    slope = np.linspace(-1, 1, height).reshape(1, 1, -1, 1)
    heard = mels > -1  # silence stays silence
    mels = np.where(heard, np.clip(mels + level + tilt * slope, -1, 1), -1).astype(np.float32)
    for mel in mels[:, 0]:
        for axis, size in ((0, height), (1, width)):
            wide = int(rng.integers(MASK))
            start = int(rng.integers(size - wide + 1))
            mel[(slice(None),) * axis + (slice(start, start + wide),)] = -1
    return mels
