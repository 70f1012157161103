"""From arrays in -1 to 1 to the bytes of pictures."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_rgb(x: Tensor) -> NDArray[np.uint8]:
    """Pictures [B, 3, H, W], or grey ones [B, 1, H, W], in -1 to 1 as uint8 [B, H, W, 3]."""
    scaled = ((x.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return scaled.permute(0, 2, 3, 1).expand(-1, -1, -1, 3).cpu().numpy()


def sheet(rgb: NDArray[np.uint8], columns: int) -> bytes:
    """Pictures [B, H, W, 3] as one, `columns` of them side by side: RGB, row by row."""
    return rgb.reshape(-1, columns, *rgb.shape[1:]).swapaxes(1, 2).tobytes()
