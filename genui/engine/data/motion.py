"""Icons set in motion: captioned clips of 16 frames, 32×32 RGB, as training batches.

"red heart moving up on black": a colour, an icon, what it does, a colour. A share of the
pairs of icon and motion, and of the pairs of colours, is never trained.
"""

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genui.engine.data.figures import FIGURES, ROUND
from genui.engine.data.icons import MARGIN, load_icons
from genui.engine.data.motions import FRAMES, MOTIONS, Poses, draw_poses
from genui.engine.data.palette import COLOURS
from genui.engine.data.pictures import SIDE, fingerprint
from genui.errors import GenuiError, MisuseError
from genui.recipes.video import VideoRecipe

INNER = SIDE - 2 * MARGIN  # pixels of an icon's own picture that are a pose's `size`
PADDED = 48  # pixels, so that no corner is cut off when it turns
HELD_MOTIONS = 10  # one of so many pairs of icon and motion is never trained
UNSAID = 0.5  # share of clips that stand still whose caption does not say so
SHORT = 0.2  # share of captions that say "up" rather than "moving up"

_COLOURS: NDArray[np.float32] = np.divide(list(COLOURS.values()), 255, dtype=np.float32)  # [10, 3]
_NAMES = tuple(COLOURS)


class Scene(NamedTuple):
    """What a clip shows."""

    figure: str
    motion: str
    colour: str
    ground: str

    @property
    def caption(self) -> str:
        """In full: "red heart moving up on black"."""
        return f"{self.colour} {self.figure} {MOTIONS[self.motion][0]} on {self.ground}"


class ClipBatch(NamedTuple):
    """B training examples."""

    captions: list[str]
    clips: NDArray[np.float32]  # [B, 16, 3, 32, 32] in -1 to 1
    shapes: NDArray[np.float32]  # [B, 32, 32]: the figure's alpha, upright and large, 0 to 1
    poses: NDArray[np.float32]  # [B, 16, 4], as `motions` has them


@dataclass(frozen=True, eq=False, kw_only=True)
class Clips:
    """A set of figures and every way they may move."""

    name: str
    licence: str
    fingerprint: str
    alpha: NDArray[np.uint8] = field(repr=False)  # [N, 32, 32]
    figures: tuple[str, ...]
    trained: tuple[tuple[int, str], ...] = field(repr=False)  # (figure, motion)
    held_out: tuple[tuple[int, str], ...] = field(repr=False)
    trained_colours: tuple[tuple[str, str], ...] = field(repr=False)  # (figure's, ground's)
    held_colours: tuple[tuple[str, str], ...] = field(repr=False)

    def scenes(self, count: int, rng: np.random.Generator, held_out: bool = False) -> list[Scene]:
        """Scenes drawn from `rng`, every motion as often as any other.

        With `held_out` neither the pair of figure and motion nor that of the colours was
        ever trained together.
        """
        pairs = self.held_out if held_out else self.trained
        colours = self.held_colours if held_out else self.trained_colours
        by_motion = {m: [f for f, of in pairs if of == m] for m in MOTIONS}
        names = [m for m in MOTIONS if by_motion[m]]
        found = []
        for motion in rng.choice(names, count):
            figure = self.figures[rng.choice(by_motion[motion])]
            found.append(Scene(figure, str(motion), *colours[rng.integers(len(colours))]))
        return found

    def batch(self, scenes: Sequence[Scene], rng: np.random.Generator) -> ClipBatch:
        """These scenes as clips, where and how fast they move drawn from `rng`."""
        poses = np.stack([draw_poses(scene.motion, rng) for scene in scenes])
        return ClipBatch(
            captions=self.captions(scenes, rng),
            clips=self.draw(scenes, poses),
            shapes=self.shapes(scenes),
            poses=poses,
        )

    def shapes(self, scenes: Sequence[Scene]) -> NDArray[np.float32]:
        """The figures' alphas [B, 32, 32], 0 to 1."""
        numbers = [self.figures.index(scene.figure) for scene in scenes]
        return np.divide(self.alpha[numbers], 255, dtype=np.float32)

    def captions(self, scenes: Sequence[Scene], rng: np.random.Generator) -> list[str]:
        """A caption each, in one of the ways it may be said."""
        return [_said(scene, rng) for scene in scenes]

    def draw(self, scenes: Sequence[Scene], poses: NDArray[np.float32]) -> NDArray[np.float32]:
        """Clips [B, 16, 3, 32, 32] in -1 to 1 of figures in these poses [B, 16, 4]."""
        sources = np.stack(
            [
                self._turned(self.figures.index(scene.figure), of)
                for scene, of in zip(scenes, poses, strict=True)
            ]
        )
        columns = pixel_shares(poses[..., 0], poses[..., 2])
        rows = pixel_shares(poses[..., 1], poses[..., 2])
        alpha = (rows @ sources @ columns.swapaxes(-1, -2))[:, :, None]  # [B, 16, 1, 32, 32]
        below = _colours([scene.ground for scene in scenes])
        above = _colours([scene.colour for scene in scenes])
        clips: NDArray[np.float32] = np.multiply(alpha, above - below, dtype=np.float32)
        clips += below
        clips *= 2
        clips -= 1
        return clips

    def _turned(self, figure: int, poses: Poses) -> NDArray[np.float32]:
        """The figure's alpha in each frame, turned: [16, 48, 48], 0 to 1."""
        padded = Image.new("L", (PADDED, PADDED))
        edge = (PADDED - SIDE) // 2
        padded.paste(Image.fromarray(self.alpha[figure]), (edge, edge))
        if not poses[:, 3].any():
            upright = np.divide(np.asarray(padded), 255, dtype=np.float32)
            return np.broadcast_to(upright, (FRAMES, PADDED, PADDED))
        turned = [
            padded.rotate(float(angle), Image.Resampling.BICUBIC)
            for angle in np.degrees(poses[:, 3])
        ]
        return np.divide(np.stack([np.asarray(each) for each in turned]), 255, dtype=np.float32)


