"""The Lab's six families of models of points in the plane, small enough to train interactively.

The state of a training is an immutable value: networks are functions of flat vectors of weights,
and a step of Adam returns a new vector.
"""

import math
import types
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from genui.base.errors import MisuseError
from genui.kinds.lab.messages import EDGE, GRID

# --- Networks and Adam ------------------------------------------------------------------------

SPREAD = 0.5  # approximate standard deviation of the data
WAVES = torch.tensor((1.0, 2.0, 3.0)) * torch.pi / EDGE
FEATURES = 2 + 4 * len(WAVES)

Rng = np.random.Generator


def normal(rng: Rng, *shape: int) -> Tensor:
    """Standard normal float32."""
    return torch.from_numpy(rng.standard_normal(shape, np.float32))


def uniform(rng: Rng, *shape: int) -> Tensor:
    """float32 in [0, 1)."""
    return torch.from_numpy(rng.random(shape, np.float32))


def fourier_features(x: Tensor) -> Tensor:
    """Positions [N, 2] with sines and cosines, [N, FEATURES]: fine detail is learned sooner (Tancik
    et al. 2020)."""
    angles = (x[:, :, None] * WAVES).flatten(1)
    return torch.cat([x / SPREAD, angles.sin(), angles.cos()], dim=1)


