"""The Lab's five families on points in the plane, small enough that a training step is a step.

All that is trained is a value: networks are functions of flat vectors of weights, and a step of
Adam gives another value.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from genui.base.errors import MisuseError, did_you_mean
from genui.protocol import EDGE, GRID, LAB
from genui.protocol.registry import LAB_FAMILIES, resolve

# --- Networks and Adam ------------------------------------------------------------------------

SPREAD = 0.5  # standard deviation of the data, about
WAVES = torch.tensor((1.0, 2.0, 3.0)) * torch.pi / EDGE
FEATURES = 2 + 4 * len(WAVES)


def normal(draw: np.random.Generator, *shape: int) -> Tensor:
    """Standard normal float32."""
    return torch.from_numpy(draw.standard_normal(shape, np.float32))


def uniform(draw: np.random.Generator, *shape: int) -> Tensor:
    """float32 in [0, 1)."""
    return torch.from_numpy(draw.random(shape, np.float32))


def fourier_features(x: Tensor) -> Tensor:
    """Places [N, 2] with their sines and cosines, [N, FEATURES], by which fine detail is learned
    sooner (Tancik et al. 2020)."""
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

    def step(
        self, gradient: Tensor, learning_rate: float, betas: tuple[float, float] = (0.9, 0.99)
    ) -> "Net":
        """After one step of Adam down `gradient` [P] at a learning rate."""
        one, two = betas
        steps = self.steps + 1
        first = torch.lerp(self.first, gradient, 1 - one)
        second = torch.lerp(self.second, gradient.square(), 1 - two)
        mean, spread = first / (1 - one**steps), (second / (1 - two**steps)).sqrt_()
        return Net(self.weights - learning_rate * mean / spread.add_(1e-8), first, second, steps)


def gradient_of(loss: Tensor, weights: Tensor) -> Tensor:
    """The gradient of a loss by the weights."""
    (gradient,) = torch.autograd.grad(loss, weights)
    return gradient


def update_average(average: Tensor, weights: Tensor, steps: int, most: float = 0.995) -> Tensor:
    """The exponential moving average of weights; while there are few steps, of fewer."""
    return torch.lerp(weights, average, min(most, (1 + steps) / (10 + steps)))


def with_gradient(weights: Tensor) -> Tensor:
    """The same numbers, by which a gradient can be taken."""
    return weights.detach().requires_grad_()


# --- What a family of the Lab can do: begin, train one step, and be looked at -----------------

Measures = tuple[tuple[str, float], ...]
"""Each loss by its name."""


@dataclass(frozen=True)
class Learned:
    """All that is trained: the networks, and the averaged weights of the one that is looked at."""

    nets: tuple[Net, ...]
    average: Tensor

    @staticmethod
    def of(weights: Tensor) -> "Learned":
        """One network before its first step."""
        return Learned((Net.of(weights),), weights)

    def step(
        self, loss: Callable[[Tensor], Tensor], learning_rate: float
    ) -> tuple["Learned", float]:
        """After a step of the only network down a loss of its weights; and what that loss was."""
        (net,) = self.nets
        weights = with_gradient(net.weights)
        value = loss(weights)
        net = net.step(gradient_of(value, weights), learning_rate)
        average = update_average(self.average, net.weights, net.steps)
        return Learned((net,), average), float(value.detach())


@dataclass(frozen=True)
class Sight:
    """What a network makes of the plane. Grids are [.., GRID, GRID], their first row at the top.

    `paths` is [levels, N, 2], from noise to the level that is looked at; the last are the
    samples there.
    """

    samples: Tensor | None = None  # [N, 2]
    surface: Tensor | None = None
    chances: Tensor | None = None  # [classes, GRID, GRID]
    arrows: Tensor | None = None  # [A, 2, 2]: from, to
    paths: Tensor | None = None


class Family(Protocol):
    """One way to learn points. It holds no weights: they are given."""

    title: str
    levels: bool  # whether it goes through noise levels

    def begin(self, draw: np.random.Generator) -> Learned:
        """Before the first step."""
        ...

    def train(
        self,
        learned: Learned,
        x: Tensor,
        labels: Tensor,
        draw: np.random.Generator,
        learning_rate: float,
    ) -> tuple[Learned, Measures]:
        """One training step on points [N, 2] of the classes [N]."""
        ...

    def look(self, learned: Learned, draw: np.random.Generator, count: int, noise: float) -> Sight:
        """What it makes of the plane at a noise level, with `count` samples where it generates."""
        ...


class SingleNetwork(ABC):
    """A family of one network, trained by one loss."""

    _net: MLP

    @abstractmethod
    def loss(self, weights: Tensor, x: Tensor, labels: Tensor, draw: np.random.Generator) -> Tensor:
        """What is minimised, on points [N, 2] of the classes [N]."""

    def reported(self, loss: float) -> float:
        """The loss in the unit in which it is shown."""
        return loss

    def begin(self, draw: np.random.Generator) -> Learned:
        return Learned.of(self._net.begin(draw, last=0.1))

    def train(
        self,
        learned: Learned,
        x: Tensor,
        labels: Tensor,
        draw: np.random.Generator,
        learning_rate: float,
    ) -> tuple[Learned, Measures]:
        learned, loss = learned.step(lambda w: self.loss(w, x, labels, draw), learning_rate)
        return learned, (("loss", self.reported(loss)),)


@runtime_checkable
class Classifies(Protocol):
    """A family that answers p(class | x, y)."""

    def chances(self, learned: Learned, x: Tensor) -> Tensor: ...


def make_family(model: str, width: int, classes: int) -> Family:
    """The family that a model's name, `lab:gan`, means. Raises MisuseError where there is none."""
    name = model.removeprefix(LAB)
    if name not in LAB_FAMILIES:
        raise MisuseError(
            f"the Lab has no family '{name[:40]}': {did_you_mean(name, LAB_FAMILIES)}"
        )
    return resolve(LAB_FAMILIES[name].learner)(width, classes)


