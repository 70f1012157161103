"""What diffusion models denoise: images, clips and spoken words, each a `Medium`.

A medium knows the shape of its arrays, what a trace may begin from, and how a state becomes a
frame: bytes to see and to hear. `DiffusionGenerator` knows arrays [C, H, W] and nothing else.
"""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genui.base.errors import MisuseError
from genui.base.text import clean_line
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
    SAMPLE_RATE,
    Mels,
    Samples,
    load_speech,
    log_mel,
    pad_take,
    read_take,
    vocode,
)
from genui.engine.models.dit import DIT_SIDE
from genui.engine.models.video_dit import CHANNELS
from genui.engine.sample.diffusion_state import DiffusionState, Row
from genui.formats.audio import to_pcm
from genui.protocol import FROM_DATA, ImageFrame, RgbImage
from genui.recipes import DiffusionRecipe, VideoRecipe, VoiceRecipe
from genui.render.image import apply_colour_map, invert_colour_map


@dataclass(frozen=True)
class Opening:
    """What a trace begins from (`Start.init`)."""

    image: RgbImage  # as the model sees it: kept in the recipe, so that a replay needs no file
    clean: Tensor = field(repr=False)  # [C, H, W] in -1 to 1, made of `image` alone
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

        An image is drawn whole; spoken digits are drawn one by one and shown side by side.
        """
        ...

    def note(self, caption: str) -> str:
        """What a person should know of how a caption is read; "" where nothing."""
        ...

    def frame(self, state: DiffusionState, spread: float) -> ImageFrame:
        """What a person sees of a state; `spread` is the standard deviation of clean data."""
        ...

    def opening(self, init: RgbImage | str, caption: str) -> Opening:
        """What `Start.init` asks to begin from: an image, the path of a file, or FROM_DATA.

        Raises MisuseError where there is none to be had, GenuiError where the data is missing.
        """
        ...


# --- Arrays in -1 to 1 as bytes ---------------------------------------------------------------

NOISE_SHOWN = 3.0  # standard deviations either side of mid-grey


def to_rgb(x: Tensor) -> NDArray[np.uint8]:
    """Images [B, 3, H, W], or grey ones [B, 1, H, W], in -1 to 1 as uint8 [B, H, W, 3]."""
    scaled = ((x.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return scaled.permute(0, 2, 3, 1).expand(-1, -1, -1, 3).cpu().numpy()


def sheet(rgb: NDArray[np.uint8], columns: int) -> bytes:
    """Images [B, H, W, 3] as one, `columns` of them side by side: RGB, row by row."""
    return rgb.reshape(-1, columns, *rgb.shape[1:]).swapaxes(1, 2).tobytes()


def scale_to_show(state: DiffusionState, spread: float) -> tuple[Tensor, Tensor]:
    """The noisy arrays and the noise that is seen in them, each to be shown from -1 to 1.

    The noisy ones are scaled to the spread of clean ones, or they would be all black and white.
    """
    sigma = state.sigma
    x = state.x * spread / math.hypot(sigma, spread)
    noise = (state.x - state.denoised) / sigma if sigma else torch.zeros_like(x)
    return x, noise / NOISE_SHOWN


def _grid_frame(
    state: DiffusionState,
    spread: float,
    to_bytes: Callable[[Tensor, int], bytes],
    images: int = 1,
) -> ImageFrame:
    """The state's images side by side; `to_bytes` lays arrays out in so many columns."""
    columns = state.grid.columns
    x, noise = scale_to_show(state, spread)
    return ImageFrame(
        trace=0,  # the trace numbers its frames
        step=state.step,
        sigma=state.sigma,
        width=columns * DIT_SIDE,
        height=len(state.rows) // columns * DIT_SIDE,
        images=images,
        x=to_bytes(x, columns),
        denoised=to_bytes(state.denoised, columns),
        noise=to_bytes(noise, columns),
    )


# --- Images: 32×32, in colour or grey, drawn whole --------------------------------------------


@dataclass(frozen=True)
class ImageMedium:
    """Images of the `recipe`'s channels (RGB without one), which can begin from its data."""

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
        return _grid_frame(state, spread, lambda x, columns: sheet(to_rgb(x), columns))

    def opening(self, init: RgbImage | str, caption: str) -> Opening:
        image, note = initial_image(init, caption, self.recipe)
        clean = from_rgb(image.rgb)
        if self.shape[0] == 1:
            clean = clean.mean(dim=0, keepdim=True)
        return Opening(image, clean, note)


