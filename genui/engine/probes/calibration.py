"""Whether a classifier is right, and whether it knows how sure it may be."""

import numpy as np
from numpy.typing import NDArray

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
