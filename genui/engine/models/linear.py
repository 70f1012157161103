"""The linear classifiers of Ng & Jordan (2002): pairs that ask two questions of the same data.

All give p(label | x) as the softmax of a linear function of x. Logistic regression chooses it so
that the labels are likely given the examples; naive Bayes (Gaussian for images, with one variance
a feature that all labels share, and multinomial for words) so that the examples are likely given
the labels, and asks Bayes' rule.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

Examples = NDArray[np.floating]
Targets = NDArray[np.int64]

PRIOR_PRECISION = 1.0  # of logistic regression's weights, whose prior is N(0, 1)
ITERATIONS = 60
SMOOTHING = 1e-2  # share of the largest variance that is added to each, so that none is 0


@dataclass(frozen=True)
class Linear:
    """p(label | x) = softmax(x @ weights + bias); weights [D, labels], bias [labels]."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def probabilities(self, x: Examples) -> NDArray[np.float32]:
        """Float32 [N, labels] of examples [N, D]."""
        logits = x.astype(np.float32, copy=False) @ self.weights + self.bias
        powers = np.exp(logits - logits.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)


def fit_logistic(
    x: Examples, targets: Targets, labels: int, iterations: int = ITERATIONS
) -> Linear:
    """Logistic regression: max of Σ ln p(label | x) - |weights|²/2, by L-BFGS.

    `x` [N, D] should be of about unit scale. Raises ValueError where there is no example.
    """
    _check(x, targets, labels)
    inputs = torch.from_numpy(np.ascontiguousarray(x, np.float32))
    wanted = torch.from_numpy(targets)
    weights = torch.zeros(x.shape[1], labels, requires_grad=True)
    bias = torch.zeros(labels, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weights, bias], max_iter=iterations, line_search_fn="strong_wolfe", history_size=20
    )

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        penalty = PRIOR_PRECISION / 2 * weights.square().sum() / len(inputs)
        value = F.cross_entropy(inputs @ weights + bias, wanted) + penalty
        value.backward()
        return value

    optimizer.step(loss)  # type: ignore[arg-type]  # a Tensor serves as its float
    return Linear(weights.detach().numpy(), bias.detach().numpy())


def fit_naive_bayes(x: Examples, targets: Targets, labels: int) -> Linear:
    """Gaussian naive Bayes with variances shared by the labels; p(label) is Laplace's estimate.

    Its ln p(x | label) p(label) differ between labels by a linear function of x, which is returned.
    A label without examples has the mean of all. Raises ValueError where there is no example.
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
    """Multinomial naive Bayes (McCallum & Nigam 1998) of word counts [N, words], 0 or more.

    A text is drawn word by word from its label's distribution, whose estimate is Laplace's.
    Raises ValueError where there is no example.
    """
    _check(x, targets, labels)
    words = np.ones((labels, x.shape[1]))
    np.add.at(words, targets, x)
    log_words = np.log(words / words.sum(1, keepdims=True))
    counts = np.bincount(targets, minlength=labels)
    prior = np.log((counts + 1) / (len(x) + labels))
    return Linear(log_words.T.astype(np.float32), prior.astype(np.float32))


def _check(x: Examples, targets: Targets, labels: int) -> None:
    if x.ndim != 2 or len(x) != len(targets) or not len(x):
        raise ValueError(f"examples of {x.shape} and {len(targets)} labels do not fit each other")
    if targets.min() < 0 or targets.max() >= labels:
        raise ValueError(f"labels from {targets.min()} to {targets.max()}, of {labels}")


# --- Whether a classifier is right, and whether it knows how sure it may be -------------------

BINS = 15
SMALLEST = 1e-12  # a probability that a rounding made zero


def accuracy(probabilities: NDArray[np.floating], targets: NDArray[np.int64]) -> float:
    """Share of the examples whose likeliest label is the true one; [N, labels] and [N]."""
    return float((probabilities.argmax(1) == targets).mean())


def log_loss(probabilities: NDArray[np.floating], targets: NDArray[np.int64]) -> float:
    """Mean of -ln p(true label), in nats."""
    chosen = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    return float(-np.log(chosen.clip(SMALLEST)).mean())


def calibration_error(
    probabilities: NDArray[np.floating], targets: NDArray[np.int64], bins: int = BINS
) -> float:
    """Expected calibration error (Guo et al. 2017, eq. 3): |how sure - how often right|.

    Examples are put into equal bins of (0, 1] by the probability of their likeliest label; the
    gap between the mean of that and the accuracy is averaged over the bins by their size.
    """
    sure = probabilities.max(1).astype(np.float64)
    right = probabilities.argmax(1) == targets
    bin_of = np.clip(np.ceil(sure * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(bin_of, minlength=bins)
    gaps = np.bincount(bin_of, sure - right, minlength=bins)
    # |Σ(sure - right)| of a bin is its gap times its size.
    return float(np.abs(gaps).sum() / counts.sum())
