"""The immutable state of a diffusion trace: the images of a grid at one noise level.

Also its rows, its inpainting mask and its schedule of noise levels.
"""

from dataclasses import dataclass, field, replace
from typing import Protocol

import msgspec
import numpy as np
import torch
from torch import Tensor

from genui.base.errors import MisuseError
from genui.base.text import clean
from genui.engine.sample.sigmas import SIGMA_MAX, karras_sigmas, sigmas
from genui.engine.sample.trace import expect_settings
from genui.protocol import (
    Axis,
    ImageSettings,
    SetPrompt,
    SetSeed,
    SetSettings,
    Start,
)
from genui.protocol.edits import init_step
from genui.protocol.samplers import Point
from genui.protocol.settings import check_axes, parse_axis_value

# --- Inpainting -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Inpainting:
    """A mask, and the clean image that is kept outside it."""

    mask: Tensor = field(repr=False)  # bool [H, W], True where the image may change
    known: Tensor = field(repr=False)  # [B, C, H, W]

    def merge(self, x: Tensor, sigma: float, noise: Tensor) -> Tensor:
        """x inside the mask, the known image with noise of level `sigma` outside it.

        Lugmayr et al. 2022 (RePaint), eq. 8. `noise` is the same at every level: deterministic
        samplers need one trajectory for the known part. At σ = 0 it is exactly the known image.
        """
        return torch.where(self.mask, x, self.known + sigma * noise)


def read_mask(mask: bytes, height: int, width: int) -> Tensor:
    """bool [H, W] from one byte per pixel. Raises MisuseError if the size or a value is wrong, or
    all pixels are equal."""
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
    return torch.from_numpy(pixels.reshape(height, width).astype(bool))


# --- The images of a trace: one, or a grid with one or two varied settings ---------------------


@dataclass(frozen=True)
class ImageInputs:
    """The inputs of one image of a batch."""

    caption: str
    seed: int
    settings: ImageSettings
    part: int = 0  # index of the part, for media that generate a caption in several parts

    def value(self, name: str) -> str | int | float:
        """The caption, the seed or a setting: the setting that an axis of this name varies."""
        return getattr(self if name in ("caption", "seed") else self.settings, name)

    def with_value(self, name: str, value: str | int | float) -> "ImageInputs":
        """The row with another `value(name)`."""
        if name in ("caption", "seed"):
            return replace(self, **{name: value})
        return replace(self, settings=msgspec.structs.replace(self.settings, **{name: value}))

    def edited(self, edit: SetSettings | SetSeed | SetPrompt) -> "ImageInputs":
        """The row after the edit. Raises MisuseError if its settings are not ImageSettings."""
        match edit:
            case SetSeed(seed=seed):
                return replace(self, seed=seed)
            case SetPrompt(prompt=prompt):
                return replace(self, caption=clean(prompt))
            case SetSettings(settings=settings):
                return replace(self, settings=expect_settings(settings, ImageSettings))


@dataclass(frozen=True)
class Grid:
    """The images of a trace: `base`, varied along the axes.

    Raises MisuseError, which names the axis and the value that is not valid.
    """

    base: ImageInputs
    axes: tuple[Axis, ...] = ()  # along x, along y

    def __post_init__(self) -> None:
        check_axes(self.axes)

    @property
    def columns(self) -> int:
        return len(self.axes[0].values) if self.axes else 1

    def rows(self) -> tuple[ImageInputs, ...]:
        """One row for each image, left to right, then down."""
        rows = [self.base]
        for axis in self.axes:
            values = [parse_value(axis.name, text) for text in axis.values]
            rows = [row.with_value(axis.name, value) for value in values for row in rows]
        return tuple(rows)

    def edited(self, edit: SetSettings | SetSeed | SetPrompt) -> "Grid":
        """The grid with an edited base. Raises MisuseError if an axis varies the edited setting."""
        base = self.base.edited(edit)
        for axis in self.axes:
            if base.value(axis.name) != self.base.value(axis.name):
                raise MisuseError(f"{axis.name} varies along this grid; fork it without that axis")
        return Grid(base, self.axes)


def parse_value(name: str, text: str) -> str | int | float:
    """The value of an axis from text. Raises MisuseError if the setting cannot have this value."""
    text = clean(text)
    return parse_axis_value(name, text, f"grid: {name} {text[:40]!r}")


# --- The state and its noise levels -----------------------------------------------------------


def noise(shape: tuple[int, int, int], *key: int, part: int = 0) -> np.ndarray:
    """Standard normal float32 [C, H, W], a function of `key` (seed, step, …) and of the part."""
    sequence = np.random.SeedSequence(key, spawn_key=(part,) if part else ())
    return np.random.default_rng(sequence).standard_normal(shape, np.float32)


