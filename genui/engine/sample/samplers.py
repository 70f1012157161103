"""Samplers: short functions from one noise level to the next; `genui.protocol.SAMPLERS` lists them.

All work on x = clean + σ·noise (Karras et al. 2022). A sampler is given what the model said at
the present level and at earlier ones, and asks it again only where its method needs it. A step
depends on nothing but its arguments, so it can be taken again to the same bits.

Names follow k-diffusion. Below, `h` is the length of a step in λ = -log σ and `old` an earlier
level; a step that has less history than its method needs is of a lower order.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from torch import Tensor

from genui.base.plugins import resolve
from genui.protocol import SAMPLERS, ImageSettings

SIGMA_MAX = 40.0

LONG_STEP = 5.0
"""The ratio of two noise levels from which Heun's step is taken in log σ.

The average of two slopes multiplies an error of the denoiser at the lower level by about half
this ratio: two steps, 40 to 1 to 0, came to images of a hundred times their size."""

Denoise = Callable[[Tensor, float], Tensor]
"""(x, σ) to the expected clean image."""


# --- noise levels ---------------------------------------------------------------------


def sigmas(settings: ImageSettings, sigma_max: float = SIGMA_MAX) -> tuple[float, ...]:
    """`steps` + 1 σ falling from `sigma_max`, the last 0 (Karras et al. 2022, eq. 5)."""
    # From a level that is nearly clean there must still be somewhere to fall to.
    sigma_min = min(settings.lowest_sigma, sigma_max / 2)
    if settings.steps == 1:
        return (sigma_max, 0.0)
    return (*karras_sigmas(sigma_max, sigma_min, settings.steps, settings.rho), 0.0)


def karras_sigmas(start: float, end: float, count: int, rho: float) -> tuple[float, ...]:
    """`count` σ, at least two, from `start` to `end` exactly, evenly spaced in σ^(1/ρ)."""
    first, last = start ** (1 / rho), end ** (1 / rho)
    shares = (i / (count - 1) for i in range(1, count - 1))
    return (start, *((first + share * (last - first)) ** rho for share in shares), end)


# --- steps ----------------------------------------------------------------------------


class Point(NamedTuple):
    """A level that a trace went through."""

    sigma: float
    x: Tensor
    denoised: Tensor  # the model at (x, sigma)


@dataclass(frozen=True)
class Step:
    """One step to take, from the noise level `sigma` to `sigma_next`."""

    x: Tensor
    denoised: Tensor  # the model at (x, sigma)
    sigma: float
    sigma_next: float
    noise: Tensor  # standard normal, for samplers that add some
    eta: float = 0.0  # how much of it those add that have the choice
    history: tuple[Point, ...] = ()  # the levels before, the last first, as far as they hold


StepFunction = Callable[[Step, Denoise], Tensor]
"""A step and the model to x at the next level."""


def find_sampler(settings: ImageSettings) -> StepFunction:
    """The function of the sampler that the settings name.

    Where they give the last noise level, as those of older traces do, Heun's method is the plain
    one, which is not stable in few steps.
    """
    if settings.sampler == "heun" and settings.sigma_min is not None:
        return heun_in_sigma
    return resolve(SAMPLERS[settings.sampler].function)


def euler(step: Step, denoise: Denoise) -> Tensor:
    """Euler's method on the probability-flow ODE (Karras et al. 2022, algorithm 1, line 5)."""
    slope = (step.x - step.denoised) / step.sigma
    return step.x + (step.sigma_next - step.sigma) * slope


def heun(step: Step, denoise: Denoise) -> Tensor:
    """Second order: the slope averaged over both ends (Karras et al. 2022, algorithm 1).

    A long step averages what was denoised instead: DPM-Solver++ (2S) with r = 1 (Lu et al. 2022).
    """
    if step.sigma_next == 0 or step.sigma <= LONG_STEP * step.sigma_next:
        return heun_in_sigma(step, denoise)
    denoised_next = denoise(euler(step, denoise), step.sigma_next)
    kept = step.sigma_next / step.sigma
    return kept * step.x + (1 - kept) * (step.denoised + denoised_next) / 2


def heun_in_sigma(step: Step, denoise: Denoise) -> Tensor:
    """Heun's method whatever the length of the step: of traces whose last level was given."""
    x = euler(step, denoise)
    if step.sigma_next == 0:
        return x
    slope = (step.x - step.denoised) / step.sigma
    slope_next = (x - denoise(x, step.sigma_next)) / step.sigma_next
    return step.x + (step.sigma_next - step.sigma) * (slope + slope_next) / 2


def dpmpp_2m(step: Step, denoise: Denoise) -> Tensor:
    """DPM-Solver++ (2M), multistep second order (Lu et al. 2022, algorithm 2).

    At η = 1 it is SDE-DPM-Solver++ (2M) of the same paper. Between, a share η of the
    reverse SDE's noise is added and taken away again, as k-diffusion does.
    """
    if step.sigma_next == 0:
        return step.denoised
    h = math.log(step.sigma / step.sigma_next)
    denoised = step.denoised
    if step.history:
        old = step.history[0]
        r = math.log(old.sigma / step.sigma) / h
        denoised = (1 + 1 / (2 * r)) * denoised - 1 / (2 * r) * old.denoised
    fresh = step.eta * h
    kept = step.sigma_next / step.sigma * math.exp(-fresh)
    x = kept * step.x - math.expm1(-h - fresh) * denoised
    return _with_fresh_noise(x, step, fresh)


