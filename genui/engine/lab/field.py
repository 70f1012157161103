"""Families that carry noise to data along a field: the way there, and what is seen of it.

A noise level is 1 for pure noise and 0 for data. Places are given in coordinates in which the
points have the same spread at every level, so that the whole way fits in one plane.
"""

from abc import abstractmethod
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from genui.engine.lab.family import Learned, Measures, Sight, arrows_at, as_grid, mesh, middles
from genui.engine.lab.nets import MLP, TOLD, told

STEPS = 16  # of Heun's method from noise to data
FREQUENCIES = (1.0, 2.0, 4.0, 8.0)  # quarter turns in which a network is told the level
SIDE, REACH = 14, 0.15  # arrows along a side, and how long the strong ones are
LEAST = 0.04  # the lowest level at which a field is shown: without noise it has no direction
KERNEL = 0.06  # width of what samples are smoothed with for a density


class FieldFamily:
    """What diffusion and flow matching share. A subclass says what its network learns."""

    levels = True

    def __init__(self, width: int, classes: int) -> None:
        self._net = MLP((TOLD + 2 * len(FREQUENCIES), width, width, width, 2))
        self._turns = torch.tensor(FREQUENCIES) * torch.pi / 2

    def predicted(self, weights: Tensor, x: Tensor, noise: Tensor) -> Tensor:
        """The network's output [N, 2] for places [N, 2] at noise levels [N, 1]."""
        level = noise * self._turns
        return self._net(weights, torch.cat([told(x), level.sin(), level.cos()], dim=1))

    @abstractmethod
    def loss(self, weights: Tensor, x: Tensor, draw: np.random.Generator) -> Tensor:
        """What is made small, on points [N, 2]."""

    @abstractmethod
    def velocity(self, weights: Tensor, x: Tensor, noise: float) -> Tensor:
        """dx / d(noise level) at places [N, 2], at a level above 0."""

    @abstractmethod
    def landing(self, weights: Tensor, x: Tensor, noise: float) -> Tensor:
        """The clean points as the network guesses them from places at a level."""

    @abstractmethod
    def start(self, draw: np.random.Generator, count: int) -> Tensor:
        """Pure noise: places [count, 2] at level 1."""

    # --- as a Family --------------------------------------------------------------------

    def begin(self, draw: np.random.Generator) -> Learned:
        return Learned.of(self._net.begin(draw, last=0.1))

    def train(
        self, learned: Learned, x: Tensor, labels: Tensor, draw: np.random.Generator, rate: float
    ) -> tuple[Learned, Measures]:
        learned, loss = learned.stepped(lambda weights: self.loss(weights, x, draw), rate)
        return learned, (("loss", loss),)

    def look(self, learned: Learned, draw: np.random.Generator, count: int, noise: float) -> Sight:
        """The particles that have come down to a level, their density, and the field there."""
        paths = self._way(learned, draw, count, noise)
        level = max(noise, LEAST)
        places = mesh(SIDE)
        field = -self.velocity(learned.average, places, level)
        return Sight(
            paths[-1], density(paths[-1]), arrows=arrows_at(places, field, REACH), paths=paths
        )

    def _way(self, learned: Learned, draw: np.random.Generator, count: int, noise: float) -> Tensor:
        """Particles [levels, count, 2] from noise down to a level, by Heun's method."""
        weights = learned.average
        above = (1 - i / STEPS for i in range(STEPS))
        levels = [*(level for level in above if level > noise), noise]
        x = self.start(draw, count)
        way = [x]
        for level, following in pairwise(levels):
            if following > 0:
                by = following - level
                here = self.velocity(weights, x, level)
                ahead = self.velocity(weights, x + by * here, following)
                x = x + by / 2 * (here + ahead)
            else:
                x = self.landing(weights, x, level)
            way.append(x)
        return torch.stack(way)


def density(samples: Tensor) -> Tensor:
    """The density of samples [N, 2] smoothed with a Gaussian, as a grid."""
    across, up = (
        torch.exp(-((at[:, None] - samples[:, i]) ** 2) / (2 * KERNEL**2))
        for i, at in enumerate((middles(), middles().flip(0)))
    )
    return as_grid((up @ across.T).flatten()) / (len(samples) * 2 * torch.pi * KERNEL**2)
