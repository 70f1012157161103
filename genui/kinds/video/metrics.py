"""Metrics of clips: does one match its caption, and what was copied?"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genui.base.errors import MisuseError
from genui.base.text import clean_line
from genui.engine.data.captions import COLOURS
from genui.engine.data.image_files import SIDE
from genui.engine.data.images import as_pixels
from genui.engine.metrics.copying import closest
from genui.engine.metrics.distance import copying_share
from genui.engine.sample.diffusion import DiffusionGenerator
from genui.engine.sample.trace import Trace
from genui.formats.image import four_frames
from genui.kinds.video.data import (
    CLIP_FRAMES,
    INNER,
    PADDED,
    Clips,
    Scene,
    draw_poses,
    load_clips,
    pixel_shares,
)
from genui.kinds.video.medium import parse_scene, to_clips
from genui.kinds.video.recipe import VideoRecipe
from genui.protocol import ImageFrame, ImageSettings, Neighbours
from genui.protocol.edits import inputs_at

# --- Tracking the figure of a clip ------------------------------------------------------------
# The caption is not used. The figure is what differs from the ground. Its centre is the centroid,
# its size the square root of its area. Its icon and angle are those that, drawn at this centre and
# size, have the smallest pixel difference.

ANGLES = 48  # angles that are compared
CLEARLY = 1.5  # a figure is rotated if upright is so many times farther than the nearest angle
FAINT = 2e-3  # smaller mean squared differences are not significant
SOLID = 0.85  # alpha above which a pixel has the figure's own colour

Floats = NDArray[np.float32]

_NAMES = tuple(COLOURS)
_PALETTE: Floats = np.array(list(COLOURS.values()), np.float32)


class Track(NamedTuple):
    """The figure of a clip in every frame."""

    x: Floats  # [16], pixels
    y: Floats  # [16]
    size: Floats  # [16], pixels, the side of the square around the icon
    angles: Floats  # [16], radians since the first frame, counter-clockwise
    first: str  # the nearest icon in the first frame
    last: str  # … in the last frame
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
        self._centres = _centres(self._sources, self._areas) - PADDED / 2  # [N, 2]

    def track(self, clip: NDArray[np.uint8]) -> Track:
        """Track the figure of a clip [16, 32, 32, 3]."""
        alpha, colour, ground = matte(clip)
        areas = alpha.sum(axis=(1, 2)) + 1e-6
        centres = _centres(alpha, areas)
        first = self._nearest(alpha[0], areas[0], centres[0])
        angles = self._find_angles(first, alpha, areas, centres)
        size = INNER * np.sqrt(areas / self._areas[first])
        last = self._nearest(alpha[-1], areas[-1], centres[-1], angles[-1])
        names = self._clips.figures
        return Track(
            *(centres[:, 0], centres[:, 1], size.astype(np.float32), angles),
            *(names[first], names[last], colour, ground),
        )

    def _nearest(self, alpha: Floats, area: float, centre: Floats, angle: float = 0.0) -> int:
        """The index of the icon that is nearest when drawn with this area, centre and angle."""
        sources = self._sources
        if angle:
            sources = np.stack([_rotate(source, angle) for source in sources])
        rendered = self._render(sources, np.arange(len(sources)), area, centre, angle)
        return int(np.square(rendered - alpha).mean(axis=(1, 2)).argmin())

    def _find_angles(self, figure: int, alpha: Floats, areas: Floats, centres: Floats) -> Floats:
        """The figure's angle in every frame, [16]."""
        angles = 2 * math.pi * np.arange(ANGLES) / ANGLES
        sources = np.stack([_rotate(self._sources[figure], angle) for angle in angles])
        indices = np.full(ANGLES, figure)
        nearest = []
        for frame, area, centre in zip(alpha, areas, centres, strict=True):
            rendered = self._render(sources, indices, area, centre, angles)
            errors = np.square(rendered - frame).mean(axis=(1, 2))
            upright = errors[0] < max(FAINT, CLEARLY * errors.min())
            nearest.append(0.0 if upright else angles[errors.argmin()])
        return np.unwrap(np.array(nearest)).astype(np.float32)

    def _render(
        self,
        sources: Floats,
        indices: NDArray[np.int64],
        area: float,
        centre: Floats,
        angle: float | NDArray[np.float64],
    ) -> Floats:
        """Each source drawn with this area and centroid: [N, 32, 32]."""
        scale = np.sqrt(area / self._areas[indices])
        x, y = self._centres[indices].T * scale
        cos, sin = np.cos(angle), np.sin(angle)  # the centroid rotates with the icon
        columns = pixel_shares(centre[0] - (cos * x + sin * y), INNER * scale)
        rows = pixel_shares(centre[1] - (cos * y - sin * x), INNER * scale)
        return np.matmul(rows @ sources, columns.swapaxes(-1, -2), dtype=np.float32)


