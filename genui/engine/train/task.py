"""What the trainer asks of a family: a model, its loss, its evaluation, its samples."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from genui.engine.device import Machine


@dataclass(frozen=True)
class Sample:
    """A fixed-seed preview as a file: its suffix (".txt", ".png", ".wav", …) and its bytes."""

    suffix: str
    content: bytes


def png(picture: NDArray[np.uint8]) -> bytes:
    """A picture [H, W, 3] as what a Sample holds; nothing is written inside."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


@dataclass(frozen=True, eq=False)
class Side:
    """What one optimiser moves, and what it moves it by.

    A step of the training is one move of every side, in their order: the later sides see what
    the earlier ones have become. Whatever is random in `loss(step)` is drawn from
    (recipe.seed, step) alone, so that a resumed training sees exactly what an uninterrupted one
    would have.
    """

    name: str  # what its metrics begin with; "" where there is but one
    module: nn.Module  # the task's model, or a part of it: no other parameter gets a gradient
    loss: Callable[[int], Tensor]  # on the batch of this step, under the caller's autocast
    measured: Callable[[], Mapping[str, float]] = dict  # what else the last loss found, to log

    def metric(self, name: str) -> str:
        """The name under which a metric of this side is logged: `generator_loss`, or `loss`."""
        return f"{self.name}_{name}" if self.name else name


class Task(Protocol):
    """One family's training objective on one dataset: `Minimised`, or a `Game` of several sides."""

    unit: str  # what is counted, e.g. "tok"
    units_per_step: int
    units_per_epoch: int  # after so many, every part of the data was seen once (or may have been)
    data_line: str  # one line describing the data
    notes: tuple[str, ...]  # what of the data is left out or not known, a line each
    extra: dict[str, Any]  # what a checkpoint needs beside weights and recipe

    @property
    def model(self) -> nn.Module:
        """The network being trained."""
        ...

    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        """Held-out measurements; on all held-out data where `whole`."""
        ...

    def sample(self, model: nn.Module, machine: Machine) -> Sequence[Sample]:
        """What the model makes of the recipe's fixed prompts and seed: a file a suffix.

        A ".png" or ".txt" is looked at while it trains; others lie beside it.
        """
        ...


@runtime_checkable
class Minimised(Task, Protocol):
    """A task with one loss that the whole model is trained to lessen."""

    def loss(self, step: int) -> Tensor:
        """As `Side.loss`."""
        ...


@runtime_checkable
class Game(Task, Protocol):
    """A task whose sides each have a part of the model and a loss of their own."""

    @property
    def sides(self) -> tuple[Side, ...]:
        """In the order of their moves; names differ."""
        ...


def sides_of(task: Task) -> tuple[Side, ...]:
    """The sides of a task: its own, or the one that moves all of the model."""
    if isinstance(task, Game):
        return task.sides
    assert isinstance(task, Minimised)
    return (Side("", task.model, task.loss),)
