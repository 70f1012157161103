"""From arrays in -1 to 1 to the bytes of pictures."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genui.base.errors import MisuseError, did_you_mean
from genui.base.text import clean, clean_line, from_text
from genui.engine.data.captions import COLOURS, DEFAULT_GROUND, split_words
from genui.engine.data.clips import CLIP_FRAMES, FIGURES, MOTIONS, Scene, draw_poses, load_clips
from genui.engine.data.image_files import UnusableError, read_square
from genui.engine.data.images import SIDE, CaptionedImages, as_floats, as_pixels, load_images
from genui.engine.data.speech import (
    DIGITS,
    HOP,
    MEL_FRAMES,
    MELS,
    RANGE_DB,
    RATE,
    Mels,
    Samples,
    load_speech,
    log_mel,
    placed,
    read_take,
    vocoded,
)
from genui.engine.models.dit import DIT_SIDE
from genui.engine.models.video_dit import CHANNELS
from genui.engine.sample.samplers import SIGMA_MAX, Point, karras_sigmas, sigmas
from genui.formats.audio import to_pcm
from genui.protocol import (
    FROM_DATA,
    SAMPLERS,
    Axis,
    ImageFrame,
    ImageSettings,
    Picture,
    SetPrompt,
    SetSeed,
    SetSettings,
    Settings,
    Start,
)
from genui.protocol.edits import drowned_at
from genui.protocol.settings import MOST_CELLS, NUMBERS
from genui.recipes import DiffusionRecipe
from genui.recipes.diffusion import VideoRecipe, VoiceRecipe
from genui.render.image import coloured, values_of


def to_rgb(x: Tensor) -> NDArray[np.uint8]:
    """Pictures [B, 3, H, W], or grey ones [B, 1, H, W], in -1 to 1 as uint8 [B, H, W, 3]."""
    scaled = ((x.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return scaled.permute(0, 2, 3, 1).expand(-1, -1, -1, 3).cpu().numpy()


def sheet(rgb: NDArray[np.uint8], columns: int) -> bytes:
    """Pictures [B, H, W, 3] as one, `columns` of them side by side: RGB, row by row."""
    return rgb.reshape(-1, columns, *rgb.shape[1:]).swapaxes(1, 2).tobytes()


# --- Drawing again only where a mask allows: the rest is held to a known clean picture --------


@dataclass(frozen=True)
class Held:
    """What may change, and what the rest is held to."""

    mask: Tensor = field(repr=False)  # bool [H, W], True where the picture may change
    known: Tensor = field(repr=False)  # [B, C, H, W]

    def over(self, x: Tensor, sigma: float, noise: Tensor) -> Tensor:
        """x inside the mask, and outside it what is known, at the same noise level.

        Lugmayr et al. 2022 (RePaint), eq. 8. `noise` is the same at every level, so that
        what lies outside follows one trajectory, as deterministic samplers need; at σ = 0
        it is the known picture exactly.
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
        raise MisuseError(f"mask holds {pixels.max()}: use 1 where the picture may change, else 0")
    if not pixels.any():
        raise MisuseError("mask of nothing: mark at least one pixel to draw again")
    if pixels.all():
        raise MisuseError("mask of everything: leave a pixel unmarked, or add noise without a mask")
    return torch.from_numpy(pixels.reshape(height, width).astype(bool)).to(device)


# --- Which pictures a trace draws at once: one, or a grid with a setting along either side ----

_SHOWN = 40  # characters of a value that does not fit


@dataclass(frozen=True)
class Row:
    """What one picture of a batch is drawn from."""

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
        """With what the edit sets. Raises MisuseError for settings that are not pictures'."""
        match edit:
            case SetSeed(seed=seed):
                return replace(self, seed=seed)
            case SetPrompt(prompt=prompt):
                return replace(self, caption=clean(prompt))
            case SetSettings(settings=settings):
                return replace(self, settings=picture_settings(settings))


