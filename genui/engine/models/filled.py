"""Weights into a network."""

from typing import TypeVar

from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


def filled(model: M, tensors: dict[str, Tensor]) -> M:
    """The model with these weights, for use only. Raises RuntimeError where they do not fit."""
    model.load_state_dict(tensors)
    return model.eval().requires_grad_(False)