def matte(clip: NDArray[np.uint8]) -> tuple[Floats, str, str]:
    """The figure's alpha [16, 32, 32], 0 to 1, and the nearest colour names of figure and ground.

    The ground is the median of all pixels, since no figure covers half of a frame.
    """
    pixels = clip.astype(np.float32)
    ground = np.median(pixels.reshape(-1, 3), axis=0).astype(np.float32)
    difference = pixels - ground
    distance = np.linalg.norm(difference, axis=-1)
    solid = distance > np.quantile(distance, 0.98) * SOLID
    figure = np.zeros(3, np.float32)
    if solid.any():
        figure = np.median(difference[solid].reshape(-1, 3), axis=0).astype(np.float32)
    contrast = float(figure @ figure)
    if contrast < 1:  # no figure
        empty = np.zeros(distance.shape, np.float32)
        return empty, _nearest_colour(ground), _nearest_colour(ground)
    alpha = np.clip(difference @ figure / contrast, 0, 1)
    alpha[alpha < 0.1] = 0  # remaining noise would pull the centroid to the middle
    return alpha.astype(np.float32), _nearest_colour(ground + figure), _nearest_colour(ground)


def motion_of(track: Track) -> str:
    """The name of the motion, or "" if it is none of them.

    Size and angle are checked first, since a figure that grows or rotates hardly moves.
    """
    ratio = _mean(track.size[-3:]) / max(_mean(track.size[:3]), 1e-3)
    if abs(track.angles[-1] - track.angles[0]) > math.pi:
        return "turn"
    if ratio > 1.4 or ratio < 1 / 1.4:
        return "grow" if ratio > 1 else "shrink"
    wide, high = np.ptp(track.x), np.ptp(track.y)
    if max(wide, high) < 2.5:
        return "still"
    if min(wide, high) > 6:
        return "orbit" if _winding(track) > 1.5 * math.pi else ""
    path = track.x if wide > high else track.y
    straight = abs(path[-1] - path[0]) > 0.9 * np.ptp(path)
    if min(wide, high) > 3 or max(wide, high) < 5:
        return ""
    if straight:
        positive, negative = ("right", "left") if wide > high else ("down", "up")
        return positive if path[-1] > path[0] else negative
    moves = np.diff(path)
    reversals = np.count_nonzero(np.diff(np.sign(moves[np.abs(moves) > 0.15])))
    return "bounce" if high > wide and reversals >= 2 else ""


def _winding(track: Track) -> float:
    """The angle in radians that the figure travels around the middle of its path."""
    middle_x = (track.x.max() + track.x.min()) / 2
    middle_y = (track.y.max() + track.y.min()) / 2
    angles = np.unwrap(np.arctan2(track.y - middle_y, track.x - middle_x))
    return float(abs(angles[-1] - angles[0]))


def _centres(alpha: Floats, areas: Floats) -> Floats:
    """The centroids x, y of alphas [N, H, W], in pixels from the corner: [N, 2]."""
    pixels = np.arange(alpha.shape[-1], dtype=np.float32) + 0.5
    x = (alpha.sum(axis=1) * pixels).sum(axis=1) / areas
    y = (alpha.sum(axis=2) * pixels).sum(axis=1) / areas
    return np.stack((x, y), axis=1).astype(np.float32)