@dataclass(frozen=True)
class Grid:
    """The pictures of a trace: `base` as it was asked for, varied along the axes.

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
        """One a picture, in the order of reading: left to right, then down."""
        rows = [self.base]
        for axis in self.axes:
            values = [parsed(axis.name, text) for text in axis.values]
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
    """Raises MisuseError where they do not go together, or are of too many pictures."""
    names = [axis.name for axis in axes]
    if len(set(names)) < len(names):
        raise MisuseError(f"grid: {names[0]} is along both sides; vary two different things")
    if len(axes) > 2:
        raise MisuseError(f"grid: {len(names)} axes ({', '.join(names)}); at most 2 fit")
    count = math.prod(len(axis.values) for axis in axes)
    if count > MOST_CELLS:
        raise MisuseError(f"grid: {count} pictures; at most {MOST_CELLS} are drawn at once")


def picture_settings(settings: Settings) -> ImageSettings:
    """The settings, which must be those of pictures (else MisuseError)."""
    if not isinstance(settings, ImageSettings):
        raise MisuseError("a picture model needs picture settings")
    return settings


def parsed(name: str, text: str) -> str | int | float:
    """A value as it is typed. Raises MisuseError where the setting cannot be that."""
    text = clean(text)
    if name == "caption":
        return text
    shown = f"grid: {name} {text[:_SHOWN]!r}"
    if name == "sampler":
        if text not in SAMPLERS:
            raise MisuseError(f"{shown}: no such sampler; {did_you_mean(text, SAMPLERS)}")
        return text
    try:
        value = from_text(text.strip(), NUMBERS[name])
        if not math.isfinite(value):
            raise ValueError
    except msgspec.ValidationError as error:
        raise MisuseError(f"{shown}: {str(error).lower().replace('`', '')}") from None
    except ValueError:
        raise MisuseError(f"{shown}: not a finite number") from None
    return value


# --- Where a diffusion trace stands: immutable, with the noise levels it goes along -----------


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


# --- What a diffusion model denoises, and how a person sees it: the one thing media differ in -
# `DiffusionGenerator` knows noise, levels, samplers, edits and grids for arrays of any shape
# [C, H, W]. That an array is a picture, a sound or a film is known to its `Medium` alone.


@dataclass(frozen=True)
class Opening:
    """What a trace begins from (`Start.init`)."""

    picture: Picture  # as the model sees it: kept in the recipe, so that a replay needs no file
    clean: Tensor = field(repr=False)  # [C, H, W] in -1 to 1, made of `picture` alone
    note: str = ""  # what was done to have it


class Medium(Protocol):
    """Arrays of one shape with a meaning."""

    @property
    def medium(self) -> str:
        """Its name, as `genui.protocol.registry` has it."""
        ...

    @property
    def shape(self) -> tuple[int, int, int]:
        """[C, H, W] of what one caption draws."""
        ...

    def parts(self, caption: str) -> tuple[str, ...]:
        """The captions that one request is drawn by, at least one.

        A picture is drawn whole; spoken digits are drawn one by one and shown side by side.
        """
        ...

    def note(self, caption: str) -> str:
        """What a person should know of how a caption is read; "" where nothing."""
        ...

    def frame(self, state: DiffusionState, spread: float) -> ImageFrame:
        """What a person sees of a state; `spread` is the standard deviation of clean data."""
        ...

    def opening(self, init: Picture | str, caption: str) -> Opening:
        """What `Start.init` asks to begin from: a picture, the path of a file, or FROM_DATA.

        Raises MisuseError where there is none to be had, GenuiError where the data is missing.
        """
        ...


# --- The picture that a trace begins from: given, read from a file, or a training picture -----

MOST_PIXELS = 100_000_000


def opening_picture(
    init: Picture | str, caption: str, recipe: DiffusionRecipe | None
) -> tuple[Picture, str]:
    """32×32 RGB of `Start.init`, and what was done to have it.

    `init` is a path, or "data:" for the nearest picture of `recipe`'s data.

    Raises MisuseError where there is none to be had, GenuiError where the data needs a
    font that is not installed.
    """
    if isinstance(init, Picture):
        return _check_image(init), ""
    if init == FROM_DATA:
        if recipe is None:
            raise MisuseError("this model does not say what it was trained on: name a picture")
        return nearest(load_images(recipe.dataset, recipe.data), caption)
    return read(Path(os.path.expanduser(init)))


def read(path: Path) -> tuple[Picture, str]:
    """Any picture file, fitted to 32×32; what is transparent is white. With what was done."""
    try:
        square = read_square(path, MOST_PIXELS)
    except UnusableError as reason:
        raise MisuseError(f"{clean_line(str(path))}: {reason}") from None
    rgba = square.rgba.astype(np.float32)
    alpha = rgba[..., 3:] / 255
    picture = _picture(np.rint(rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8))
    note = f"{clean_line(path.name)}: {', '.join(square.changes)}" if square.changes else ""
    return picture, note.replace("filled", "made white")


def nearest(pictures: CaptionedImages, caption: str) -> tuple[Picture, str]:
    """The training picture that shares the most words with the caption, in its colours.

    With the caption it has.

    Raises MisuseError where none shares any.
    """
    words = split_words(caption)
    found = set(words) - {"on"}

    def likeness(name: str) -> tuple[int, int]:
        theirs = split_words(name)
        return len(found & set(theirs)), -len(theirs)  # of equals the one that says no more

    name = max((pictures.captions[i] for i in pictures.train), key=likeness)
    if not likeness(name)[0]:
        raise MisuseError(
            f"{pictures.name}: no training picture is named like {clean_line(caption)!r}; "
            "name one in the caption, or give a picture"
        )
    named = _recoloured(name, words, pictures.scheme)
    rgb = pictures.compose(named)
    assert rgb is not None  # a training picture in two different colours of the palette
    picture = _picture(as_pixels(rgb))
    return picture, f"begins from the training picture “{clean_line(named)}”"


def ground_in(words: tuple[str, ...]) -> str:
    """The ground that a caption of these words has: the last of them, or the default one."""
    *_, before, last = "", *words
    return last if before == "on" and last in COLOURS else DEFAULT_GROUND


def _recoloured(name: str, words: tuple[str, ...], scheme: str) -> str:
    """The caption of that name which the set's scheme has, in the colours among the words."""
    if scheme == "plain":
        return name
    ground = ground_in(words)
    if scheme == "ground":
        return f"{name} on {ground}"
    figures = [
        word for word in (*words[:1], "white", "black") if word in COLOURS and word != ground
    ]
    return f"{figures[0]} {name} on {ground}"


