"""What a person sees of pictures under way: bytes, no tensors."""

import math

import numpy as np
import torch
from torch import Tensor

from genui.engine.data.pictures import as_floats
from genui.engine.generate.diffusion_state import DiffusionState
from genui.engine.generate.pixels import sheet, to_rgb
from genui.engine.models.dit import SIDE
from genui.protocol import ImageFrame

NOISE_SHOWN = 3.0  # standard deviations either side of mid-grey


def picture_frame(state: DiffusionState, spread: float) -> ImageFrame:
    """The state's pictures side by side; `spread` is the standard deviation of clean ones."""
    columns = state.grid.columns
    x, noise = shown(state, spread)
    return ImageFrame(
        trace=0,  # the trace numbers its frames
        step=state.step,
        sigma=state.sigma,
        width=columns * SIDE,
        height=len(state.rows) // columns * SIDE,
        x=sheet(to_rgb(x), columns),
        guess=sheet(to_rgb(state.denoised), columns),
        noise=sheet(to_rgb(noise), columns),
    )


def shown(state: DiffusionState, spread: float) -> tuple[Tensor, Tensor]:
    """The noisy arrays and the noise that is seen in them, each to be shown from -1 to 1.

    The noisy ones are scaled to the spread of clean ones, or they would be all black and white.
    """
    sigma = state.sigma
    x = state.x * spread / math.hypot(sigma, spread)
    noise = (state.x - state.denoised) / sigma if sigma else torch.zeros_like(x)
    return x, noise / NOISE_SHOWN


def from_rgb(rgb: bytes) -> Tensor:
    """A picture of 32×32 RGB as [3, 32, 32] in -1 to 1."""
    return torch.from_numpy(as_floats(np.frombuffer(rgb, np.uint8).reshape(SIDE, SIDE, 3)))
