"""A colour map whose lightness rises evenly, so that it also reads in grey.

Cubehelix (Green 2011, eq. 2), a helix of hues round the grey diagonal of the colour cube.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

START, ROTATIONS, HUE = 0.5, -1.5, 1.0  # Green's own, §3
LEVELS = 256


@cache
def colours() -> NDArray[np.uint8]:
    """From black to white: [256, 3]."""
    level = np.linspace(0, 1, LEVELS)
    angle = 2 * np.pi * (START / 3 + 1 + ROTATIONS * level)
    swing = HUE * level * (1 - level) / 2
    cosine, sine = np.cos(angle), np.sin(angle)
    red = level + swing * (-0.14861 * cosine + 1.78277 * sine)
    green = level + swing * (-0.29227 * cosine - 0.90649 * sine)
    blue = level + swing * (1.97294 * cosine)
    rgb = np.stack((red, green, blue), axis=1)
    return np.rint(255 * rgb.clip(0, 1)).astype(np.uint8)


def coloured(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Values in -1 to 1, of any shape, as colours [..., 3]; what lies beyond is an end's."""
    places = np.rint((np.clip(values, -1, 1) + 1) / 2 * (LEVELS - 1))
    return colours()[places.astype(np.int64)]


def values_of(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Colours [..., 3] as the values in -1 to 1 of the nearest ones of the map."""
    apart = rgb[..., None, :].astype(np.int32) - colours().astype(np.int32)
    places = (apart**2).sum(-1).argmin(-1)
    return (places / np.float32((LEVELS - 1) / 2) - 1).astype(np.float32)
