"""From a log-mel spectrogram to sound: magnitudes by least squares, phases by Griffin–Lim.

Everything starts from zero phases and takes a fixed number of rounds: the same spectrogram
always sounds the same.
"""

from functools import cache

import numpy as np

from genui.engine.sound.mel import Mels, filters, power_of
from genui.engine.sound.stft import Samples, istft, stft

ROUNDS = 32
MOMENTUM = 0.99  # Perraudin et al. 2013, §4
NNLS_ROUNDS = 30


def vocoded(mels: Mels, rounds: int = ROUNDS) -> Samples:
    """[…, MELS, T] in -1 to 1 to samples […, T · HOP], about -1 to 1.

    The fast Griffin–Lim algorithm (Perraudin, Balazs & Søndergaard 2013, algorithm 2).
    """
    magnitude = np.sqrt(linear_power(mels))
    before = current = magnitude.astype(np.complex64)
    for _ in range(rounds):
        consistent = stft(istft(_with_phase(magnitude, current)))
        current = consistent + MOMENTUM * (consistent - before)
        before = consistent
    return istft(_with_phase(magnitude, current))


def linear_power(mels: Mels) -> Samples:
    """[…, MELS, T] to the power […, T, BINS] ≥ 0 whose mels these are, nearly.

    Non-negative least squares by multiplicative updates (Lee & Seung 2001, theorem 1), from
    the mel power spread over each band.
    """
    target = power_of(mels)
    weights = filters()  # [MELS, BINS]
    found = target @ _spread()
    numerator = target @ weights
    for _ in range(NNLS_ROUNDS):
        found *= numerator / np.maximum(found @ _gram(), 1e-12)
    return found


@cache
def _spread() -> Mels:
    """[MELS, BINS], columns summing to 1: a bin is the mean of the bands that hold it."""
    weights = filters() / filters().max(axis=1, keepdims=True)
    return weights / np.maximum(weights.sum(axis=0), 1e-6)


@cache
def _gram() -> Mels:
    return filters().T @ filters()


def _with_phase(magnitude: Samples, phases: np.ndarray) -> np.ndarray:
    size = np.abs(phases)
    unit = np.divide(phases, size, out=np.ones_like(phases), where=size > 1e-12)
    return magnitude * unit
