"""What a family of the Lab can do: begin, train one step, and be looked at."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from types import MappingProxyType
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from genui.engine.lab.nets import Net, averaged, slope, tracked
from genui.errors import MisuseError, did_you_mean
from genui.protocol import EDGE, GRID, LAB

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


FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        "gan": "genui.engine.lab.gan:Gan",
        "diffusion": "genui.engine.lab.diffusion:Diffusion",
        "flow": "genui.engine.lab.flow:FlowMatching",
        "autoregressive": "genui.engine.lab.autoregressive:Autoregressive",
        "classifier": "genui.engine.lab.classifier:Classifier",
    }
)
"""The families, each as `module:class`; a class takes its width and the number of classes."""


def make_family(model: str, width: int, classes: int) -> Family:
    """The family that a model's name, `lab:gan`, means. Raises MisuseError where there is none."""
    name = model.removeprefix(LAB)
    if name not in FAMILIES:
        raise MisuseError(f"the Lab has no family '{name[:40]}': {did_you_mean(name, FAMILIES)}")
    module, _, kind = FAMILIES[name].partition(":")
    return getattr(import_module(module), kind)(width, classes)


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
