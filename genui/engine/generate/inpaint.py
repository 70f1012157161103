"""Drawing again only where a mask allows: the rest is held to a known clean picture."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from genui.errors import MisuseError


@dataclass(frozen=True)
class Held:
    """What may change, and what the rest is held to."""

    mask: Tensor = field(repr=False)  # bool [H, W], True where the picture may change
    known: Tensor = field(repr=False)  # [B, C, H, W]

    def over(self, x: Tensor, sigma: float, noise: Tensor) -> Tensor:
        """x inside the mask, and outside it what is known, at the same noise level.

        Lugmayr et al. 2022 (RePaint), eq. 8. `noise` is the same at every level, so that
        what lies outside follows one trajectory, as deterministic samplers need; at σ = 0
        it is the known picture exactly.
        """
        return torch.where(self.mask, x, self.known + sigma * noise)


def read_mask(mask: bytes, height: int, width: int, device: torch.device) -> Tensor:
    """bool [H, W] of one byte a pixel. Raises MisuseError for one that cannot be meant."""
    if len(mask) != height * width:
        raise MisuseError(
            f"mask of {len(mask)} bytes: give {height * width}, "
            f"one for each of {width}×{height} pixels"
        )
    pixels = np.frombuffer(mask, np.uint8)
    if pixels.max() > 1:
        raise MisuseError(f"mask holds {pixels.max()}: use 1 where the picture may change, else 0")
    if not pixels.any():
        raise MisuseError("mask of nothing: mark at least one pixel to draw again")
    if pixels.all():
        raise MisuseError("mask of everything: leave a pixel unmarked, or add noise without a mask")
    return torch.from_numpy(pixels.reshape(height, width).astype(bool)).to(device)
