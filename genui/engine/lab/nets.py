"""Networks of the Lab, and Adam: functions of flat vectors, so that a state is never changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from genui.protocol import EDGE

SPREAD = 0.5  # standard deviation of the data, about
WAVES = torch.tensor((1.0, 2.0, 3.0)) * torch.pi / EDGE
TOLD = 2 + 4 * len(WAVES)


def told(x: Tensor) -> Tensor:
    """Places [N, 2] as networks are told them, [N, TOLD]: with their sines and cosines, by which
    what is fine is learned sooner (Tancik et al. 2020)."""
    angles = (x[:, :, None] * WAVES).flatten(1)
    return torch.cat([x / SPREAD, angles.sin(), angles.cos()], dim=1)


class MLP:
    """A multilayer perceptron without weights: they are given, float32 [P], all in one vector.

    `sizes` are the widths of its layers, from the input to the output.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self._layers = list(pairwise(sizes))
        self._lengths = [n for rows, columns in self._layers for n in (rows * columns, columns)]
        self.length = sum(self._lengths)

    def begin(self, draw: np.random.Generator, last: float = 1.0) -> Tensor:
        """Weights to begin with (He et al. 2015), those of the last layer times `last`."""
        parts = []
        for at, (rows, columns) in enumerate(self._layers):
            end = at == len(self._layers) - 1
            scale = last / np.sqrt(rows) if end else np.sqrt(2 / rows)
            parts += [draw.standard_normal(rows * columns) * scale, np.zeros(columns)]
        return torch.from_numpy(np.concatenate(parts).astype(np.float32))

    def __call__(self, weights: Tensor, x: Tensor) -> Tensor:
        """The output [N, sizes[-1]] for `x` [N, sizes[0]]."""
        parts = weights.split(self._lengths)
        for at, (rows, columns) in enumerate(self._layers):
            if at:
                x = F.silu(x)
            x = F.linear(x, parts[2 * at].view(columns, rows), parts[2 * at + 1])
        return x


@dataclass(frozen=True)
class Net:
    """The weights [P] of a network in training, with Adam's moments (Kingma & Ba 2015)."""

    weights: Tensor
    first: Tensor
    second: Tensor
    steps: int = 0

    @staticmethod
    def of(weights: Tensor) -> "Net":
        """Before its first step."""
        return Net(weights, torch.zeros_like(weights), torch.zeros_like(weights))

    def stepped(
        self, gradient: Tensor, rate: float, betas: tuple[float, float] = (0.9, 0.99)
    ) -> "Net":
        """After one step of Adam down `gradient` [P] at the learning rate `rate`."""
        one, two = betas
        steps = self.steps + 1
        first = torch.lerp(self.first, gradient, 1 - one)
        second = torch.lerp(self.second, gradient.square(), 1 - two)
        mean, spread = first / (1 - one**steps), (second / (1 - two**steps)).sqrt_()
        return Net(self.weights - rate * mean / spread.add_(1e-8), first, second, steps)


def slope(loss: Tensor, weights: Tensor) -> Tensor:
    """The gradient of a loss by the weights."""
    (gradient,) = torch.autograd.grad(loss, weights)
    return gradient


def averaged(average: Tensor, weights: Tensor, steps: int, most: float = 0.995) -> Tensor:
    """The exponential moving average of weights; while there are few steps, of fewer."""
    return torch.lerp(weights, average, min(most, (1 + steps) / (10 + steps)))


def tracked(weights: Tensor) -> Tensor:
    """The same numbers, by which a gradient can be taken."""
    return weights.detach().requires_grad_()
