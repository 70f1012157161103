"""Samplers: short functions from one noise level to the next, and their table.

All work on x = x₀ + σ·noise (Karras et al. 2022). A sampler gets the denoised prediction at the
current level and at earlier ones, and calls the model again only if its method needs it. A step
depends on its arguments alone, so repeating it gives the same bits.

Names follow k-diffusion: `h` is the length of a step in λ = -log σ. `old` is the previous level and
`older` the one before. With too little history a multistep method takes a step of lower order.
Nothing here imports torch: the shell and the app list samplers too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from msgspec import Struct

from genui.base.plugins import Table

if TYPE_CHECKING:
    from torch import Tensor

LONG_STEP = 5.0
"""Above this ratio of two noise levels, Heun's step is taken in log σ.

Averaging two slopes multiplies an error of the denoiser at the lower level by about half the
ratio: the two steps 40 → 1 → 0 gave images a hundred times too large."""

Denoise = Callable[["Tensor", float], "Tensor"]
"""(x, σ) to the denoised prediction."""


# --- steps ----------------------------------------------------------------------------


class Point(NamedTuple):
    """A noise level that a trace has passed."""

    sigma: float
    x: Tensor
    denoised: Tensor  # the model at (x, sigma)


@dataclass(frozen=True)
class Step:
    """The input of a sampler: one step from the noise level `sigma` to `sigma_next`."""

    x: Tensor
    denoised: Tensor  # the model at (x, sigma)
    sigma: float
    sigma_next: float
    noise: Tensor  # standard normal, for stochastic samplers
    eta: float = 0.0  # share of fresh noise, 0 to 1
    history: tuple[Point, ...] = ()  # valid earlier levels, the most recent first


StepFunction = Callable[[Step, Denoise], "Tensor"]
"""(step, model) to x at `step.sigma_next`."""


def euler(step: Step, denoise: Denoise) -> Tensor:
    """Euler's method on the probability-flow ODE (Karras et al. 2022, algorithm 1, line 5)."""
    d = (step.x - step.denoised) / step.sigma
    return step.x + (step.sigma_next - step.sigma) * d


def heun(step: Step, denoise: Denoise) -> Tensor:
    """Heun's second-order method: the mean of the slopes at both ends (Karras et al. 2022, alg. 1).

    A long step averages the denoised predictions instead: DPM-Solver++ (2S) with r = 1 (Lu et al.
    2022).
    """
    x = euler(step, denoise)
    if step.sigma_next == 0:
        return x
    denoised_next = denoise(x, step.sigma_next)
    if step.sigma > LONG_STEP * step.sigma_next:
        ratio = step.sigma_next / step.sigma
        return ratio * step.x + (1 - ratio) * (step.denoised + denoised_next) / 2
    d = (step.x - step.denoised) / step.sigma
    d_next = (x - denoised_next) / step.sigma_next
    return step.x + (step.sigma_next - step.sigma) * (d + d_next) / 2


def dpmpp_2m(step: Step, denoise: Denoise) -> Tensor:
    """DPM-Solver++ (2M), multistep second order (Lu et al. 2022, algorithm 2).

    η = 1 is SDE-DPM-Solver++ (2M) of the same paper. Values between 0 and 1 add a share η of the
    reverse SDE's noise and remove it again, as in k-diffusion.
    """
    if step.sigma_next == 0:
        return step.denoised
    h = math.log(step.sigma / step.sigma_next)
    denoised = step.denoised
    if step.history:
        old = step.history[0]
        r = math.log(old.sigma / step.sigma) / h
        denoised = (1 + 1 / (2 * r)) * denoised - 1 / (2 * r) * old.denoised
    eta_h = step.eta * h
    decay = step.sigma_next / step.sigma * math.exp(-eta_h)
    x = decay * step.x - math.expm1(-h - eta_h) * denoised
    return _add_fresh_noise(x, step, eta_h)


def dpmpp_3m(step: Step, denoise: Denoise) -> Tensor:
    """DPM-Solver++ (3M), multistep third order (Lu et al. 2022; k-diffusion's `dpmpp_3m_sde`).

    η is as in `dpmpp_2m`.
    """
    if step.sigma_next == 0 or len(step.history) < 2:
        return dpmpp_2m(step, denoise)
    old, older = step.history[:2]
    h = math.log(step.sigma / step.sigma_next)
    r0 = math.log(old.sigma / step.sigma) / h
    r1 = math.log(older.sigma / old.sigma) / h
    d1_0 = (step.denoised - old.denoised) / r0
    d1_1 = (old.denoised - older.denoised) / r1
    d2 = (d1_0 - d1_1) / (r0 + r1)
    d1 = d1_0 + r0 * d2
    eta_h = step.eta * h
    h_eta = h + eta_h
    phi2 = math.expm1(-h_eta) / h_eta + 1
    phi3 = phi2 / h_eta - 0.5
    decay = step.sigma_next / step.sigma * math.exp(-eta_h)
    x = decay * step.x - math.expm1(-h_eta) * step.denoised + phi2 * d1 - phi3 * d2
    return _add_fresh_noise(x, step, eta_h)


