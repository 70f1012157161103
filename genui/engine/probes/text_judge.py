"""A trained classifier of texts as an instrument, and how good it is beside simpler ones."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from genui.engine.data.labelled_text import PASSAGE, load_labelled_text
from genui.engine.data.ngrams import bag
from genui.engine.models.filled import load_frozen
from genui.engine.models.text_classifier import NGramClassifier
from genui.engine.probes.calibration import accuracy, calibration_error
from genui.engine.probes.classifiers import load_classifier
from genui.engine.train.text_classifier_task import bags_of
from genui.recipes.text_classifier import TextClassifierRecipe

if TYPE_CHECKING:
    from genui.runs.catalog import ModelInfo

REGRESSION_STEPS = 150
REGRESSION_RATE = 0.05
REGRESSION_DECAY = 1e-4  # of the squared weights


class TextJudge:
    """A classifier of texts. `excerpt` is the part of a longer text that it is asked about."""

    def __init__(self, network: NGramClassifier, labels: tuple[str, ...], dataset: str) -> None:
        self.labels = labels
        self.excerpt = EXCERPTS.get(dataset, last_passage)
        self._network = network

    @torch.inference_mode()
    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """p(label | text), float32 [N, labels]."""
        return self._network(self._bags(texts)).float().softmax(dim=1).cpu().numpy()

    @torch.inference_mode()
    def features(self, texts: Sequence[str]) -> np.ndarray:
        """The penultimate layer, float32 [N, D]."""
        return self._network.features(self._bags(texts)).cpu().numpy()

    def _bags(self, texts: Sequence[str]) -> list[np.ndarray]:
        return [bag(text, self._network.embedding.num_embeddings) for text in texts]


def last_passage(text: str) -> str:
    """The end of a text, as long as the passages of the training data."""
    return text[-PASSAGE:]


def last_speech(text: str) -> str:
    """What is being said, without the name of who says it: that would tell all."""
    said = text.rstrip("\n").rpartition("\n\n")[2].lstrip("\n")
    name, colon, rest = said.partition(":\n")
    return rest if colon and "\n" not in name else said


EXCERPTS: Mapping[str, Callable[[str], str]] = {"shakespeare": last_speech}
"""The data that a judge was trained on, to the part of a text that it is asked about."""


def load_text_judge(ref: str) -> TextJudge:
    """The classifier of that name, run or path.

    Raises MisuseError where it is no classifier of texts, GenuiError where it is damaged.
    """
    return load_classifier(ref, TextClassifierRecipe, "texts", text_judge_of)


def text_judge_of(
    recipe: TextClassifierRecipe, tensors: dict[str, torch.Tensor], described: Mapping[str, Any]
) -> TextJudge:
    """The classifier of a checkpoint's weights.

    Raises KeyError, TypeError or RuntimeError where they do not fit the recipe.
    """
    labels = tuple(map(str, described["labels"]))
    network = load_frozen(
        lambda: NGramClassifier(len(labels), recipe.buckets, recipe.width), tensors
    )
    return TextJudge(network, labels, str(described["dataset"]))


def measure_text_classifier(info: "ModelInfo", recipe: TextClassifierRecipe) -> dict[str, str]:
    """Held-out accuracy beside logistic regression on the same n-grams and the likeliest label."""
    data = load_labelled_text(recipe.dataset, recipe.data)
    judge = load_text_judge(str(info.path))
    targets = np.array([label for _, label in data.validation], np.int64)
    found = judge.probabilities([text for text, _ in data.validation])
    bags, wanted = bags_of(data.train, recipe.buckets)
    held, _ = bags_of(data.validation, recipe.buckets)
    regression = logistic_regression(bags, wanted, held, recipe.buckets)
    usual = Counter(wanted.tolist()).most_common(1)[0][0]
    return {
        "accuracy": f"{accuracy(found, targets):.1%} of {len(targets):,} held-out texts",
        "logistic regression": f"{accuracy(regression, targets):.1%}, on the same n-grams",
        "most frequent label": f"{(targets == usual).mean():.1%}",
        "calibration error": f"{calibration_error(found, targets):.3f}",
    }


def logistic_regression(
    bags: Sequence[np.ndarray], targets: np.ndarray, held: Sequence[np.ndarray], buckets: int
) -> np.ndarray:
    """p(label | bag) of the held-out bags, float32 [N, labels], by multinomial regression.

    On the counts of n-grams divided by the root of their sum, with a ridge, by Adam on all
    examples at once; nothing is random.
    """
    labels = int(targets.max()) + 1
    known, others = _Counts(bags), _Counts(held)
    weights = torch.zeros(buckets, labels, requires_grad=True)
    bias = torch.zeros(labels, requires_grad=True)
    optimizer: Any = torch.optim.Adam([weights, bias], lr=REGRESSION_RATE)
    wanted = torch.from_numpy(targets)
    for _ in range(REGRESSION_STEPS):
        optimizer.zero_grad()
        loss = F.cross_entropy(known.weighted(weights) + bias, wanted)
        (loss + REGRESSION_DECAY * weights.square().sum()).backward()
        optimizer.step()
    with torch.inference_mode():
        return (others.weighted(weights) + bias).softmax(dim=1).numpy()


class _Counts:
    """How often each n-gram is in each bag, by the root of how many there are: [N, buckets]."""

    def __init__(self, bags: Sequence[np.ndarray]) -> None:
        sizes = np.array([len(bag) for bag in bags])
        self._numbers = torch.from_numpy(np.concatenate(bags))
        self._starts = torch.from_numpy(sizes.cumsum() - sizes)
        self._scale = torch.from_numpy(sizes**-0.5).float()[:, None]

    def weighted(self, weights: torch.Tensor) -> torch.Tensor:
        """Their product with weights [buckets, labels]."""
        return F.embedding_bag(self._numbers, weights, self._starts, mode="sum") * self._scale
