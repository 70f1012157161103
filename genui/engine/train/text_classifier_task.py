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
from genui.engine.train.epochs import examples_of
from genui.engine.train.labelling import confusions, held_out_figures, refuse_other_labels
from genui.engine.train.task import Sample
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
