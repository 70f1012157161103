"""The guide that a model's file may hold beside its own weights: a weaker model of the same data.

Autoguidance (Karras et al. 2024) leads away from what the guide would do.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from genui.errors import MisuseError

PREFIX = "guide."
CRITIC = "critic."  # of what files of earlier versions hold beside the weights; not read
ALIKE = ("fingerprint", "words")  # what a model and its guide have in common


def split(
    tensors: Mapping[str, Tensor], prefix: str
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(all others, those whose names begin with `prefix`, by the rest of their names)."""
    others = {name: value for name, value in tensors.items() if not name.startswith(prefix)}
    found = {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
    return others, found


def prefixed(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """What `split` takes apart."""
    return {prefix + name: value for name, value in tensors.items()}


def apart(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A model's own tensors, and those of its guide; the latter are none where it has none.

    Those of a critic, which `fashion` was shipped with, are neither.
    """
    others, guide = split(tensors, PREFIX)
    return split(others, CRITIC)[0], guide


def joined(
    model: tuple[dict[str, Tensor], dict[str, Any]], guide: tuple[dict[str, Tensor], dict[str, Any]]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A model's (tensors, description) with another model as its guide.

    Raises MisuseError where they were not trained on the same data, or draw no pictures.
    """
    (tensors, described), (weaker, of_guide) = model, guide
    for one in (described, of_guide):
        kind = one["recipe"]["family"], one["recipe"]["medium"]
        if kind != ("diffusion", "image"):
            raise MisuseError(f"guide: is of diffusion models of pictures, not {' '.join(kind)}")
    for what in ALIKE:
        if described.get(what) != of_guide.get(what):
            raise MisuseError(f"guide: of other {what} than the model; use one of the same data")
    told = {key: of_guide[key] for key in ("recipe", "step")}
    beside = prefixed(apart(weaker)[0], PREFIX)
    return apart(tensors)[0] | beside, described | {"guide": told}
