"""Log-mel spectrograms: a sound as a picture [MELS, FRAMES] in -1 to 1, and its magnitudes back.

Mels are HTK's (Young et al., The HTK Book, eq. 5.13): 2595 · log₁₀(1 + f/700).
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from genui.engine.sound.stft import BINS, HOP, RATE, SIZE, Samples, stft

MELS = 64
FRAMES = 80
SAMPLES = FRAMES * HOP  # a second
LOUDEST_DB = 25.0  # what 1 stands for, of sounds as loud as `levelled` makes them
RANGE_DB = 70.0  # from -1, silence, to 1

Mels = NDArray[np.float32]


def log_mel(samples: Samples) -> Mels:
    """[…, SAMPLES] in -1 to 1 to the log of its power, low mels first: […, MELS, FRAMES]."""
    magnitude = np.abs(stft(samples))
    power = magnitude**2 @ filters().T
    decibels = 10 * np.log10(np.maximum(power, 1e-10))
    scaled = 2 * (decibels - LOUDEST_DB) / RANGE_DB + 1
    return np.clip(scaled, -1, 1).swapaxes(-1, -2).astype(np.float32)


def power_of(mels: Mels) -> Mels:
    """The inverse of the scale alone: […, MELS, T] in -1 to 1 to mel power […, T, MELS]."""
    decibels = (np.clip(mels, -1, 1) - 1) / 2 * RANGE_DB + LOUDEST_DB
    power = 10 ** (decibels / 10)
    power[mels <= -1 + 1e-3] = 0  # the floor stands for silence
    return power.swapaxes(-1, -2).astype(np.float32)


@cache
def filters() -> Mels:
    """Triangles on the mel scale from 0 to 4 kHz, each of weight 1: [MELS, BINS]."""
    edges = _hertz(np.linspace(0, _mel(RATE / 2), MELS + 2))
    bins = np.arange(BINS) * RATE / SIZE
    low, mid, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.minimum((bins - low) / (mid - low), (high - bins) / (high - mid))
    triangles = np.maximum(triangles, 0)
    # A triangle narrower than a bin may hold none: it takes its nearest.
    empty = triangles.sum(1) == 0
    triangles[empty, np.abs(bins - mid[empty]).argmin(1)] = 1
    return (triangles / triangles.sum(1, keepdims=True)).astype(np.float32)


def _mel(hertz: float) -> float:
    return 2595 * np.log10(1 + hertz / 700)


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return 700 * (10 ** (mel / 2595) - 1)
