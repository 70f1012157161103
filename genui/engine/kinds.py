"""The table of what can be trained and can generate. Adding a kind of model adds a row here.

A row names functions, `module:function`, that are imported when they are first needed: a
model that writes imports nothing of those that draw, and this file imports no torch.
"""

import types
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from genui.errors import MisuseError
from genui.recipes import DiffusionRecipe, Recipe, TransformerRecipe

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from genui.engine.device import Machine
    from genui.engine.generate.trace import Generator
    from genui.engine.train.task import Task
    from genui.runs.catalog import ModelInfo


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How one kind of model is trained, asked and measured; functions as `module:function`.

    - `task(recipe, device, extra)` is the Task; `extra` is a checkpoint's, so that resuming
      keeps its tokenizer.
    - `generator(recipe, tensors, described, machine, device)` is the Generator of a
      checkpoint's weights; `described` is what the checkpoint says beside them. "" where the
      kind generates nothing.
    - `measure(generator, recipe)` is label to value with its unit, the most telling one first;
      of a kind that generates nothing it is given the ModelInfo instead.
    - `check(recipe)` is one line on the data that the recipe would train on, having read it.
    """

    task: str
    generator: str
    measure: str
    check: str
    honesty: str
    """What a person should know before believing such a model; ends up in its card."""


KINDS: Mapping[type[Recipe], Kind] = types.MappingProxyType(
    {
        TransformerRecipe: Kind(
            task="genui.engine.train.text_task:TextTask",
            generator="genui.engine.generate.text:load_text_model",
            measure="genui.engine.probes.text:measure_text",
            check="genui.engine.data.text:check_text",
            honesty="It has read one small body of text and nothing else: it writes in that "
            "manner, invents words, and knows no facts.",
        ),
        DiffusionRecipe: Kind(
            task="genui.engine.train.picture_task:PictureTask",
            generator="genui.engine.generate.diffusion:load_picture_model",
            measure="genui.engine.probes.pictures:measure_pictures",
            check="genui.engine.data.pictures:check_pictures",
            honesty="It has seen one picture a caption: a trained name gives back the trained "
            "picture, the less exactly the more 'error' says. New are the combinations with "
            "colours and, seldom well, names it never saw.",
        ),
    }
)


def build_task(recipe: Recipe, device: "torch.device", extra: dict[str, Any] | None) -> "Task":
    """The task of a recipe; `extra` is a checkpoint's."""
    return _function(_kind(recipe).task)(recipe, device, extra)


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
        raise MisuseError(f"{recipe.name} is a {recipe.family}: it labels, and generates nothing")
    return _function(name)(recipe, tensors, described, machine, device)


def measure(info: "ModelInfo", recipe: Recipe) -> Mapping[str, str]:
    """Label to value with its unit, the most telling one first."""
    from genui.engine.generate.load import find_and_load

    kind = _kind(recipe)
    return _function(kind.measure)(
        find_and_load(str(info.path)) if kind.generator else info, recipe
    )


def check_data(recipe: Recipe) -> str:
    """One line describing the data a recipe would train on, having read it.

    Raises MisuseError or GenuiError where it cannot be used: better now than in a trainer
    that nobody is watching.
    """
    return _function(_kind(recipe).check)(recipe)


def honesty(recipe: Recipe) -> str:
    """What a person should know before believing a model of this recipe."""
    return _kind(recipe).honesty


def _kind(recipe: Recipe) -> Kind:
    return KINDS[type(recipe)]


def _function(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)