class MLP:
    """A multilayer perceptron as a function of its weights, one vector float32 [P].

    `sizes` are the widths of its layers, from the input to the output.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self._layers = list(pairwise(sizes))
        self._lengths = [n for rows, columns in self._layers for n in (rows * columns, columns)]
        self.length = sum(self._lengths)

    def begin(self, rng: Rng, last: float = 1.0) -> Tensor:
        """Initial weights (He et al. 2015), those of the last layer times `last`."""
        parts = []
        for i, (rows, columns) in enumerate(self._layers):
            is_last = i == len(self._layers) - 1
            scale = last / np.sqrt(rows) if is_last else np.sqrt(2 / rows)
            parts += [rng.standard_normal(rows * columns) * scale, np.zeros(columns)]
        return torch.from_numpy(np.concatenate(parts).astype(np.float32))

    def __call__(self, weights: Tensor, x: Tensor) -> Tensor:
        """x [N, sizes[0]] to [N, sizes[-1]]."""
        parts = weights.split(self._lengths)
        for i, (rows, columns) in enumerate(self._layers):
            if i:
                x = F.silu(x)
            x = F.linear(x, parts[2 * i].view(columns, rows), parts[2 * i + 1])
        return x


@dataclass(frozen=True)
class Net:
    """The weights [P] of a network and the moments of Adam (Kingma & Ba 2015)."""

    weights: Tensor
    first: Tensor
    second: Tensor
    steps: int = 0

    @staticmethod
    def of(weights: Tensor) -> "Net":
        """The state before the first step."""
        return Net(weights, torch.zeros_like(weights), torch.zeros_like(weights))

    def step(
        self, gradient: Tensor, learning_rate: float, betas: tuple[float, float] = (0.9, 0.99)
    ) -> "Net":
        """The state after one step of Adam with `gradient` [P]."""
        beta1, beta2 = betas
        steps = self.steps + 1
        first = torch.lerp(self.first, gradient, 1 - beta1)
        second = torch.lerp(self.second, gradient.square(), 1 - beta2)
        mean, spread = first / (1 - beta1**steps), (second / (1 - beta2**steps)).sqrt_()
        return Net(self.weights - learning_rate * mean / spread.add_(1e-8), first, second, steps)


def gradient_of(loss: Tensor, weights: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(loss, weights)
    return gradient


def update_average(average: Tensor, weights: Tensor, steps: int, most: float = 0.995) -> Tensor:
    """The exponential moving average of the weights, with a decay that rises to `most`."""
    return torch.lerp(weights, average, min(most, (1 + steps) / (10 + steps)))


def with_gradient(weights: Tensor) -> Tensor:
    """The same numbers as a leaf that requires a gradient."""
    return weights.detach().requires_grad_()


# --- What all families share ------------------------------------------------------------------

Measures = tuple[tuple[str, float], ...]
"""(name, loss) pairs."""


@dataclass(frozen=True)
class Learned:
    """The state of a training: its networks, and the averaged weights of the one that is shown."""

    nets: tuple[Net, ...]
    average: Tensor

    @staticmethod
    def of(weights: Tensor) -> "Learned":
        """The state of a single network before its first step."""
        return Learned((Net.of(weights),), weights)


@dataclass(frozen=True)
class Sight:
    """A model's view of the plane. Grids are [.., GRID, GRID] with the first row at the top.

    `paths` is [levels, N, 2], from noise to the level that is shown; the last are the samples.
    """

    samples: Tensor | None = None  # [N, 2]
    surface: Tensor | None = None  # [GRID, GRID]
    chances: Tensor | None = None  # [classes, GRID, GRID], probabilities
    arrows: Tensor | None = None  # [A, 2, 2]: from, to
    means: Tensor | None = None  # [A, 2, 2] beside the arrows, of the same scale
    paths: Tensor | None = None


class SingleNetwork(ABC):
    """A family of one network, trained by one loss. It holds no weights."""

    _net: MLP

    @abstractmethod
    def loss(self, weights: Tensor, x: Tensor, labels: Tensor, rng: Rng) -> Tensor:
        """The loss to minimise, on points [N, 2] of the classes [N]."""

    @abstractmethod
    def look(self, learned: Learned, rng: Rng, count: int, noise: float) -> Sight:
        """The view of the plane at a noise level, with `count` samples if it generates."""

    def reported(self, loss: float) -> float:
        """The loss in its displayed unit."""
        return loss

    def begin(self, rng: Rng) -> Learned:
        """The state before the first step."""
        return Learned.of(self._net.begin(rng, last=0.1))

    def train(
        self, learned: Learned, x: Tensor, labels: Tensor, rng: Rng, learning_rate: float
    ) -> tuple[Learned, Measures]:
        """The state after one step on points [N, 2] of the classes [N], and the losses."""
        (net,) = learned.nets
        weights = with_gradient(net.weights)
        loss = self.loss(weights, x, labels, rng)
        net = net.step(gradient_of(loss, weights), learning_rate)
        average = update_average(learned.average, net.weights, net.steps)
        return Learned((net,), average), (("loss", self.reported(float(loss.detach()))),)


def middles(side: int = GRID) -> Tensor:
    """The centres of the cells along one side of a grid over the plane: float32 [side]."""
    return ((torch.arange(side) + 0.5) / side * 2 - 1) * EDGE


@lru_cache(maxsize=4)
def mesh(side: int = GRID) -> Tensor:
    """The centres of the cells of a grid over the plane: float32 [side · side, 2], row by row from
    the top."""
    y, x = torch.meshgrid(middles(side).flip(0), middles(side), indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2)


def as_grid(values: Tensor) -> Tensor:
    """Values at the positions of `mesh()`, [.., GRID · GRID], as a grid [.., GRID, GRID]."""
    return values.reshape(*values.shape[:-1], GRID, GRID)


def arrows_at(positions: Tensor, directions: Tensor, length: float) -> Tensor:
    """Arrows [A, 2, 2] at positions [A, 2] along directions [A, 2], at most `length` long.

    The strongest tenth of them have that length.
    """
    strong = torch.quantile(directions.norm(dim=1), 0.9).clamp_min(1e-12)
    scaled = directions / strong
    scaled = scaled / scaled.norm(dim=1, keepdim=True).clamp_min(1)
    return torch.stack([positions, positions + length * scaled], dim=1)


# --- Families that transport noise to data along a velocity field -----------------------------
# The noise level is 1 for pure noise and 0 for data. Coordinates are scaled so that the points have
# the same standard deviation at every level, so that whole paths fit into one plane.

STEPS = 16  # of Heun's method from noise to data
FREQUENCIES = (1.0, 2.0, 4.0, 8.0)  # in quarter turns, of the level's Fourier features
SIDE, REACH = 14, 0.15  # arrows along a side, and the length of the strongest
LEAST = 0.04  # the lowest level at which a field is shown: without noise it is not defined
INSTANT = 0.5  # share of mean flow's pairs of levels that are equal
NEAR = 0.01  # levels between two velocities whose difference gives a derivative
ADAPTED = 0.01  # squared error above which mean flow's loss grows with its root (their eq. 22)
KERNEL = 0.06  # standard deviation of the kernel of density estimates


class FieldFamily(SingleNetwork):
    """The base of diffusion and flow matching. A subclass says what its network predicts."""

    def __init__(self, width: int, classes: int) -> None:
        self._net = MLP((FEATURES + 2 * len(FREQUENCIES), width, width, width, 2))
        self._turns = torch.tensor(FREQUENCIES) * torch.pi / 2

    def predict(self, weights: Tensor, x: Tensor, noise: Tensor) -> Tensor:
        """The network's output [N, 2] at positions [N, 2] and noise levels [N, 1]."""
        level = noise * self._turns
        return self._net(weights, torch.cat([fourier_features(x), level.sin(), level.cos()], dim=1))

    def velocity(self, weights: Tensor, x: Tensor, noise: float) -> Tensor:
        """dx / d(noise level) at positions [N, 2] and a level above 0; by default the network
        predicts it, towards the data."""
        level = torch.full((len(x), 1), noise)
        return -SPREAD * self.predict(weights, x, level)

    def denoise(self, weights: Tensor, x: Tensor, noise: float) -> Tensor:
        """The clean points predicted from positions [N, 2] at a level; by default the end of a
        straight path."""
        return x - noise * self.velocity(weights, x, noise)

    def look(self, learned: Learned, rng: Rng, count: int, noise: float) -> Sight:
        """The particles at a level, their density, and the field there."""
        paths = self._path(learned, rng, count, noise)
        level = max(noise, LEAST)
        positions = mesh(SIDE)
        field = -self.velocity(learned.average, positions, level)
        return Sight(
            paths[-1], density(paths[-1]), arrows=arrows_at(positions, field, REACH), paths=paths
        )

    def _path(self, learned: Learned, rng: Rng, count: int, noise: float) -> Tensor:
        """Particles [levels, count, 2] from pure noise down to a level, by Heun's method."""
        weights = learned.average
        schedule = (1 - i / STEPS for i in range(STEPS))
        levels = [*(level for level in schedule if level > noise), noise]
        x = SPREAD * normal(rng, count, 2)
        path = [x]
        for level, next_level in pairwise(levels):
            if next_level > 0:
                dt = next_level - level
                slope = self.velocity(weights, x, level)
                next_slope = self.velocity(weights, x + dt * slope, next_level)
                x = x + dt / 2 * (slope + next_slope)
            else:
                x = self.denoise(weights, x, level)
            path.append(x)
        return torch.stack(path)


