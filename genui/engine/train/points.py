"""The Lab: five families on points in the plane, small enough that a training step is a step.

A training is a trace. Its state is all that is trained after k steps, so back, forward, fork,
seek and replay are those of every other trace; what is random in step k comes from (seed, k).
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from genui.base.errors import MisuseError, did_you_mean
from genui.formats import points
from genui.protocol import EDGE, GRID, LAB, Plane
from genui.protocol.registry import LAB_FAMILIES, resolve

# --- Random numbers of a training, each from (seed, step, part) and never from a stream -------

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


# --- What the Lab learns: points in the plane, with their classes and, where known, their density

Places = NDArray[np.float32]  # [N, 2]
Labels = NDArray[np.int64]  # [N]
Floats = NDArray[np.float64]

NODES = 128  # of a curve, that its density is summed over
WIDTH = 0.05  # standard deviation of the noise around a curve
BLOB = 0.09  # and of one of eight Gaussians


class Batch(NamedTuple):
    """Points and the class of each."""

    x: Places
    labels: Labels


class Data(Protocol):
    """Points to learn. They lie within -1 and 1 or close by."""

    name: str
    classes: int

    def draw(self, rng: np.random.Generator, count: int) -> Batch:
        """So many points, independently."""
        ...

    def densities(self, at: Floats) -> Floats | None:
        """p(x, y) of every class at the places [N, 2], as [classes, N]; None where unknown."""
        ...


class _Known:
    """Data with equally likely classes whose density is known."""

    classes = 2

    def draw(self, rng: np.random.Generator, count: int) -> Batch:
        labels = rng.integers(self.classes, size=count)
        return Batch(self.places(rng, labels).astype(np.float32), labels)

    @abstractmethod
    def places(self, rng: np.random.Generator, labels: Labels) -> Floats:
        """A point of each class that is named, [N, 2]."""


class _Curves(_Known):
    """Points around curves, one a class, at an even pace along each.

    The density is the integral of a Gaussian along the curve, by the midpoint rule: its nodes
    are closer together than the Gaussian is wide.
    """

    width = WIDTH

    @abstractmethod
    def curve(self, share: Floats, labels: Labels) -> Floats:
        """Where a class's curve is after that share of it, 0 to 1: [N, 2]."""

    def places(self, rng: np.random.Generator, labels: Labels) -> Floats:
        on = self.curve(rng.random(len(labels)), labels)
        return on + self.width * rng.standard_normal(on.shape)

    def densities(self, at: Floats) -> Floats:
        share = (np.arange(NODES) + 0.5) / NODES
        each = [
            _gaussians(at, self.curve(share, np.full(NODES, label)), self.width)
            for label in range(self.classes)
        ]
        return np.stack(each) / self.classes


class TwoMoons(_Curves):
    """Two half circles that reach into each other."""

    name = "two moons"

    def curve(self, share: Floats, labels: Labels) -> Floats:
        angle, side = np.pi * share, np.where(labels == 0, 1.0, -1.0)
        x = 0.6 * (np.cos(angle) - 0.5) * side
        y = 0.6 * (np.sin(angle) - 0.25) * side
        return np.stack([x, y], axis=-1)


class Spirals(_Curves):
    """Two arms wound around each other."""

    name = "spirals"
    width = 0.035

    def curve(self, share: Floats, labels: Labels) -> Floats:
        way = np.sqrt(0.03 + 0.97 * share)  # as dense outside as inside
        angle = 3 * np.pi * way + np.where(labels == 0, 0.0, np.pi)
        return 0.95 * way[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


class EightGaussians(_Known):
    """Eight Gaussians on a circle; neighbours are of different classes."""

    name = "eight Gaussians"

    def _centres(self, label: int) -> Floats:
        angle = 2 * np.pi * (np.arange(4) * 2 + label) / 8
        return 0.8 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)

    def places(self, rng: np.random.Generator, labels: Labels) -> Floats:
        centres = np.stack([self._centres(label) for label in range(2)])
        on = centres[labels, rng.integers(4, size=len(labels))]
        return on + BLOB * rng.standard_normal(on.shape)

    def densities(self, at: Floats) -> Floats:
        each = [_gaussians(at, self._centres(label), BLOB) for label in range(self.classes)]
        return np.stack(each) / self.classes


class Checkerboard(_Known):
    """The dark squares of a board of four by four, evenly; a class is every other row."""

    name = "checkerboard"

    def places(self, rng: np.random.Generator, labels: Labels) -> Floats:
        count = len(labels)
        row = 2 * rng.integers(2, size=count) + labels
        column = 2 * rng.integers(2, size=count) + row % 2
        corner = np.stack([column, row], axis=-1)
        return (corner + rng.random((count, 2))) / 2 - 1

    def densities(self, at: Floats) -> Floats:
        column, row = np.floor((at + 1) * 2).T
        dark = (np.abs(at) < 1).all(axis=1) & ((column + row) % 2 == 0)
        # Eight squares of side 1/2: the density on them is 1/2.
        return np.stack([np.where(dark & (row % 2 == label), 0.5, 0.0) for label in range(2)])


