"""Weights for a network whose vocabulary has grown since they were trained."""

from torch import Tensor, nn


def grown(tensors: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """The tensors, each that lacks last rows completed by those that `model` begins with.

    New tokens are numbered after the old ones, so an embedding [V, C] and a head [V, C] keep
    every row that was learnt. What differs otherwise is left as it is, to be refused.
    """
    begun = model.state_dict()
    return {name: _completed(value, begun.get(name)) for name, value in tensors.items()}


def _completed(value: Tensor, begun: Tensor | None) -> Tensor:
    if begun is None or value.ndim < 2 or value.shape[1:] != begun.shape[1:]:
        return value
    if len(value) >= len(begun):
        return value
    whole = begun.clone()
    whole[: len(value)] = value
    return whole
