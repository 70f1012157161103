"""Training a classifier of sound by cross-entropy."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from genui.engine.data.labelled_speech import load_labelled_speech
from genui.engine.device import Machine, autocast
from genui.engine.models.sound_net import SoundNet
from genui.engine.sound.mel import Mels
from genui.engine.train.labelling import confusions, held_out_figures, refuse_other_labels
from genui.engine.train.task import Sample
from genui.recipes.sound_classifier import SoundClassifierRecipe

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