class OwnPoints:
    """Points that a person set or loaded, each as likely as another; no density is known."""

    name = "your points"

    def __init__(self, given: list[points.Point]) -> None:
        place = points.fit_to_plane(given).place
        placed = [place(point) for point in given]
        self.x: Places = np.array([point[:2] for point in placed], np.float32)
        self.labels: Labels = np.array([point.label for point in placed], np.int64)
        self.classes = int(self.labels.max()) + 1

    def draw(self, rng: np.random.Generator, count: int) -> Batch:
        chosen = rng.integers(len(self.x), size=count)
        return Batch(self.x[chosen], self.labels[chosen])

    def densities(self, at: Floats) -> None:
        return None


_KNOWN: Mapping[str, Data] = {
    data.name: data for data in (TwoMoons(), EightGaussians(), Spirals(), Checkerboard())
}
NAMES: tuple[str, ...] = tuple(_KNOWN)


def data_named(prompt: str) -> Data:
    """The data that a prompt names or, where it is a CSV of points, those.

    Raises MisuseError where it is neither.
    """
    if points.is_points(prompt):
        return OwnPoints(points.from_text(prompt))
    wanted = " ".join(prompt.replace("-", " ").replace("_", " ").split()).lower()
    data = {name.lower(): data for name, data in _KNOWN.items()}.get(wanted)
    if data is None:
        raise MisuseError(f"no points are called '{prompt[:40]}': {did_you_mean(wanted, NAMES)}")
    return data


def _gaussians(at: Floats, centres: Floats, width: float) -> Floats:
    """The density of an even mixture of round Gaussians at `at` [N, 2], given its centres."""
    squared = (at**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1) - 2 * at @ centres.T
    return np.exp(-squared / (2 * width**2)).mean(axis=1) / (2 * np.pi * width**2)


# --- Networks of the Lab, and Adam: functions of flat vectors, so that a state is never changed

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

    def stepped(self, loss: Callable[[Tensor], Tensor], rate: float) -> tuple["Learned", float]:
        """After a step of the only network down a loss of its weights; and what that loss was."""
        (net,) = self.nets
        weights = tracked(net.weights)
        value = loss(weights)
        net = net.stepped(slope(value, weights), rate)
        average = averaged(self.average, net.weights, net.steps)
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
        self, learned: Learned, x: Tensor, labels: Tensor, draw: np.random.Generator, rate: float
    ) -> tuple[Learned, Measures]:
        """One training step on points [N, 2] of the classes [N]."""
        ...

    def look(self, learned: Learned, draw: np.random.Generator, count: int, noise: float) -> Sight:
        """What it makes of the plane at a noise level, with `count` samples where it generates."""
        ...


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


# --- What is seen of the plane as the bytes that travel: places of 16 bits, grids of 8 --------

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


# --- How far a network is from the true density, in bits; 0 is the truth itself ---------------

CELLS = 24  # along a side of the plane
FINER = 3  # places along a side of a cell, that its share of the density is summed over
COUNT = 1024  # samples
HELD_OUT = 1024  # points that a classifier is asked about
_TINY = 1e-12


@runtime_checkable
class Classifies(Protocol):
    """A family that answers p(class | x, y)."""

    def chances(self, learned: Learned, x: Tensor) -> Tensor: ...


@lru_cache(maxsize=8)
def divergence_on(data: Data) -> "Divergence":
    """The measure for trainings on these data."""
    return Divergence(data)


class Divergence:
    """Of networks trained on one kind of data.

    Of what generates it is the Jensen–Shannon divergence (Lin 1991), 0 to 1 bit, between the
    true shares of CELLS × CELLS cells (and of all that is outside) and those of COUNT samples;
    so few samples of the truth itself come to `floor`. Of a classifier it is the mean
    Kullback–Leibler divergence of its p(class | x, y) from the true one, at held-out points.
    """

    def __init__(self, data: Data) -> None:
        self._data = data
        self.known = data.densities(np.zeros((1, 2))) is not None

    @cached_property
    def true(self) -> Floats:
        """The true share of each cell, row by row from the lowest, and last of all outside."""
        found = self._data.densities(_mesh(CELLS * FINER))
        assert found is not None
        fine = found.sum(axis=0).reshape(CELLS, FINER, CELLS, FINER).mean(axis=(1, 3))
        inside = fine.flatten() * (2 * EDGE / CELLS) ** 2
        return np.append(inside, max(0.0, 1 - inside.sum()))

    @cached_property
    def floor(self) -> float:
        """What as many points of the data themselves come to."""
        batch = self._data.draw(rng(0, 1, HELD), COUNT)
        return jensen_shannon(self.true, shares(batch.x))

    def of(self, family: Family, learned: Learned, samples: Tensor | None) -> float | None:
        """Bits, of COUNT samples [COUNT, 2]; None where the true density is not known."""
        if not self.known:
            return None
        if isinstance(family, Classifies):
            places, true = self._asked
            found = family.chances(learned, places).T.double().clamp_min(_TINY)
            return float((true * (true.clamp_min(_TINY) / found).log2()).sum(dim=1).mean())
        assert samples is not None
        return jensen_shannon(self.true, shares(samples.numpy()))

    @cached_property
    def _asked(self) -> tuple[Tensor, Tensor]:
        """Held-out points [N, 2], and the true probability of each class there [N, classes]."""
        batch = self._data.draw(rng(0, 0, HELD), HELD_OUT)
        each = self._data.densities(batch.x.astype(np.float64))
        assert each is not None
        true = each / each.sum(axis=0)
        return torch.from_numpy(batch.x), torch.from_numpy(true.T)


