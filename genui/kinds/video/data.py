"""Short clips of moving icons. Captions say which icon moves, how, and in what colours."""

import hashlib
import itertools
import math
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genui.base.errors import GenuiError, MisuseError
from genui.engine.data.captions import COLOURS
from genui.engine.data.icons import ICONS_MARGIN
from genui.engine.data.image_datasets import load_images
from genui.engine.data.image_files import SIDE
from genui.engine.data.images import blend, fingerprint
from genui.engine.data.preparation import QUIET, Preparation
from genui.kinds.video.recipe import VideoRecipe


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIGURES = _words(
    """
    airplane anchor anvil apple axe balloon bat bell bird bone book bowl bread broom brush bucket
    bus cactus candle candy car carrot cat cheese cherries church circle clock cloud cog cookie
    cow crown croissant cupcake diamond dog dolphin donkey drumstick duck egg elephant feather
    fire fish flag flash flask flower fork ghost guitar hammer hat heart helicopter hexagon home
    horse hook human kangaroo kettlebell key kite knife lamp laptop leaf lighthouse lightbulb
    lipstick lock lungs magnet medal microphone moon motorbike mouse mug muffin mushroom music
    mustache nail owl panda pear peanut pencil penguin phone pickaxe pig pin pinwheel pistol
    pizza pumpkin purse puzzle rabbit robot rocket rodent sack saxophone scissors scooter
    screwdriver seal shark sheep shield shirt shoe shovel shuriken skateboard skull snail snake
    snowflake snowman spear spider spoon star stocking sun sunglasses sword telescope television
    tie toothbrush tooth torch tortoise tractor train tree triangle trophy truck trumpet tulip
    turtle ufo umbrella unicorn violin volcano watch water whistle wrench
    """
)
"""Icons with single-word names."""

ROUND = frozenset(
    _words("bone candy circle clock cog hexagon pinwheel shuriken snowflake star sun watch")
)
"""Figures with rotational symmetry: they are never shown turning."""


# --- Motions: the pose of a figure in every frame ---------------------------------------------
# A pose is (x, y, size, angle): the centre of the figure and the side of the square around it, in
# pixels of a 32×32 frame, and its rotation in radians, counter-clockwise.
#
# A motion always begins at the same point of its path and goes the same way round; only position,
# size and length are random. From pure noise a model predicts the mean over all starting points,
# which would be a figure that stays where it is.

CLIP_FRAMES = 16
FPS = 10

Poses = NDArray[np.float32]
"""[16, 4]: x, y, size and angle in each frame."""

_PHASE = np.arange(CLIP_FRAMES) / CLIP_FRAMES  # of a loop: the last frame leads to the first
_SHARE = np.arange(CLIP_FRAMES) / (CLIP_FRAMES - 1)  # of the way from start to end

_Axis = float | NDArray[np.float64]


def _poses(x: _Axis, y: _Axis, size: _Axis, angle: _Axis = 0.0) -> Poses:
    return np.stack(np.broadcast_arrays(x, y, size, angle, np.zeros(CLIP_FRAMES))[:4], 1).astype(
        np.float32
    )


def _inside(rng: np.random.Generator, size: float) -> float:
    """A random coordinate at which a figure of that size lies inside the frame."""
    return rng.uniform(size / 2, SIDE - size / 2)


def _still(rng: np.random.Generator) -> Poses:
    size = rng.uniform(13, 20)
    return _poses(_inside(rng, size), _inside(rng, size), size)


def _move(rng: np.random.Generator, vertical: bool, reverse: bool) -> Poses:
    """From one side of the frame to the other: up or left, with `reverse` down or right."""
    size = rng.uniform(13, 16)
    start = SIDE - size / 2 - rng.uniform(0, 3)
    end = size / 2 + rng.uniform(0, 3)
    fixed = _inside(rng, size)
    moving = start + (end - start) * _SHARE
    if reverse:
        moving = SIDE - moving
    return _poses(fixed, moving, size) if vertical else _poses(moving, fixed, size)


def _orbit(rng: np.random.Generator) -> Poses:
    """One clockwise round, from the top."""
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
    """One clockwise turn about its own centre, upright at first."""
    size = rng.uniform(16, 20)
    diameter = size * 1.15  # room for the corners
    angle = -2 * math.pi * _PHASE
    return _poses(_inside(rng, diameter), _inside(rng, diameter), size, angle)


MOTIONS: Mapping[str, tuple[str, Callable[[np.random.Generator], Poses]]] = types.MappingProxyType(
    {
        "still": ("standing still", _still),
        "up": ("moving up", partial(_move, vertical=True, reverse=False)),
        "down": ("moving down", partial(_move, vertical=True, reverse=True)),
        "left": ("moving left", partial(_move, vertical=False, reverse=False)),
        "right": ("moving right", partial(_move, vertical=False, reverse=True)),
        "orbit": ("orbiting", _orbit),
        "bounce": ("bouncing", _bounce),
        "grow": ("growing", _grow),
        "shrink": ("shrinking", _shrink),
        "turn": ("turning", _turn),
    }
)
"""Name to the words for it in a caption, and a function that returns random poses."""


