"""The points of the Lab: the random numbers of a training, the data and its density.

What is random in step k of a training comes from (seed, k, part) and never from a stream.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from genui.base.errors import MisuseError, did_you_mean
from genui.formats import points

BATCH, TRAIN, BEGIN, LATENT, HELD, SHOWN = range(6)
"""What the numbers are for: the points of a batch, what else its step draws, the weights at the
start, what samples are made from, held-out points, and the points that are shown."""


def rng(seed: int, step: int, part: int) -> np.random.Generator:
    """The numbers of one part of one step."""
    return np.random.default_rng(np.random.SeedSequence((seed, step), spawn_key=(part,)))


# --- Points in the plane, with their classes and, where known, their density ------------------

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


class _Generated:
    """Data with equally likely classes whose density is known."""

    classes = 2

    def draw(self, rng: np.random.Generator, count: int) -> Batch:
        labels = rng.integers(self.classes, size=count)
        return Batch(self.places(rng, labels).astype(np.float32), labels)

    @abstractmethod
    def places(self, rng: np.random.Generator, labels: Labels) -> Floats:
        """A point of each class that is named, [N, 2]."""


class _Curves(_Generated):
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


class EightGaussians(_Generated):
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


class Checkerboard(_Generated):
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
        fitted = [place(point) for point in given]
        self.x: Places = np.array([point[:2] for point in fitted], np.float32)
        self.labels: Labels = np.array([point.label for point in fitted], np.int64)
        self.classes = int(self.labels.max()) + 1

    def draw(self, rng: np.random.Generator, count: int) -> Batch:
        chosen = rng.integers(len(self.x), size=count)
        return Batch(self.x[chosen], self.labels[chosen])

    def densities(self, at: Floats) -> None:
        return None


_GENERATED: Mapping[str, Data] = {
    data.name: data for data in (TwoMoons(), EightGaussians(), Spirals(), Checkerboard())
}
NAMES: tuple[str, ...] = tuple(_GENERATED)


def data_named(prompt: str) -> Data:
    """The data that a prompt names or, where it is a CSV of points, those.

    Raises MisuseError where it is neither.
    """
    if points.is_points(prompt):
        return OwnPoints(points.from_text(prompt))
    wanted = " ".join(prompt.replace("-", " ").replace("_", " ").split()).lower()
    data = {name.lower(): data for name, data in _GENERATED.items()}.get(wanted)
    if data is None:
        raise MisuseError(f"no points are called '{prompt[:40]}': {did_you_mean(wanted, NAMES)}")
    return data


def _gaussians(at: Floats, centres: Floats, width: float) -> Floats:
    """The density of an even mixture of round Gaussians at `at` [N, 2], given its centres."""
    squared = (at**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1) - 2 * at @ centres.T
    return np.exp(-squared / (2 * width**2)).mean(axis=1) / (2 * np.pi * width**2)
