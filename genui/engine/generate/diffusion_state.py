"""Where a diffusion trace stands: immutable, with the noise levels it goes along."""

from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
from torch import Tensor

from genui.edits import drowned_at
from genui.engine.generate.grid import Grid, Row
from genui.engine.generate.inpaint import Held
from genui.engine.generate.samplers import SIGMA_MAX, Point, karras_sigmas, sigmas
from genui.errors import MisuseError
from genui.protocol import ImageSettings, Start


def noise(shape: tuple[int, int, int], *key: int, part: int = 0) -> np.ndarray:
    """Standard normal float32 [C, H, W], drawn from (seed, step, …), never from a stream.

    The parts of one request have a stream each.
    """
    sequence = np.random.SeedSequence(key, spawn_key=(part,) if part else ())
    return np.random.default_rng(sequence).standard_normal(shape, np.float32)


@dataclass(frozen=True, kw_only=True)
class DiffusionState:
    """B arrays (pictures, spectrograms, …) at the noise level `levels[step]`.

    A fork changes the levels that are ahead; those behind are what the trace went through.
    """

    grid: Grid
    rows: tuple[Row, ...]  # B, what each is drawn from: the cells of the grid, or their parts
    words: Tensor = field(repr=False)  # [B, L]
    levels: tuple[float, ...] = field(repr=False)  # σ at every step of the trace
    step: int = 0
    x: Tensor = field(repr=False)  # [B, C, H, W]
    denoised: Tensor = field(repr=False)  # the clean array as the model sees it in `x`
    # The steps before, the last first: as many as the samplers look back on, at least one, and
    # none of before an edit that they do not go on from.
    history: tuple[Point, ...] = field(default=(), repr=False)
    held: Held | None = field(default=None, repr=False)  # of inpainting
    clean: Tensor | None = field(default=None, repr=False)  # of a forward process: x₀
    added: int = 0  # how often noise was added back

    @property
    def sigma(self) -> float:
        return self.levels[self.step]

    @property
    def total(self) -> int:
        """The step at which the levels end."""
        return len(self.levels) - 1


def initial_sigmas(request: Start, settings: ImageSettings) -> tuple[float, ...]:
    """The levels a trace begins with: all of them, the last of them, or all of them rising.

    Raises MisuseError where the request asks for what it gives no picture for.
    """
    levels = sigmas(settings)
    if request.forward:
        if request.init is None:
            raise MisuseError("the forward process needs a picture to begin from: give one")
        return levels[::-1]
    if request.init is None:
        return levels
    if not 0 < request.strength <= 1:
        raise MisuseError(f"strength {request.strength:g}: give a share above 0 and up to 1")
    return levels[drowned_at(request.strength, settings.steps) :]


def respace(state: DiffusionState, settings: ImageSettings) -> tuple[float, ...]:
    """The levels with as many ahead as make `steps` of the whole, and one at the least."""
    if state.step == state.total:
        return state.levels
    behind, sigma = state.levels[: state.step], state.sigma
    # How low they end goes by the steps of the whole, however few are left.
    ahead = msgspec.structs.replace(
        settings,
        steps=max(1, settings.steps - state.step),
        sigma_min=settings.lowest_sigma,
    )
    if state.clean is None:
        return behind + sigmas(ahead, sigma)
    if sigma == 0:
        return sigmas(ahead)[::-1]
    return behind + karras_sigmas(sigma, SIGMA_MAX, ahead.steps + 1, ahead.rho)


def turned_round(state: DiffusionState) -> DiffusionState:
    """A forward process that goes back down the levels it came up, as the sampler has it.

    Raises MisuseError where it is none, or has not begun.
    """
    if state.clean is None:
        raise MisuseError("only a forward process can be turned round: this trace denoises already")
    if state.step == 0:
        raise MisuseError("there is no noise yet to take away: go a step forward first")
    down = state.levels[: state.step][::-1]
    return replace(state, levels=state.levels[: state.step + 1] + down, clean=None)