def draw_poses(motion: str, rng: np.random.Generator) -> Poses:
    """Poses [16, 4] of a motion; position, distance and size are drawn from `rng`."""
    return MOTIONS[motion][1](rng)


# --- Captioned clips of 16 frames, 32×32 RGB, as training batches -----------------------------
# A caption such as "red heart moving up on black" names a colour, an icon, its motion and a
# background colour. Some pairs of icon and motion, and some pairs of colours, are held out.

INNER = SIDE - 2 * ICONS_MARGIN  # pixels of an icon's image that correspond to a pose's `size`
PADDED = 48  # pixels, so that no corner is cut off by a rotation
HELD_MOTIONS = 10  # one in so many pairs of icon and motion is held out
UNSAID = 0.5  # share of the captions of still clips that leave out "standing still"
SHORT = 0.2  # share of captions that say "up" instead of "moving up"

_COLOURS: NDArray[np.float32] = np.divide(list(COLOURS.values()), 255, dtype=np.float32)  # [10, 3]
_NAMES = tuple(COLOURS)


class Scene(NamedTuple):
    figure: str
    motion: str
    colour: str
    ground: str

    @property
    def caption(self) -> str:
        """The full caption: "red heart moving up on black"."""
        return f"{self.colour} {self.figure} {MOTIONS[self.motion][0]} on {self.ground}"


class ClipBatch(NamedTuple):
    """B training examples."""

    captions: list[str]
    clips: NDArray[np.float32]  # [B, 16, 3, 32, 32] in -1 to 1
    shapes: NDArray[np.float32]  # [B, 32, 32]: the figure's alpha, upright, full size, 0 to 1
    poses: NDArray[np.float32]  # [B, 16, 4]


@dataclass(frozen=True, eq=False, kw_only=True)
class Clips:
    """A set of figures and the motions of each."""

    name: str
    licence: str
    fingerprint: str
    alpha: NDArray[np.uint8] = field(repr=False)  # [N, 32, 32]
    figures: tuple[str, ...]
    trained: tuple[tuple[int, str], ...] = field(repr=False)  # (figure, motion)
    held_out: tuple[tuple[int, str], ...] = field(repr=False)
    trained_colours: tuple[tuple[str, str], ...] = field(repr=False)  # (figure, ground)
    held_colours: tuple[tuple[str, str], ...] = field(repr=False)

    def scenes(self, count: int, rng: np.random.Generator, held_out: bool = False) -> list[Scene]:
        """Random scenes, every motion equally likely.

        With `held_out` both the pair of figure and motion and the pair of colours are held out.
        """
        pairs = self.held_out if held_out else self.trained
        colours = self.held_colours if held_out else self.trained_colours
        by_motion = {m: [figure for figure, motion in pairs if motion == m] for m in MOTIONS}
        names = [m for m in MOTIONS if by_motion[m]]
        scenes = []
        for motion in rng.choice(names, count):
            figure = self.figures[rng.choice(by_motion[motion])]
            scenes.append(Scene(figure, str(motion), *colours[rng.integers(len(colours))]))
        return scenes

    def batch(self, scenes: Sequence[Scene], rng: np.random.Generator) -> ClipBatch:
        """Draw these scenes with random poses and one of their captions each."""
        poses = np.stack([draw_poses(scene.motion, rng) for scene in scenes])
        return ClipBatch(
            captions=self.captions(scenes, rng),
            clips=self.draw(scenes, poses),
            shapes=self.shapes(scenes),
            poses=poses,
        )

    def shapes(self, scenes: Sequence[Scene]) -> NDArray[np.float32]:
        """The figures' alphas [B, 32, 32], 0 to 1."""
        indices = [self.figures.index(scene.figure) for scene in scenes]
        return np.divide(self.alpha[indices], 255, dtype=np.float32)

    def captions(self, scenes: Sequence[Scene], rng: np.random.Generator) -> list[str]:
        """A caption for each scene, its wording varied at random."""
        return [_vary_caption(scene, rng) for scene in scenes]

    def draw(self, scenes: Sequence[Scene], poses: NDArray[np.float32]) -> NDArray[np.float32]:
        """Draw the figures in these poses [B, 16, 4]: [B, 16, 3, 32, 32] in -1 to 1."""
        pairs = zip(scenes, poses, strict=True)
        sources = np.stack([self._rotate(self.figures.index(s.figure), pose) for s, pose in pairs])
        columns = pixel_shares(poses[..., 0], poses[..., 2])  # [B, 16, 32, 48]
        rows = pixel_shares(poses[..., 1], poses[..., 2])  # [B, 16, 32, 48]
        alpha = (rows @ sources @ columns.swapaxes(-1, -2))[:, :, None]  # [B, 16, 1, 32, 32]
        ground = _colours([scene.ground for scene in scenes])
        figure = _colours([scene.colour for scene in scenes])
        return blend(figure, ground, alpha)

    def _rotate(self, figure: int, poses: Poses) -> NDArray[np.float32]:
        """The figure's rotated alpha in each frame: [16, 48, 48], 0 to 1."""
        padded = Image.new("L", (PADDED, PADDED))
        edge = (PADDED - SIDE) // 2
        padded.paste(Image.fromarray(self.alpha[figure]), (edge, edge))
        if not poses[:, 3].any():
            upright = np.divide(np.asarray(padded), 255, dtype=np.float32)
            return np.broadcast_to(upright, (CLIP_FRAMES, PADDED, PADDED))
        rotated = [
            np.asarray(padded.rotate(float(angle), Image.Resampling.BICUBIC))
            for angle in np.degrees(poses[:, 3])
        ]
        return np.divide(np.stack(rotated), 255, dtype=np.float32)


