"""The nearest colours of the palettes that terminals have."""

import numpy as np

_CUBE = np.array([0, 95, 135, 175, 215, 255])
_CUBE_EDGES = (_CUBE[1:] + _CUBE[:-1]) // 2
_FIRST_CUBE, _FIRST_GREY, _GREYS = 16, 232, 24

# The sixteen, as xterm has them.
_SIXTEEN = np.array(
    [
        (0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0),
        (0, 0, 238), (205, 0, 205), (0, 205, 205), (229, 229, 229),
        (127, 127, 127), (255, 0, 0), (0, 255, 0), (255, 255, 0),
        (92, 92, 255), (255, 0, 255), (0, 255, 255), (255, 255, 255),
    ]
)  # fmt: skip


def nearest_256(rgb: np.ndarray) -> np.ndarray:
    """Palette indices 16–255 (int32 [...]) nearest to `rgb` (uint8 [..., 3])."""
    colour = rgb.astype(np.int32)
    level = np.searchsorted(_CUBE_EDGES, colour)
    in_cube = _CUBE[level]
    grey = np.clip((colour.mean(axis=-1) - 8) / 10 + 0.5, 0, _GREYS - 1).astype(np.int32)
    grey_error = ((colour - (8 + 10 * grey)[..., None]) ** 2).sum(axis=-1)
    cube_error = ((colour - in_cube) ** 2).sum(axis=-1)
    cube = _FIRST_CUBE + level[..., 0] * 36 + level[..., 1] * 6 + level[..., 2]
    return np.where(grey_error < cube_error, _FIRST_GREY + grey, cube).astype(np.int32)


def nearest_16(rgb: np.ndarray) -> np.ndarray:
    """Palette indices 0–15 (int32 [...]) nearest to `rgb` (uint8 [..., 3])."""
    difference = rgb[..., None, :].astype(np.int32) - _SIXTEEN
    return (difference**2).sum(axis=-1).argmin(axis=-1).astype(np.int32)


def luminance(rgb: np.ndarray) -> np.ndarray:
    """How bright a colour looks, 0–255 (float64 [...]), by Rec. 709 weights."""
    return rgb @ np.array([0.2126, 0.7152, 0.0722])