def _rotate(alpha: Floats, angle: float) -> Floats:
    image = Image.fromarray((alpha * 255).astype(np.uint8))
    rotated = image.rotate(math.degrees(angle), Image.Resampling.BICUBIC)
    return np.divide(np.asarray(rotated), 255, dtype=np.float32)


def _mean(values: Sequence[float] | Floats) -> float:
    return float(np.mean(values))


def _nearest_colour(colour: Floats) -> str:
    return _NAMES[int(np.linalg.norm(_PALETTE - colour, axis=1).argmin())]


# --- Video models: icon, motion and colours ---------------------------------------------------

CLIP_SAMPLES = 200  # with trained pairs of icon and motion
HELD_SAMPLES = 100  # with held-out pairs
CLIP_BATCH = 20
CLIP_SETTINGS = ImageSettings(steps=12, guidance=2.0)
COMPARED = 1000  # clips of each set, for copying
COARSE = 4  # pixels along each side that are averaged, for copying


@dataclass(frozen=True)
class TrackedClip:
    """The track of a clip, and the scene of its caption."""

    scene: Scene
    track: Track

    @property
    def motion(self) -> str:
        return motion_of(self.track)

    @property
    def motion_is_right(self) -> bool:
        return self.motion == self.scene.motion

    @property
    def same_object(self) -> bool:
        """Whether the first and the last frame show the same icon."""
        return self.track.first == self.track.last

    @property
    def icon_is_right(self) -> bool:
        """Whether the first and the last frame show the caption's icon."""
        return self.track.first == self.track.last == self.scene.figure

    @property
    def colours_are_right(self) -> bool:
        return (self.track.colour, self.track.ground) == (self.scene.colour, self.scene.ground)


def measure_clips(generator: DiffusionGenerator, recipe: VideoRecipe) -> dict[str, str]:
    """The shares of clips with the right motion, icon and colours, also for held-out pairs, and the
    share that is copied."""
    clips = load_clips()
    rng = np.random.default_rng(0)
    scenes = clips.scenes(CLIP_SAMPLES, rng)
    samples = draw(generator, scenes)
    trained = track_clips(clips, scenes, samples)
    held_scenes = clips.scenes(HELD_SAMPLES, rng, held_out=True)
    held = track_clips(clips, held_scenes, draw(generator, held_scenes))
    copied = clips_copied(clips, scenes, samples, recipe.seed)
    return {
        "motion right": percent(trained, lambda clip: clip.motion_is_right),
        "same object": percent(trained, lambda clip: clip.same_object),
        "right icon": percent(trained, lambda clip: clip.icon_is_right),
        "colours right": percent(trained, lambda clip: clip.colours_are_right),
        "held-out motion": percent(held, lambda clip: clip.motion_is_right),
        "held-out icon": percent(held, lambda clip: clip.icon_is_right),
        "held-out colours": percent(held, lambda clip: clip.colours_are_right),
        "copied": f"{copied:.2f} nearer to trained clips than to others (0.5: nothing)",
    }


def draw(
    generator: DiffusionGenerator,
    scenes: Sequence[Scene],
    settings: ImageSettings = CLIP_SETTINGS,
    progress: Callable[[int], None] = lambda done: None,
) -> NDArray[np.uint8]:
    """A clip of each scene [N, 16, 32, 32, 3], with seeds 0, 1, …; `progress` gets their number."""
    parts = []
    for start in range(0, len(scenes), CLIP_BATCH):
        captions = [scene.caption for scene in scenes[start : start + CLIP_BATCH]]
        seeds = list(range(start, start + len(captions)))
        parts.append(to_clips(generator.denoised(captions, seeds, settings)))
        progress(start + len(captions))
    return np.concatenate(parts)


def track_clips(
    clips: Clips, scenes: Sequence[Scene], samples: NDArray[np.uint8]
) -> list[TrackedClip]:
    """Track samples [N, 16, 32, 32, 3] of these scenes."""
    tracker = Tracker(clips)
    pairs = zip(scenes, samples, strict=True)
    return [TrackedClip(scene, tracker.track(clip)) for scene, clip in pairs]