def _check_image(picture: Picture) -> Picture:
    if (picture.width, picture.height) != (SIDE, SIDE):
        raise MisuseError(
            f"the picture to begin from is {picture.width}×{picture.height}: "
            f"this model draws {SIDE}×{SIDE}"
        )
    check_bytes(picture)
    return picture


def check_bytes(picture: Picture, what: str = "picture") -> None:
    """Raises MisuseError for a picture to begin from that has not three bytes a pixel."""
    wanted = picture.width * picture.height * 3
    if len(picture.rgb) != wanted:
        raise MisuseError(
            f"the {what} to begin from has {len(picture.rgb)} bytes: "
            f"{picture.width}×{picture.height} RGB has {wanted}"
        )


def _picture(rgb: NDArray[np.uint8]) -> Picture:
    """Of [32, 32, 3]."""
    return Picture(width=SIDE, height=SIDE, rgb=rgb.tobytes())


# --- What a person sees of pictures under way: bytes, no tensors ------------------------------

NOISE_SHOWN = 3.0  # standard deviations either side of mid-grey


def picture_frame(state: DiffusionState, spread: float) -> ImageFrame:
    """The state's pictures side by side; `spread` is the standard deviation of clean ones."""
    columns = state.grid.columns
    x, noise = shown(state, spread)
    return ImageFrame(
        trace=0,  # the trace numbers its frames
        step=state.step,
        sigma=state.sigma,
        width=columns * DIT_SIDE,
        height=len(state.rows) // columns * DIT_SIDE,
        x=sheet(to_rgb(x), columns),
        guess=sheet(to_rgb(state.denoised), columns),
        noise=sheet(to_rgb(noise), columns),
    )


