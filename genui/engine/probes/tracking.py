"""Where the figure of a clip is in every frame, what it is, and how it moves: measured.

Nothing here knows the caption. The figure is what is not the ground; its centre is the mean
place of that, its size the root of its area, and what it is and how it is turned is the icon
that, drawn there as large, is nearest pixel for pixel.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genui.engine.data.motion import INNER, PADDED, Clips, pixel_shares
from genui.engine.data.palette import COLOURS
from genui.engine.data.pictures import SIDE

ANGLES = 48  # that a figure is compared at, all round
CLEARLY = 1.5  # times nearer than upright, for a figure to count as turned
FAINT = 2e-3  # mean squared differences below this say nothing
SOLID = 0.85  # alpha from which a pixel has the figure's own colour

Floats = NDArray[np.float32]

_NAMES = tuple(COLOURS)
_PALETTE: Floats = np.array(list(COLOURS.values()), np.float32)


class Track(NamedTuple):
    """What was seen of a clip. `first` and `last` name the nearest icon in those frames."""

    x: Floats  # [16], pixels
    y: Floats  # [16]
    size: Floats  # [16], pixels, of the square around the icon that it is nearest to
    turned: Floats  # [16], radians since the first frame, counter-clockwise
    first: str
    last: str
    colour: str
    ground: str


class Tracker:
    """Tracks the figures of one set of clips."""

    def __init__(self, clips: Clips) -> None:
        self._clips = clips
        edge = (PADDED - SIDE) // 2
        alpha = np.pad(clips.alpha, ((0, 0), (edge, edge), (edge, edge)))
        self._sources: Floats = np.divide(alpha, 255, dtype=np.float32)  # [N, 48, 48]
        self._areas = self._sources.sum(axis=(1, 2))  # [N]
        self._middles = _centres(self._sources, self._areas) - PADDED / 2  # [N, 2]

    def track(self, clip: NDArray[np.uint8]) -> Track:
        """Follow the figure of a clip [16, 32, 32, 3]."""
        alpha, colour, ground = matte(clip)
        areas = alpha.sum(axis=(1, 2)) + 1e-6
        centres = _centres(alpha, areas)
        first = self._nearest(alpha[0], areas[0], centres[0])
        turned = self._turned(first, alpha, areas, centres)
        size = INNER * np.sqrt(areas / self._areas[first])
        last = self._nearest(alpha[-1], areas[-1], centres[-1], turned[-1])
        names = self._clips.figures
        return Track(
            *(centres[:, 0], centres[:, 1], size.astype(np.float32), turned),
            *(names[first], names[last], colour, ground),
        )

    def _nearest(self, alpha: Floats, area: float, centre: Floats, angle: float = 0.0) -> int:
        """The number of the icon that is nearest when drawn there, as large and as turned."""
        sources = self._sources
        if angle:
            sources = np.stack([_rotated(source, angle) for source in sources])
        drawn = self._drawn(sources, np.arange(len(sources)), area, centre, angle)
        return int(np.square(drawn - alpha).mean(axis=(1, 2)).argmin())

    def _turned(self, figure: int, alpha: Floats, areas: Floats, centres: Floats) -> Floats:
        """How far the figure is turned in every frame: the angle nearest of `ANGLES`."""
        angles = 2 * math.pi * np.arange(ANGLES) / ANGLES
        sources = np.stack([_rotated(self._sources[figure], angle) for angle in angles])
        number = np.full(ANGLES, figure)
        found = []
        for frame, area, centre in zip(alpha, areas, centres, strict=True):
            drawn = self._drawn(sources, number, area, centre, angles)
            far = np.square(drawn - frame).mean(axis=(1, 2))
            upright = far[0] < max(FAINT, CLEARLY * far.min())
            found.append(0.0 if upright else angles[far.argmin()])
        return np.unwrap(np.array(found)).astype(np.float32)

    def _drawn(
        self,
        sources: Floats,
        numbers: NDArray[np.int64],
        area: float,
        centre: Floats,
        angle: float | NDArray[np.float64],
    ) -> Floats:
        """Each source drawn so that its area and the centre of it are these: [N, 32, 32]."""
        scale = np.sqrt(area / self._areas[numbers])
        x, y = self._middles[numbers].T * scale
        cos, sin = np.cos(angle), np.sin(angle)  # a middle goes round with its icon
        columns = pixel_shares(centre[0] - (cos * x + sin * y), INNER * scale)
        rows = pixel_shares(centre[1] - (cos * y - sin * x), INNER * scale)
        return np.matmul(rows @ sources, columns.swapaxes(-1, -2), dtype=np.float32)


def matte(clip: NDArray[np.uint8]) -> tuple[Floats, str, str]:
    """How much of each pixel is figure [16, 32, 32], 0 to 1, and the names of its colour and of
    the ground's: the nearest of the palette.

    The ground is the median of all pixels: no figure covers half of a frame.
    """
    pixels = clip.astype(np.float32)
    ground = np.median(pixels.reshape(-1, 3), axis=0).astype(np.float32)
    apart = pixels - ground
    far = np.linalg.norm(apart, axis=-1)
    most = far > np.quantile(far, 0.98) * SOLID
    figure = np.zeros(3, np.float32)
    if most.any():
        figure = np.median(apart[most].reshape(-1, 3), axis=0).astype(np.float32)
    contrast = float(figure @ figure)
    if contrast < 1:  # nothing is there
        return np.zeros(far.shape, np.float32), _named(ground), _named(ground)
    alpha = np.clip(apart @ figure / contrast, 0, 1)
    alpha[alpha < 0.1] = 0  # what is left of noise would draw the centre to the middle
    return alpha.astype(np.float32), _named(ground + figure), _named(ground)


def motion_of(track: Track) -> str:
    """The name of the motion that a track is, or "" where it is none of them.

    Sizes and angles are judged first: a figure that grows or turns hardly leaves its place.
    """
    ratio = _mean(track.size[-3:]) / max(_mean(track.size[:3]), 1e-3)
    if abs(track.turned[-1] - track.turned[0]) > math.pi:
        return "turn"
    if ratio > 1.4 or ratio < 1 / 1.4:
        return "grow" if ratio > 1 else "shrink"
    wide, high = np.ptp(track.x), np.ptp(track.y)
    if max(wide, high) < 2.5:
        return "still"
    if min(wide, high) > 6:
        return "orbit" if _winding(track) > 1.5 * math.pi else ""
    along = track.x if wide > high else track.y
    moves = np.diff(along)
    straight = abs(along[-1] - along[0]) > 0.9 * np.ptp(along)
    if min(wide, high) > 3 or max(wide, high) < 5:
        return ""
    if straight:
        positive, negative = ("right", "left") if wide > high else ("down", "up")
        return positive if along[-1] > along[0] else negative
    turns = np.count_nonzero(np.diff(np.sign(moves[np.abs(moves) > 0.15])))
    return "bounce" if high > wide and turns >= 2 else ""


def _winding(track: Track) -> float:
    """How far round the middle of its path the figure goes, in radians."""
    middle_x = (track.x.max() + track.x.min()) / 2
    middle_y = (track.y.max() + track.y.min()) / 2
    angles = np.unwrap(np.arctan2(track.y - middle_y, track.x - middle_x))
    return float(abs(angles[-1] - angles[0]))


def _centres(alpha: Floats, areas: Floats) -> Floats:
    """[N, 2]: the mean x and y of alphas [N, H, W], in pixels from the corner."""
    places = np.arange(alpha.shape[-1], dtype=np.float32) + 0.5
    x = (alpha.sum(axis=1) * places).sum(axis=1) / areas
    y = (alpha.sum(axis=2) * places).sum(axis=1) / areas
    return np.stack((x, y), axis=1).astype(np.float32)


def _rotated(alpha: Floats, angle: float) -> Floats:
    picture = Image.fromarray((alpha * 255).astype(np.uint8))
    turned = picture.rotate(math.degrees(angle), Image.Resampling.BICUBIC)
    return np.divide(np.asarray(turned), 255, dtype=np.float32)


def _mean(values: Sequence[float] | Floats) -> float:
    return float(np.mean(values))


def _named(colour: Floats) -> str:
    return _NAMES[int(np.linalg.norm(_PALETTE - colour, axis=1).argmin())]