def middles(side: int = GRID) -> Tensor:
    """Of the cells along one side of a grid over the plane, from the lowest: float32 [side]."""
    return ((torch.arange(side) + 0.5) / side * 2 - 1) * EDGE


@lru_cache(maxsize=4)
def mesh(side: int = GRID) -> Tensor:
    """The middles of the cells of a grid over the plane: float32 [side · side, 2], row by row
    from the top."""
    y, x = torch.meshgrid(middles(side).flip(0), middles(side), indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2)


def as_grid(values: Tensor) -> Tensor:
    """Values at the places of `mesh()`, [.., GRID · GRID], as a grid."""
    return values.reshape(*values.shape[:-1], GRID, GRID)


def arrows_at(places: Tensor, directions: Tensor, length: float) -> Tensor:
    """Arrows [A, 2, 2] from places along directions, [A, 2] each; strong ones are `length` long."""
    strong = torch.quantile(directions.norm(dim=1), 0.9).clamp_min(1e-12)
    scaled = directions / strong
    scaled = scaled / scaled.norm(dim=1, keepdim=True).clamp_min(1)
    return torch.stack([places, places + length * scaled], dim=1)


# --- Families that carry noise to data along a field: the way there, and what is seen of it ---
# A noise level is 1 for pure noise and 0 for data. Places are given in coordinates in which the
# points have the same spread at every level, so that the whole way fits in one plane.

STEPS = 16  # of Heun's method from noise to data
FREQUENCIES = (1.0, 2.0, 4.0, 8.0)  # quarter turns in which the level is given to a network
SIDE, REACH = 14, 0.15  # arrows along a side, and how long the strong ones are
LEAST = 0.04  # the lowest level at which a field is shown: without noise it has no direction
KERNEL = 0.06  # width of what samples are smoothed with for a density