def shown(state: DiffusionState, spread: float) -> tuple[Tensor, Tensor]:
    """The noisy arrays and the noise that is seen in them, each to be shown from -1 to 1.

    The noisy ones are scaled to the spread of clean ones, or they would be all black and white.
    """
    sigma = state.sigma
    x = state.x * spread / math.hypot(sigma, spread)
    noise = (state.x - state.denoised) / sigma if sigma else torch.zeros_like(x)
    return x, noise / NOISE_SHOWN


def from_rgb(rgb: bytes) -> Tensor:
    """A picture of 32×32 RGB as [3, 32, 32] in -1 to 1."""
    return torch.from_numpy(as_floats(np.frombuffer(rgb, np.uint8).reshape(DIT_SIDE, DIT_SIDE, 3)))


# --- Pictures as what is denoised: 32×32, in colour or grey, drawn whole ----------------------


@dataclass(frozen=True)
class PictureMedium:
    """Pictures of the `recipe`'s channels (RGB without one), which can begin from its data."""

    recipe: DiffusionRecipe | None = None

    medium = "image"

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.recipe.channels if self.recipe else 3, DIT_SIDE, DIT_SIDE)

    def parts(self, caption: str) -> tuple[str, ...]:
        return (caption,)

    def note(self, caption: str) -> str:
        return ""

    def frame(self, state: DiffusionState, spread: float) -> ImageFrame:
        return picture_frame(state, spread)

    def opening(self, init: Picture | str, caption: str) -> Opening:
        picture, note = opening_picture(init, caption, self.recipe)
        clean = from_rgb(picture.rgb)
        if self.shape[0] == 1:
            clean = clean.mean(dim=0, keepdim=True)
        return Opening(picture, clean, note)


# --- The clip that a trace begins from: a picture that stands still, or a clip of the data ----


def opening_clip(
    init: Picture | str, caption: str, recipe: VideoRecipe | None
) -> tuple[Picture, str]:
    """`Start.init` as 16 pictures 32×32 one below the other, or one; and what was done for it.

    Raises MisuseError where there is none to be had, GenuiError where the icons are missing.
    """
    if isinstance(init, Picture):
        return _check_clip(init), ""
    if init == FROM_DATA:
        if recipe is None:
            raise MisuseError("this model does not say what it was trained on: name a picture")
        return _trained(caption)
    picture, note = read(Path(os.path.expanduser(init)))
    still = "a picture that stands still through the clip"
    return picture, f"{note}; {still}" if note else still


def scene_of(caption: str) -> Scene | None:
    """What a caption names, or None where it names no figure.

    Where it names no motion, the figure stands still; no ground, the default one; no colour,
    white or black.
    """
    words = split_words(caption)
    figures = [word for word in words if word in load_clips().figures]
    if not figures:
        return None
    ground = ground_in(words)
    colours = [word for word in words[:1] if word in COLOURS and word != ground]
    colour = colours[0] if colours else ("black" if ground == "white" else "white")
    return Scene(figures[0], named_motion(caption) or "still", colour, ground)


def named_motion(caption: str) -> str:
    """The motion that a caption names by the last of its words, as "up"; "" where by none."""
    words = split_words(caption)
    return next((m for m, (said, _) in MOTIONS.items() if said.split()[-1] in words), "")


def _trained(caption: str) -> tuple[Picture, str]:
    """A clip as those that were trained on, of what the caption names."""
    scene = scene_of(caption)
    if scene is None:
        raise MisuseError(
            f"no icon of the clips is named in {clean_line(caption)!r}; "
            "name one, as in 'red heart moving up on black', or give a picture"
        )
    poses = draw_poses(scene.motion, np.random.default_rng(0))
    rgb = as_pixels(load_clips().draw([scene], poses[None])[0])
    picture = Picture(width=SIDE, height=CLIP_FRAMES * SIDE, rgb=rgb.tobytes())
    return picture, f"begins from a training clip, “{scene.caption}”"


