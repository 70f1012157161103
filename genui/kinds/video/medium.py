"""Clips of 16 frames of 32×32 RGB, whose time is folded into the channels, as a `Medium`."""

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genui.base.errors import MisuseError
from genui.base.text import clean_line
from genui.engine.data.captions import COLOURS, split_words
from genui.engine.data.image_files import SIDE
from genui.engine.data.images import as_floats, as_pixels
from genui.engine.models.dit import DIT_SIDE
from genui.engine.sample.diffusion import DiffusionParts
from genui.engine.sample.diffusion_state import DiffusionState
from genui.engine.sample.media import (
    ImageMedium,
    InitialImage,
    check_bytes,
    find_colour,
    find_ground,
    grid_frame,
    read_image,
    scale_for_display,
    to_rgb,
)
from genui.kinds.video.data import CLIP_FRAMES, FIGURES, MOTIONS, Scene, draw_poses, load_clips
from genui.kinds.video.network import CHANNELS, build_video_denoiser
from genui.protocol import FROM_DATA, ImageFrame, RgbImage

_STILL_WORDS = {*FIGURES, *COLOURS, "on"}  # of the captions of clips in which nothing moves
_MOTION_WORDS = tuple(words for words, _ in MOTIONS.values())[1:]  # all but standing still


class VideoMedium(ImageMedium):
    medium = "video"

    @property
    def shape(self) -> tuple[int, int, int]:
        return (CHANNELS, DIT_SIDE, DIT_SIDE)

    def note(self, caption: str) -> str:
        """A remark if the caption names no icon or no motion."""
        words = split_words(caption)
        if not words:
            return ""
        if not set(FIGURES) & set(words):
            return "no icon is named that this model knows (as in: red heart moving up on black)"
        if _find_motion(caption):
            return ""
        then = "so it stands still" if set(words) <= _STILL_WORDS else "so it moves as it may"
        return f"no motion is named that this model knows, {then}: {', '.join(_MOTION_WORDS)}"

    def frame(self, state: DiffusionState, sigma_data: float) -> ImageFrame:
        """The clips side by side; each of the frame's images shows all of them at one time."""
        x, noise = scale_for_display(state, sigma_data)
        return grid_frame(state, to_clips(x), to_clips(state.denoised), to_clips(noise))

    def load_init(self, init: RgbImage | str, caption: str) -> InitialImage:
        image, note = initial_clip(init, caption)
        return InitialImage(image, _strip_to_tensor(image), note)


def to_clips(x: Tensor) -> np.ndarray:
    """[B, 48, 32, 32] in -1 to 1 as uint8 [B, 16, 32, 32, 3]."""
    frames = x.unflatten(1, (CLIP_FRAMES, 3)).flatten(0, 1)
    return to_rgb(frames).reshape(-1, CLIP_FRAMES, DIT_SIDE, DIT_SIDE, 3)


def _strip_to_tensor(image: RgbImage) -> Tensor:
    """[48, 32, 32] in -1 to 1 from 16 images one below the other, or from one still image."""
    pixels = np.frombuffer(image.rgb, np.uint8).reshape(-1, DIT_SIDE, DIT_SIDE, 3)
    frames = as_floats(np.broadcast_to(pixels, (CLIP_FRAMES, DIT_SIDE, DIT_SIDE, 3)))
    return torch.from_numpy(frames.reshape(CHANNELS, DIT_SIDE, DIT_SIDE))


def initial_clip(init: RgbImage | str, caption: str) -> tuple[RgbImage, str]:
    """`Start.init` as 16 images 32×32 one below the other, or one, and how it was found or
    converted. Raises MisuseError if it cannot be used, GenuiError if the icons are missing.
    """
    if isinstance(init, RgbImage):
        return _check_clip(init), ""
    if init == FROM_DATA:
        return _training_clip(caption)
    image, note = read_image(Path(os.path.expanduser(init)))
    still = "an image that stands still through the clip"
    return image, f"{note}; {still}" if note else still


def parse_scene(caption: str) -> Scene | None:
    """The scene of a caption, or None if it names no figure.

    By default the figure stands still, is white or black, and the ground has the default colour.
    """
    words = split_words(caption)
    figures = [word for word in words if word in load_clips().figures]
    if not figures:
        return None
    ground = find_ground(words)
    motion = _find_motion(caption) or "still"
    return Scene(figures[0], motion, find_colour(words, ground), ground)


def _find_motion(caption: str) -> str:
    """The first motion whose last word ("up") is in the caption; "" if there is none."""
    words = split_words(caption)
    return next((m for m, (phrase, _) in MOTIONS.items() if phrase.split()[-1] in words), "")


def _training_clip(caption: str) -> tuple[RgbImage, str]:
    """A clip like those of the training data, with the scene of the caption."""
    scene = parse_scene(caption)
    if scene is None:
        raise MisuseError(
            f"no icon of the clips is named in {clean_line(caption)!r}; "
            "name one, as in 'red heart moving up on black', or give an image"
        )
    poses = draw_poses(scene.motion, np.random.default_rng(0))
    rgb = as_pixels(load_clips().draw([scene], poses[None])[0])
    image = RgbImage(width=SIDE, height=CLIP_FRAMES * SIDE, rgb=rgb.tobytes())
    return image, f"starts from a training clip, “{scene.caption}”"


def _check_clip(image: RgbImage) -> RgbImage:
    if image.width != SIDE or image.height not in (SIDE, CLIP_FRAMES * SIDE):
        raise MisuseError(
            f"the image to start from is {image.width}×{image.height}: give {SIDE}×{SIDE}, "
            f"or {CLIP_FRAMES} such frames one below the other"
        )
    check_bytes(image)
    return image


CLIPS = DiffusionParts(build_video_denoiser, lambda recipe, described: VideoMedium())
"""What clips add to diffusion models."""
