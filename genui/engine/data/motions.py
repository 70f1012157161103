"""How a figure moves through a clip: its pose in every frame, drawn from a generator.

A pose is (x, y, size, angle): the centre of the figure and the side of the square around
it, in pixels of a 32×32 frame, and the angle it is turned by, in radians counter-clockwise.

A caption tells the shape of a path: where on it a figure begins and which way round it goes are
the same every time, as a mean over all beginnings would be a figure that hovers (what a model
expects of pure noise is that mean). Place, size and length are drawn.
"""

import math
import types
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from genui.engine.data.pictures import SIDE

FRAMES = 16  # pictures of a clip
FPS = 10  # pictures a second that a clip is meant to be seen at

Poses = NDArray[np.float32]
"""[16, 4]: x, y, size and angle in each frame."""

_PHASE = np.arange(FRAMES) / FRAMES  # of what goes round: the last frame leads to the first
_SHARE = np.arange(FRAMES) / (FRAMES - 1)  # of what goes from here to there

_Axis = float | NDArray[np.float64]


def _poses(x: _Axis, y: _Axis, size: _Axis, angle: _Axis = 0.0) -> Poses:
    return np.stack(np.broadcast_arrays(x, y, size, angle, np.zeros(FRAMES))[:4], 1).astype(
        np.float32
    )


def _inside(rng: np.random.Generator, size: float) -> float:
    """A coordinate at which a figure of that size is wholly in the frame."""
    return rng.uniform(size / 2, SIDE - size / 2)


def _still(rng: np.random.Generator) -> Poses:
    size = rng.uniform(13, 20)
    return _poses(_inside(rng, size), _inside(rng, size), size)


def _across(rng: np.random.Generator) -> tuple[float, float, NDArray[np.float64]]:
    """(size, the coordinate that stays, the one that falls from one side to the other)."""
    size = rng.uniform(13, 16)
    start = SIDE - size / 2 - rng.uniform(0, 3)
    end = size / 2 + rng.uniform(0, 3)
    return size, _inside(rng, size), start + (end - start) * _SHARE


def _up(rng: np.random.Generator) -> Poses:
    size, x, y = _across(rng)
    return _poses(x, y, size)


def _down(rng: np.random.Generator) -> Poses:
    size, x, y = _across(rng)
    return _poses(x, SIDE - y, size)


def _left(rng: np.random.Generator) -> Poses:
    size, y, x = _across(rng)
    return _poses(x, y, size)


def _right(rng: np.random.Generator) -> Poses:
    size, y, x = _across(rng)
    return _poses(SIDE - x, y, size)


def _orbit(rng: np.random.Generator) -> Poses:
    """Once round with the clock, from the top."""
    size = rng.uniform(10, 13)
    radius = rng.uniform(7, 9)
    room = SIDE / 2 - size / 2 - radius
    x, y = SIDE / 2 + rng.uniform(-room, room, 2)
    turn = 2 * math.pi * _PHASE
    return _poses(x + radius * np.sin(turn), y - radius * np.cos(turn), size)


def _bounce(rng: np.random.Generator) -> Poses:
    """Two hops from the ground, each a parabola."""
    size = rng.uniform(12, 15)
    ground = SIDE - size / 2 - rng.uniform(0, 2)
    height = (ground - size / 2) * rng.uniform(0.75, 1)
    part = 2 * _PHASE % 1
    return _poses(_inside(rng, size), ground - height * 4 * part * (1 - part), size)


def _grow(rng: np.random.Generator) -> Poses:
    start, end = rng.uniform(8, 11), rng.uniform(20, 26)
    return _poses(_inside(rng, end), _inside(rng, end), start + (end - start) * _SHARE)


def _shrink(rng: np.random.Generator) -> Poses:
    return _grow(rng)[::-1]


def _turn(rng: np.random.Generator) -> Poses:
    """Once round itself with the clock, upright at first."""
    size = rng.uniform(16, 20)
    around = size * 1.15  # the corners come round too
    angle = -2 * math.pi * _PHASE
    return _poses(_inside(rng, around), _inside(rng, around), size, angle)


MOTIONS: Mapping[str, tuple[str, Callable[[np.random.Generator], Poses]]] = types.MappingProxyType(
    {
        "still": ("standing still", _still),
        "up": ("moving up", _up),
        "down": ("moving down", _down),
        "left": ("moving left", _left),
        "right": ("moving right", _right),
        "orbit": ("orbiting", _orbit),
        "bounce": ("bouncing", _bounce),
        "grow": ("growing", _grow),
        "shrink": ("shrinking", _shrink),
        "turn": ("turning", _turn),
    }
)
"""Name to the words that say it in a caption and a function that draws poses for it."""


def draw_poses(motion: str, rng: np.random.Generator) -> Poses:
    """Poses [16, 4] of one such motion; where it begins, how far and how large is `rng`'s."""
    return MOTIONS[motion][1](rng)