def _check_clip(picture: Picture) -> Picture:
    fitting = ((SIDE, SIDE), (SIDE, CLIP_FRAMES * SIDE))
    if (picture.width, picture.height) not in fitting:
        raise MisuseError(
            f"the picture to begin from is {picture.width}×{picture.height}: give {SIDE}×{SIDE}, "
            f"or {CLIP_FRAMES} such frames one below the other"
        )
    check_bytes(picture)
    return picture


# --- Clips as what is denoised: 16 frames of 32×32 RGB, time folded into the channels ---------

FIGURES_KNOWN = frozenset(FIGURES)
_MOTION_WORDS = tuple(words for words, _ in MOTIONS.values())[1:]  # but for standing still


@dataclass(frozen=True)
class VideoMedium:
    """Clips; `recipe` says what a model was trained on, to begin from its data."""

    recipe: VideoRecipe | None = None

    medium = "video"
    shape = (CHANNELS, DIT_SIDE, DIT_SIDE)

    def parts(self, caption: str) -> tuple[str, ...]:
        return (caption,)

    def note(self, caption: str) -> str:
        """What of a clip the caption leaves open: which icon, and how it moves."""
        words = split_words(caption)
        if not words:
            return ""
        if not FIGURES_KNOWN & set(words):
            return "no icon is named that this model knows (as in: red heart moving up on black)"
        if named_motion(caption):
            return ""
        return f"no motion is named, so it stands still: {', '.join(_MOTION_WORDS)}"

    def frame(self, state: DiffusionState, spread: float) -> ImageFrame:
        """The state's clips side by side: each picture shows all of them at one time."""
        columns = state.grid.columns
        x, noise = shown(state, spread)
        return ImageFrame(
            trace=0,  # the trace numbers its frames
            step=state.step,
            sigma=state.sigma,
            width=columns * DIT_SIDE,
            height=len(state.rows) // columns * DIT_SIDE,
            pictures=CLIP_FRAMES,
            x=_film(x, columns),
            guess=_film(state.denoised, columns),
            noise=_film(noise, columns),
        )

    def opening(self, init: Picture | str, caption: str) -> Opening:
        picture, note = opening_clip(init, caption, self.recipe)
        return Opening(picture, from_strip(picture), note)


def to_clips(x: Tensor) -> np.ndarray:
    """[B, 48, 32, 32] in -1 to 1 as uint8 [B, 16, 32, 32, 3]."""
    frames = x.unflatten(1, (CLIP_FRAMES, 3)).flatten(0, 1)
    return to_rgb(frames).reshape(-1, CLIP_FRAMES, DIT_SIDE, DIT_SIDE, 3)


def from_strip(picture: Picture) -> Tensor:
    """[48, 32, 32] in -1 to 1 of 16 pictures one below the other, or of one that stands still."""
    pixels = np.frombuffer(picture.rgb, np.uint8).reshape(-1, DIT_SIDE, DIT_SIDE, 3)
    frames = as_floats(np.broadcast_to(pixels, (CLIP_FRAMES, DIT_SIDE, DIT_SIDE, 3)))
    return torch.from_numpy(frames.reshape(CHANNELS, DIT_SIDE, DIT_SIDE))


def _film(x: Tensor, columns: int) -> bytes:
    """Clips as pictures one after the other, in each all clips, `columns` of them a row: RGB."""
    clips = to_clips(x)  # [B, T, H, W, 3]
    cells = clips.reshape(-1, columns, CLIP_FRAMES, DIT_SIDE, DIT_SIDE, 3)
    return cells.transpose(2, 0, 3, 1, 4, 5).tobytes()


# --- Spoken words made of what a diffusion model guesses: a picture to see and a sound to hear

PREVIEW_ROUNDS = 10  # of Griffin–Lim, at every step
FINAL_ROUNDS = 32  # at the last one
MOST_HEARD = 16  # words of one frame
PAUSE = 0.12  # seconds between words
REST = 0.5  # seconds between the cells of a grid
QUIET_DB = 40.0  # what stays this far below a word's loudest moment is its silence
LOUDEST = 0.95  # of full scale
MARGIN = 2  # frames kept around a word


