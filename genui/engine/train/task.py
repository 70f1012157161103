"""What the trainer asks of a family: a model, its loss, its evaluation, its samples."""

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from genui.engine.device import Machine


@dataclass(frozen=True)
class Sample:
    """A fixed-seed preview as a file: its suffix (".txt" or ".png") and its bytes."""

    suffix: str
    content: bytes


class Task(Protocol):
    """One family's training objective on one dataset.

    Whatever is random in `loss(step)` is drawn from (recipe.seed, step) alone, so that a
    resumed training sees exactly what an uninterrupted one would have.
    """

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

    def loss(self, step: int) -> Tensor:
        """The loss on the batch of this step, under the caller's autocast."""
        ...

    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        """Held-out measurements; on all held-out data where `whole`."""
        ...

    def sample(self, model: nn.Module, machine: Machine) -> Sample:
        """What the model makes of the recipe's fixed prompts and seed."""
        ...
