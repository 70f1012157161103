"""Classifiers of sounds: which digit is said, or who says it.

A small convolutional network of log-mel spectrograms, its training, and its metrics.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genui.engine.data.preparation import QUIET, Preparation
from genui.engine.device import Machine, autocast, to_device
from genui.engine.metrics.classifiers import Classifier, report
from genui.engine.models.classifiers import ClassifierNetwork, Residual
from genui.engine.models.linear import fit_logistic
from genui.engine.train.classifier import ClassifierTask, Extra, Indices
from genui.engine.train.task import png
from genui.kinds.speech.data import (
    MELS,
    SAMPLE_RATE,
    Mels,
    Samples,
    load_labelled_speech,
    log_mel,
    pad_take,
    prepare,
)
from genui.kinds.speech.medium import draw_mels
from genui.kinds.speech.recipe import SoundClassifierRecipe
from genui.runs.models import ModelInfo

# --- The network ------------------------------------------------------------------------------
# Features are averaged over time, since the label does not depend on when a word is said, but not
# over mels, since it does depend on frequency.

STRIDE = 8  # of the three convolutions together


class SoundNet(ClassifierNetwork):
    """Spectrograms float [B, 1, 64, T] in -1 to 1 to logits [B, labels]."""

    def __init__(self, labels: int, width: int) -> None:
        super().__init__()
        first, second, third = width, 2 * width, 4 * width
        self.body = nn.Sequential(
            nn.Conv2d(1, first, 5, stride=2, padding=2),
            nn.GroupNorm(1, first),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nn.GroupNorm(1, second),
            Residual(second),
            nn.ReLU(),
            nn.Conv2d(second, third, 3, stride=2, padding=1),
            nn.GroupNorm(1, third),
            Residual(third),
            nn.ReLU(),
        )
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(third * MELS // STRIDE, labels))

    @classmethod
    def of(cls, recipe: SoundClassifierRecipe, labels: int) -> Self:
        return cls(labels, recipe.width)

    def features(self, mels: Tensor) -> Tensor:
        """The penultimate layer, averaged over time: [B, 32·width], non-negative."""
        return self.body(mels).mean(dim=3).flatten(1)

    def forward(self, mels: Tensor) -> Tensor:
        return self.head(self.features(mels))


# --- Training ---------------------------------------------------------------------------------

LEVEL_STD = 0.15  # standard deviation of the random level and tilt, on the scale of -1 to 1
MASK = 10  # masks hide fewer mels, or frames, than this (SpecAugment, Park et al. 2019)


class SoundClassifierTask(ClassifierTask[SoundClassifierRecipe]):
    """Trains on augmented takes. If none are held out it evaluates on the trained ones."""

    unit = "take"
    network = SoundNet

    def __init__(
        self,
        recipe: SoundClassifierRecipe,
        device: torch.device,
        extra: Extra = None,
        preparation: Preparation = QUIET,
    ) -> None:
        data = load_labelled_speech(recipe, preparation)
        self._speech = speech = data.speech
        self.targets = data.targets
        self.held_out = speech.held_out if len(speech.held_out) else speech.train
        line = (
            f"{speech.name}: {len(speech.train):,} takes to train on, {len(speech.held_out):,} "
            f"held out, {len(data.labels)} labels"
        )
        super().__init__(recipe, device, speech, data.labels, line, len(speech.train), extra)

    def _draw_indices(self, step: int, rng: np.random.Generator) -> Indices:
        return rng.choice(self._speech.train, self._recipe.batch)

    def _inputs(self, indices: Indices, rng: np.random.Generator) -> tuple[Tensor, Indices]:
        mels = vary(self._speech.batch(indices, rng).mels, rng)
        return to_device(mels, self._device), self.targets[indices]

    def _show(self, index: int, given: Tensor) -> tuple[str, bytes]:
        return self._speech.takes[index].caption, png(draw_mels(given[None], 1))

    def _predict(self, model: nn.Module, machine: Machine, indices: Indices) -> NDArray[np.float32]:
        mels = torch.from_numpy(self._speech.mels(indices))[:, None].to(self._device)
        with autocast(machine):
            logits = torch.cat([model(part).float() for part in mels.split(100)])
        return logits.softmax(dim=1).cpu().numpy()


def vary(mels: Mels, rng: np.random.Generator) -> Mels:
    """Augment takes [B, 1, MELS, MEL_FRAMES]: random level and spectral tilt, then mask a random
    band of mels and a random span of frames."""
    count, _, height, width = mels.shape
    level, tilt = LEVEL_STD * rng.standard_normal((2, count, 1, 1, 1))
    slope = np.linspace(-1, 1, height).reshape(1, 1, -1, 1)
    is_sound = mels > -1  # silence stays silence
    mels = np.where(is_sound, np.clip(mels + level + tilt * slope, -1, 1), -1).astype(np.float32)
    for mel in mels[:, 0]:
        for axis, size in ((0, height), (1, width)):
            length = int(rng.integers(MASK))
            start = int(rng.integers(size - length + 1))
            mel[(slice(None),) * axis + (slice(start, start + length),)] = -1
    return mels


# --- The trained classifier, and its metrics --------------------------------------------------


class SoundClassifier(Classifier[SoundNet, Samples]):
    """A classifier of words at SAMPLE_RATE. `probabilities` raises ValueError for silence."""

    recipe = SoundClassifierRecipe
    network = SoundNet
    things = "sound"
    batch_size = 64

    def _inputs(self, examples: Sequence[Samples]) -> Tensor:
        words = [pad_take(prepare(sound, SAMPLE_RATE)) for sound in examples]
        return torch.from_numpy(log_mel(np.stack(words)))[:, None].to(self._device)


def measure_sound_classifier(info: ModelInfo, recipe: SoundClassifierRecipe) -> dict[str, str]:
    """Metrics of a sound classifier on held-out takes, or if there are none on training takes."""
    classifier, data = SoundClassifier.load(str(info.path)), load_labelled_speech(recipe)
    speech, targets = data.speech, data.targets
    held = speech.held_out if len(speech.held_out) else speech.train
    train = _coarse(speech.mels(speech.train))
    linear = fit_logistic(train, targets[speech.train], len(data.labels))
    return report(
        classifier.probabilities([speech.takes[i].samples for i in held]),
        targets[held],
        "takes",
        linear.probabilities(_coarse(speech.mels(held))),
        "the same spectrograms, halved",
        f"{len(data.labels)}: {', '.join(data.labels)}",
    )


def _coarse(mels: Mels) -> Mels:
    """Spectrograms [N, MELS, FRAMES], averaged over 2×2, as rows."""
    count, height, width = mels.shape
    return mels.reshape(count, height // 2, 2, width // 2, 2).mean(axis=(2, 4)).reshape(count, -1)