@dataclass(frozen=True, kw_only=True)
class DiffusionState:
    """B arrays (images, spectrograms, …) at the noise level `levels[step]`.

    An edit changes the levels after `step`; those before are the levels the trace has passed.
    """

    grid: Grid
    rows: tuple[ImageInputs, ...]  # [B] the cells of the grid, or the parts of each cell
    token_ids: Tensor = field(repr=False)  # [B, L]
    levels: tuple[float, ...] = field(repr=False)  # σ at every step of the trace
    step: int = 0
    x: Tensor = field(repr=False)  # [B, C, H, W]
    denoised: Tensor = field(repr=False)  # [B, C, H, W] the model's prediction of x₀ from `x`
    # Earlier levels, the most recent first: as many as the samplers use, at least one. Cleared by
    # an edit after which they are not valid.
    history: tuple[Point, ...] = field(default=(), repr=False)
    inpainting: Inpainting | None = field(default=None, repr=False)
    clean: Tensor | None = field(default=None, repr=False)  # x₀, during a forward process
    added: int = 0  # how many times noise was added

    @property
    def sigma(self) -> float:
        return self.levels[self.step]

    @property
    def total(self) -> int:
        """The last step."""
        return len(self.levels) - 1


class Schedule(Protocol):
    """The noise levels of a model."""

    dtype: torch.dtype
    """The type in which the noisy arrays are computed."""

    def sigmas(self, settings: ImageSettings, start: float | None = None) -> tuple[float, ...]:
        """`settings.steps` + 1 levels from `start`, by default the highest, down to 0."""
        ...

    def rising(self, settings: ImageSettings, start: float) -> tuple[float, ...]:
        """`settings.steps` + 1 levels from `start` above 0 up to the highest."""
        ...

    def noise_scale(self, sigma: float) -> float:
        """The standard deviation of pure noise at the first level `sigma`."""
        ...

    def remark(self, sampler: str) -> str:
        """A remark for users of a sampler; "" for nothing."""
        ...


class KarrasSchedule:
    """The levels of our own models: EDM's levels (Karras et al. 2022), by the settings."""

    dtype = torch.float32

    def sigmas(self, settings: ImageSettings, start: float | None = None) -> tuple[float, ...]:
        return sigmas(settings, SIGMA_MAX if start is None else start)

    def rising(self, settings: ImageSettings, start: float) -> tuple[float, ...]:
        return karras_sigmas(start, SIGMA_MAX, settings.steps + 1, settings.rho)

    def noise_scale(self, sigma: float) -> float:
        return sigma

    def remark(self, sampler: str) -> str:
        return ""


def initial_sigmas(
    request: Start, settings: ImageSettings, schedule: Schedule
) -> tuple[float, ...]:
    """The noise levels of a new trace: the schedule, its end (img2img), or its reverse (forward).

    Raises MisuseError if a forward process has no initial image, or `strength` is out of range.
    """
    levels = schedule.sigmas(settings)
    if request.forward:
        if request.init is None:
            raise MisuseError("the forward process needs an image to start from: give one")
        return levels[::-1]
    if request.init is None:
        return levels
    if not 0 < request.strength <= 1:
        raise MisuseError(f"strength {request.strength:g}: give a share above 0 and up to 1")
    return levels[init_step(request.strength, settings.steps) :]


def respace(
    state: DiffusionState, settings: ImageSettings, schedule: Schedule
) -> tuple[float, ...]:
    """The levels up to now, then new ones so that the trace has `steps` in all; at least one."""
    if state.step == state.total:
        return state.levels
    past, sigma = state.levels[: state.step], state.sigma
    # The lowest level depends on the steps of the whole trace, not on those that are left.
    rest = msgspec.structs.replace(
        settings,
        steps=max(1, settings.steps - state.step),
        sigma_min=settings.lowest_sigma,
    )
    if state.clean is None:
        return past + schedule.sigmas(rest, sigma)
    if sigma == 0:
        return schedule.sigmas(rest)[::-1]
    return past + schedule.rising(rest, sigma)


def reverse(state: DiffusionState) -> DiffusionState:
    """Turn a forward process round: the sampler denoises along the levels it rose by.

    Raises MisuseError if it is not a forward process, or is still at its first step.
    """
    if state.clean is None:
        raise MisuseError("only a forward process can be reversed: this trace denoises already")
    if state.step == 0:
        raise MisuseError("there is no noise yet to take away: go a step forward first")
    down = state.levels[: state.step][::-1]
    return replace(state, levels=state.levels[: state.step + 1] + down, clean=None)