def load_clips() -> Clips:
    """Load `FIGURES`. Raises GenuiError if the icons are not installed."""
    icons = load_images("icons")
    index_of = {name: i for i, name in enumerate(icons.captions)}
    missing = [name for name in FIGURES if name not in index_of]
    if missing:
        raise GenuiError(
            f"the icons installed have no {missing[0]!r}: pip install "
            "'fonticon-materialdesignicons7>=7.2' or another version of it"
        )
    alpha = icons.rgba[[index_of[name] for name in FIGURES], :, :, 3]
    pairs = [
        (i, motion)
        for i, figure in enumerate(FIGURES)
        for motion in MOTIONS
        if not (motion == "turn" and figure in ROUND)
    ]
    held = {pair for pair in pairs if _is_held(FIGURES[pair[0]], pair[1])}
    colours = sorted(itertools.permutations(_NAMES, 2))
    return Clips(
        name="moving icons",
        licence=icons.licence,
        fingerprint=fingerprint(np.ascontiguousarray(alpha), (*FIGURES, *MOTIONS)),
        alpha=alpha,
        figures=FIGURES,
        trained=tuple(pair for pair in pairs if pair not in held),
        held_out=tuple(sorted(held)),
        trained_colours=tuple(pair for pair in colours if pair not in icons.held_pairs),
        held_colours=tuple(sorted(icons.held_pairs)),
    )


def check_clips(recipe: VideoRecipe, preparation: Preparation = QUIET) -> str:
    """Load the clips of a recipe and describe them in one line."""
    if recipe.data:
        raise MisuseError(
            f"--data {recipe.data}: the video recipe sets its own icons in motion and reads no "
            "folder; leave --data out"
        )
    return describe(load_clips())


def describe(clips: Clips) -> str:
    """Describe the clips, and how much of them is held out, in one line."""
    return (
        f"{clips.name}: {len(clips.figures)} icons, {len(MOTIONS)} motions, "
        f"{len(_NAMES)} colours; {len(clips.held_out)} of "
        f"{len(clips.held_out) + len(clips.trained)} pairs of icon and motion and "
        f"{len(clips.held_colours)} of {len(clips.held_colours) + len(clips.trained_colours)} "
        "of colours held out"
    )


def _vary_caption(scene: Scene, rng: np.random.Generator) -> str:
    """The caption of a scene, its wording varied at random."""
    unsaid, short = rng.random() < UNSAID, rng.random() < SHORT
    if scene.motion == "still" and unsaid:
        return f"{scene.colour} {scene.figure} on {scene.ground}"
    return scene.caption.replace(" moving ", " ") if short else scene.caption


def _is_held(figure: str, motion: str) -> bool:
    """Whether a pair is held out: one in `HELD_MOTIONS`, but no figure that people try first."""
    digest = hashlib.sha256(f"{figure} {motion}".encode()).digest()
    return digest[0] % HELD_MOTIONS == 0 and figure not in ("heart", "star", "rocket")


def pixel_shares(centre: NDArray[np.float32], size: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights [..., 32, 48] of source pixels in the pixels of a frame, along one axis.

    For centres and sizes [...]. They are the overlaps of the pixels' areas, so that a shift by a
    tenth of a pixel shows.
    """
    scale = INNER / size[..., None, None]
    edges = np.arange(SIDE, dtype=np.float32)[:, None]
    low = (edges - centre[..., None, None]) * scale + PADDED / 2
    source = np.arange(PADDED, dtype=np.float32)
    overlap = np.minimum(low + scale, source + 1) - np.maximum(low, source)
    return np.divide(np.maximum(overlap, 0), scale, dtype=np.float32)


def _colours(names: Sequence[str]) -> NDArray[np.float32]:
    """Colours by name, [B, 1, 3, 1, 1], 0 to 1."""
    return _COLOURS[[_NAMES.index(name) for name in names]][:, None, :, None, None]


def vocabulary_captions() -> tuple[str, ...]:
    """Captions with every word that a model of clips needs."""
    return (*FIGURES, *(words for words, _ in MOTIONS.values()), *_NAMES)
