"""The examples of a step: their order in an epoch, and the augmentation of images."""

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


def examples_of(step: int, batch: int, count: int, seed: int) -> NDArray[np.int64]:
    """The indices [batch] of a step's examples, 0 to `count` - 1: each once per epoch, shuffled."""
    epochs, places = np.divmod(np.arange(step * batch, (step + 1) * batch), count)
    indices = np.empty(batch, np.int64)
    for epoch in np.unique(epochs).tolist():
        rows = epochs == epoch
        indices[rows] = _permutation(seed, epoch, count)[places[rows]]
    return indices


@lru_cache(maxsize=2)  # a step may span two epochs
def _permutation(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, 0, epoch)).permutation(count)


def augment(rgb: Tensor, rng: np.random.Generator, shift: float, zoom: float, flip: bool) -> Tensor:
    """Augment [B, C, H, W]: shift by up to `shift` pixels, scale by 1 ± `zoom`, and mirror half of
    them with `flip`. The border's colour fills what comes in from outside."""
    if not (shift or zoom or flip):
        return rgb
    count, _, height, width = rgb.shape
    scale = 1 + rng.uniform(-zoom, zoom, count)
    mirror = np.where(rng.random(count) < 0.5, -1.0, 1.0) if flip else np.ones(count)
    # Coordinates of affine_grid go from -1 to 1 over a side: a pixel is 2 / side.
    offset = rng.uniform(-shift, shift, (count, 2)) * 2 / np.array([width, height])
    theta = np.zeros((count, 2, 3), np.float32)
    theta[:, 0, 0] = mirror / scale
    theta[:, 1, 1] = 1 / scale
    theta[:, :, 2] = offset
    grid = F.affine_grid(
        torch.from_numpy(theta).to(rgb.device), list(rgb.shape), align_corners=False
    )
    return F.grid_sample(rgb, grid.to(rgb.dtype), padding_mode="border", align_corners=False)
