"""The functions that a row of `genui.protocol.registry` names for training, generation and metrics.

This file does not import torch; a row's functions are imported when they are first needed.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from genui.base.errors import MisuseError
from genui.engine.data.dataset import dataset_named
from genui.protocol.registry import KINDS, Kind, resolve
from genui.recipes import Recipe, TextRecipe

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from genui.engine.device import Machine
    from genui.engine.models.language_model import TokenNetwork
    from genui.engine.sample.trace import Generator, Trace
    from genui.engine.train.task import Task
    from genui.protocol import Neighbours
    from genui.runs.models import ModelInfo


def build_task(recipe: Recipe, device: "torch.device", extra: dict[str, Any] | None) -> "Task":
    """The task of a recipe; `extra` is the metadata of a checkpoint to continue from.

    Raises MisuseError if the recipe asks for what its network cannot do.
    """
    task = resolve(_kind(recipe).task)(recipe, device, extra)
    if recipe.checkpoint_activations:
        from genui.engine.train.recompute import checkpoint_blocks  # late: it imports torch

        checkpoint_blocks(task.model)
    return task


def build_network(recipe: TextRecipe, vocab_size: int) -> "TokenNetwork":
    """The network of a text recipe, with random weights."""
    return resolve(_kind(recipe).network)(recipe, vocab_size)


def build_generator(
    recipe: Recipe,
    tensors: "dict[str, Tensor]",
    described: Mapping[str, Any],
    machine: "Machine",
    device: "torch.device",
) -> "Generator":
    """The generator with a checkpoint's tensors and metadata (`described`).

    Raises MisuseError for a kind that cannot generate, and KeyError, TypeError or RuntimeError if
    the weights do not fit the recipe.
    """
    name = _kind(recipe).generator
    if not name:
        raise MisuseError(f"{recipe.name} is a {recipe.family}: it labels and cannot generate")
    return resolve(name)(recipe, tensors, described, machine, device)


def measure(info: "ModelInfo", recipe: Recipe) -> Mapping[str, str]:
    """The metrics of a model: labels to values with units, the most important first."""
    from genui.engine.load import find_and_load

    kind = _kind(recipe)
    return resolve(kind.metrics)(find_and_load(str(info.path)) if kind.generator else info, recipe)


def nearest(recipe: Recipe, trace: "Trace", step: int, count: int) -> "Neighbours":
    """The training data most similar to the sample at a step.

    Raises MisuseError for a kind without this comparison, MisuseError or GenuiError if the data
    cannot be read.
    """
    name = _kind(recipe).nearest
    if not name:
        raise MisuseError(f"a {recipe.family} of {recipe.medium} is not compared with its data")
    return resolve(name)(recipe, trace, step, count)


def check_data(recipe: Recipe) -> str:
    """Read the training data of a recipe and describe them in one line.

    Raises MisuseError or GenuiError if they cannot be used: better before the training starts than
    in a trainer in the background.
    """
    return resolve(_kind(recipe).check)(recipe)


def limitations(recipe: Recipe) -> str:
    """The limitations section of the model card: those of its kind, then those of its data."""
    kind, row = _kind(recipe), None if recipe.data else dataset_named(recipe.dataset)
    if row is None:
        return kind.limitations
    of_data = row.limitations if kind.generates else row.label_limitations
    return f"{kind.limitations} {of_data}".rstrip()


def _kind(recipe: Recipe) -> Kind:
    return KINDS[recipe.family, recipe.medium]