class FieldFamily(SingleNetwork):
    """What diffusion and flow matching share. A subclass says what its network learns."""

    levels = True

    def __init__(self, width: int, classes: int) -> None:
        self._net = MLP((FEATURES + 2 * len(FREQUENCIES), width, width, width, 2))
        self._turns = torch.tensor(FREQUENCIES) * torch.pi / 2

    def predict(self, weights: Tensor, x: Tensor, noise: Tensor) -> Tensor:
        """The network's output [N, 2] for places [N, 2] at noise levels [N, 1]."""
        level = noise * self._turns
        return self._net(weights, torch.cat([fourier_features(x), level.sin(), level.cos()], dim=1))

    @abstractmethod
    def velocity(self, weights: Tensor, x: Tensor, noise: float) -> Tensor:
        """dx / d(noise level) at places [N, 2], at a level above 0."""

    @abstractmethod
    def denoise(self, weights: Tensor, x: Tensor, noise: float) -> Tensor:
        """The clean points that the network predicts from places at a level."""

    @abstractmethod
    def start(self, draw: np.random.Generator, count: int) -> Tensor:
        """Pure noise: places [count, 2] at level 1."""

    def look(self, learned: Learned, draw: np.random.Generator, count: int, noise: float) -> Sight:
        """The particles that have come down to a level, their density, and the field there."""
        paths = self._path(learned, draw, count, noise)
        level = max(noise, LEAST)
        places = mesh(SIDE)
        field = -self.velocity(learned.average, places, level)
        return Sight(
            paths[-1], density(paths[-1]), arrows=arrows_at(places, field, REACH), paths=paths
        )

    def _path(
        self, learned: Learned, draw: np.random.Generator, count: int, noise: float
    ) -> Tensor:
        """Particles [levels, count, 2] from noise down to a level, by Heun's method."""
        weights = learned.average
        above = (1 - i / STEPS for i in range(STEPS))
        levels = [*(level for level in above if level > noise), noise]
        x = self.start(draw, count)
        path = [x]
        for level, following in pairwise(levels):
            if following > 0:
                by = following - level
                here = self.velocity(weights, x, level)
                ahead = self.velocity(weights, x + by * here, following)
                x = x + by / 2 * (here + ahead)
            else:
                x = self.denoise(weights, x, level)
            path.append(x)
        return torch.stack(path)


def density(samples: Tensor) -> Tensor:
    """The density of samples [N, 2] smoothed with a Gaussian, as a grid."""
    across, up = (
        torch.exp(-((at[:, None] - samples[:, i]) ** 2) / (2 * KERNEL**2))
        for i, at in enumerate((middles(), middles().flip(0)))
    )
    return as_grid((up @ across.T).flatten()) / (len(samples) * 2 * torch.pi * KERNEL**2)


# --- An autoregressive density: p(x) p(y | x), each over bins, as pixels and tokens have it ---

BIN = 2 * EDGE / GRID
X_WAVES = torch.arange(1, 7) * math.pi / EDGE  # in which x is given to the network


