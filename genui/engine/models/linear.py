"""The linear classifiers of Ng & Jordan (2002): discriminative and generative pairs.

All of them return p(label | x) as the softmax of a linear function of x. Logistic regression
maximises the likelihood of the labels given the examples. Naive Bayes (Gaussian for images, with
variances shared by all labels, and multinomial for words) maximises the likelihood of the examples
given the labels, and applies Bayes' rule.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

Examples = NDArray[np.floating]
Targets = NDArray[np.int64]

PRIOR_PRECISION = 1.0  # logistic regression: the weights' prior is N(0, 1)
ITERATIONS = 60
SMOOTHING = 1e-2  # Gaussian naive Bayes: share of the largest variance that is added to each


@dataclass(frozen=True)
class Linear:
    """p(label | x) = softmax(x @ weights + bias); weights [D, labels], bias [labels]."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def probabilities(self, x: Examples) -> NDArray[np.float32]:
        """p(label | x) of examples [N, D], float32 [N, labels]."""
        logits = x.astype(np.float32, copy=False) @ self.weights + self.bias
        powers: NDArray[np.float32] = np.exp(logits - logits.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)


def fit_logistic(
    x: Examples, targets: Targets, labels: int, iterations: int = ITERATIONS
) -> Linear:
    """Logistic regression: maximise Σ ln p(label | x) - |weights|²/2 by L-BFGS.

    `x` [N, D] should be of about unit scale. Raises ValueError if there are no examples.
    """
    _check(x, targets, labels)
    inputs = torch.from_numpy(np.ascontiguousarray(x, np.float32))
    labels_of_x = torch.from_numpy(targets)
    weights = torch.zeros(x.shape[1], labels, requires_grad=True)
    bias = torch.zeros(labels, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weights, bias], max_iter=iterations, line_search_fn="strong_wolfe", history_size=20
    )

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        penalty = PRIOR_PRECISION / 2 * weights.square().sum() / len(inputs)
        value = F.cross_entropy(inputs @ weights + bias, labels_of_x) + penalty
        value.backward()
        return value

    optimizer.step(loss)  # type: ignore[arg-type]  # a Tensor works as a float
    return Linear(weights.detach().numpy(), bias.detach().numpy())


def fit_naive_bayes(x: Examples, targets: Targets, labels: int) -> Linear:
    """Gaussian naive Bayes with variances shared by the labels and Laplace-smoothed p(label).

    ln p(x | label) p(label) is then linear in x up to a term common to all labels. A label without
    examples gets the mean of all. Raises ValueError if there are no examples.
    """
    _check(x, targets, labels)
    x = x.astype(np.float64)
    counts = np.bincount(targets, minlength=labels)
    overall = x.mean(0)
    means = np.tile(overall, (labels, 1))
    for label in np.flatnonzero(counts):
        means[label] = x[targets == label].mean(0)
    variances = ((x - means[targets]) ** 2).mean(0)
    variances += SMOOTHING * max(float(variances.max()), float(x.var()), 1e-6)
    prior = np.log((counts + 1) / (len(x) + labels))
    bias = prior - (means**2 / variances).sum(1) / 2
    weights = (means / variances).T
    return Linear(weights.astype(np.float32), (bias - bias.max()).astype(np.float32))


def fit_word_bayes(x: Examples, targets: Targets, labels: int) -> Linear:
    """Multinomial naive Bayes (McCallum & Nigam 1998) of word counts [N, words] ≥ 0.

    The words of a text are independent given its label; the estimates are Laplace-smoothed.
    Raises ValueError if there are no examples.
    """
    _check(x, targets, labels)
    word_counts = np.ones((labels, x.shape[1]))
    np.add.at(word_counts, targets, x)
    log_words = np.log(word_counts / word_counts.sum(1, keepdims=True))
    counts = np.bincount(targets, minlength=labels)
    prior = np.log((counts + 1) / (len(x) + labels))
    return Linear(log_words.T.astype(np.float32), prior.astype(np.float32))


def _check(x: Examples, targets: Targets, labels: int) -> None:
    if x.ndim != 2 or len(x) != len(targets) or not len(x):
        raise ValueError(f"examples of {x.shape} and {len(targets)} labels do not fit each other")
    if targets.min() < 0 or targets.max() >= labels:
        raise ValueError(f"labels from {targets.min()} to {targets.max()}, of {labels}")


# --- Metrics of classifiers -------------------------------------------------------------------

BINS = 15
SMALLEST = 1e-12  # replaces probabilities that are rounded to zero


def accuracy(probabilities: NDArray[np.floating], targets: NDArray[np.int64]) -> float:
    """The share of examples whose likeliest label is the true one; [N, labels] and [N]."""
    return float((probabilities.argmax(1) == targets).mean())


def log_loss(probabilities: NDArray[np.floating], targets: NDArray[np.int64]) -> float:
    """The mean of -ln p(true label), in nats."""
    of_true = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    return float(-np.log(of_true.clip(SMALLEST)).mean())


def calibration_error(
    probabilities: NDArray[np.floating], targets: NDArray[np.int64], bins: int = BINS
) -> float:
    """Expected calibration error (Guo et al. 2017, eq. 3).

    Examples are put into equal bins of (0, 1] by their confidence, the probability of the likeliest
    label. The difference of mean confidence and accuracy is averaged over bins, by their size.
    """
    confidence = probabilities.max(1).astype(np.float64)
    is_right = probabilities.argmax(1) == targets
    bin_of = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(bin_of, minlength=bins)
    gaps = np.bincount(bin_of, confidence - is_right, minlength=bins)  # times the bin's size
    return float(np.abs(gaps).sum() / counts.sum())
