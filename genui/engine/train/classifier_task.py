"""Training an image classifier by cross-entropy."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from genui.engine.data.picture_labels import LabelledPictures, describe, load_labelled
from genui.engine.device import Machine, autocast
from genui.engine.models.convnet import ConvNet
from genui.engine.train.augment import augment
from genui.engine.train.epochs import examples_of
from genui.engine.train.labelling import confusions, held_out_figures, refuse_other_labels
from genui.engine.train.task import Sample
from genui.recipes.classifier import ImageClassifierRecipe

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
        data: LabelledPictures | None = None,
    ) -> None:
        if data is None:
            data = load_labelled(recipe.dataset, recipe.data)
        refuse_other_labels(data.pictures.name, data.labels, extra)
        self._recipe, self._device, self._data = recipe, device, data
        self.data_line = describe(data)
        self.notes = data.pictures.notes
        self.units_per_step = recipe.batch
        self.units_per_epoch = len(data.train)
        self.extra = {
            "labels": list(data.labels),
            "dataset": data.pictures.name,
            "fingerprint": data.pictures.fingerprint,
            "licence": data.pictures.licence,
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
