"""What is seen of the plane as the bytes that travel: places of 16 bits, grids of 8."""

import numpy as np
import torch
from torch import Tensor

from genui.engine.lab.data import Batch
from genui.engine.lab.family import Sight
from genui.protocol import EDGE, Plane

SAMPLES = 512  # of those that were drawn


def plane(sight: Sight) -> Plane:
    """A sight as it travels."""
    surface, low, high = _graded(sight.surface)
    return Plane(
        samples=b"" if sight.samples is None else packed(sight.samples[:SAMPLES]),
        surface=surface,
        low=low,
        high=high,
        chances=b"" if sight.chances is None else _bytes(sight.chances),
        arrows=b"" if sight.arrows is None else packed(sight.arrows),
    )


def packed(places: Tensor) -> bytes:
    """Places [.., 2] as uint16: 0 to 65535 for the plane from edge to edge, and no further."""
    shares = (places.nan_to_num(nan=-EDGE) / EDGE + 1) / 2
    scaled = (shares.clamp(0, 1) * 65535).round()
    return scaled.to(torch.int32).numpy().astype("<u2").tobytes()


def data(batch: Batch) -> tuple[bytes, bytes]:
    """Points as places, and the class of each as a byte."""
    return packed(torch.from_numpy(batch.x)), batch.labels.astype(np.uint8).tobytes()


def _graded(surface: Tensor | None) -> tuple[bytes, float, float]:
    """A grid as bytes, and the values that 0 and 255 stand for."""
    if surface is None:
        return b"", 0.0, 0.0
    surface = surface.nan_to_num()
    low, high = float(surface.min()), float(surface.max())
    return _bytes((surface - low) / max(high - low, 1e-12)), low, high


def _bytes(shares: Tensor) -> bytes:
    return (shares.clamp(0, 1) * 255).round().to(torch.uint8).numpy().tobytes()
