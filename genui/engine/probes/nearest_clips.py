"""The clips that a video model was trained on and that one of its own is most like."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from genui.edits import in_force
from genui.engine.data.motion import Scene, load_clips
from genui.engine.data.motions import FRAMES, draw_poses
from genui.engine.data.pictures import as_pixels
from genui.engine.generate.trace import Trace
from genui.engine.generate.video_start import scene_of
from genui.errors import MisuseError
from genui.protocol import ImageFrame, Neighbour, Neighbours
from genui.recipes.video import VideoRecipe
from genui.render.film import four
from genui.render.sanitise import clean_line

MEASURED = "root mean square of the colours' differences over all 16 frames, 0 to 255"
MOST = 200  # clips compared

Poses = NDArray[np.float32]


def nearest_clips(recipe: VideoRecipe, trace: Trace, step: int, count: int) -> Neighbours:
    """The trained clips of the caption's icon and motion nearest to the clip at `step`.

    They are drawn anew from the numbers that the training drew, in the caption's colours.
    Raises MisuseError for a grid, and for a caption that names no icon.
    """
    frame = trace.generator.frame(trace.state(step))
    if not isinstance(frame, ImageFrame) or frame.pictures != FRAMES or trace.request.grid:
        raise MisuseError("one clip is compared, and not a grid: draw one")
    caption = in_force(trace.request, step)[0]
    scene = scene_of(caption)
    if scene is None:
        raise MisuseError(f"“{clean_line(caption, 40)}” names no icon that was trained")
    clips = load_clips()
    poses = _trained(recipe.seed, recipe.steps, recipe.batch, scene.figure, scene.motion)
    where = f"{clips.name}, {len(poses)} trained clips of {scene.figure} {scene.motion}"
    if not len(poses):
        return Neighbours(trace=0, step=0, data=where, measured=MEASURED)
    shape = (FRAMES, frame.height, frame.width, 3)
    drawn = np.frombuffer(frame.guess, np.uint8).reshape(shape).astype(np.float32)
    theirs = as_pixels(clips.draw([scene] * len(poses), poses))
    distances = np.sqrt(((theirs - drawn) ** 2).mean(axis=(1, 2, 3, 4)))
    order = np.argsort(distances, kind="stable")[:count]
    return Neighbours(
        trace=0,
        step=0,
        data=where,
        measured=MEASURED,
        pictures=tuple(_neighbour(scene, theirs[i], float(distances[i])) for i in order),
    )


def _neighbour(scene: Scene, clip: NDArray[np.uint8], distance: float) -> Neighbour:
    shown = four(clip)
    height, width, _ = shown.shape
    return Neighbour(
        caption=scene.caption, distance=distance, width=width, height=height, rgb=shown.tobytes()
    )


@lru_cache(maxsize=8)
def _trained(seed: int, steps: int, batch: int, figure: str, motion: str) -> Poses:
    """[N, 16, 4]: the poses of every trained clip of that icon and motion, up to `MOST`.

    What is random in a step is drawn from the seed and its number, so any step can be told again.
    """
    clips = load_clips()
    found: list[Poses] = []
    for step in range(steps):
        rng = np.random.default_rng((seed, step))
        scenes = clips.scenes(batch, rng)
        if not any((one.figure, one.motion) == (figure, motion) for one in scenes):
            continue
        for one in scenes:  # in the order of `Clips.batch`, from the same generator
            poses = draw_poses(one.motion, rng)
            if (one.figure, one.motion) == (figure, motion):
                found.append(poses)
        if len(found) >= MOST:
            break
    return np.stack(found) if found else np.empty((0, FRAMES, 4), np.float32)