def percent(clips: Sequence[TrackedClip], is_right: Callable[[TrackedClip], bool]) -> str:
    """The share of clips for which `is_right` is true: "97% of 120"."""
    return f"{100 * np.mean([is_right(clip) for clip in clips]):.0f}% of {len(clips)}"


def draw_real(clips: Clips, scenes: Sequence[Scene], *seed: int) -> NDArray[np.uint8]:
    """Clips of the scenes as in the training data: uint8 [N, 16, 32, 32, 3]."""
    return as_pixels(clips.batch(scenes, np.random.default_rng(seed)).clips)


def clips_copied(
    clips: Clips, scenes: Sequence[Scene], samples: NDArray[np.uint8], seed: int
) -> float:
    """The share of samples nearer to training clips than to as many other clips.

    Both have the same scenes and differ only in where and how the figure moves.
    """
    times = -(-COMPARED // len(scenes))
    rows = _coarse(samples)
    trained = np.concatenate([_coarse(draw_real(clips, scenes, seed, n)) for n in range(times)])
    others = np.concatenate([_coarse(draw_real(clips, scenes, seed + 1, n)) for n in range(times)])
    return copying_share(rows, trained, others)


def _coarse(clips: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Clips averaged over COARSE × COARSE pixels, as rows."""
    side = clips.shape[2] // COARSE
    squares = clips.reshape(*clips.shape[:2], side, COARSE, side, COARSE, 3).mean(axis=(3, 5))
    return squares.reshape(len(clips), -1).astype(np.float32)


# --- The training clips most similar to a clip ------------------------------------------------

CLIP_DISTANCE = "root mean square of the colours' differences over all 16 frames, 0 to 255"
MAX_CLIPS = 200


def nearest_clips(recipe: VideoRecipe, trace: Trace, step: int, count: int) -> Neighbours:
    """The training clips of the caption's icon and motion nearest to the clip at `step`.

    They are drawn again with the random numbers of the training, in the caption's colours. Raises
    MisuseError for a grid, and for a caption that names no icon.
    """
    frame = trace.generator.frame(trace.state(step))
    if not isinstance(frame, ImageFrame) or frame.images != CLIP_FRAMES or trace.request.grid:
        raise MisuseError("one clip is compared, and not a grid: draw one")
    caption = inputs_at(trace.request, step)[0]
    scene = parse_scene(caption)
    if scene is None:
        raise MisuseError(f"“{clean_line(caption, 40)}” names no icon that was trained")
    clips = load_clips()
    poses = _trained_poses(recipe.seed, recipe.steps, recipe.batch, scene.figure, scene.motion)
    data = f"{clips.name}, {len(poses)} trained clips of {scene.figure} {scene.motion}"
    if not len(poses):
        return Neighbours(trace=0, step=0, data=data, measured=CLIP_DISTANCE)
    shape = (CLIP_FRAMES, frame.height, frame.width, 3)
    sample = np.frombuffer(frame.denoised, np.uint8).reshape(shape).astype(np.float32)
    trained = as_pixels(clips.draw([scene] * len(poses), poses))
    distances = np.sqrt(((trained - sample) ** 2).mean(axis=(1, 2, 3, 4)))
    return closest(
        data, CLIP_DISTANCE, distances, count, lambda i: (scene.caption, four_frames(trained[i]))
    )


@lru_cache(maxsize=8)
def _trained_poses(seed: int, steps: int, batch: int, figure: str, motion: str) -> Floats:
    """The poses of the training clips of an icon and motion, about `MAX_CLIPS`: [N, 16, 4].

    The random numbers of a training step are a function of the seed and the step.
    """
    clips = load_clips()
    matches: list[Floats] = []
    for step in range(steps):
        rng = np.random.default_rng((seed, step))
        scenes = clips.scenes(batch, rng)
        if not any((one.figure, one.motion) == (figure, motion) for one in scenes):
            continue
        for one in scenes:  # the same order and generator as in `Clips.batch`
            poses = draw_poses(one.motion, rng)
            if (one.figure, one.motion) == (figure, motion):
                matches.append(poses)
        if len(matches) >= MAX_CLIPS:
            break
    return np.stack(matches) if matches else np.empty((0, CLIP_FRAMES, 4), np.float32)
