"""A GAN: relativistic pairing with zero-centred penalties (R3GAN, Huang et al. 2024)."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from genui.engine.lab.draws import normal
from genui.engine.lab.family import Learned, Measures, Sight, arrows_at, as_grid, mesh
from genui.engine.lab.nets import MLP, TOLD, Net, averaged, slope, told, tracked

LATENT = 4  # numbers that a sample is made from
PENALTY = 0.05  # γ: for points within ±1 the discriminator may be steep
BETAS = (0.0, 0.99)
SLOWER = 0.5  # times the learning rate: two that chase each other overshoot sooner
ARROWS, REACH = 128, 0.16  # how many samples have one, and how long the strong ones are


class Gan:
    """A generator and a discriminator, each a step in turn.

    The generator's loss is softplus(D(real) - D(fake)), a pair at a time (equation 2 there,
    after Jolicoeur-Martineau 2019); the discriminator's is the same with the sign turned, plus
    γ/2 times the squared gradient on real (R1) and on generated points (R2).
    """

    title = "GAN"
    levels = False

    def __init__(self, width: int, classes: int) -> None:
        self._generate = MLP((LATENT, width, width, width, 2))
        self._judges = MLP((TOLD, width, width, 1))

    def begin(self, draw: np.random.Generator) -> Learned:
        generator = self._generate.begin(draw, last=0.5)
        discriminator = self._judges.begin(draw)
        return Learned((Net.of(generator), Net.of(discriminator)), generator)

    def train(
        self, learned: Learned, x: Tensor, labels: Tensor, draw: np.random.Generator, rate: float
    ) -> tuple[Learned, Measures]:
        generator, discriminator = learned.nets
        rate = SLOWER * rate
        fake = self._generate(generator.weights, normal(draw, len(x), LATENT))
        weights, both = tracked(discriminator.weights), tracked(torch.cat([x, fake]))
        scores = self._judge(weights, both)
        real_score, fake_score = scores.chunk(2)
        loss = F.softplus(fake_score - real_score).mean()
        (steep,) = torch.autograd.grad(scores.sum(), both, create_graph=True)
        penalty = steep.square().sum(dim=1).mean() * 2  # of both halves
        down = slope(loss + PENALTY / 2 * penalty, weights)
        discriminator = discriminator.stepped(down, rate, BETAS)

        weights = tracked(generator.weights)
        fake = self._generate(weights, normal(draw, len(x), LATENT))
        scores = self._judge(discriminator.weights, torch.cat([x, fake]))
        real_score, fake_score = scores.chunk(2)
        against = F.softplus(real_score - fake_score).mean()
        generator = generator.stepped(slope(against, weights), rate, BETAS)
        average = averaged(learned.average, generator.weights, generator.steps)
        found = (("discriminator", float(loss.detach())), ("generator", float(against.detach())))
        return Learned((generator, discriminator), average), found

    def _judge(self, weights: Tensor, x: Tensor) -> Tensor:
        """The discriminator's score, a logit [N, 1], of places [N, 2]."""
        return self._judges(weights, told(x))

    def look(self, learned: Learned, draw: np.random.Generator, count: int, noise: float) -> Sight:
        """The samples, the discriminator's score, and where it would have the samples go."""
        samples = self._generate(learned.average, normal(draw, count, LATENT))
        weights = learned.nets[1].weights
        surface = as_grid(self._judge(weights, mesh())[:, 0])
        with torch.enable_grad():
            places = tracked(samples[:ARROWS])
            upwards = slope(self._judge(weights, places).sum(), places)
        return Sight(samples, surface, arrows=arrows_at(places.detach(), upwards, REACH))
