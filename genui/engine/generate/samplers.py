"""Samplers: short functions from one noise level to the next.

All work on x = clean + σ·noise (Karras et al. 2022). A sampler is given what the model
said at the present level and asks it again only where its order needs it, so a step
depends on nothing but its arguments and can be taken again to the same bits.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from genui.protocol import ImageSettings, SamplerName

SIGMA_MAX = 40.0

Denoise = Callable[[Tensor, float], Tensor]
"""(x, σ) to the expected clean picture."""


def noise_levels(settings: ImageSettings, top: float = SIGMA_MAX) -> tuple[float, ...]:
    """`steps` + 1 σ falling from `top`, the last 0 (Karras et al. 2022, eq. 5)."""
    # From a level that is nearly clean there must still be somewhere to fall to.
    low = min(settings.lowest_sigma, top / 2)
    falling = ramp(top, low, settings.steps, settings.rho) if settings.steps > 1 else (top,)
    return (*falling, 0.0)


def ramp(start: float, end: float, count: int, rho: float) -> tuple[float, ...]:
    """`count` σ, at least two, from `start` to `end` exactly, evenly spaced in σ^(1/ρ)."""
    first, last = start ** (1 / rho), end ** (1 / rho)
    shares = (i / (count - 1) for i in range(1, count - 1))
    return (start, *((first + share * (last - first)) ** rho for share in shares), end)


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
    eta: float = 0.0  # how much of it those add that have the choice


def euler(move: Move, denoise: Denoise) -> Tensor:
    """Euler's method on the probability-flow ODE (Karras et al. 2022, algorithm 1, line 5)."""
    slope = (move.x - move.denoised) / move.sigma
    return move.x + (move.target - move.sigma) * slope


LONG_STEP = 5.0
"""The ratio of two noise levels from which Heun's step is taken in log σ.

The average of two slopes multiplies an error of the denoiser at the lower level by about half
this ratio: two steps, 40 to 1 to 0, came to pictures of a hundred times their size."""


def heun(move: Move, denoise: Denoise) -> Tensor:
    """Second order: the slope averaged over both ends (Karras et al. 2022, algorithm 1).

    A long step averages what was denoised instead: DPM-Solver++ (2S) with r = 1 (Lu et al. 2022).
    """
    if move.target == 0 or move.sigma <= LONG_STEP * move.target:
        return heun_in_sigma(move, denoise)
    there = denoise(euler(move, denoise), move.target)
    kept = move.target / move.sigma
    return kept * move.x + (1 - kept) * (move.denoised + there) / 2


def heun_in_sigma(move: Move, denoise: Denoise) -> Tensor:
    """Heun's method whatever the step: of traces whose last noise level was given."""
    x = euler(move, denoise)
    if move.target == 0:
        return x
    here = (move.x - move.denoised) / move.sigma
    there = (x - denoise(x, move.target)) / move.target
    return move.x + (move.target - move.sigma) * (here + there) / 2


def dpmpp_2m(move: Move, denoise: Denoise) -> Tensor:
    """DPM-Solver++ (2M), multistep second order (Lu et al. 2022, algorithm 2).

    At η = 1 it is SDE-DPM-Solver++ (2M) of the same paper. Between, a share η of the
    reverse SDE's noise is added and taken away again, as k-diffusion does.
    """
    if move.target == 0:
        return move.denoised
    h = math.log(move.sigma / move.target)
    guess = move.denoised
    if move.previous is not None and move.previously is not None:
        r = math.log(move.previous / move.sigma) / h
        guess = (1 + 1 / (2 * r)) * guess - 1 / (2 * r) * move.previously
    fresh = move.eta * h
    kept = move.target / move.sigma * math.exp(-fresh)
    x = kept * move.x - math.expm1(-h - fresh) * guess
    return x + move.target * math.sqrt(-math.expm1(-2 * fresh)) * move.noise if fresh else x


def ddim(move: Move, denoise: Denoise) -> Tensor:
    """To below the target, then noise back up to it (Song et al. 2021, eqs. 12 and 16).

    In σ their x/√α is this x, and their deviation is η·σ_t·√(1 - (σ_t/σ_s)²) of step s to t.
    At η = 0 it is Euler's method.
    """
    if move.target == 0:
        return move.denoised
    up = move.eta * move.target * math.sqrt(1 - (move.target / move.sigma) ** 2)
    down = math.sqrt(move.target**2 - up**2)
    x = move.denoised + down / move.sigma * (move.x - move.denoised)
    return x + up * move.noise if up else x


def ddpm(move: Move, denoise: Denoise) -> Tensor:
    """The posterior with variance β̃ (Ho et al. 2020, eqs. 6 and 7): DDIM at η = 1."""
    return ddim(replace(move, eta=1.0), denoise)


SAMPLERS: Mapping[SamplerName, Callable[[Move, Denoise], Tensor]] = {
    "dpmpp-2m": dpmpp_2m,
    "heun": heun,
    "euler": euler,
    "ddim": ddim,
    "ddpm": ddpm,
}


def sampler_of(settings: ImageSettings) -> Callable[[Move, Denoise], Tensor]:
    """What the settings ask for. Where they give the last noise level, as those of older traces
    do, Heun's method is the plain one, which is not stable in few steps."""
    if settings.sampler == "heun" and settings.sigma_min is not None:
        return heun_in_sigma
    return SAMPLERS[settings.sampler]
