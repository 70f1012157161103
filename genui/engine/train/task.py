"""The interface between the trainer and its tasks: a model, losses, evaluation, samples."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from genui.engine.device import Machine
from genui.engine.train.schedule import Schedule
from genui.runs.layout import RunDir
from genui.runs.recomputed import Example

T = TypeVar("T")


@dataclass(frozen=True)
class Sample:
    """A sample as a file: its suffix (".txt", ".png", ".wav", …) and its bytes."""

    suffix: str
    content: bytes
    count: int = 1
    """How many samples of the model it holds; 0 if it is about something else."""


def png(image: NDArray[np.uint8]) -> bytes:
    """Encode an image [H, W, 3] as PNG, without metadata."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


@dataclass(frozen=True)
class Share:
    """One of `count` parts of a step's batch, which differ by one example at most.

    The loss of a share is its part of the loss of the batch: they add up to it. So a mean over
    examples, or over tokens that have a target, is divided by the number in the whole batch.
    """

    index: int = 0
    count: int = 1

    def rows(self, total: int) -> slice:
        """Which of `total` rows it has."""
        return slice(total * self.index // self.count, total * (self.index + 1) // self.count)

    def part_of(self, total: int) -> float:
        """Its share of `total` rows, 0 to 1."""
        rows = self.rows(total)
        return (rows.stop - rows.start) / total

    def scale(self, mean: Tensor, own: float, total: float) -> Tensor:
        """A mean over the share as its part of the mean over the batch; the means are divided by
        `own` and `total`."""
        return mean if own == total else mean * (own / total)


WHOLE = Share()


class PerStep(Generic[T]):
    """A function of the step that remembers its last result: the shares of a step have one batch.

    Random numbers are so drawn for the whole batch, and do not depend on how it is shared out.
    """

    def __init__(self, draw: Callable[[int], T]) -> None:
        self._draw = draw
        self._last: tuple[int, T] | None = None

    def __call__(self, step: int) -> T:
        if self._last is None or self._last[0] != step:
            self._last = None  # frees its memory first
            self._last = step, self._draw(step)
        return self._last[1]


@dataclass(frozen=True, eq=False)
class Player:
    """A part of the model with its own loss and optimisers.

    A training step is one step of every player, in order, so later players see the updated earlier
    ones. Random numbers in `loss(step)` depend only on (recipe.seed, step), so that a resumed
    training equals an uninterrupted one.
    """

    name: str  # prefix of its metrics; "" for a single player
    module: nn.Module  # the task's model or a part of it: only its parameters get gradients
    loss: Callable[..., Tensor]  # as `OneLoss.loss`, called under autocast
    metrics: Callable[[], Mapping[str, float]] = dict
    """Additional metrics of the last loss. Those of the shares of a step are averaged, weighted by
    their numbers of examples."""

    def metric(self, name: str) -> str:
        """The name of a metric of this player in the log: `generator_loss`, or `loss`."""
        return f"{self.name}_{name}" if self.name else name


class Task(Protocol):
    """A training objective on a dataset, with one loss or with several players."""

    unit: str  # what is counted, e.g. "tok"
    units_per_step: int
    units_per_epoch: int  # so many cover the data once, exactly or on average
    data_line: str  # one line describing the data
    notes: tuple[str, ...]  # what is left out of the data or unknown, one line each
    extra: dict[str, Any]  # metadata of a checkpoint beside recipe and step

    @property
    def model(self) -> nn.Module:
        """The network being trained."""
        ...

    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        """Metrics on held-out data, on all of it if `whole`."""
        ...

    def sample(self, model: nn.Module, machine: Machine) -> Sequence[Sample]:
        """Samples of the recipe's prompts and seed: one file for each suffix.

        ".png" or ".txt" is shown during training; other files are saved beside it.
        """
        ...


@runtime_checkable
class OneLoss(Task, Protocol):
    """A task with one loss for the whole model."""

    def loss(self, step: int, share: Share = WHOLE) -> Tensor:
        """The loss of this step, or the part of it that a share of the batch makes up."""
        ...


@runtime_checkable
class SeveralLosses(Task, Protocol):
    """A task with several players."""

    @property
    def players(self) -> tuple[Player, ...]:
        """The players in the order of their steps, with different names."""
        ...


@runtime_checkable
class Staged(Task, Protocol):
    """A task whose batches depend on how far along its schedule the training is."""

    schedule: Schedule


@runtime_checkable
class Published(Task, Protocol):
    """A task whose newest checkpoint is also kept for other programs."""

    def publish(self, run: RunDir, step: int) -> None:
        """Write the checkpoint of a step in their format into the run's folder."""
        ...


@runtime_checkable
class ShowsExamples(Task, Protocol):
    """A task that can show the examples of a step one by one."""

    def examples(self, step: int) -> list[Example]:
        """The examples of a step's batch, in order."""
        ...


@runtime_checkable
class MeasuresExamples(ShowsExamples, Protocol):
    """A task that has more to say of an example than its share of the loss."""

    def measure_examples(self, step: int) -> dict[str, NDArray[np.float64]]:
        """What is measured of each example of a step, [B] each, by the names of
        `genui.runs.recomputed.MEASURES` and others. Called without gradients, in eval mode."""
        ...


@runtime_checkable
class MeasuresAgain(Protocol):
    """A task whose measures depend on random noise."""

    def measure_again(self, step: int, rows: list[int]) -> Iterator[dict[str, NDArray[np.float64]]]:
        """Measure some examples of a step with other noise, several times."""
        ...


def measure_examples(task: ShowsExamples, step: int, count: int) -> dict[str, NDArray[np.float64]]:
    """The measures [B] of a step's examples: those of the task, else each example's loss, which is
    that of a share of one example of `count`."""
    if isinstance(task, MeasuresExamples):
        return task.measure_examples(step)
    return {
        player.metric("loss"): np.array(
            [count * float(player.loss(step, Share(row, count))) for row in range(count)]
        )
        for player in players_of(task)
    }


def players_of(task: Task) -> tuple[Player, ...]:
    """The players of a task, or a single one for the whole model."""
    if isinstance(task, SeveralLosses):
        return task.players
    assert isinstance(task, OneLoss)
    return (Player("", task.model, task.loss),)
