"""The clip that a trace begins from: a picture that stands still, or a clip of the data."""

import os
from pathlib import Path

import numpy as np

from genui.engine.data.captions import split_words
from genui.engine.data.motion import Scene, load_clips
from genui.engine.data.motions import FRAMES, MOTIONS, draw_poses
from genui.engine.data.palette import COLOURS
from genui.engine.data.pictures import SIDE, as_pixels
from genui.engine.generate.picture_start import check_bytes, ground_in, read
from genui.errors import MisuseError
from genui.protocol import FROM_DATA, Picture
from genui.recipes.video import VideoRecipe
from genui.render.sanitise import clean_line


def opening_clip(
    init: Picture | str, caption: str, recipe: VideoRecipe | None
) -> tuple[Picture, str]:
    """`Start.init` as 16 pictures 32×32 one below the other, or one; and what was done for it.

    Raises MisuseError where there is none to be had, GenuiError where the icons are missing.
    """
    if isinstance(init, Picture):
        return _checked(init), ""
    if init == FROM_DATA:
        if recipe is None:
            raise MisuseError("this model does not say what it was trained on: name a picture")
        return _trained(caption)
    picture, note = read(Path(os.path.expanduser(init)))
    still = "a picture that stands still through the clip"
    return picture, f"{note}; {still}" if note else still


def scene_of(caption: str) -> Scene | None:
    """What a caption names, or None where it names no figure.

    Where it names no motion, the figure stands still; no ground, the default one; no colour,
    white or black.
    """
    words = split_words(caption)
    figures = [word for word in words if word in load_clips().figures]
    if not figures:
        return None
    ground = ground_in(words)
    colours = [word for word in words[:1] if word in COLOURS and word != ground]
    colour = colours[0] if colours else ("black" if ground == "white" else "white")
    return Scene(figures[0], named_motion(caption) or "still", colour, ground)


def named_motion(caption: str) -> str:
    """The motion that a caption names by the last of its words, as "up"; "" where by none."""
    words = split_words(caption)
    return next((m for m, (said, _) in MOTIONS.items() if said.split()[-1] in words), "")


def _trained(caption: str) -> tuple[Picture, str]:
    """A clip as those that were trained on, of what the caption names."""
    scene = scene_of(caption)
    if scene is None:
        raise MisuseError(
            f"no icon of the clips is named in {clean_line(caption)!r}; "
            "name one, as in 'red heart moving up on black', or give a picture"
        )
    poses = draw_poses(scene.motion, np.random.default_rng(0))
    rgb = as_pixels(load_clips().draw([scene], poses[None])[0])
    picture = Picture(width=SIDE, height=FRAMES * SIDE, rgb=rgb.tobytes())
    return picture, f"begins from a training clip, “{scene.caption}”"


def _checked(picture: Picture) -> Picture:
    fitting = ((SIDE, SIDE), (SIDE, FRAMES * SIDE))
    if (picture.width, picture.height) not in fitting:
        raise MisuseError(
            f"the picture to begin from is {picture.width}×{picture.height}: give {SIDE}×{SIDE}, "
            f"or {FRAMES} such frames one below the other"
        )
    check_bytes(picture)
    return picture
