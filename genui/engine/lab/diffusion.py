"""Diffusion: a denoiser as in EDM (Karras et al. 2022), walked along the probability flow."""

import math

import numpy as np
import torch
from torch import Tensor

from genui.engine.lab.draws import normal
from genui.engine.lab.field import FieldFamily
from genui.engine.lab.nets import SPREAD

SIGMA_MAX = 5.0
P_MEAN, P_STD = -1.2, 1.2  # of ln σ in training, their table 1
MOST_ANGLE = math.atan(SIGMA_MAX / SPREAD)


class Diffusion(FieldFamily):
    """The network F of D(x; σ) = c_skip x + c_out F(c_in x, σ), their equation 7.

    With σ = SPREAD · tan θ these are cosines and sines of θ, the noise level is θ's share of
    its greatest, and x · cos θ has the same spread at every level.
    """

    title = "diffusion"

    def loss(self, weights: Tensor, x: Tensor, draw: np.random.Generator) -> Tensor:
        """Their equation 8: c_out² times the weight λ(σ) is 1."""
        sigma = (P_MEAN + P_STD * normal(draw, len(x), 1)).exp()
        angle = torch.atan(sigma / SPREAD)
        noisy = (x + sigma * normal(draw, len(x), 2)) * angle.cos()
        target = (x - angle.cos() * noisy) / (SPREAD * angle.sin())
        found = self.predicted(weights, noisy, angle / MOST_ANGLE)
        return (found - target).square().sum(dim=1).mean()

    def landing(self, weights: Tensor, x: Tensor, noise: float) -> Tensor:
        angle = noise * MOST_ANGLE
        level = torch.full((len(x), 1), noise)
        found = self.predicted(weights, x, level)
        return math.cos(angle) * x + SPREAD * math.sin(angle) * found

    def velocity(self, weights: Tensor, x: Tensor, noise: float) -> Tensor:
        """Their equation 3, dx/dσ = (x - D(x; σ)) / σ, in the coordinates x · cos θ."""
        angle = noise * MOST_ANGLE
        clean = self.landing(weights, x, noise)
        return MOST_ANGLE * (math.cos(angle) * x - clean) / math.sin(angle)

    def start(self, draw: np.random.Generator, count: int) -> Tensor:
        return SPREAD * normal(draw, count, 2)
