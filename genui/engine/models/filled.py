"""Weights into a network."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


def load_frozen(build: Callable[[], M], state_dict: Mapping[str, Tensor]) -> M:
    """The network that `build` makes, with these weights, for use only.

    It is planned first, on torch's meta device, where tensors have a shape and no memory: a small
    file may name a huge network. Raises RuntimeError, one line, where names or shapes differ.
    """
    with torch.device("meta"):
        planned = {name: list(value.shape) for name, value in build().state_dict().items()}
    stored = {name: list(value.shape) for name, value in state_dict.items()}
    for name, shape in planned.items():
        if name not in stored:
            raise RuntimeError(f"it has no tensor {name}")
        if shape != stored[name]:
            raise RuntimeError(f"{name} is {stored[name]} in it and {shape} by the recipe")
    if extra := stored.keys() - planned.keys():
        raise RuntimeError(f"the recipe knows no tensor {min(extra)}")
    return filled(build(), dict(state_dict))


def filled(model: M, tensors: dict[str, Tensor]) -> M:
    """The model with these weights, for use only. Raises RuntimeError where they do not fit."""
    model.load_state_dict(tensors)
    return model.eval().requires_grad_(False)