def spoken_frame(state: DiffusionState, spread: float) -> ImageFrame:
    """The words of a state side by side, a line a cell, and the sound of what is guessed."""
    sigma = state.sigma
    x, noise = shown(state, spread)
    cells = cells_of(state.rows)
    guess = _mels(state.denoised)
    pictures = [_sheet(each, cells, state.grid.columns) for each in (_mels(x), guess, _mels(noise))]
    height, width, _ = pictures[0].shape
    return ImageFrame(
        trace=0,  # the trace numbers its frames
        step=state.step,
        sigma=sigma,
        width=width,
        height=height,
        x=pictures[0].tobytes(),
        guess=pictures[1].tobytes(),
        noise=pictures[2].tobytes(),
        sound=to_pcm(sound_of(guess, cells, PREVIEW_ROUNDS if sigma else FINAL_ROUNDS)).tobytes(),
        rate=RATE,
    )


def cells_of(rows: Sequence[Row]) -> list[slice]:
    """Which rows belong to one cell of the grid: a cell begins with part 0."""
    begins = [i for i, row in enumerate(rows) if row.part == 0]
    return [slice(a, b) for a, b in zip(begins, [*begins[1:], len(rows)], strict=True)]


def sound_of(mels: Mels, cells: Sequence[slice], rounds: int) -> Samples:
    """Spectrograms [B, MELS, FRAMES] as speech at RATE: each cell's words, one cell after another.

    Of a large grid the first MOST_HEARD words are heard.
    """
    words = [
        _trimmed(each, mel)
        for each, mel in zip(vocoded(mels[:MOST_HEARD], rounds), mels, strict=False)
    ]
    pause, rest = (np.zeros(round(s * RATE), np.float32) for s in (PAUSE, REST))
    pieces: list[Samples] = []
    for cell in cells:
        for i, word in enumerate(words[cell]):
            pieces += [rest if i == 0 else pause, word] if pieces else [word]
    samples = np.concatenate(pieces)
    return samples * min(1.0, LOUDEST / max(float(np.abs(samples).max()), 1e-6))


def _trimmed(samples: Samples, mels: Mels) -> Samples:
    """A word without the silence around it, faded over what is cut."""
    loudest = mels.max(axis=0)
    heard = np.flatnonzero(loudest > loudest.max() - 2 * QUIET_DB / RANGE_DB)
    if not len(heard):
        return samples
    begin = max(0, heard[0] - MARGIN) * HOP
    end = min(len(loudest), heard[-1] + 1 + MARGIN) * HOP
    word = samples[begin:end].copy()
    fade = np.linspace(0, 1, min(HOP, len(word)), dtype=np.float32)
    word[: len(fade)] *= fade
    word[len(word) - len(fade) :] *= fade[::-1]
    return word


def _mels(x: torch.Tensor) -> Mels:
    """[B, 1, MELS, FRAMES] as [B, MELS, FRAMES]."""
    return x[:, 0].float().cpu().numpy()


