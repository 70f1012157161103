"""A diffusion model that also reads the noise level at which a step ends.

Its prediction D(x; σ, σ') is such that Euler's method, x + (σ' - σ) (x - D) / σ, is the whole step
to σ': (x - D) / σ is the average velocity between both levels, as in MeanFlow (Geng et al. 2025)
and, for a set of step sizes, in shortcut models (Frans et al. 2024).
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from genui.base.errors import MisuseError
from genui.engine.models.denoisers import EDMDenoiser
from genui.engine.models.dit import Network, zeroed

_LEVEL, _END = "network.noise.level.", "network.noise.end."
_NOISE = "network.noise."


class StepEmbedding(nn.Module):
    """The embedding of a noise level, plus that of the level at which the step ends: features
    [B, 2, F] to [B, W]. It begins as `level` alone, the embedding of the teacher."""

    def __init__(self, level: nn.Sequential) -> None:
        super().__init__()
        self.level, self.end = level, deepcopy(level)
        last = self.end[-1]
        assert isinstance(last, nn.Linear)
        zeroed(last)

    def forward(self, features: Tensor) -> Tensor:
        return self.level(features[:, 0]) + self.end(features[:, 1])


def read_next_level(model: EDMDenoiser[Network]) -> None:
    """Let a denoiser read the level at which a step ends; until it is trained it ignores it.

    Raises MisuseError if its network embeds no noise level.
    """
    noise = getattr(model.network, "noise", None)
    if not isinstance(noise, nn.Sequential):
        raise MisuseError("teacher: its network does not embed a noise level; name another model")
    model.network.noise = StepEmbedding(noise)
    model.reads_next = True


def keep_captions(model: EDMDenoiser[Network]) -> None:
    """Leave what the teacher makes of a caption as it is: its encoding, and the canvas, which is
    never dropped here. A student sees far fewer captions, and would forget the others."""
    network: Any = model.network
    for part in (network.caption, getattr(network, "canvas", None)):
        if part is not None:
            part.register_forward_hook(_stop_gradients)
    if getattr(network.config, "canvas_dropout", 0):
        network.config = replace(network.config, canvas_dropout=0.0)


def _stop_gradients(module: nn.Module, inputs: Any, outputs: Tensor | tuple[Tensor, ...]) -> None:
    """Make the gradients of a module's outputs 0: not none, which ranks could not exchange."""
    for output in (outputs,) if isinstance(outputs, Tensor) else outputs:
        if output.requires_grad:
            output.register_hook(torch.zeros_like)


def split_tensors(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A student's tensors as those of its teacher's network, and of the end of a step."""
    end = {name.removeprefix(_END): of for name, of in tensors.items() if name.startswith(_END)}
    others = {name: of for name, of in tensors.items() if not name.startswith(_END)}
    return {name.replace(_LEVEL, _NOISE, 1): of for name, of in others.items()}, end