class Autoregressive(SingleNetwork):
    """GRID logits for x, and a network from x to as many for y; points beyond the plane count
    to its edge. The loss is the negative log-likelihood in bits: 0 is an even plane's."""

    title = "autoregressive"
    levels = False

    def __init__(self, width: int, classes: int) -> None:
        self._net = MLP((1 + 2 * len(X_WAVES), width, width, GRID))
        x = middles()[:, None]  # of the bins
        angles = x * X_WAVES
        self._features = torch.cat([x, angles.sin(), angles.cos()], dim=1)

    def begin(self, draw: np.random.Generator) -> Learned:
        weights = torch.cat([torch.zeros(GRID), self._net.begin(draw, last=0.1)])
        return Learned.of(weights)

    def _logs(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """ln p of the bins of x [GRID], and of those of y for each of them [GRID, GRID]."""
        first = weights[:GRID].log_softmax(dim=0)
        return first, self._net(weights[GRID:], self._features).log_softmax(dim=1)

    def loss(self, weights: Tensor, x: Tensor, labels: Tensor, draw: np.random.Generator) -> Tensor:
        """In nats."""
        at = ((x + EDGE) / BIN).long().clamp(0, GRID - 1)
        first, second = self._logs(weights)
        nats = F.nll_loss(first.expand(len(x), GRID), at[:, 0])
        return nats + F.nll_loss(second[at[:, 0]], at[:, 1])

    def reported(self, loss: float) -> float:
        return (loss - 2 * math.log(GRID)) / math.log(2)

    def _sample(self, learned: Learned, draw: np.random.Generator, count: int) -> Tensor:
        first, second = self._logs(learned.average)
        u = uniform(draw, count, 4)
        column = _bins_at(first.exp().cumsum(dim=0).expand(count, GRID), u[:, :1])
        row = _bins_at(second.exp().cumsum(dim=1)[column], u[:, 1:2])
        return (torch.stack([column, row], dim=1) + u[:, 2:]) * BIN - EDGE

    def look(self, learned: Learned, draw: np.random.Generator, count: int, noise: float) -> Sight:
        """The samples and the density, which is known without them."""
        first, second = self._logs(learned.average)
        density = (first[:, None] + second).exp().T.flip(0) / BIN**2
        return Sight(self._sample(learned, draw, count), density)


def _bins_at(cumulative: Tensor, u: Tensor) -> Tensor:
    """The bin [N] whose share of the cumulative distribution [N, GRID] holds u [N, 1]."""
    return torch.searchsorted(cumulative.contiguous(), u.contiguous(), right=True)[:, 0].clamp_max(
        GRID - 1
    )


# --- A classifier, the discriminative twin: p(class | x, y), and nothing of where points are --


class Classifier(SingleNetwork):
    """A network from a place to a logit a class, trained by cross-entropy in bits."""

    title = "classifier"
    levels = False

    def __init__(self, width: int, classes: int) -> None:
        if classes < 2:
            raise MisuseError(
                "these points are all of one class and a classifier needs two: set some of another"
            )
        self._net = MLP((2, width, width, width, classes))

    def loss(self, weights: Tensor, x: Tensor, labels: Tensor, draw: np.random.Generator) -> Tensor:
        """In bits."""
        return F.cross_entropy(self._net(weights, x / SPREAD), labels) / np.log(2)

    def chances(self, learned: Learned, x: Tensor) -> Tensor:
        """The probability of each class [classes, N] at places [N, 2]."""
        return self._net(learned.average, x / SPREAD).softmax(dim=1).T

    def look(self, learned: Learned, draw: np.random.Generator, count: int, noise: float) -> Sight:
        """The probability of each class, everywhere."""
        return Sight(chances=as_grid(self.chances(learned, mesh())))


# --- Diffusion: a denoiser as in EDM (Karras et al. 2022), walked along the probability flow --

SIGMA_MAX = 5.0
P_MEAN, P_STD = -1.2, 1.2  # of ln σ in training, their table 1
MOST_ANGLE = math.atan(SIGMA_MAX / SPREAD)


class Diffusion(FieldFamily):
    """The network F of D(x; σ) = c_skip x + c_out F(c_in x, σ), their equation 7.

    With σ = SPREAD · tan θ these are cosines and sines of θ, the noise level is θ's share of
    its greatest, and x · cos θ has the same spread at every level.
    """

    title = "diffusion"

    def loss(self, weights: Tensor, x: Tensor, labels: Tensor, draw: np.random.Generator) -> Tensor:
        """Their equation 8: c_out² times the weight λ(σ) is 1."""
        sigma = (P_MEAN + P_STD * normal(draw, len(x), 1)).exp()
        angle = torch.atan(sigma / SPREAD)
        noisy = (x + sigma * normal(draw, len(x), 2)) * angle.cos()
        target = (x - angle.cos() * noisy) / (SPREAD * angle.sin())
        output = self.predict(weights, noisy, angle / MOST_ANGLE)
        return (output - target).square().sum(dim=1).mean()

    def denoise(self, weights: Tensor, x: Tensor, noise: float) -> Tensor:
        angle = noise * MOST_ANGLE
        level = torch.full((len(x), 1), noise)
        output = self.predict(weights, x, level)
        return math.cos(angle) * x + SPREAD * math.sin(angle) * output

    def velocity(self, weights: Tensor, x: Tensor, noise: float) -> Tensor:
        """Their equation 3, dx/dσ = (x - D(x; σ)) / σ, in the coordinates x · cos θ."""
        angle = noise * MOST_ANGLE
        clean = self.denoise(weights, x, noise)
        return MOST_ANGLE * (math.cos(angle) * x - clean) / math.sin(angle)

    def start(self, draw: np.random.Generator, count: int) -> Tensor:
        return SPREAD * normal(draw, count, 2)


# --- Flow matching (Lipman et al. 2023): the velocity of straight paths from noise to data ----


class FlowMatching(FieldFamily):
    """The network learns E[x₁ - x₀ | x_t] on x_t = (1 - t) x₀ + t x₁, their equation 23 with
    σ_min = 0; here x₀ is noise of the data's spread and the noise level is 1 - t."""

    title = "flow matching"

    def loss(self, weights: Tensor, x: Tensor, labels: Tensor, draw: np.random.Generator) -> Tensor:
        noise = uniform(draw, len(x), 1)
        away = SPREAD * normal(draw, len(x), 2)
        between = noise * away + (1 - noise) * x
        output = self.predict(weights, between, noise)
        return (output - (x - away) / SPREAD).square().sum(dim=1).mean()

    def velocity(self, weights: Tensor, x: Tensor, noise: float) -> Tensor:
        level = torch.full((len(x), 1), noise)
        return -SPREAD * self.predict(weights, x, level)

    def denoise(self, weights: Tensor, x: Tensor, noise: float) -> Tensor:
        return x - noise * self.velocity(weights, x, noise)

    def start(self, draw: np.random.Generator, count: int) -> Tensor:
        return SPREAD * normal(draw, count, 2)


# --- A GAN: relativistic pairing with zero-centred penalties (R3GAN, Huang et al. 2024) -------

GAN_LATENT = 4  # numbers that a sample is made from
PENALTY = 0.05  # γ: for points within ±1 the discriminator may be steep
BETAS = (0.0, 0.99)
SLOWER = 0.5  # times the learning rate: two that chase each other overshoot sooner
ARROWS, GAN_REACH = 128, 0.16  # how many samples have one, and how long the strong ones are


class Gan:
    """A generator and a discriminator, each a step in turn.

    The generator's loss is softplus(D(real) - D(fake)), a pair at a time (equation 2 there,
    after Jolicoeur-Martineau 2019); the discriminator's is the same with the sign turned, plus
    γ/2 times the squared gradient on real (R1) and on generated points (R2).
    """

    title = "GAN"
    levels = False

    def __init__(self, width: int, classes: int) -> None:
        self._generate = MLP((GAN_LATENT, width, width, width, 2))
        self._discriminate = MLP((FEATURES, width, width, 1))

    def begin(self, draw: np.random.Generator) -> Learned:
        generator = self._generate.begin(draw, last=0.5)
        discriminator = self._discriminate.begin(draw)
        return Learned((Net.of(generator), Net.of(discriminator)), generator)

    def train(
        self,
        learned: Learned,
        x: Tensor,
        labels: Tensor,
        draw: np.random.Generator,
        learning_rate: float,
    ) -> tuple[Learned, Measures]:
        generator, discriminator = learned.nets
        learning_rate *= SLOWER
        fake = self._generate(generator.weights, normal(draw, len(x), GAN_LATENT))
        weights, both = with_gradient(discriminator.weights), with_gradient(torch.cat([x, fake]))
        scores = self._score(weights, both)
        real_score, fake_score = scores.chunk(2)
        loss = F.softplus(fake_score - real_score).mean()
        (steep,) = torch.autograd.grad(scores.sum(), both, create_graph=True)
        penalty = steep.square().sum(dim=1).mean() * 2  # of both halves
        down = gradient_of(loss + PENALTY / 2 * penalty, weights)
        discriminator = discriminator.step(down, learning_rate, BETAS)

        weights = with_gradient(generator.weights)
        fake = self._generate(weights, normal(draw, len(x), GAN_LATENT))
        scores = self._score(discriminator.weights, torch.cat([x, fake]))
        real_score, fake_score = scores.chunk(2)
        against = F.softplus(real_score - fake_score).mean()
        generator = generator.step(gradient_of(against, weights), learning_rate, BETAS)
        average = update_average(learned.average, generator.weights, generator.steps)
        losses = (("discriminator", float(loss.detach())), ("generator", float(against.detach())))
        return Learned((generator, discriminator), average), losses

    def _score(self, weights: Tensor, x: Tensor) -> Tensor:
        """The discriminator's score, a logit [N, 1], of places [N, 2]."""
        return self._discriminate(weights, fourier_features(x))

    def look(self, learned: Learned, draw: np.random.Generator, count: int, noise: float) -> Sight:
        """The samples, the discriminator's score, and where it would have the samples go."""
        samples = self._generate(learned.average, normal(draw, count, GAN_LATENT))
        weights = learned.nets[1].weights
        surface = as_grid(self._score(weights, mesh())[:, 0])
        with torch.enable_grad():
            places = with_gradient(samples[:ARROWS])
            upwards = gradient_of(self._score(weights, places).sum(), places)
        return Sight(samples, surface, arrows=arrows_at(places.detach(), upwards, GAN_REACH))
