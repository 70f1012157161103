"""The Lab's data: points in the plane, their densities, and the random numbers of a training.

Random numbers of step k are seeded by (seed, k, part); there is no shared stream.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from genui.base.errors import MisuseError, did_you_mean
from genui.kinds.lab import points

BATCH, TRAIN, BEGIN, LATENT, HELD, SHOWN = range(6)
"""The parts: the points of a batch, other random numbers of its step, the initial weights, the
noise of samples, held-out points, and the points that are shown."""


def rng(seed: int, step: int, part: int) -> np.random.Generator:
    """The generator of one part of one step."""
    return np.random.default_rng(np.random.SeedSequence((seed, step), spawn_key=(part,)))


# --- Points in the plane, with their classes and, if it is known, their density ---------------

Positions = NDArray[np.float32]  # [N, 2]
Labels = NDArray[np.int64]  # [N]
Floats = NDArray[np.float64]

NODES = 128  # of the quadrature along a curve
CURVE_STD = 0.05  # of the noise around a curve
GAUSSIAN_STD = 0.09  # of each of the eight Gaussians


class Batch(NamedTuple):
    """Points and the class of each."""

    x: Positions
    labels: Labels


class Data(Protocol):
    """Points to learn, roughly within -1 and 1."""

    name: str
    classes: int

    def draw(self, rng: np.random.Generator, count: int) -> Batch:
        """Draw `count` independent points."""
        ...

    def densities(self, x: Floats) -> Floats | None:
        """p(x, class) at points [N, 2], as [classes, N], or None if it is not known."""
        ...


class _Generated:
    """Data with equally likely classes and a known density."""

    classes = 2

    def draw(self, rng: np.random.Generator, count: int) -> Batch:
        labels = rng.integers(self.classes, size=count)
        return Batch(self.positions(rng, labels).astype(np.float32), labels)

    @abstractmethod
    def positions(self, rng: np.random.Generator, labels: Labels) -> Floats:
        """A random point of each of these classes, [N, 2]."""


class _Curves(_Generated):
    """Points around curves, one for each class, uniformly distributed along it.

    The density is the integral of a Gaussian along the curve by the midpoint rule, with nodes
    closer together than the Gaussian is wide.
    """

    std = CURVE_STD

    @abstractmethod
    def curve(self, t: Floats, labels: Labels) -> Floats:
        """The points of the classes' curves at t, 0 to 1: [N, 2]."""

    def positions(self, rng: np.random.Generator, labels: Labels) -> Floats:
        mean = self.curve(rng.random(len(labels)), labels)
        return mean + self.std * rng.standard_normal(mean.shape)

    def densities(self, x: Floats) -> Floats:
        t = (np.arange(NODES) + 0.5) / NODES
        each = [
            _gaussians(x, self.curve(t, np.full(NODES, label)), self.std)
            for label in range(self.classes)
        ]
        return np.stack(each) / self.classes


class TwoMoons(_Curves):
    """Two interlocking half circles."""

    name = "two moons"

    def curve(self, t: Floats, labels: Labels) -> Floats:
        angle, side = np.pi * t, np.where(labels == 0, 1.0, -1.0)
        x = 0.6 * (np.cos(angle) - 0.5) * side
        y = 0.6 * (np.sin(angle) - 0.25) * side
        return np.stack([x, y], axis=-1)


class Spirals(_Curves):
    """Two intertwined spiral arms."""

    name = "spirals"
    std = 0.035

    def curve(self, t: Floats, labels: Labels) -> Floats:
        radius = np.sqrt(0.03 + 0.97 * t)  # as dense outside as inside
        angle = 3 * np.pi * radius + np.where(labels == 0, 0.0, np.pi)
        return 0.95 * radius[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


class EightGaussians(_Generated):
    """Eight Gaussians on a circle, of alternating classes."""

    name = "eight Gaussians"

    def _centres(self, label: int) -> Floats:
        angle = 2 * np.pi * (np.arange(4) * 2 + label) / 8
        return 0.8 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)

    def positions(self, rng: np.random.Generator, labels: Labels) -> Floats:
        centres = np.stack([self._centres(label) for label in range(2)])
        mean = centres[labels, rng.integers(4, size=len(labels))]
        return mean + GAUSSIAN_STD * rng.standard_normal(mean.shape)

    def densities(self, x: Floats) -> Floats:
        each = [_gaussians(x, self._centres(label), GAUSSIAN_STD) for label in range(self.classes)]
        return np.stack(each) / self.classes


class Checkerboard(_Generated):
    """Uniform on the dark squares of a four-by-four board; the classes are alternate rows."""

    name = "checkerboard"

    def positions(self, rng: np.random.Generator, labels: Labels) -> Floats:
        count = len(labels)
        row = 2 * rng.integers(2, size=count) + labels
        column = 2 * rng.integers(2, size=count) + row % 2
        corner = np.stack([column, row], axis=-1)
        return (corner + rng.random((count, 2))) / 2 - 1

    def densities(self, x: Floats) -> Floats:
        column, row = np.floor((x + 1) * 2).T
        dark = (np.abs(x) < 1).all(axis=1) & ((column + row) % 2 == 0)
        # Eight squares of side 1/2 have a total area of 2: the density on them is 1/2.
        return np.stack([np.where(dark & (row % 2 == label), 0.5, 0.0) for label in range(2)])


class OwnPoints:
    """The user's own points, all equally likely; their density is not known."""

    name = "your points"

    def __init__(self, given: list[points.Point]) -> None:
        place = points.fit_to_plane(given).place
        fitted = [place(point) for point in given]
        self.x: Positions = np.array([point[:2] for point in fitted], np.float32)
        self.labels: Labels = np.array([point.label for point in fitted], np.int64)
        self.classes = int(self.labels.max()) + 1

    def draw(self, rng: np.random.Generator, count: int) -> Batch:
        indices = rng.integers(len(self.x), size=count)
        return Batch(self.x[indices], self.labels[indices])

    def densities(self, x: Floats) -> None:
        return None


_GENERATED: Mapping[str, Data] = {
    data.name: data for data in (TwoMoons(), EightGaussians(), Spirals(), Checkerboard())
}
NAMES: tuple[str, ...] = tuple(_GENERATED)


def data_named(prompt: str) -> Data:
    """The data that a prompt names, or the points that it contains as CSV.

    Raises MisuseError if it is neither.
    """
    if points.is_points(prompt):
        return OwnPoints(points.from_text(prompt))
    wanted = " ".join(prompt.replace("-", " ").replace("_", " ").split()).lower()
    data = {name.lower(): data for name, data in _GENERATED.items()}.get(wanted)
    if data is None:
        known = [name.lower().replace(" ", "-") for name in NAMES]
        hint = did_you_mean(wanted.replace(" ", "-"), known)
        raise MisuseError(f"no points are called '{prompt[:40]}': {hint}")
    return data


def _gaussians(x: Floats, centres: Floats, std: float) -> Floats:
    """The density [N] at x [N, 2] of an equal mixture of isotropic Gaussians, centres [K, 2]."""
    squared = (x**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1) - 2 * x @ centres.T
    return np.exp(-squared / (2 * std**2)).mean(axis=1) / (2 * np.pi * std**2)