def initial_image(
    init: RgbImage | str, caption: str, recipe: DiffusionRecipe | None
) -> tuple[RgbImage, str]:
    """32×32 RGB of `Start.init`, and what was done to have it.

    `init` is a path, or "data:" for the nearest image of `recipe`'s data.

    Raises MisuseError where there is none to be had, GenuiError where the data needs a
    font that is not installed.
    """
    if isinstance(init, RgbImage):
        return _check_image_size(init), ""
    if init == FROM_DATA:
        if recipe is None:
            raise MisuseError("this model does not say what it was trained on: name an image")
        return nearest_training_image(load_images(recipe.dataset, recipe.data), caption)
    return read_image(Path(os.path.expanduser(init)))


def read_image(path: Path) -> tuple[RgbImage, str]:
    """Any image file, fitted to 32×32; what is transparent is white. With what was done."""
    try:
        square = read_square(path)
    except UnusableError as reason:
        raise MisuseError(f"{clean_line(str(path))}: {reason}") from None
    rgba = square.rgba.astype(np.float32)
    alpha = rgba[..., 3:] / 255
    image = _image(np.rint(rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8))
    note = f"{clean_line(path.name)}: {', '.join(square.changes)}" if square.changes else ""
    return image, note.replace("filled", "made white")


def nearest_training_image(images: CaptionedImages, caption: str) -> tuple[RgbImage, str]:
    """The training image that shares the most words with the caption, in its colours.

    With the caption it has.

    Raises MisuseError where none shares any.
    """
    words = split_words(caption)
    wanted = set(words) - {"on"}

    def likeness(name: str) -> tuple[int, int]:
        named = split_words(name)
        return len(wanted & set(named)), -len(named)  # of equals the one that says no more

    name = max((images.captions[i] for i in images.train), key=likeness)
    if not likeness(name)[0]:
        raise MisuseError(
            f"{images.name}: no training image is named like {clean_line(caption)!r}; "
            "name one in the caption, or give an image"
        )
    named = _in_colours_of(name, words, images.scheme)
    rgb = images.compose(named)
    assert rgb is not None  # a training image in two different colours of the palette
    image = _image(as_pixels(rgb))
    return image, f"begins from the training image “{clean_line(named)}”"


def ground_in(words: tuple[str, ...]) -> str:
    """The ground that a caption of these words has: the last of them, or the default one."""
    *_, before, last = "", *words
    return last if before == "on" and last in COLOURS else DEFAULT_GROUND


def _in_colours_of(name: str, words: tuple[str, ...], scheme: str) -> str:
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


def _check_image_size(image: RgbImage) -> RgbImage:
    if (image.width, image.height) != (SIDE, SIDE):
        raise MisuseError(
            f"the image to begin from is {image.width}×{image.height}: "
            f"this model draws {SIDE}×{SIDE}"
        )
    check_bytes(image)
    return image


def check_bytes(image: RgbImage, what: str = "image") -> None:
    """Raises MisuseError for an image to begin from that has not three bytes a pixel."""
    wanted = image.width * image.height * 3
    if len(image.rgb) != wanted:
        raise MisuseError(
            f"the {what} to begin from has {len(image.rgb)} bytes: "
            f"{image.width}×{image.height} RGB has {wanted}"
        )


def _image(rgb: NDArray[np.uint8]) -> RgbImage:
    """Of [32, 32, 3]."""
    return RgbImage(width=SIDE, height=SIDE, rgb=rgb.tobytes())


def from_rgb(rgb: bytes) -> Tensor:
    """An image of 32×32 RGB as [3, 32, 32] in -1 to 1."""
    return torch.from_numpy(as_floats(np.frombuffer(rgb, np.uint8).reshape(DIT_SIDE, DIT_SIDE, 3)))


# --- Clips: 16 frames of 32×32 RGB, time folded into the channels -----------------------------

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
        """The state's clips side by side: each image shows all of them at one time."""
        return _grid_frame(state, spread, _frame_bytes, CLIP_FRAMES)

    def opening(self, init: RgbImage | str, caption: str) -> Opening:
        image, note = initial_clip(init, caption, self.recipe)
        return Opening(image, from_strip(image), note)


def to_clips(x: Tensor) -> np.ndarray:
    """[B, 48, 32, 32] in -1 to 1 as uint8 [B, 16, 32, 32, 3]."""
    frames = x.unflatten(1, (CLIP_FRAMES, 3)).flatten(0, 1)
    return to_rgb(frames).reshape(-1, CLIP_FRAMES, DIT_SIDE, DIT_SIDE, 3)


