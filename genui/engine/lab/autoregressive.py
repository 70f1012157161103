"""An autoregressive density: p(x) p(y | x), each over bins, as pixels and tokens have it."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from genui.engine.lab.draws import uniform
from genui.engine.lab.family import Learned, Measures, Sight, middles
from genui.engine.lab.nets import MLP
from genui.protocol import EDGE, GRID

BIN = 2 * EDGE / GRID
WAVES = torch.arange(1, 7) * math.pi / EDGE  # in which the network is told x


class Autoregressive:
    """GRID logits for x, and a network from x to as many for y; points beyond the plane count
    to its edge. The loss is the negative log-likelihood in bits: 0 is an even plane's."""

    title = "autoregressive"
    levels = False

    def __init__(self, width: int, classes: int) -> None:
        self._net = MLP((1 + 2 * len(WAVES), width, width, GRID))
        x = middles()[:, None]  # of the bins
        angles = x * WAVES
        self._told = torch.cat([x, angles.sin(), angles.cos()], dim=1)

    def begin(self, draw: np.random.Generator) -> Learned:
        weights = torch.cat([torch.zeros(GRID), self._net.begin(draw, last=0.1)])
        return Learned.of(weights)

    def _logs(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """ln p of the bins of x [GRID], and of those of y for each of them [GRID, GRID]."""
        first = weights[:GRID].log_softmax(dim=0)
        return first, self._net(weights[GRID:], self._told).log_softmax(dim=1)

    def train(
        self, learned: Learned, x: Tensor, labels: Tensor, draw: np.random.Generator, rate: float
    ) -> tuple[Learned, Measures]:
        at = ((x + EDGE) / BIN).long().clamp(0, GRID - 1)

        def loss(weights: Tensor) -> Tensor:
            first, second = self._logs(weights)
            nats = F.nll_loss(first.expand(len(x), GRID), at[:, 0])
            return nats + F.nll_loss(second[at[:, 0]], at[:, 1])

        learned, nats = learned.stepped(loss, rate)
        return learned, (("loss", (nats - 2 * math.log(GRID)) / math.log(2)),)

    def _sample(self, learned: Learned, draw: np.random.Generator, count: int) -> Tensor:
        first, second = self._logs(learned.average)
        u = uniform(draw, count, 4)
        column = _drawn(first.exp().cumsum(dim=0).expand(count, GRID), u[:, :1])
        row = _drawn(second.exp().cumsum(dim=1)[column], u[:, 1:2])
        return (torch.stack([column, row], dim=1) + u[:, 2:]) * BIN - EDGE

    def look(self, learned: Learned, draw: np.random.Generator, count: int, noise: float) -> Sight:
        """The samples and the density, which is known without them."""
        first, second = self._logs(learned.average)
        density = (first[:, None] + second).exp().T.flip(0) / BIN**2
        return Sight(self._sample(learned, draw, count), density)


def _drawn(cumulative: Tensor, u: Tensor) -> Tensor:
    """The bin [N] whose share of the cumulative distribution [N, GRID] holds u [N, 1]."""
    return torch.searchsorted(cumulative.contiguous(), u.contiguous(), right=True)[:, 0].clamp_max(
        GRID - 1
    )
