"""Weights of a file into a network that is used and not trained; the guide a file may hold."""

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from genui.base.errors import MisuseError

M = TypeVar("M", bound=nn.Module)


def load_frozen(build: Callable[[], M], state_dict: Mapping[str, Tensor]) -> M:
    """The network that `build` makes, with these weights, for use only.

    A small file may name a huge network, so no more memory is taken than the file is worth.
    What would take more is built on torch's meta device, where tensors have a shape and no memory,
    to say what is wrong. Raises RuntimeError, one line, where names or shapes differ.
    """
    try:
        with _Bounded(state_dict.values()):
            model = build()
    except _TooLargeError:
        # Only then: torch needs its compiler there, whose import takes 2 seconds.
        with torch.device("meta"):
            _check_fits(build(), state_dict)
        model = build()
    _check_fits(model, state_dict)
    model.load_state_dict(dict(state_dict))
    return model.eval().requires_grad_(False)


def _check_fits(model: nn.Module, state_dict: Mapping[str, Tensor]) -> None:
    """Raise RuntimeError, one line, where names or shapes differ."""
    planned = {name: list(value.shape) for name, value in model.state_dict().items()}
    stored = {name: list(value.shape) for name, value in state_dict.items()}
    for name, shape in planned.items():
        if name not in stored:
            raise RuntimeError(f"it has no tensor {name}")
        if shape != stored[name]:
            raise RuntimeError(f"{name} is {stored[name]} in it and {shape} by the recipe")
    if extra := stored.keys() - planned.keys():
        raise RuntimeError(f"the recipe knows no tensor {min(extra)}")


class _TooLargeError(Exception):
    """A network needs more memory than its file is worth."""


class _Bounded(TorchFunctionMode):
    """Within it, networks no larger than these tensors are made, and small tables beside them."""

    _FACTORIES = (torch.empty, torch.zeros, torch.ones, torch.randn, torch.arange, torch.outer)

    def __init__(self, tensors: Collection[Tensor]) -> None:
        super().__init__()
        self._largest = max([1 << 16, *(tensor.numel() for tensor in tensors)])
        self._left = (1 << 20) + sum(tensor.numel() for tensor in tensors)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func in self._FACTORIES:
            elements = _elements(func, args)
            self._left -= elements
            if elements > self._largest or self._left < 0:
                raise _TooLargeError
        return func(*args, **(kwargs or {}))


def _elements(func: Any, args: tuple[Any, ...]) -> int:
    """How many elements, or more, a tensor made like this has."""
    if func is torch.outer:
        return args[0].numel() * args[1].numel()
    size = args[0] if isinstance(args[0], tuple | list) else args
    return max(size) if func is torch.arange else math.prod(size)


# --- The guide that a model's file may hold beside its own weights: a weaker model of the same data
# Autoguidance (Karras et al. 2024) leads away from what the guide would do.

PREFIX = "guide."
CRITIC = "critic."  # of what files of earlier versions hold beside the weights; not read
ALIKE = ("fingerprint", "words")  # what a model and its guide have in common


def split_guide(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A model's own tensors, and those of its guide; the latter are none where it has none.

    Those of a critic, which `fashion` was shipped with, are neither.
    """
    own = {name: of for name, of in tensors.items() if not name.startswith((PREFIX, CRITIC))}
    guide = {
        name.removeprefix(PREFIX): of for name, of in tensors.items() if name.startswith(PREFIX)
    }
    return own, guide


def add_prefix(guide: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A guide's tensors under the names that they have beside those of its model."""
    return {PREFIX + name: value for name, value in guide.items()}


def join_guide(
    model: tuple[dict[str, Tensor], dict[str, Any]], guide: tuple[dict[str, Tensor], dict[str, Any]]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A model's (tensors, description) with another model as its guide.

    Raises MisuseError where they were not trained on the same data, or draw no images.
    """
    (tensors, described), (weaker, of_guide) = model, guide
    for one in (described, of_guide):
        kind = one["recipe"]["family"], one["recipe"]["medium"]
        if kind != ("diffusion", "image"):
            raise MisuseError(f"guide: is of diffusion models of images, not {' '.join(kind)}")
    for what in ALIKE:
        if described.get(what) != of_guide.get(what):
            raise MisuseError(f"guide: of other {what} than the model; use one of the same data")
    description = {key: of_guide[key] for key in ("recipe", "step")}
    return split_guide(tensors)[0] | add_prefix(split_guide(weaker)[0]), described | {
        "guide": description
    }