def from_strip(image: RgbImage) -> Tensor:
    """[48, 32, 32] in -1 to 1 of 16 images one below the other, or of one that stands still."""
    pixels = np.frombuffer(image.rgb, np.uint8).reshape(-1, DIT_SIDE, DIT_SIDE, 3)
    frames = as_floats(np.broadcast_to(pixels, (CLIP_FRAMES, DIT_SIDE, DIT_SIDE, 3)))
    return torch.from_numpy(frames.reshape(CHANNELS, DIT_SIDE, DIT_SIDE))


def _frame_bytes(x: Tensor, columns: int) -> bytes:
    """Clips as images one after the other, in each all clips, `columns` of them a row: RGB."""
    clips = to_clips(x)  # [B, T, H, W, 3]
    cells = clips.reshape(-1, columns, CLIP_FRAMES, DIT_SIDE, DIT_SIDE, 3)
    return cells.transpose(2, 0, 3, 1, 4, 5).tobytes()


def initial_clip(
    init: RgbImage | str, caption: str, recipe: VideoRecipe | None
) -> tuple[RgbImage, str]:
    """`Start.init` as 16 images 32×32 one below the other, or one; and what was done for it.

    Raises MisuseError where there is none to be had, GenuiError where the icons are missing.
    """
    if isinstance(init, RgbImage):
        return _check_clip_size(init), ""
    if init == FROM_DATA:
        if recipe is None:
            raise MisuseError("this model does not say what it was trained on: name an image")
        return _training_clip(caption)
    image, note = read_image(Path(os.path.expanduser(init)))
    still = "an image that stands still through the clip"
    return image, f"{note}; {still}" if note else still


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


def _training_clip(caption: str) -> tuple[RgbImage, str]:
    """A clip as those that were trained on, of what the caption names."""
    scene = scene_of(caption)
    if scene is None:
        raise MisuseError(
            f"no icon of the clips is named in {clean_line(caption)!r}; "
            "name one, as in 'red heart moving up on black', or give an image"
        )
    poses = draw_poses(scene.motion, np.random.default_rng(0))
    rgb = as_pixels(load_clips().draw([scene], poses[None])[0])
    image = RgbImage(width=SIDE, height=CLIP_FRAMES * SIDE, rgb=rgb.tobytes())
    return image, f"begins from a training clip, “{scene.caption}”"


def _check_clip_size(image: RgbImage) -> RgbImage:
    fitting = ((SIDE, SIDE), (SIDE, CLIP_FRAMES * SIDE))
    if (image.width, image.height) not in fitting:
        raise MisuseError(
            f"the image to begin from is {image.width}×{image.height}: give {SIDE}×{SIDE}, "
            f"or {CLIP_FRAMES} such frames one below the other"
        )
    check_bytes(image)
    return image


# --- Spoken words: a log-mel spectrogram of a second each -------------------------------------

MOST_PARTS = 12  # words of one request
PREVIEW_ROUNDS = 10  # of Griffin–Lim, at every step
FINAL_ROUNDS = 32  # at the last one
MOST_HEARD = 16  # words of one frame
PAUSE = 0.12  # seconds between words
REST = 0.5  # seconds between the cells of a grid
QUIET_DB = 40.0  # what stays this far below a word's loudest moment is its silence
LOUDEST = 0.95  # of full scale
MARGIN = 2  # frames kept around a word


@dataclass(frozen=True)
class SpeechMedium:
    """Spoken words; `recipe` says what a model was trained on, to begin from its data."""

    recipe: VoiceRecipe | None = None
    voices: tuple[str, ...] = ()  # the names of those who speak, as captions have them

    medium = "audio"
    shape = (1, MELS, MEL_FRAMES)

    def parts(self, caption: str) -> tuple[str, ...]:
        """A digit each where a caption has several, all in the voice it names.

        `"4 two seven jackson"` is "four jackson", "two jackson", "seven jackson".
        """
        words = [word for typed in split_words(caption) for word in _as_words(typed)]
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
        """The words of a state side by side, a line a cell, and the sound of the denoised ones."""
        sigma = state.sigma
        x, noise = scale_to_show(state, spread)
        cells = cells_of(state.rows)
        denoised = _to_mels(state.denoised)
        images = [
            _sheet(each, cells, state.grid.columns)
            for each in (_to_mels(x), denoised, _to_mels(noise))
        ]
        rounds = PREVIEW_ROUNDS if sigma else FINAL_ROUNDS
        height, width, _ = images[0].shape
        return ImageFrame(
            trace=0,  # the trace numbers its frames
            step=state.step,
            sigma=sigma,
            width=width,
            height=height,
            x=images[0].tobytes(),
            denoised=images[1].tobytes(),
            noise=images[2].tobytes(),
            sound=to_pcm(sound_of(denoised, cells, rounds)).tobytes(),
            rate=SAMPLE_RATE,
        )

    def opening(self, init: RgbImage | str, caption: str) -> Opening:
        if isinstance(init, RgbImage):
            return Opening(init, _mels_of_image(init))
        if init == FROM_DATA:
            return self._from_data(caption)
        path = Path(os.path.expanduser(init))
        samples, note = read_take(path)
        return _opening(log_mel(pad_take(samples)), note)

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
        return _opening(log_mel(pad_take(take.samples)), note)


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


