"""A watermark in the initial noise of an image, and how it is recognised.

A band of the noise's spectrum holds a pattern that a key draws, one of PATTERNS by the seed. Each
is normal noise itself, so that the whole stays standard normal, and images stay as different as
before. Lower frequencies of the noise decide what an image shows, and of higher ones it keeps
little. The rings of Wen et al. 2023 ("Tree-Ring Watermarks") are few numbers, which say that there
is a watermark; a pattern also says whose.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

LOWEST, HIGHEST = 3.5, 8.5
"""The band: from this many cycles an image on, and below this many."""
PATTERNS = 256
"""How many patterns a key has."""

Noise = NDArray[np.floating]


def add_pattern(noise: Noise, border: int, key: int, seed: int) -> Noise:
    """Noise [C, H, H] with the pattern of a key for a seed, inside a border that the network does
    not see."""
    marked = noise.copy()
    inner = crop(marked, border)
    inner += _keep_band(_draw(key, choose_pattern(key, seed), inner.shape) - inner)
    return marked


def choose_pattern(key: int, seed: int) -> int:
    """The number of the pattern for a seed."""
    return int(np.random.SeedSequence((key, seed)).generate_state(1)[0]) % PATTERNS


def crop(noise: Noise, border: int) -> Noise:
    """Noise [..., H, H] without its border, as a view."""
    side = noise.shape[-1]
    return noise[..., border : side - border, border : side - border]


def correlate(noise: Noise, key: int) -> Noise:
    """The correlations of noise [B, C, H, H] without border with the patterns of a key,
    [B, PATTERNS]."""
    return _normalise(_keep_band(noise)) @ _draw_all(key, noise.shape[1:]).T


def count_places(shape: tuple[int, ...]) -> int:
    """How many numbers the band of noise [C, H, H] has."""
    return shape[0] * int(_band(shape[-1]).sum())


def find_chance(correlation: float, places: int) -> float:
    """The probability that a pattern of a random key correlates at least so well with anything.

    A pattern is a direction in `places` dimensions, each as likely, so it is the share of the
    sphere within that angle, from ∫ sinⁿ⁻²θ dθ. It holds for whatever noise is given.
    """
    angles = np.linspace(0, math.acos(min(1.0, max(-1.0, correlation))), 4001)
    within = np.trapezoid(np.sin(angles) ** (places - 2), angles)
    log_all = math.lgamma((places - 1) / 2) - math.lgamma(places / 2) + math.log(math.pi) / 2
    return min(1.0, float(within) / math.exp(log_all))


@lru_cache(maxsize=8)
def _draw_all(key: int, shape: tuple[int, ...]) -> Noise:
    """The patterns of a key, each of length 1, [PATTERNS, C·H·H]."""
    patterns = np.stack([_draw(key, number, shape) for number in range(PATTERNS)])
    return _normalise(_keep_band(patterns))


def _draw(key: int, number: int, shape: tuple[int, ...]) -> Noise:
    """Normal noise [C, H, H], of which the band is a pattern."""
    return np.random.default_rng((key, number)).standard_normal(shape)


def _keep_band(noise: Noise) -> Noise:
    return np.fft.ifft2(np.fft.fft2(noise) * _band(noise.shape[-1])).real


def _band(side: int) -> NDArray[np.bool_]:
    """Which coefficients of a spectrum [side, side] are in the band."""
    cycles = np.fft.fftfreq(side, 1 / side)
    radius = np.hypot(cycles[:, None], cycles)
    return (radius >= LOWEST) & (radius < HIGHEST)


def _normalise(noise: Noise) -> Noise:
    """[B, ...] as vectors of length 1, [B, D]."""
    flat = noise.reshape(len(noise), -1)
    return flat / np.linalg.norm(flat, axis=-1, keepdims=True).clip(1e-12)
