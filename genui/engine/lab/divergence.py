"""How far a network is from the true density, in bits; 0 is the truth itself."""

from functools import cached_property, lru_cache
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from genui.engine.lab import draws
from genui.engine.lab.data import Data, Floats
from genui.engine.lab.family import Family, Learned
from genui.protocol import EDGE

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
        batch = self._data.draw(draws.rng(0, 1, draws.HELD), COUNT)
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
        batch = self._data.draw(draws.rng(0, 0, draws.HELD), HELD_OUT)
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
