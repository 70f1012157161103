"""A trained classifier as a measuring instrument: what it says of pictures, and its features.

Features of a network trained here, on the very kind of picture that is measured, stand where
papers use Inception's: distances in them can be compared with one another and with nothing else.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genui.engine import device
from genui.engine.data.picture_labels import LabelledPictures, load_labelled
from genui.engine.data.pictures import SIDE, as_floats, as_pixels
from genui.engine.models.convnet import ConvNet
from genui.engine.models.filled import load_frozen
from genui.engine.probes.calibration import accuracy, calibration_error, log_loss
from genui.engine.probes.classifiers import load_classifier
from genui.engine.probes.linear import fit_logistic
from genui.recipes.classifier import ImageClassifierRecipe
from genui.runs.catalog import ModelInfo

BATCH = 512
COLOURINGS = 4  # of each training picture that logistic regression sees, where there are many
POOLED = 2  # pixels of a side that are averaged into one for it


class Judge:
    """An image classifier; pictures are uint8 [N, 32, 32, 3]."""

    def __init__(self, network: ConvNet, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self._network = network.eval()
        self._device = next(network.parameters()).device

    def probabilities(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """p(label | picture), float32 [N, labels]."""
        return self._of(rgb, lambda x: self._network(x).softmax(dim=1))

    def features(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The penultimate layer, float32 [N, D]."""
        return self._of(rgb, self._network.features)

    @torch.inference_mode()
    def _of(self, rgb: NDArray[np.uint8], function: Any) -> NDArray[np.float32]:
        if rgb.dtype != np.uint8 or rgb.ndim != 4 or rgb.shape[1:] != (SIDE, SIDE, 3):
            raise ValueError(f"pictures are uint8 [N, {SIDE}, {SIDE}, 3], not {rgb.shape}")
        parts = []
        for at in range(0, len(rgb), BATCH):
            x = torch.from_numpy(as_floats(rgb[at : at + BATCH])).to(self._device)
            parts.append(function(x).float().cpu().numpy())
        return np.concatenate(parts)


def load_judge(ref: str) -> Judge:
    """The classifier of that name, run or path.

    Raises MisuseError where it is no classifier of pictures, GenuiError where it is damaged.
    """
    return load_classifier(ref, ImageClassifierRecipe, "pictures", judge_of)


def judge_of(
    recipe: ImageClassifierRecipe, tensors: dict[str, Tensor], described: Mapping[str, Any]
) -> Judge:
    """The classifier of a checkpoint's weights.

    Raises KeyError, TypeError or RuntimeError where they do not fit the recipe.
    """
    labels = tuple(map(str, described["labels"]))
    network = load_frozen(lambda: ConvNet(len(labels), recipe.width, recipe.figure), tensors)
    return Judge(network.to(device.choose_device()), labels)


def measure_classifier(info: ModelInfo, recipe: ImageClassifierRecipe) -> dict[str, str]:
    """Accuracy and calibration on held-out pictures, and what logistic regression reaches there."""
    judge, data = load_judge(str(info.path)), load_labelled(recipe.dataset, recipe.data)
    rgb, targets = pictures_of(data, data.held_out)
    found = judge.probabilities(rgb)
    beside = linear_beside(data, rgb)
    return {
        "held-out accuracy": f"{accuracy(found, targets):.1%} of {len(targets):,} pictures",
        "logistic regression": (
            f"{accuracy(beside, targets):.1%}, on averages of {POOLED}×{POOLED} pixels"
        ),
        "log-loss": f"{log_loss(found, targets):.3f} nats",
        "calibration error": f"{calibration_error(found, targets):.3f}, expected",
        "labels": f"{len(data.labels)}: {', '.join(data.labels[:12])}",
    }


def linear_beside(data: LabelledPictures, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What logistic regression, trained on the same pictures, says of these: [N, labels]."""
    train, targets = _training(data)
    return fit_logistic(pooled(train), targets, len(data.labels)).probabilities(pooled(rgb))


def pictures_of(
    data: LabelledPictures, indices: NDArray[np.int64], seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """These pictures as a judge takes them, uint8 [N, 32, 32, 3], and their labels."""
    rng = np.random.default_rng(seed)
    rgb = np.empty((len(indices), SIDE, SIDE, 3), np.uint8)
    for at in range(0, len(indices), BATCH):
        part, _ = data.batch(indices[at : at + BATCH], rng)
        rgb[at : at + BATCH] = as_pixels(part)
    return rgb, data.targets[indices]


def pooled(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pictures [N, 32, 32, 3] as rows of averages of 2×2 pixels, 0 to 1; of grey ones a third."""
    if (rgb[..., :1] == rgb[..., 1:]).all():
        rgb = rgb[..., :1]
    count, height, width, channels = rgb.shape
    blocks = rgb.reshape(count, height // POOLED, POOLED, width // POOLED, POOLED, channels)
    means = blocks.sum(axis=(2, 4), dtype=np.uint16).reshape(count, -1)
    return means.astype(np.float32) / (255 * POOLED**2)


def _training(data: LabelledPictures) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Training pictures for logistic regression, each in several colourings where there are any."""
    if data.pictures.scheme == "plain":
        return pictures_of(data, data.train)
    parts = [pictures_of(data, data.train, seed) for seed in range(1, COLOURINGS + 1)]
    return np.concatenate([rgb for rgb, _ in parts]), np.concatenate([y for _, y in parts])
