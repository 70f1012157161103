"""From a classifier's checkpoint to an instrument: what those of all media have in common."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from torch import Tensor

from genui.engine.generate.load import fitting_its_recipe
from genui.engine.train.checkpoint import load_weights
from genui.errors import MisuseError
from genui.recipes import Recipe, recipe_from_dict
from genui.runs.catalog import find_model

R = TypeVar("R", bound=Recipe)
J = TypeVar("J")


def load_classifier(
    ref: str,
    kind: type[R],
    of: str,
    judge_of: Callable[[R, dict[str, Tensor], Mapping[str, Any]], J],
) -> J:
    """What `judge_of` makes of the weights of a classifier by its name, run or path.

    Raises MisuseError where it is no classifier of `of`, GenuiError where it is damaged.
    """
    info = find_model(ref)
    tensors, described = load_weights(info.path)
    recipe = recipe_from_dict(described["recipe"])
    if not isinstance(recipe, kind):
        raise MisuseError(f"{ref}: a {recipe.family} of {recipe.medium}, no classifier of {of}")
    with fitting_its_recipe(info.path):
        return judge_of(recipe, tensors, described)
