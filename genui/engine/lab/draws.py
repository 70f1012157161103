"""Random numbers of a training, each from (seed, step, part) and never from a stream."""

import numpy as np
import torch
from torch import Tensor

BATCH, TRAIN, BEGIN, LATENT, HELD, SHOWN = range(6)
"""What the numbers are for: the points of a batch, what else its step draws, the weights at the
start, what samples are made from, held-out points, and the points that are shown."""


def rng(seed: int, step: int, part: int) -> np.random.Generator:
    """The numbers of one part of one step."""
    return np.random.default_rng(np.random.SeedSequence((seed, step), spawn_key=(part,)))


def normal(draw: np.random.Generator, *shape: int) -> Tensor:
    """Standard normal float32."""
    return torch.from_numpy(draw.standard_normal(shape, np.float32))


def uniform(draw: np.random.Generator, *shape: int) -> Tensor:
    """float32 in [0, 1)."""
    return torch.from_numpy(draw.random(shape, np.float32))
