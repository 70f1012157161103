"""Training a classifier of texts by cross-entropy."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genui.engine.data.labelled_text import Example, load_labelled_text
from genui.engine.data.ngrams import bag
from genui.engine.device import Machine
from genui.engine.models.text_classifier import NGramClassifier
from genui.engine.probes.calibration import accuracy, calibration_error, log_loss
from genui.engine.train.classifier_task import confusions
from genui.engine.train.task import Sample
from genui.errors import MisuseError
from genui.recipes.text_classifier import TextClassifierRecipe


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
        if extra and tuple(extra["labels"]) != data.labels:
            raise MisuseError(
                f"{data.name}: its {len(data.labels)} labels are not the "
                f"{len(extra['labels'])} that these weights were trained for; train anew"
            )
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
        """The texts of a step: every one once an epoch, in an order of that epoch's own."""
        recipe, count = self._recipe, len(self._train)
        epochs, places = np.divmod(step * recipe.batch + np.arange(recipe.batch), count)
        orders = {
            int(epoch): np.random.default_rng((recipe.seed, 0, int(epoch))).permutation(count)
            for epoch in np.unique(epochs)
        }
        pairs = zip(epochs, places, strict=True)
        return np.array([orders[int(epoch)][place] for epoch, place in pairs])

    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        """`val_loss` (nats), `val_accuracy` and `val_ece`, shares, on all held-out texts."""
        probabilities = self._judged(model)
        return {
            "val_loss": log_loss(probabilities, self._held_targets),
            "val_accuracy": accuracy(probabilities, self._held_targets),
            "val_ece": calibration_error(probabilities, self._held_targets),
        }

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