def shares(x: np.ndarray) -> Floats:
    """The share of points [N, 2] in each cell, and last of those outside."""
    column, row = np.floor(
        (np.nan_to_num(x, nan=9e9, posinf=9e9, neginf=-9e9) + EDGE) / (2 * EDGE / CELLS)
    ).T
    inside = (column >= 0) & (column < CELLS) & (row >= 0) & (row < CELLS)
    cell = np.where(inside, row * CELLS + column, CELLS * CELLS).astype(np.int64)
    return np.bincount(cell, minlength=CELLS * CELLS + 1) / len(x)


def jensen_shannon(p: Floats, q: Floats) -> float:
    """The divergence of two distributions over the same cells, in bits: 0 to 1."""
    between = np.maximum((p + q) / 2, _TINY)

    def bits(share: Floats) -> float:
        return float((share * np.log2(np.maximum(share, _TINY) / between)).sum())

    return (bits(p) + bits(q)) / 2


def _mesh(side: int) -> Floats:
    """The middles of side × side cells, [side · side, 2], row by row from the lowest."""
    middles = ((np.arange(side) + 0.5) / side * 2 - 1) * EDGE
    x, y = np.meshgrid(middles, middles)
    return np.stack([x, y], axis=-1).reshape(-1, 2)


# --- Families that carry noise to data along a field: the way there, and what is seen of it ---
# A noise level is 1 for pure noise and 0 for data. Places are given in coordinates in which the
# points have the same spread at every level, so that the whole way fits in one plane.

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


# --- An autoregressive density: p(x) p(y | x), each over bins, as pixels and tokens have it ---

BIN = 2 * EDGE / GRID
X_WAVES = torch.arange(1, 7) * math.pi / EDGE  # in which the network is told x


class Autoregressive:
    """GRID logits for x, and a network from x to as many for y; points beyond the plane count
    to its edge. The loss is the negative log-likelihood in bits: 0 is an even plane's."""

    title = "autoregressive"
    levels = False

    def __init__(self, width: int, classes: int) -> None:
        self._net = MLP((1 + 2 * len(X_WAVES), width, width, GRID))
        x = middles()[:, None]  # of the bins
        angles = x * X_WAVES
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


# --- A classifier, the discriminative twin: p(class | x, y), and nothing of where points are --


class Classifier:
    """A network from a place to a logit a class, trained by cross-entropy in bits."""

    title = "classifier"
    levels = False

    def __init__(self, width: int, classes: int) -> None:
        if classes < 2:
            raise MisuseError(
                "these points are all of one class and a classifier needs two: set some of another"
            )
        self._net = MLP((2, width, width, width, classes))

    def begin(self, draw: np.random.Generator) -> Learned:
        return Learned.of(self._net.begin(draw, last=0.1))

    def train(
        self, learned: Learned, x: Tensor, labels: Tensor, draw: np.random.Generator, rate: float
    ) -> tuple[Learned, Measures]:
        def loss(weights: Tensor) -> Tensor:
            return F.cross_entropy(self._net(weights, x / SPREAD), labels) / np.log(2)

        learned, bits = learned.stepped(loss, rate)
        return learned, (("loss", bits),)

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


# --- Flow matching (Lipman et al. 2023): the velocity of straight paths from noise to data ----


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
        fake = self._generate(generator.weights, normal(draw, len(x), GAN_LATENT))
        weights, both = tracked(discriminator.weights), tracked(torch.cat([x, fake]))
        scores = self._judge(weights, both)
        real_score, fake_score = scores.chunk(2)
        loss = F.softplus(fake_score - real_score).mean()
        (steep,) = torch.autograd.grad(scores.sum(), both, create_graph=True)
        penalty = steep.square().sum(dim=1).mean() * 2  # of both halves
        down = slope(loss + PENALTY / 2 * penalty, weights)
        discriminator = discriminator.stepped(down, rate, BETAS)

        weights = tracked(generator.weights)
        fake = self._generate(weights, normal(draw, len(x), GAN_LATENT))
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
        samples = self._generate(learned.average, normal(draw, count, GAN_LATENT))
        weights = learned.nets[1].weights
        surface = as_grid(self._judge(weights, mesh())[:, 0])
        with torch.enable_grad():
            places = tracked(samples[:ARROWS])
            upwards = slope(self._judge(weights, places).sum(), places)
        return Sight(samples, surface, arrows=arrows_at(places.detach(), upwards, GAN_REACH))