def _add_fresh_noise(x: Tensor, step: Step, eta_h: float) -> Tensor:
    """x with the noise that a DPM-Solver++ step, longer by `eta_h` in λ, removed too much."""
    if not eta_h:
        return x
    return x + step.sigma_next * math.sqrt(-math.expm1(-2 * eta_h)) * step.noise


def unipc(step: Step, denoise: Denoise) -> Tensor:
    """UniPC of order 2 with B(h) = e^-h - 1, "bh2" (Zhao et al. 2023, algorithms 5 and 6)."""
    if step.sigma_next == 0:
        return step.denoised
    x = _unic_correct(step) if step.history else step.x
    h = math.log(step.sigma / step.sigma_next)
    gain = -math.expm1(-h)
    x = step.sigma_next / step.sigma * x + gain * step.denoised
    if not step.history:
        return x
    old = step.history[0]
    r = math.log(step.sigma / old.sigma) / h
    return x + gain * 0.5 * (old.denoised - step.denoised) / r


def _unic_correct(step: Step) -> Tensor:
    """UniC: the x of UniP, corrected by the model's prediction at this x.

    The paper repeats the previous step with other weights. Adding the difference of the weights to
    x gives the same result and needs only the history.
    """
    old = step.history[0]
    h = math.log(old.sigma / step.sigma)
    gain = -math.expm1(-h)
    change = step.denoised - old.denoised
    if len(step.history) < 2:
        return step.x + gain * 0.5 * change
    older = step.history[1]
    r = math.log(old.sigma / older.sigma) / h
    phi2 = gain / h - 1
    phi3 = -phi2 / h - 0.5
    # The weights solve w + v = -φ₂ / gain and r·w + v = -2·φ₃ / gain.
    w = (2 * phi3 - phi2) / gain / (1 - r)
    v = -phi2 / gain - w
    return step.x + gain * ((w - 0.5) * (older.denoised - old.denoised) / r + v * change)


def deis(step: Step, denoise: Denoise) -> Tensor:
    """DEIS of order 3 in log ρ, "tAB-DEIS" (Zhang & Chen 2023): the predicted noise is a polynomial
    in log σ through the last levels, integrated exactly over σ."""
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
    """∫ ∏(log σ - root) dσ for at most two roots."""
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
    """DDIM: a step below the next level, then noise up to it (Song et al. 2021, eqs. 12 and 16).

    Their x/√α is our x. The standard deviation of a step from σ_s to σ_t is
    η·σ_t·√(1 - (σ_t/σ_s)²). η = 0 is Euler's method.
    """
    if step.sigma_next == 0:
        return step.denoised
    up = step.eta * step.sigma_next * math.sqrt(1 - (step.sigma_next / step.sigma) ** 2)
    down = math.sqrt(step.sigma_next**2 - up**2)
    x = step.denoised + down / step.sigma * (step.x - step.denoised)
    return x + up * step.noise if up else x


def lcm(step: Step, denoise: Denoise) -> Tensor:
    """Noise up to the next level from the prediction alone: sampling of consistency models (Song et
    al. 2023, algorithm 1; Luo et al. 2023)."""
    return step.denoised + step.sigma_next * step.noise


def ddpm(step: Step, denoise: Denoise) -> Tensor:
    """DDPM: the posterior with variance β̃ (Ho et al. 2020, eqs. 6 and 7), or DDIM at η = 1."""
    return ddim(replace(step, eta=1.0), denoise)


# --- the table ------------------------------------------------------------------------


class Sampler(Struct, frozen=True, kw_only=True):
    """A way from one noise level to the next."""

    title: str
    function: StepFunction
    history: int = 0  # how many earlier levels it uses
    # Fresh noise per step: none, the share η of the settings, or the full amount.
    noise: Literal["none", "eta", "full"] = "none"
    # Whether it corrects the x of its own last step; if so, it cannot continue from another
    # sampler.
    corrects: bool = False


SAMPLERS: Mapping[str, Sampler] = Table(
    "genui.samplers",
    Sampler,
    {
        "dpmpp-2m": Sampler(title="DPM-Solver++ 2M", function=dpmpp_2m, history=1, noise="eta"),
        "heun": Sampler(title="Heun", function=heun),
        "euler": Sampler(title="Euler", function=euler),
        "ddim": Sampler(title="DDIM", function=ddim, noise="eta"),
        "ddpm": Sampler(title="DDPM", function=ddpm, noise="full"),
        "dpmpp-3m": Sampler(title="DPM-Solver++ 3M", function=dpmpp_3m, history=2, noise="eta"),
        "unipc": Sampler(title="UniPC", function=unipc, history=2, corrects=True),
        "lcm": Sampler(title="LCM", function=lcm, noise="full"),
        "deis": Sampler(title="DEIS", function=deis, history=2),
    },
)
"""Samplers by name, in the order in which the app cycles through them."""
