"""Whether a video model's clips are what their captions say: the icon, its motion, its colours."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genui.engine.data.motion import Clips, Scene, load_clips
from genui.engine.data.pictures import as_pixels
from genui.engine.generate.diffusion import DiffusionGenerator
from genui.engine.generate.video_medium import to_clips
from genui.engine.probes.distance import copying_share
from genui.engine.probes.tracking import Track, Tracker, motion_of
from genui.protocol import ImageSettings
from genui.recipes.video import VideoRecipe

SAMPLES = 200  # of pairs that were trained
HELD_SAMPLES = 100  # of those held out
BATCH = 20
SETTINGS = ImageSettings(steps=12, guidance=2.0)
COMPARED = 1000  # clips trained on, and as many others, that copying is judged against
COARSE = 4  # pixels along a side that are one where clips are compared


@dataclass(frozen=True)
class Seen:
    """A clip beside what was asked for."""

    scene: Scene
    track: Track

    @property
    def motion(self) -> str:
        """What it does, as far as can be measured."""
        return motion_of(self.track)

    @property
    def moves_right(self) -> bool:
        return self.motion == self.scene.motion

    @property
    def stays_itself(self) -> bool:
        """The nearest icon of the first frame is that of the last."""
        return self.track.first == self.track.last

    @property
    def is_right(self) -> bool:
        """It begins and ends as the icon that was asked for."""
        return self.track.first == self.track.last == self.scene.figure

    @property
    def coloured_right(self) -> bool:
        return (self.track.colour, self.track.ground) == (self.scene.colour, self.scene.ground)


def measure_clips(generator: DiffusionGenerator, recipe: VideoRecipe) -> dict[str, str]:
    """Right motion, same object, right icon and colours; for pairs held out; how much is copied."""
    clips = load_clips()
    rng = np.random.default_rng(0)
    scenes = clips.scenes(SAMPLES, rng)
    drawn = draw(generator, scenes)
    trained = look(clips, scenes, drawn)
    unseen = clips.scenes(HELD_SAMPLES, rng, held_out=True)
    held = look(clips, unseen, draw(generator, unseen))
    return {
        "motion right": percent(trained, lambda seen: seen.moves_right),
        "same object": percent(trained, lambda seen: seen.stays_itself),
        "right icon": percent(trained, lambda seen: seen.is_right),
        "colours right": percent(trained, lambda seen: seen.coloured_right),
        "held-out motion": percent(held, lambda seen: seen.moves_right),
        "held-out icon": percent(held, lambda seen: seen.is_right),
        "held-out colours": percent(held, lambda seen: seen.coloured_right),
        "copied": f"{copied(clips, scenes, drawn, recipe.seed):.2f} nearer to trained clips than "
        "to others (0.5: nothing)",
    }


def draw(
    generator: DiffusionGenerator,
    scenes: Sequence[Scene],
    settings: ImageSettings = SETTINGS,
    told: Callable[[int], None] = lambda done: None,
) -> NDArray[np.uint8]:
    """A clip of each scene [N, 16, 32, 32, 3], seeds 0, 1, …; `told` hears how many there are."""
    parts = []
    for start in range(0, len(scenes), BATCH):
        captions = [scene.caption for scene in scenes[start : start + BATCH]]
        seeds = list(range(start, start + len(captions)))
        parts.append(to_clips(generator.denoised(captions, seeds, settings)))
        told(start + len(captions))
    return np.concatenate(parts)


def look(clips: Clips, scenes: Sequence[Scene], drawn: NDArray[np.uint8]) -> list[Seen]:
    """Each clip tracked, beside its scene."""
    tracker = Tracker(clips)
    return [Seen(scene, tracker.track(clip)) for scene, clip in zip(scenes, drawn, strict=True)]


def percent(seen: Sequence[Seen], right: Callable[[Seen], bool]) -> str:
    """The share of clips, as "97 % of 120"."""
    return f"{100 * np.mean([right(one) for one in seen]):.0f}% of {len(seen)}"


def real(clips: Clips, scenes: Sequence[Scene], *seed: int) -> NDArray[np.uint8]:
    """Clips of scenes as those that were trained on: uint8 [N, 16, 32, 32, 3]."""
    return as_pixels(clips.batch(scenes, np.random.default_rng(seed)).clips)


def copied(clips: Clips, scenes: Sequence[Scene], drawn: NDArray[np.uint8], seed: int) -> float:
    """The share of clips nearer to those trained on than to as many of the same kind.

    Both are of the very same scenes, so that only where and how a figure moves can tell.
    """
    times = -(-COMPARED // len(scenes))
    rows = _coarse(drawn)
    trained = np.concatenate([_coarse(real(clips, scenes, seed, n)) for n in range(times)])
    others = np.concatenate([_coarse(real(clips, scenes, seed + 1, n)) for n in range(times)])
    return copying_share(rows, trained, others)


def _coarse(clip: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Clips as rows: each square of pixels by its mean colour."""
    side = clip.shape[2] // COARSE
    squares = clip.reshape(*clip.shape[:2], side, COARSE, side, COARSE, 3).mean(axis=(3, 5))
    return squares.reshape(len(clip), -1).astype(np.float32)