def _as_words(word: str) -> list[str]:
    """Digits as words: `"427"` is four, two, seven; any other word is itself."""
    return [DIGITS[int(c)] for c in word] if word.isascii() and word.isdecimal() else [word]


def _opening(mels: Mels, note: str) -> Opening:
    rgb = apply_colour_map(mels[::-1])
    image = RgbImage(width=MEL_FRAMES, height=MELS, rgb=rgb.tobytes())
    return Opening(image, _mels_of_image(image), note)


def _mels_of_image(image: RgbImage) -> torch.Tensor:
    """[1, MELS, FRAMES] of a spectrogram in the colours it is shown in."""
    if (image.width, image.height) != (MEL_FRAMES, MELS):
        raise MisuseError(
            f"the spectrogram to begin from is {image.width}×{image.height}: this model "
            f"speaks {MEL_FRAMES}×{MELS}, one word; name a WAV file"
        )
    check_bytes(image, "spectrogram")
    rgb = np.frombuffer(image.rgb, np.uint8).reshape(MELS, MEL_FRAMES, 3)
    return torch.from_numpy(invert_colour_map(rgb)[::-1].copy())[None]


def cells_of(rows: Sequence[Row]) -> list[slice]:
    """Which rows belong to one cell of the grid: a cell begins with part 0."""
    begins = [i for i, row in enumerate(rows) if row.part == 0]
    return [slice(a, b) for a, b in zip(begins, [*begins[1:], len(rows)], strict=True)]


def sound_of(mels: Mels, cells: Sequence[slice], rounds: int) -> Samples:
    """Spectrograms [B, MELS, FRAMES] as speech: each cell's words, one cell after another.

    Of a large grid the first MOST_HEARD words are heard.
    """
    words = [
        _trim(each, mel) for each, mel in zip(vocode(mels[:MOST_HEARD], rounds), mels, strict=False)
    ]
    pause, rest = (np.zeros(round(s * SAMPLE_RATE), np.float32) for s in (PAUSE, REST))
    pieces: list[Samples] = []
    for cell in cells:
        for i, word in enumerate(words[cell]):
            pieces += [rest if i == 0 else pause, word] if pieces else [word]
    samples = np.concatenate(pieces)
    return samples * min(1.0, LOUDEST / max(float(np.abs(samples).max()), 1e-6))


def _trim(samples: Samples, mels: Mels) -> Samples:
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


def _to_mels(x: torch.Tensor) -> Mels:
    """[B, 1, MELS, FRAMES] as [B, MELS, FRAMES]."""
    return x[:, 0].float().cpu().numpy()


def _sheet(mels: Mels, cells: Sequence[slice], columns: int) -> NDArray[np.uint8]:
    """[B, MELS, FRAMES] as one image: low mels at the bottom, words side by side.

    A cell with fewer words than the longest is silent to its right.
    """
    most = max(cell.stop - cell.start for cell in cells)
    down = len(cells) // columns
    sheet = np.full((down, MELS, columns, most, MEL_FRAMES), -1, np.float32)
    for i, cell in enumerate(cells):
        for part, mel in enumerate(mels[cell]):
            sheet[i // columns, :, i % columns, part] = mel[::-1]
    return apply_colour_map(sheet.reshape(down * MELS, columns * most * MEL_FRAMES))


# --- The medium of a model --------------------------------------------------------------------


def medium_of(
    recipe: DiffusionRecipe | VideoRecipe | VoiceRecipe, described: Mapping[str, Any]
) -> Medium:
    """What a model of this recipe denoises; `described` is what its checkpoint says."""
    match recipe:
        case VideoRecipe():
            return VideoMedium(recipe)
        case VoiceRecipe():
            return SpeechMedium(recipe, tuple(described["voices"]))
    return ImageMedium(recipe)
