"""Samplers: short functions from one noise level to the next.

All work on x = clean + σ·noise (Karras et al. 2022). A sampler is given what the model
said at the present level and asks it again only where its order needs it, so a step
depends on nothing but its arguments and can be taken again to the same bits.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

SIGMA_MAX = 40.0
SIGMA_MIN = 0.03
RHO = 5.0

Denoise = Callable[[Tensor, float], Tensor]
"""(x, σ) to the expected clean picture."""


def noise_levels(steps: int) -> tuple[float, ...]:
    """`steps` + 1 falling σ, the last 0 (Karras et al. 2022, eq. 5, with ρ = 5)."""
    if steps == 1:
        return (SIGMA_MAX, 0.0)
    high, low = SIGMA_MAX ** (1 / RHO), SIGMA_MIN ** (1 / RHO)
    return (*((high + i / (steps - 1) * (low - high)) ** RHO for i in range(steps)), 0.0)


@dataclass(frozen=True)
class Move:
    """One step to take: from level `sigma` to `target`, having come from `previous`."""

    x: Tensor
    denoised: Tensor  # the model at (x, sigma)
    sigma: float
    target: float
    previous: float | None  # the level before, and
    previously: Tensor | None  # what the model said there
    noise: Tensor  # standard normal, for samplers that add some


def euler(move: Move, denoise: Denoise) -> Tensor:
    """Euler's method on the probability-flow ODE: DDIM (Song et al. 2021) in σ."""
    slope = (move.x - move.denoised) / move.sigma
    return move.x + (move.target - move.sigma) * slope


def heun(move: Move, denoise: Denoise) -> Tensor:
    """Second order: the slope averaged over both ends (Karras et al. 2022, algorithm 1)."""
    x = euler(move, denoise)
    if move.target == 0:
        return x
    here = (move.x - move.denoised) / move.sigma
    there = (x - denoise(x, move.target)) / move.target
    return move.x + (move.target - move.sigma) * (here + there) / 2


def dpmpp_2m(move: Move, denoise: Denoise) -> Tensor:
    """DPM-Solver++ (2M), multistep second order (Lu et al. 2022, algorithm 2)."""
    if move.target == 0:
        return move.denoised
    h = math.log(move.sigma / move.target)
    guess = move.denoised
    if move.previous is not None and move.previously is not None:
        r = math.log(move.previous / move.sigma) / h
        guess = (1 + 1 / (2 * r)) * guess - 1 / (2 * r) * move.previously
    return move.target / move.sigma * move.x - math.expm1(-h) * guess


def euler_ancestral(move: Move, denoise: Denoise) -> Tensor:
    """Euler to below the target, then noise back up to it, as DDPM does (Ho et al. 2020)."""
    if move.target == 0:
        return move.denoised
    up = move.target * math.sqrt(1 - (move.target / move.sigma) ** 2)
    down = math.sqrt(move.target**2 - up**2)
    slope = (move.x - move.denoised) / move.sigma
    return move.x + (down - move.sigma) * slope + up * move.noise


SAMPLERS: Mapping[str, Callable[[Move, Denoise], Tensor]] = {
    "dpmpp-2m": dpmpp_2m,
    "heun": heun,
    "euler": euler,
    "euler-ancestral": euler_ancestral,
}