def _sheet(mels: Mels, cells: Sequence[slice], columns: int) -> NDArray[np.uint8]:
    """[B, MELS, FRAMES] as one picture: low mels at the bottom, words side by side.

    A cell with fewer words than the longest is silent to its right.
    """
    most = max(cell.stop - cell.start for cell in cells)
    down = len(cells) // columns
    sheet = np.full((down, MELS, columns, most, MEL_FRAMES), -1, np.float32)
    for i, cell in enumerate(cells):
        for part, mel in enumerate(mels[cell]):
            sheet[i // columns, :, i % columns, part] = mel[::-1]
    return coloured(sheet.reshape(down * MELS, columns * most * MEL_FRAMES))


# --- Speech as what is denoised: a log-mel spectrogram of a second, a word each ---------------

MOST_PARTS = 12  # words of one request


@dataclass(frozen=True)
class SoundMedium:
    """Spoken words; `recipe` says what a model was trained on, to begin from its data."""

    recipe: VoiceRecipe | None = None
    voices: tuple[str, ...] = ()  # the names of those who speak, as captions have them

    medium = "audio"
    shape = (1, MELS, MEL_FRAMES)

    def parts(self, caption: str) -> tuple[str, ...]:
        """A digit each where a caption has several, all in the voice it names.

        `"4 two seven jackson"` is "four jackson", "two jackson", "seven jackson".
        """
        words = [word for typed in split_words(caption) for word in _spelled(typed)]
        digits = [word for word in words if word in DIGITS]
        others = [word for word in words if word not in DIGITS]
        if len(digits) > MOST_PARTS:
            raise MisuseError(f"{len(digits)} digits: at most {MOST_PARTS} are spoken at once")
        if digits and self.voices and not set(others) & set(self.voices):
            others.append(self.voices[0])
        if len(digits) < 2:
            return (" ".join(digits + others),)
        return tuple(" ".join((digit, *others)) for digit in digits)

    def note(self, caption: str) -> str:
        """That no voice was named, and whose it is then."""
        words = split_words(caption)
        if not self.voices or set(words) & set(self.voices):
            return ""
        return f"no voice named: {self.voices[0]} speaks; also {', '.join(self.voices[1:6])}"

    def frame(self, state: DiffusionState, spread: float) -> ImageFrame:
        return spoken_frame(state, spread)

    def opening(self, init: Picture | str, caption: str) -> Opening:
        if isinstance(init, Picture):
            return Opening(init, _from_picture(init))
        if init == FROM_DATA:
            return self._from_data(caption)
        path = Path(os.path.expanduser(init))
        samples, note = read_take(path)
        return _opening(log_mel(placed(samples)), note)

    def _from_data(self, caption: str) -> Opening:
        if self.recipe is None:
            raise MisuseError("this model does not say what it was trained on: name a recording")
        speech = load_speech(self.recipe.dataset, self.recipe.data)
        words = set(split_words(self.parts(caption)[0]))
        shared = [len(words & set(split_words(speech.takes[i].caption))) for i in speech.train]
        best = int(np.argmax(shared))
        if not shared[best]:
            raise MisuseError(
                f"{speech.name}: no take is of {clean_line(caption)!r}; name a word it has"
            )
        take = speech.takes[speech.train[best]]
        note = f"begins from the training take “{clean_line(take.caption)}”"
        return _opening(log_mel(placed(take.samples)), note)


def voices_of(captions: Sequence[str]) -> tuple[str, ...]:
    """The words of captions beside digits, the commonest first: who speaks."""
    counts: dict[str, int] = {}
    for caption in captions:
        words = split_words(caption)
        if set(words) & set(DIGITS):
            for word in words:
                if word not in DIGITS:
                    counts[word] = counts.get(word, 0) + 1
    return tuple(sorted(counts, key=lambda word: (-counts[word], word)))


def _spelled(word: str) -> list[str]:
    """Digits as words: `"427"` is four, two, seven; any other word is itself."""
    return [DIGITS[int(c)] for c in word] if word.isascii() and word.isdecimal() else [word]


def _opening(mels: Mels, note: str) -> Opening:
    rgb = coloured(mels[::-1])
    picture = Picture(width=MEL_FRAMES, height=MELS, rgb=rgb.tobytes())
    return Opening(picture, _from_picture(picture), note)


def _from_picture(picture: Picture) -> torch.Tensor:
    """[1, MELS, FRAMES] of a spectrogram in the colours it is shown in."""
    if (picture.width, picture.height) != (MEL_FRAMES, MELS):
        raise MisuseError(
            f"the spectrogram to begin from is {picture.width}×{picture.height}: this model "
            f"speaks {MEL_FRAMES}×{MELS}, one word; name a WAV file"
        )
    check_bytes(picture, "spectrogram")
    rgb = np.frombuffer(picture.rgb, np.uint8).reshape(MELS, MEL_FRAMES, 3)
    return torch.from_numpy(values_of(rgb)[::-1].copy())[None]
