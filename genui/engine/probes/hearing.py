"""A trained classifier of sound as a measuring instrument: what it hears in samples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genui.engine import device
from genui.engine.data.labelled_speech import load_labelled_speech
from genui.engine.data.speech import placed, prepared
from genui.engine.models.filled import load_frozen
from genui.engine.models.sound_net import SoundNet
from genui.engine.probes.calibration import accuracy, calibration_error, log_loss
from genui.engine.probes.classifiers import load_classifier
from genui.engine.probes.linear import fit_logistic
from genui.engine.sound.mel import Mels, log_mel
from genui.engine.sound.stft import RATE, Samples
from genui.recipes.sound_classifier import SoundClassifierRecipe
from genui.runs.catalog import ModelInfo

BATCH = 64


class Listener:
    """A classifier of sound. What it hears is prepared as its training data was."""

    def __init__(self, network: SoundNet, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self._network = network.eval()
        self._device = next(network.parameters()).device

    @torch.inference_mode()
    def probabilities(self, sounds: Sequence[Samples], rate: int) -> NDArray[np.float32]:
        """p(label | sound), float32 [N, labels], of words [n] in -1 to 1 at `rate`.

        Raises ValueError, a reason, where one of them is silence.
        """
        parts = []
        for at in range(0, len(sounds), BATCH):
            words = [placed(prepared(sound, rate)) for sound in sounds[at : at + BATCH]]
            mels = torch.from_numpy(log_mel(np.stack(words)))[:, None].to(self._device)
            parts.append(self._network(mels).softmax(dim=1).float().cpu().numpy())
        return np.concatenate(parts)


def load_listener(ref: str) -> Listener:
    """The classifier of that name, run or path.

    Raises MisuseError where it is no classifier of sound, GenuiError where it is damaged.
    """
    return load_classifier(ref, SoundClassifierRecipe, "sound", listener_of)


def listener_of(
    recipe: SoundClassifierRecipe, tensors: dict[str, Tensor], described: Mapping[str, Any]
) -> Listener:
    """The classifier of a checkpoint's weights.

    Raises KeyError, TypeError or RuntimeError where they do not fit the recipe.
    """
    labels = tuple(map(str, described["labels"]))
    network = load_frozen(lambda: SoundNet(len(labels), recipe.width), tensors)
    return Listener(network.to(device.choose_device()), labels)


def measure_listener(info: ModelInfo, recipe: SoundClassifierRecipe) -> dict[str, str]:
    """Accuracy and calibration on held-out takes, and what logistic regression reaches there."""
    listener, data = load_listener(str(info.path)), load_labelled_speech(recipe)
    speech = data.speech
    held = speech.held_out if len(speech.held_out) else speech.train
    targets = data.targets[held]
    found = listener.probabilities([speech.takes[i].samples for i in held], RATE)
    linear = fit_logistic(
        _coarse(speech.mels(speech.train)), data.targets[speech.train], len(data.labels)
    )
    beside = linear.probabilities(_coarse(speech.mels(held)))
    return {
        "held-out accuracy": f"{accuracy(found, targets):.1%} of {len(targets):,} takes",
        "logistic regression": f"{accuracy(beside, targets):.1%}, on the same spectrograms, halved",
        "log-loss": f"{log_loss(found, targets):.3f} nats",
        "calibration error": f"{calibration_error(found, targets):.3f}, expected",
        "labels": f"{len(data.labels)}: {', '.join(data.labels)}",
    }


def _coarse(mels: Mels) -> Mels:
    """Spectrograms [N, MELS, FRAMES] at half the size either way, as rows of numbers."""
    count, height, width = mels.shape
    return mels.reshape(count, height // 2, 2, width // 2, 2).mean(axis=(2, 4)).reshape(count, -1)
