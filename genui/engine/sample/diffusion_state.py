"""The state of a diffusion trace: a grid of images at a noise level, immutable.

With the grid's rows, the mask that holds part of an image, and the noise levels ahead.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
import torch
from torch import Tensor

from genui.base.errors import MisuseError
from genui.base.text import clean
from genui.engine.sample.samplers import SIGMA_MAX, Point, karras_sigmas, sigmas
from genui.protocol import (
    Axis,
    ImageSettings,
    SetPrompt,
    SetSeed,
    SetSettings,
    Settings,
    Start,
)
from genui.protocol.edits import init_step
from genui.protocol.settings import MOST_CELLS, parse_axis_value

# --- Inpainting: outside a mask the arrays are held to a known clean one -----------------------


@dataclass(frozen=True)
class Held:
    """What may change, and what the rest is held to."""

    mask: Tensor = field(repr=False)  # bool [H, W], True where the image may change
    known: Tensor = field(repr=False)  # [B, C, H, W]

    def over(self, x: Tensor, sigma: float, noise: Tensor) -> Tensor:
        """x inside the mask, and outside it what is known, at the same noise level.

        Lugmayr et al. 2022 (RePaint), eq. 8. `noise` is the same at every level, so that
        what lies outside follows one trajectory, as deterministic samplers need; at σ = 0
        it is the known image exactly.
        """
        return torch.where(self.mask, x, self.known + sigma * noise)


def read_mask(mask: bytes, height: int, width: int, device: torch.device) -> Tensor:
    """bool [H, W] of one byte a pixel. Raises MisuseError for one that cannot be meant."""
    if len(mask) != height * width:
        raise MisuseError(
            f"mask of {len(mask)} bytes: give {height * width}, "
            f"one for each of {width}×{height} pixels"
        )
    pixels = np.frombuffer(mask, np.uint8)
    if pixels.max() > 1:
        raise MisuseError(f"mask holds {pixels.max()}: use 1 where the image may change, else 0")
    if not pixels.any():
        raise MisuseError("mask of nothing: mark at least one pixel to draw again")
    if pixels.all():
        raise MisuseError("mask of everything: leave a pixel unmarked, or add noise without a mask")
    return torch.from_numpy(pixels.reshape(height, width).astype(bool)).to(device)


# --- The images that a trace draws at once: one, or a grid with a setting along either side ---

_SHOWN = 40  # characters of a value that does not fit


@dataclass(frozen=True)
class Row:
    """What one image of a batch is drawn from."""

    caption: str
    seed: int
    settings: ImageSettings
    part: int = 0  # which part of a request this is, where it is drawn in several

    def value(self, name: str) -> str | int | float:
        """What it has of the thing an axis of that name varies."""
        return getattr(self if name in ("caption", "seed") else self.settings, name)

    def with_value(self, name: str, value: str | int | float) -> "Row":
        """The same row but for that."""
        if name in ("caption", "seed"):
            return replace(self, **{name: value})
        return replace(self, settings=msgspec.structs.replace(self.settings, **{name: value}))

    def edited(self, edit: SetSettings | SetSeed | SetPrompt) -> "Row":
        """With what the edit sets. Raises MisuseError for settings that are not images'."""
        match edit:
            case SetSeed(seed=seed):
                return replace(self, seed=seed)
            case SetPrompt(prompt=prompt):
                return replace(self, caption=clean(prompt))
            case SetSettings(settings=settings):
                return replace(self, settings=image_settings(settings))


