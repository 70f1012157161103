"""Configurations of networks.

Files of networks import nothing of genui but files beside them, so that `genui convert` can write
them into a folder for other programs.
"""

import dataclasses
from typing import Any, TypeVar

C = TypeVar("C")


def config_from(recipe: object, config: type[C], **others: Any) -> C:
    """A configuration, a dataclass, of `others` and the recipe's settings of the same names."""
    names = {field.name for field in dataclasses.fields(config)} - others.keys()  # type: ignore[arg-type]
    settings = {name: getattr(recipe, name) for name in names if hasattr(recipe, name)}
    return config(**others, **settings)
