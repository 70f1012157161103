"""Pictures moved, scaled and mirrored at random, so that a network learns kinds and not copies."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def augment(rgb: Tensor, rng: np.random.Generator, shift: float, zoom: float, flip: bool) -> Tensor:
    """[B, C, H, W] each in its own place: moved up to `shift` pixels, scaled by 1 ± `zoom`.

    With `flip` half of them are mirrored. What comes in from outside has the border's colour.
    """
    if not (shift or zoom or flip):
        return rgb
    count, _, height, width = rgb.shape
    scale = 1 + rng.uniform(-zoom, zoom, count)
    mirrored = np.where(rng.random(count) < 0.5, -1.0, 1.0) if flip else np.ones(count)
    # affine_grid counts from -1 to 1 over the whole side: a pixel is 2 / side of it.
    moved = rng.uniform(-shift, shift, (count, 2)) * 2 / np.array([width, height])
    theta = np.zeros((count, 2, 3), np.float32)
    theta[:, 0, 0] = mirrored / scale
    theta[:, 1, 1] = 1 / scale
    theta[:, :, 2] = moved
    places = F.affine_grid(
        torch.from_numpy(theta).to(rgb.device), list(rgb.shape), align_corners=False
    )
    return F.grid_sample(rgb, places.to(rgb.dtype), padding_mode="border", align_corners=False)
