"""Clips as what is denoised: 16 frames of 32×32 RGB, time folded into the channels."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genui.engine.data.captions import split_words
from genui.engine.data.figures import FIGURES
from genui.engine.data.motions import FRAMES, MOTIONS
from genui.engine.data.pictures import as_floats
from genui.engine.generate.diffusion_state import DiffusionState
from genui.engine.generate.medium import Opening
from genui.engine.generate.picture_frame import shown
from genui.engine.generate.pixels import to_rgb
from genui.engine.generate.video_start import named_motion, opening_clip
from genui.engine.models.dit import SIDE
from genui.engine.models.video_dit import CHANNELS
from genui.protocol import ImageFrame, Picture
from genui.recipes.video import VideoRecipe

FIGURES_KNOWN = frozenset(FIGURES)
_MOTION_WORDS = tuple(words for words, _ in MOTIONS.values())[1:]  # but for standing still


@dataclass(frozen=True)
class VideoMedium:
    """Clips; `recipe` says what a model was trained on, to begin from its data."""

    recipe: VideoRecipe | None = None

    medium = "video"
    shape = (CHANNELS, SIDE, SIDE)

    def parts(self, caption: str) -> tuple[str, ...]:
        return (caption,)

    def note(self, caption: str) -> str:
        """What of a clip the caption leaves open: which icon, and how it moves."""
        words = split_words(caption)
        if not words:
            return ""
        if not FIGURES_KNOWN & set(words):
            return "no icon is named that this model knows (as in: red heart moving up on black)"
        if named_motion(caption):
            return ""
        return f"no motion is named, so it stands still: {', '.join(_MOTION_WORDS)}"

    def frame(self, state: DiffusionState, spread: float) -> ImageFrame:
        """The state's clips side by side: each picture shows all of them at one time."""
        columns = state.grid.columns
        x, noise = shown(state, spread)
        return ImageFrame(
            trace=0,  # the trace numbers its frames
            step=state.step,
            sigma=state.sigma,
            width=columns * SIDE,
            height=len(state.rows) // columns * SIDE,
            pictures=FRAMES,
            x=_film(x, columns),
            guess=_film(state.denoised, columns),
            noise=_film(noise, columns),
        )

    def opening(self, init: Picture | str, caption: str) -> Opening:
        picture, note = opening_clip(init, caption, self.recipe)
        return Opening(picture, from_strip(picture), note)


def to_clips(x: Tensor) -> np.ndarray:
    """[B, 48, 32, 32] in -1 to 1 as uint8 [B, 16, 32, 32, 3]."""
    frames = x.unflatten(1, (FRAMES, 3)).flatten(0, 1)
    return to_rgb(frames).reshape(-1, FRAMES, SIDE, SIDE, 3)


def from_strip(picture: Picture) -> Tensor:
    """[48, 32, 32] in -1 to 1 of 16 pictures one below the other, or of one that stands still."""
    pixels = np.frombuffer(picture.rgb, np.uint8).reshape(-1, SIDE, SIDE, 3)
    frames = as_floats(np.broadcast_to(pixels, (FRAMES, SIDE, SIDE, 3)))
    return torch.from_numpy(frames.reshape(CHANNELS, SIDE, SIDE))


def _film(x: Tensor, columns: int) -> bytes:
    """Clips as pictures one after the other, in each all clips, `columns` of them a row: RGB."""
    clips = to_clips(x)  # [B, T, H, W, 3]
    cells = clips.reshape(-1, columns, FRAMES, SIDE, SIDE, 3)
    return cells.transpose(2, 0, 3, 1, 4, 5).tobytes()