@dataclass(frozen=True)
class Grid:
    """The images of a trace: `base` as it was asked for, varied along the axes.

    Raises MisuseError naming the axis, and the value of it, that does not fit.
    """

    base: Row
    axes: tuple[Axis, ...] = ()  # along x, along y

    def __post_init__(self) -> None:
        check_axes(self.axes)

    @property
    def columns(self) -> int:
        return len(self.axes[0].values) if self.axes else 1

    def rows(self) -> tuple[Row, ...]:
        """One an image, in the order of reading: left to right, then down."""
        rows = [self.base]
        for axis in self.axes:
            values = [parse_value(axis.name, text) for text in axis.values]
            rows = [row.with_value(axis.name, value) for value in values for row in rows]
        return tuple(rows)

    def edited(self, edit: SetSettings | SetSeed | SetPrompt) -> "Grid":
        """The same axes around another base.

        Raises MisuseError where the edit would set what varies along one.
        """
        base = self.base.edited(edit)
        for axis in self.axes:
            if base.value(axis.name) != self.base.value(axis.name):
                raise MisuseError(f"{axis.name} varies along this grid; fork it without that axis")
        return Grid(base, self.axes)


def check_axes(axes: Sequence[Axis]) -> None:
    """Raises MisuseError where they do not go together, or are of too many images."""
    names = [axis.name for axis in axes]
    if len(set(names)) < len(names):
        raise MisuseError(f"grid: {names[0]} is on both axes; choose two different settings")
    if len(axes) > 2:
        raise MisuseError(f"grid: {len(names)} axes ({', '.join(names)}); at most 2 fit")
    count = math.prod(len(axis.values) for axis in axes)
    if count > MOST_CELLS:
        raise MisuseError(f"grid: {count} images; at most {MOST_CELLS} are drawn at once")


def image_settings(settings: Settings) -> ImageSettings:
    """The settings, which must be those of images (else MisuseError)."""
    if not isinstance(settings, ImageSettings):
        raise MisuseError("an image model needs image settings")
    return settings


def parse_value(name: str, text: str) -> str | int | float:
    """A value as it is typed. Raises MisuseError where the setting cannot be that."""
    text = clean(text)
    return parse_axis_value(name, text, f"grid: {name} {text[:_SHOWN]!r}")


# --- The state, and the noise levels of a trace ----------------------------------------------


def noise(shape: tuple[int, int, int], *key: int, part: int = 0) -> np.ndarray:
    """Standard normal float32 [C, H, W], drawn from (seed, step, …), never from a stream.

    The parts of one request have a stream each.
    """
    sequence = np.random.SeedSequence(key, spawn_key=(part,) if part else ())
    return np.random.default_rng(sequence).standard_normal(shape, np.float32)


@dataclass(frozen=True, kw_only=True)
class DiffusionState:
    """B arrays (images, spectrograms, …) at the noise level `levels[step]`.

    A fork changes the levels that are ahead; those behind are what the trace went through.
    """

    grid: Grid
    rows: tuple[Row, ...]  # B, what each is drawn from: the cells of the grid, or their parts
    token_ids: Tensor = field(repr=False)  # [B, L]
    levels: tuple[float, ...] = field(repr=False)  # σ at every step of the trace
    step: int = 0
    x: Tensor = field(repr=False)  # [B, C, H, W]
    denoised: Tensor = field(repr=False)  # the clean array that the model predicts from `x`
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

    Raises MisuseError where the request asks for what it gives no image for.
    """
    levels = sigmas(settings)
    if request.forward:
        if request.init is None:
            raise MisuseError("the forward process needs an image to begin from: give one")
        return levels[::-1]
    if request.init is None:
        return levels
    if not 0 < request.strength <= 1:
        raise MisuseError(f"strength {request.strength:g}: give a share above 0 and up to 1")
    return levels[init_step(request.strength, settings.steps) :]


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


def reverse(state: DiffusionState) -> DiffusionState:
    """A forward process that goes back down the levels it came up, by the sampler.

    Raises MisuseError where it is none, or has not begun.
    """
    if state.clean is None:
        raise MisuseError("only a forward process can be reversed: this trace denoises already")
    if state.step == 0:
        raise MisuseError("there is no noise yet to take away: go a step forward first")
    down = state.levels[: state.step][::-1]
    return replace(state, levels=state.levels[: state.step + 1] + down, clean=None)
