"""A running average of the weights, which generates better than the last ones."""

import copy

import torch
from torch import nn


class EMA:
    """Exponential moving average; `model` holds it. Short memory at first, `decay` later."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards the model's weights after `step` (counted from 0)."""
        keep = min(self.decay, (1 + step) / (10 + step))
        for own, new in zip(self.model.parameters(), model.parameters(), strict=True):
            own.lerp_(new, 1 - keep)
