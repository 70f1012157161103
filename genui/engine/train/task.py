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


def png(image: NDArray[np.uint8]) -> bytes:
    """An image [H, W, 3] as what a Sample holds; nothing is written inside."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


@dataclass(frozen=True, eq=False)
class Player:
    """What one optimiser trains, and by which loss.

    A step of the training is one step of every player, in their order: the later players see what
    the earlier ones have become. Whatever is random in `loss(step)` is drawn from
    (recipe.seed, step) alone, so that a resumed training sees exactly what an uninterrupted one
    would have.
    """

    name: str  # what its metrics begin with; "" where there is but one
    module: nn.Module  # the task's model, or a part of it: no other parameter gets a gradient
    loss: Callable[[int], Tensor]  # on the batch of this step, under the caller's autocast
    metrics: Callable[[], Mapping[str, float]] = dict  # of the last loss, to log beside it

    def metric(self, name: str) -> str:
        """The name under which a metric of this player is logged: `generator_loss`, or `loss`."""
        return f"{self.name}_{name}" if self.name else name


class Task(Protocol):
    """One family's training objective on one dataset: with one loss, or with several players."""

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
class OneLoss(Task, Protocol):
    """A task with one loss that the whole model is trained to lessen."""

    def loss(self, step: int) -> Tensor:
        """As `Player.loss`."""
        ...


@runtime_checkable
class SeveralLosses(Task, Protocol):
    """A task whose players each have a part of the model and a loss of their own."""

    @property
    def players(self) -> tuple[Player, ...]:
        """In the order of their steps; names differ."""
        ...


def players_of(task: Task) -> tuple[Player, ...]:
    """The players of a task: its own, or one that has all of the model."""
    if isinstance(task, SeveralLosses):
        return task.players
    assert isinstance(task, OneLoss)
    return (Player("", task.model, task.loss),)
