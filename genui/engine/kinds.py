"""What the table of kinds (`genui.protocol.registry`) has for training, generating and measuring.

This file imports no torch: what a row names is imported when it is first needed.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from genui.base.errors import MisuseError
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
    """The task of a recipe; `extra` is a checkpoint's."""
    return resolve(_kind(recipe).task)(recipe, device, extra)


def build_network(recipe: TextRecipe, vocab_size: int) -> "TokenNetwork":
    """The network that a recipe of text asks for, its weights drawn anew."""
    return resolve(_kind(recipe).network)(recipe, vocab_size)


def build_generator(
    recipe: Recipe,
    tensors: "dict[str, Tensor]",
    described: Mapping[str, Any],
    machine: "Machine",
    device: "torch.device",
) -> "Generator":
    """What generates with these weights.

    Raises MisuseError for a kind that generates nothing, and KeyError, TypeError or
    RuntimeError where the weights do not fit the recipe.
    """
    name = _kind(recipe).generator
    if not name:
        raise MisuseError(f"{recipe.name} is a {recipe.family}: it labels and cannot generate")
    return resolve(name)(recipe, tensors, described, machine, device)


def measure(info: "ModelInfo", recipe: Recipe) -> Mapping[str, str]:
    """Label to value with its unit, the most telling one first."""
    from genui.engine.load import find_and_load

    kind = _kind(recipe)
    return resolve(kind.metrics)(find_and_load(str(info.path)) if kind.generator else info, recipe)


def nearest(recipe: Recipe, trace: "Trace", step: int, count: int) -> "Neighbours":
    """What of the training data is most like the sample at a step.

    Raises MisuseError for a kind that is not compared, MisuseError or GenuiError where the
    data cannot be read.
    """
    name = _kind(recipe).nearest
    if not name:
        raise MisuseError(f"a {recipe.family} of {recipe.medium} is not compared with its data")
    return resolve(name)(recipe, trace, step, count)


def check_data(recipe: Recipe) -> str:
    """One line describing the data a recipe would train on, having read it.

    Raises MisuseError or GenuiError where it cannot be used: better now than in a trainer
    that nobody is watching.
    """
    return resolve(_kind(recipe).check)(recipe)


def limitations(recipe: Recipe) -> str:
    """What a person should know before believing a model of this recipe."""
    kind = _kind(recipe)
    return kind.limitations_of.get(recipe.dataset, kind.limitations)


def _kind(recipe: Recipe) -> Kind:
    return KINDS[recipe.family, recipe.medium]