def density(samples: Tensor) -> Tensor:
    """The kernel density estimate of samples [N, 2] with a Gaussian kernel, as a grid."""
    columns, rows = (
        torch.exp(-((centres[:, None] - samples[:, i]) ** 2) / (2 * KERNEL**2))
        for i, centres in enumerate((middles(), middles().flip(0)))
    )
    return as_grid((rows @ columns.T).flatten()) / (len(samples) * 2 * torch.pi * KERNEL**2)


# --- An autoregressive density: p(x) p(y | x), each over bins ---------------------------------

BIN = 2 * EDGE / GRID
X_WAVES = torch.arange(1, 7) * math.pi / EDGE  # frequencies of x's Fourier features


class Autoregressive(SingleNetwork):
    """GRID logits for x, and a network from x to GRID logits for y. Points outside the plane are
    moved to its edge. The loss is shown in bits above the loss of a uniform density."""

    def __init__(self, width: int, classes: int) -> None:
        self._net = MLP((1 + 2 * len(X_WAVES), width, width, GRID))
        x = middles()[:, None]
        angles = x * X_WAVES
        self._features = torch.cat([x, angles.sin(), angles.cos()], dim=1)

    def begin(self, rng: Rng) -> Learned:
        weights = torch.cat([torch.zeros(GRID), self._net.begin(rng, last=0.1)])
        return Learned.of(weights)

    def _logs(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """ln p(x) [GRID] and ln p(y | x) [GRID, GRID] over bins."""
        log_x = weights[:GRID].log_softmax(dim=0)
        return log_x, self._net(weights[GRID:], self._features).log_softmax(dim=1)

    def loss(self, weights: Tensor, x: Tensor, labels: Tensor, rng: Rng) -> Tensor:
        """The negative log-likelihood of the bins, in nats."""
        bins = ((x + EDGE) / BIN).long().clamp(0, GRID - 1)
        log_x, log_y = self._logs(weights)
        nats = F.nll_loss(log_x.expand(len(x), GRID), bins[:, 0])
        return nats + F.nll_loss(log_y[bins[:, 0]], bins[:, 1])

    def reported(self, loss: float) -> float:
        return (loss - 2 * math.log(GRID)) / math.log(2)

    def look(self, learned: Learned, rng: Rng, count: int, noise: float) -> Sight:
        """The samples and the exact density."""
        log_x, log_y = self._logs(learned.average)
        density = (log_x[:, None] + log_y).exp().T.flip(0) / BIN**2
        u = uniform(rng, count, 4)
        column = _invert(log_x.exp().cumsum(dim=0).expand(count, GRID), u[:, :1])
        row = _invert(log_y.exp().cumsum(dim=1)[column], u[:, 1:2])
        samples = (torch.stack([column, row], dim=1) + u[:, 2:]) * BIN - EDGE
        return Sight(samples, density)


def _invert(cumulative: Tensor, u: Tensor) -> Tensor:
    """The bins [N] in which cumulative distributions [N, GRID] reach u [N, 1]."""
    bins = torch.searchsorted(cumulative.contiguous(), u.contiguous(), right=True)
    return bins[:, 0].clamp_max(GRID - 1)


# --- A classifier: p(class | x), without a model of where points are --------------------------


class Classifier(SingleNetwork):
    """A network from a position to a logit for each class, trained by cross-entropy in bits."""

    def __init__(self, width: int, classes: int) -> None:
        if classes < 2:
            raise MisuseError(
                "these points are all of one class and a classifier needs two: set some of another"
            )
        self._net = MLP((2, width, width, width, classes))

    def loss(self, weights: Tensor, x: Tensor, labels: Tensor, rng: Rng) -> Tensor:
        return F.cross_entropy(self._net(weights, x / SPREAD), labels) / np.log(2)

    def chances(self, learned: Learned, x: Tensor) -> Tensor:
        """The probability of each class, [classes, N], at positions [N, 2]."""
        return self._net(learned.average, x / SPREAD).softmax(dim=1).T

    def look(self, learned: Learned, rng: Rng, count: int, noise: float) -> Sight:
        """The probability of each class on the grid."""
        return Sight(chances=as_grid(self.chances(learned, mesh())))


# --- Diffusion: a denoiser as in EDM (Karras et al. 2022), sampled by the probability flow ODE

SIGMA_MAX = 5.0
P_MEAN, P_STD = -1.2, 1.2  # of ln σ in training, their table 1
MAX_ANGLE = math.atan(SIGMA_MAX / SPREAD)


class Diffusion(FieldFamily):
    """The network is F of D(x; σ) = c_skip x + c_out F(c_in x, σ), their equation 7.

    With σ = SPREAD · tan θ the coefficients are cosines and sines of θ. The noise level is θ
    divided by its maximum, and x · cos θ has the same standard deviation at every level.
    """

    def loss(self, weights: Tensor, x: Tensor, labels: Tensor, rng: Rng) -> Tensor:
        """Their equation 8: c_out² times the weight λ(σ) is 1."""
        sigma = (P_MEAN + P_STD * normal(rng, len(x), 1)).exp()
        angle = torch.atan(sigma / SPREAD)
        noisy = (x + sigma * normal(rng, len(x), 2)) * angle.cos()
        target = (x - angle.cos() * noisy) / (SPREAD * angle.sin())
        output = self.predict(weights, noisy, angle / MAX_ANGLE)
        return (output - target).square().sum(dim=1).mean()

    def denoise(self, weights: Tensor, x: Tensor, noise: float) -> Tensor:
        angle = noise * MAX_ANGLE
        level = torch.full((len(x), 1), noise)
        output = self.predict(weights, x, level)
        return math.cos(angle) * x + SPREAD * math.sin(angle) * output

    def velocity(self, weights: Tensor, x: Tensor, noise: float) -> Tensor:
        """Their equation 3, dx/dσ = (x - D(x; σ)) / σ, in the coordinates x · cos θ."""
        angle = noise * MAX_ANGLE
        clean = self.denoise(weights, x, noise)
        return MAX_ANGLE * (math.cos(angle) * x - clean) / math.sin(angle)


# --- Flow matching (Lipman et al. 2023): the velocity of straight paths from noise to data ----


class FlowMatching(FieldFamily):
    """The network predicts E[x₁ - x₀ | x_t] for x_t = (1 - t) x₀ + t x₁, their equation 23 with
    σ_min = 0. Here x₀ is noise with the data's standard deviation, and the noise level is 1 - t."""

    def loss(self, weights: Tensor, x: Tensor, labels: Tensor, rng: Rng) -> Tensor:
        level = uniform(rng, len(x), 1)
        noise = SPREAD * normal(rng, len(x), 2)
        x_t = level * noise + (1 - level) * x
        output = self.predict(weights, x_t, level)
        return (output - (x - noise) / SPREAD).square().sum(dim=1).mean()


# --- Mean flow (Geng et al. 2025): the average velocity over a whole step -----------------------


class MeanFlow(FieldFamily):
    """The network predicts the velocity u averaged over the way from a level t to a level r <= t,
    so that one step leads from one to the other. Flow matching's velocity v is that for r = t.

    It is a student of itself: t - r times u is the way, and its derivative by t along the path
    gives what u must be, v - (t - r) du/dt (their equation 6).
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__(width, classes)
        self._net = MLP((FEATURES + 4 * len(FREQUENCIES), width, width, width, 2))

    def predict(
        self, weights: Tensor, x: Tensor, noise: Tensor, end: Tensor | None = None
    ) -> Tensor:
        """The network's output [N, 2] for the way from a noise level [N, 1] to a lower one, by
        default the same."""
        level = torch.cat([noise, noise if end is None else noise - end], dim=1)
        turns = (level[:, :, None] * self._turns).flatten(1)
        return self._net(weights, torch.cat([fourier_features(x), turns.sin(), turns.cos()], dim=1))

    def loss(self, weights: Tensor, x: Tensor, labels: Tensor, rng: Rng) -> Tensor:
        levels = uniform(rng, len(x), 2).sort(dim=1).values
        end, level = levels.split(1, dim=1)
        end = torch.where(uniform(rng, len(x), 1) < INSTANT, level, end)
        noise = SPREAD * normal(rng, len(x), 2)
        x_t = level * noise + (1 - level) * x
        velocity = (x - noise) / SPREAD  # towards the data; the level falls
        output = self.predict(weights, x_t, level, end)
        with torch.no_grad():  # the derivative by the level, from one a little higher on the path
            higher = x_t - NEAR * SPREAD * velocity, level + NEAR, end
            change = (self.predict(weights, *higher) - output) / NEAR
            target = velocity - (level - end) * change
        return ((output - target).square().sum(dim=1) + ADAPTED).sqrt().mean()

    def reach(self, weights: Tensor, x: Tensor, noise: float, end: float) -> Tensor:
        """Positions [N, 2] at a noise level, after one step to a lower level."""
        level, lower = (torch.full((len(x), 1), each) for each in (noise, end))
        return x + (noise - end) * SPREAD * self.predict(weights, x, level, lower)

    def look(self, learned: Learned, rng: Rng, count: int, noise: float) -> Sight:
        """As of the other fields; the means are the average velocities over the rest of the way."""
        sight = super().look(learned, rng, count, noise)
        level, positions = max(noise, LEAST), mesh(SIDE)
        field = -self.velocity(learned.average, positions, level)
        way = (self.reach(learned.average, positions, level, 0.0) - positions) / level
        both = arrows_at(positions.repeat(2, 1), torch.cat([field, way]), REACH)
        arrows, means = both.chunk(2)
        return replace(sight, arrows=arrows, means=means)

    def _path(self, learned: Learned, rng: Rng, count: int, noise: float) -> Tensor:
        """Particles [levels, count, 2], each level in one step from pure noise."""
        x = SPREAD * normal(rng, count, 2)
        levels = [1 - i / STEPS for i in range(STEPS) if 1 - i / STEPS > noise]
        ways = [self.reach(learned.average, x, 1.0, level) for level in (*levels, noise)]
        return torch.stack(ways)


# --- A GAN: relativistic pairing with zero-centred penalties (R3GAN, Huang et al. 2024) -------

GAN_LATENT = 4  # size of the latent
PENALTY = 0.05  # γ; small, because on points within ±1 the discriminator may be steep
BETAS = (0.0, 0.99)
RATE_FACTOR = 0.5  # of the learning rate: two players overshoot sooner than one network
ARROWS, GAN_REACH = 128, 0.16  # how many samples get an arrow, and the length of the strongest


class Gan:
    """A generator and a discriminator, trained in turn; methods as in `SingleNetwork`.

    The generator's loss is softplus(D(real) - D(fake)), averaged over pairs (equation 2 there,
    after Jolicoeur-Martineau 2019). The discriminator's is softplus(D(fake) - D(real)) plus γ/2
    times the squared gradients on real (R1) and generated points (R2).
    """

    def __init__(self, width: int, classes: int) -> None:
        self._generate = MLP((GAN_LATENT, width, width, width, 2))
        self._discriminate = MLP((FEATURES, width, width, 1))

    def begin(self, rng: Rng) -> Learned:
        generator = self._generate.begin(rng, last=0.5)
        discriminator = self._discriminate.begin(rng)
        return Learned((Net.of(generator), Net.of(discriminator)), generator)

    def train(
        self, learned: Learned, x: Tensor, labels: Tensor, rng: Rng, learning_rate: float
    ) -> tuple[Learned, Measures]:
        generator, discriminator = learned.nets
        learning_rate *= RATE_FACTOR
        fake = self._generate(generator.weights, normal(rng, len(x), GAN_LATENT))
        weights, both = with_gradient(discriminator.weights), with_gradient(torch.cat([x, fake]))
        scores = self._score(weights, both)
        real_score, fake_score = scores.chunk(2)
        loss = F.softplus(fake_score - real_score).mean()
        (slope,) = torch.autograd.grad(scores.sum(), both, create_graph=True)
        penalty = slope.square().sum(dim=1).mean() * 2  # R1 + R2
        gradient = gradient_of(loss + PENALTY / 2 * penalty, weights)
        discriminator = discriminator.step(gradient, learning_rate, BETAS)

        weights = with_gradient(generator.weights)
        fake = self._generate(weights, normal(rng, len(x), GAN_LATENT))
        scores = self._score(discriminator.weights, torch.cat([x, fake]))
        real_score, fake_score = scores.chunk(2)
        generator_loss = F.softplus(real_score - fake_score).mean()
        generator = generator.step(gradient_of(generator_loss, weights), learning_rate, BETAS)
        average = update_average(learned.average, generator.weights, generator.steps)
        measures = (
            ("discriminator", float(loss.detach())),
            ("generator", float(generator_loss.detach())),
            ("pairs right", float((real_score > fake_score).float().mean())),
        )
        return Learned((generator, discriminator), average), measures

    def _score(self, weights: Tensor, x: Tensor) -> Tensor:
        """The discriminator's scores, logits [N, 1], at positions [N, 2]."""
        return self._discriminate(weights, fourier_features(x))

    def look(self, learned: Learned, rng: Rng, count: int, noise: float) -> Sight:
        """The samples, the discriminator's score, and its gradient at some samples."""
        samples = self._generate(learned.average, normal(rng, count, GAN_LATENT))
        weights = learned.nets[1].weights
        surface = as_grid(self._score(weights, mesh())[:, 0])
        with torch.enable_grad():
            positions = with_gradient(samples[:ARROWS])
            gradient = gradient_of(self._score(weights, positions).sum(), positions)
        return Sight(samples, surface, arrows=arrows_at(positions.detach(), gradient, GAN_REACH))


Family = SingleNetwork | Gan


FAMILIES: Mapping[str, Callable[[int, int], "Family"]] = types.MappingProxyType(
    {
        "gan": Gan,
        "diffusion": Diffusion,
        "flow": FlowMatching,
        "meanflow": MeanFlow,
        "autoregressive": Autoregressive,
        "classifier": Classifier,
    }
)
"""The families of the Lab by name; each takes a width and the number of classes."""
