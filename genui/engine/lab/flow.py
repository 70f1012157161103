"""Flow matching (Lipman et al. 2023): the velocity of straight paths from noise to data."""

import numpy as np
import torch
from torch import Tensor

from genui.engine.lab.draws import normal, uniform
from genui.engine.lab.field import FieldFamily
from genui.engine.lab.nets import SPREAD


class FlowMatching(FieldFamily):
    """The network learns E[x₁ - x₀ | x_t] on x_t = (1 - t) x₀ + t x₁, their equation 23 with
    σ_min = 0; here x₀ is noise of the data's spread and the noise level is 1 - t."""

    title = "flow matching"

    def loss(self, weights: Tensor, x: Tensor, draw: np.random.Generator) -> Tensor:
        noise = uniform(draw, len(x), 1)
        away = SPREAD * normal(draw, len(x), 2)
        between = noise * away + (1 - noise) * x
        found = self.predicted(weights, between, noise)
        return (found - (x - away) / SPREAD).square().sum(dim=1).mean()

    def velocity(self, weights: Tensor, x: Tensor, noise: float) -> Tensor:
        level = torch.full((len(x), 1), noise)
        return -SPREAD * self.predicted(weights, x, level)

    def landing(self, weights: Tensor, x: Tensor, noise: float) -> Tensor:
        return x - noise * self.velocity(weights, x, noise)

    def start(self, draw: np.random.Generator, count: int) -> Tensor:
        return SPREAD * normal(draw, count, 2)
