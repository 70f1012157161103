"""What a person sees of pictures under way: bytes, no tensors."""

import math

import numpy as np
import torch
from torch import Tensor

from genui.engine.generate.diffusion_state import DiffusionState
from genui.engine.models.dit import SIDE
from genui.protocol import ImageFrame

NOISE_SHOWN = 3.0  # standard deviations either side of mid-grey


def picture_frame(state: DiffusionState, spread: float) -> ImageFrame:
    """The state's pictures side by side; `spread` is the standard deviation of clean ones."""
    sigma, columns = state.sigma, state.grid.columns
    # The noisy picture is scaled to the spread of a clean one, or it would be all black
    # and white.
    x = state.x * spread / math.hypot(sigma, spread)
    noise = (state.x - state.guess) / sigma if sigma else torch.zeros_like(x)
    return ImageFrame(
        trace=0,  # the trace numbers its frames
        step=state.step,
        sigma=sigma,
        width=columns * SIDE,
        height=len(state.rows) // columns * SIDE,
        x=_sheet(x, columns),
        guess=_sheet(state.guess, columns),
        noise=_sheet(noise / NOISE_SHOWN, columns),
    )


def to_rgb(x: Tensor) -> np.ndarray:
    """Pictures [B, 3, H, W], or grey ones [B, 1, H, W], in -1 to 1 as uint8 [B, H, W, 3]."""
    scaled = ((x.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return scaled.permute(0, 2, 3, 1).expand(-1, -1, -1, 3).cpu().numpy()


def from_rgb(rgb: bytes) -> Tensor:
    """A picture of 32×32 RGB as [3, 32, 32] in -1 to 1."""
    pixels = np.frombuffer(rgb, np.uint8).reshape(SIDE, SIDE, 3).transpose(2, 0, 1)
    return torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1)


def _sheet(x: Tensor, columns: int) -> bytes:
    """Pictures [B, C, H, W] as one, `columns` of them side by side: RGB, row by row."""
    rgb = to_rgb(x)
    return rgb.reshape(-1, columns, *rgb.shape[1:]).swapaxes(1, 2).tobytes()