def dpmpp_3m(step: Step, denoise: Denoise) -> Tensor:
    """DPM-Solver++ (3M), multistep third order (Lu et al. 2022; k-diffusion's `dpmpp_3m_sde`).

    η is that of `dpmpp_2m`.
    """
    if step.sigma_next == 0 or len(step.history) < 2:
        return dpmpp_2m(step, denoise)
    old, older = step.history[:2]
    h = math.log(step.sigma / step.sigma_next)
    r0 = math.log(old.sigma / step.sigma) / h
    r1 = math.log(older.sigma / old.sigma) / h
    slope0 = (step.denoised - old.denoised) / r0
    slope1 = (old.denoised - older.denoised) / r1
    bend = (slope0 - slope1) / (r0 + r1)
    slope = slope0 + r0 * bend
    fresh = step.eta * h
    length = h + fresh
    phi2 = math.expm1(-length) / length + 1
    phi3 = phi2 / length - 0.5
    kept = step.sigma_next / step.sigma * math.exp(-fresh)
    x = kept * step.x - math.expm1(-length) * step.denoised + phi2 * slope - phi3 * bend
    return _with_fresh_noise(x, step, fresh)


def _with_fresh_noise(x: Tensor, step: Step, fresh: float) -> Tensor:
    """Of DPM-Solver++: with the noise that a step longer by `fresh` in λ took away too much."""
    if not fresh:
        return x
    return x + step.sigma_next * math.sqrt(-math.expm1(-2 * fresh)) * step.noise


def unipc(step: Step, denoise: Denoise) -> Tensor:
    """UniPC of order 2 with B(h) = e^-h - 1, "bh2" (Zhao et al. 2023, algorithms 5 and 6)."""
    if step.sigma_next == 0:
        return step.denoised
    x = _corrected(step) if step.history else step.x
    h = math.log(step.sigma / step.sigma_next)
    gained = -math.expm1(-h)
    x = step.sigma_next / step.sigma * x + gained * step.denoised
    if not step.history:
        return x
    old = step.history[0]
    r = math.log(step.sigma / old.sigma) / h
    return x + gained * 0.5 * (old.denoised - step.denoised) / r


def _corrected(step: Step) -> Tensor:
    """UniC: the x that UniP came to, made better by what the model said of it.

    The paper takes the step from the level before again, with other weights. The same is to add
    the difference of the weights to x, so that nothing but the history is needed.
    """
    old = step.history[0]
    h = math.log(old.sigma / step.sigma)
    gained = -math.expm1(-h)
    change = step.denoised - old.denoised
    if len(step.history) < 2:
        return step.x + gained * 0.5 * change
    older = step.history[1]
    r = math.log(old.sigma / older.sigma) / h
    phi2 = gained / h - 1
    phi3 = -phi2 / h - 0.5
    # The weights solve w + v = -φ₂ / gained and r·w + v = -2·φ₃ / gained.
    w = (2 * phi3 - phi2) / gained / (1 - r)
    v = -phi2 / gained - w
    return step.x + gained * ((w - 0.5) * (older.denoised - old.denoised) / r + v * change)


def deis(step: Step, denoise: Denoise) -> Tensor:
    """DEIS of order 3 in log ρ, "tAB-DEIS" (Zhang & Chen 2023): the noise that the model sees is
    a polynomial of log σ through the last levels, and is integrated over σ exactly."""
    if step.sigma_next == 0:
        return step.denoised
    points = (Point(step.sigma, step.x, step.denoised), *step.history[:2])
    logs = [math.log(point.sigma) for point in points]
    x = step.x
    for i, point in enumerate(points):
        others = [log for j, log in enumerate(logs) if j != i]
        weight = _integral(others, step.sigma_next) - _integral(others, step.sigma)
        scale = math.prod(logs[i] - other for other in others)
        x = x + weight / scale * (point.x - point.denoised) / point.sigma
    return x


def _integral(roots: Sequence[float], sigma: float) -> float:
    """∫ ∏(log σ - root) dσ, of at most two roots."""
    log = math.log(sigma)
    match roots:
        case []:
            return sigma
        case [c]:
            return sigma * (log - 1 - c)
        case [c, d]:
            return sigma * (log**2 - 2 * log + 2 - (c + d) * (log - 1) + c * d)
    raise ValueError(f"{len(roots)} roots: at most two")


def ddim(step: Step, denoise: Denoise) -> Tensor:
    """To below the next level, then noise back up to it (Song et al. 2021, eqs. 12 and 16).

    In σ their x/√α is this x, and their deviation is η·σ_t·√(1 - (σ_t/σ_s)²) of step s to t.
    At η = 0 it is Euler's method.
    """
    if step.sigma_next == 0:
        return step.denoised
    up = step.eta * step.sigma_next * math.sqrt(1 - (step.sigma_next / step.sigma) ** 2)
    down = math.sqrt(step.sigma_next**2 - up**2)
    x = step.denoised + down / step.sigma * (step.x - step.denoised)
    return x + up * step.noise if up else x


def ddpm(step: Step, denoise: Denoise) -> Tensor:
    """The posterior with variance β̃ (Ho et al. 2020, eqs. 6 and 7): DDIM at η = 1."""
    return ddim(replace(step, eta=1.0), denoise)