def load_clips() -> Clips:
    """The figures of `FIGURES`. Raises GenuiError where the icons are not installed."""
    icons = load_icons()
    known = {name: i for i, name in enumerate(icons.captions)}
    missing = [name for name in FIGURES if name not in known]
    if missing:
        raise GenuiError(
            f"the icons installed have no {missing[0]!r}: pip install "
            "'fonticon-materialdesignicons7>=7.2' or another version of it"
        )
    alpha = icons.rgba[[known[name] for name in FIGURES], :, :, 3]
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


def check_clips(recipe: VideoRecipe) -> str:
    """One line describing the clips a recipe would train on, having read them."""
    if recipe.data:
        raise MisuseError(
            f"--data {recipe.data}: the video recipe sets its own icons in motion and reads no "
            "folder; leave --data out"
        )
    return describe(load_clips())


def describe(clips: Clips) -> str:
    """What they are and what of them is held out, in one line."""
    return (
        f"{clips.name}: {len(clips.figures)} icons, {len(MOTIONS)} motions, "
        f"{len(_NAMES)} colours; {len(clips.held_out)} of "
        f"{len(clips.held_out) + len(clips.trained)} pairs of icon and motion and "
        f"{len(clips.held_colours)} of {len(clips.held_colours) + len(clips.trained_colours)} "
        "of colours held out"
    )


def _said(scene: Scene, rng: np.random.Generator) -> str:
    """Its caption in one of the ways that a person may put it."""
    bare, short = rng.random() < UNSAID, rng.random() < SHORT
    if scene.motion == "still" and bare:
        return f"{scene.colour} {scene.figure} on {scene.ground}"
    return scene.caption.replace(" moving ", " ") if short else scene.caption


def _is_held(figure: str, motion: str) -> bool:
    """One in `HELD_MOTIONS`, the same on every machine; what people try first is trained."""
    digest = hashlib.sha256(f"{figure} {motion}".encode()).digest()
    return digest[0] % HELD_MOTIONS == 0 and figure not in ("heart", "star", "rocket")


def pixel_shares(centre: NDArray[np.float32], size: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much of each source pixel every pixel of a frame takes along one axis.

    [..., 32, 48] for centres and sizes [...]: the overlap of their areas, so that a figure
    moved by a tenth of a pixel looks so.
    """
    scale = INNER / size[..., None, None]
    edges = np.arange(SIDE, dtype=np.float32)[:, None]
    low = (edges - centre[..., None, None]) * scale + PADDED / 2
    source = np.arange(PADDED, dtype=np.float32)
    overlap = np.minimum(low + scale, source + 1) - np.maximum(low, source)
    return np.divide(np.maximum(overlap, 0), scale, dtype=np.float32)


def _colours(names: Sequence[str]) -> NDArray[np.float32]:
    """[B, 1, 3, 1, 1], 0 to 1."""
    return _COLOURS[[_NAMES.index(name) for name in names]][:, None, :, None, None]


def vocabulary_captions() -> tuple[str, ...]:
    """Captions with every word that a model of clips is to know."""
    return (*FIGURES, *(words for words, _ in MOTIONS.values()), *_NAMES)
