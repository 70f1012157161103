"""The media that diffusion models generate: images, clips and spoken words, each a `Medium`.

A medium knows the shape of its arrays, how to load an initial image, and how to turn a state into a
frame with images and sound. `DiffusionGenerator` only sees arrays [C, H, W].
"""

import math
import os
from collections import Counter
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
from genui.engine.data.image_files import read_square
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
from genui.engine.sample.diffusion_state import DiffusionState, Row, read_mask
from genui.formats.audio import to_pcm
from genui.protocol import FROM_DATA, ImageFrame, RgbImage
from genui.recipes import DiffusionRecipe, VideoRecipe, VoiceRecipe
from genui.render.image import apply_colour_map, invert_colour_map


@dataclass(frozen=True)
class InitialImage:
    """What `Start.init` asks to start from."""

    image: RgbImage  # as the model sees it; stored in the recipe, so that a replay needs no file
    clean: Tensor = field(repr=False)  # [C, H, W] in -1 to 1, a function of `image`
    note: str = ""  # how it was found or converted


class Medium(Protocol):
    """The meaning of a diffusion model's arrays."""

    @property
    def medium(self) -> str:
        """Its name in `genui.protocol.kinds`."""
        ...

    @property
    def shape(self) -> tuple[int, int, int]:
        """[C, H, W] of one sample."""
        ...

    def parts(self, caption: str) -> tuple[str, ...]:
        """The captions of the samples for one request, at least one.

        An image is one sample; spoken digits are one sample each, shown side by side.
        """
        ...

    def note(self, caption: str) -> str:
        """A remark on how the caption is read; "" if there is none."""
        ...

    def frame(self, state: DiffusionState, sigma_data: float) -> ImageFrame:
        """The frame of a state; `sigma_data` is the standard deviation of clean data."""
        ...

    def load_init(self, init: RgbImage | str, caption: str) -> InitialImage:
        """Load `Start.init`: an image, the path of a file, or FROM_DATA.

        Raises MisuseError if it cannot be used, GenuiError if the data is missing.
        """
        ...

    def read_mask(self, mask: bytes) -> Tensor:
        """bool [H, W] of a mask, True where the sample may change. Raises MisuseError if it does
        not fit."""
        ...


# --- Arrays in -1 to 1 as bytes ---------------------------------------------------------------

NOISE_SHOWN = 3.0  # standard deviations of noise on either side of mid-grey


def to_rgb(x: Tensor) -> NDArray[np.uint8]:
    """Images [B, 3, H, W] or [B, 1, H, W] in -1 to 1 as uint8 [B, H, W, 3]."""
    scaled = ((x.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return scaled.permute(0, 2, 3, 1).expand(-1, -1, -1, 3).cpu().numpy()


def sheet(rgb: NDArray[np.uint8], columns: int) -> bytes:
    """Images [B, H, W, 3] as one with `columns` columns: RGB bytes, row by row."""
    return rgb.reshape(-1, columns, *rgb.shape[1:]).swapaxes(1, 2).tobytes()


def scale_for_display(state: DiffusionState, sigma_data: float) -> tuple[Tensor, Tensor]:
    """The noisy arrays and the predicted noise, scaled to the displayed range -1 to 1.

    x is scaled to the standard deviation of clean data; otherwise it would be black and white.
    """
    sigma = state.sigma
    x = state.x * sigma_data / math.hypot(sigma, sigma_data)
    noise = (state.x - state.denoised) / sigma if sigma else torch.zeros_like(x)
    return x, noise / NOISE_SHOWN


def _grid_frame(
    state: DiffusionState,
    sigma_data: float,
    to_bytes: Callable[[Tensor, int], bytes],
    images: int = 1,
) -> ImageFrame:
    """The state's images side by side; `to_bytes(x, columns)` arranges arrays [B, C, H, W]."""
    columns = state.grid.columns
    x, noise = scale_for_display(state, sigma_data)
    return ImageFrame(
        trace=0,  # set by the trace
        step=state.step,
        sigma=state.sigma,
        width=columns * DIT_SIDE,
        height=len(state.rows) // columns * DIT_SIDE,
        images=images,
        x=to_bytes(x, columns),
        denoised=to_bytes(state.denoised, columns),
        noise=to_bytes(noise, columns),
    )


# --- Images: 32×32, colour or grey ------------------------------------------------------------


@dataclass(frozen=True)
class ImageMedium:
    """Images with the channels of `recipe`, by default RGB; it also names the training data."""

    recipe: DiffusionRecipe | None = None

    medium = "image"

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.recipe.channels if self.recipe else 3, DIT_SIDE, DIT_SIDE)

    def parts(self, caption: str) -> tuple[str, ...]:
        return (caption,)

    def note(self, caption: str) -> str:
        return ""

    def frame(self, state: DiffusionState, sigma_data: float) -> ImageFrame:
        return _grid_frame(state, sigma_data, lambda x, columns: sheet(to_rgb(x), columns))

    def load_init(self, init: RgbImage | str, caption: str) -> InitialImage:
        image, note = initial_image(init, caption, self.recipe)
        clean = _rgb_to_tensor(image.rgb)
        if self.shape[0] == 1:
            clean = clean.mean(dim=0, keepdim=True)
        return InitialImage(image, clean, note)

    def read_mask(self, mask: bytes) -> Tensor:
        return read_mask(mask, *self.shape[1:])


def initial_image(
    init: RgbImage | str, caption: str, recipe: DiffusionRecipe | None
) -> tuple[RgbImage, str]:
    """`Start.init` as 32×32 RGB, and how it was found or converted.

    Raises MisuseError if it cannot be used, GenuiError if the data needs a font that is not
    installed.
    """
    if isinstance(init, RgbImage):
        return _check_image(init), ""
    if init == FROM_DATA:
        if recipe is None:
            raise MisuseError("this model does not say what it was trained on: name an image")
        return nearest_training_image(load_images(recipe.dataset, recipe.data), caption)
    return read_image(Path(os.path.expanduser(init)))


def read_image(path: Path) -> tuple[RgbImage, str]:
    """An image file, fitted to 32×32 on white, and what was changed."""
    square = read_square(path)
    rgba = square.rgba.astype(np.float32)
    alpha = rgba[..., 3:] / 255
    image = _image(np.rint(rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8))
    note = f"{clean_line(path.name)}: {', '.join(square.changes)}" if square.changes else ""
    return image, note.replace("filled", "filled with white")


def nearest_training_image(images: CaptionedImages, caption: str) -> tuple[RgbImage, str]:
    """The training image that shares the most words with the caption, in the caption's colours,
    and a note with its own caption. Raises MisuseError if no image shares a word.
    """
    words = split_words(caption)
    relevant = set(words) - {"on"}

    def score(name: str) -> tuple[int, int]:
        name_words = split_words(name)
        return len(relevant & set(name_words)), -len(name_words)  # of equals the shortest

    name = max((images.captions[i] for i in images.train), key=score)
    if not score(name)[0]:
        raise MisuseError(
            f"{images.name}: no training image is named like {clean_line(caption)!r}; "
            "name one in the caption, or give an image"
        )
    recoloured = _recolour(name, words, images.scheme)
    rgb = images.compose(recoloured)
    assert rgb is not None  # a training image in two different colours of the palette
    return _image(as_pixels(rgb)), f"starts from the training image “{clean_line(recoloured)}”"


def _find_ground(words: tuple[str, ...]) -> str:
    """The background colour that a caption ends with ("… on blue"), or the default one."""
    *_, before, last = "", *words
    return last if before == "on" and last in COLOURS else DEFAULT_GROUND


def _recolour(name: str, words: tuple[str, ...], scheme: str) -> str:
    """The name as a caption of the dataset's colour scheme, with the colours among the words."""
    if scheme == "plain":
        return name
    ground = _find_ground(words)
    if scheme == "ground":
        return f"{name} on {ground}"
    return f"{_find_colour(words, ground)} {name} on {ground}"


def _find_colour(words: tuple[str, ...], ground: str) -> str:
    """The colour that a caption begins with, else white or black, different from the ground."""
    candidates = (*words[:1], "white", "black")
    return next(word for word in candidates if word in COLOURS and word != ground)


def _check_image(image: RgbImage) -> RgbImage:
    if (image.width, image.height) != (SIDE, SIDE):
        raise MisuseError(
            f"the image to start from is {image.width}×{image.height}: "
            f"this model draws {SIDE}×{SIDE}"
        )
    _check_bytes(image)
    return image


def _check_bytes(image: RgbImage, what: str = "image") -> None:
    """Raises MisuseError unless the image has three bytes per pixel."""
    expected = image.width * image.height * 3
    if len(image.rgb) != expected:
        raise MisuseError(
            f"the {what} to start from has {len(image.rgb)} bytes: "
            f"{image.width}×{image.height} RGB has {expected}"
        )


def _image(rgb: NDArray[np.uint8]) -> RgbImage:
    """The image of an array [H, 32, 3]."""
    return RgbImage(width=SIDE, height=len(rgb), rgb=rgb.tobytes())


def _rgb_to_tensor(rgb: bytes) -> Tensor:
    """32×32 RGB bytes as [3, 32, 32] in -1 to 1."""
    return torch.from_numpy(as_floats(np.frombuffer(rgb, np.uint8).reshape(DIT_SIDE, DIT_SIDE, 3)))


# --- Clips: 16 frames of 32×32 RGB, time folded into the channels -----------------------------

_STILL_WORDS = {*FIGURES, *COLOURS, "on"}  # of the captions of clips in which nothing moves
_MOTION_WORDS = tuple(words for words, _ in MOTIONS.values())[1:]  # all but standing still


@dataclass(frozen=True)
class VideoMedium:
    """Clips; `recipe` names the training data."""

    recipe: VideoRecipe | None = None

    medium = "video"
    shape = (CHANNELS, DIT_SIDE, DIT_SIDE)

    def parts(self, caption: str) -> tuple[str, ...]:
        return (caption,)

    def note(self, caption: str) -> str:
        """A remark if the caption names no icon or no motion."""
        words = split_words(caption)
        if not words:
            return ""
        if not set(FIGURES) & set(words):
            return "no icon is named that this model knows (as in: red heart moving up on black)"
        if _find_motion(caption):
            return ""
        then = "so it stands still" if set(words) <= _STILL_WORDS else "so it moves as it may"
        return f"no motion is named that this model knows, {then}: {', '.join(_MOTION_WORDS)}"

    def frame(self, state: DiffusionState, sigma_data: float) -> ImageFrame:
        """The clips side by side; each of the frame's images shows all of them at one time."""
        return _grid_frame(state, sigma_data, _frame_bytes, CLIP_FRAMES)

    def load_init(self, init: RgbImage | str, caption: str) -> InitialImage:
        image, note = initial_clip(init, caption, self.recipe)
        return InitialImage(image, _strip_to_tensor(image), note)

    def read_mask(self, mask: bytes) -> Tensor:
        return read_mask(mask, *self.shape[1:])


def to_clips(x: Tensor) -> np.ndarray:
    """[B, 48, 32, 32] in -1 to 1 as uint8 [B, 16, 32, 32, 3]."""
    frames = x.unflatten(1, (CLIP_FRAMES, 3)).flatten(0, 1)
    return to_rgb(frames).reshape(-1, CLIP_FRAMES, DIT_SIDE, DIT_SIDE, 3)


def _strip_to_tensor(image: RgbImage) -> Tensor:
    """[48, 32, 32] in -1 to 1 from 16 images one below the other, or from one still image."""
    pixels = np.frombuffer(image.rgb, np.uint8).reshape(-1, DIT_SIDE, DIT_SIDE, 3)
    frames = as_floats(np.broadcast_to(pixels, (CLIP_FRAMES, DIT_SIDE, DIT_SIDE, 3)))
    return torch.from_numpy(frames.reshape(CHANNELS, DIT_SIDE, DIT_SIDE))


def _frame_bytes(x: Tensor, columns: int) -> bytes:
    """One image per time, each with all clips in `columns` columns: RGB bytes."""
    clips = to_clips(x)  # [B, T, H, W, 3]
    cells = clips.reshape(-1, columns, CLIP_FRAMES, DIT_SIDE, DIT_SIDE, 3)  # [R, C, T, H, W, 3]
    return cells.transpose(2, 0, 3, 1, 4, 5).tobytes()  # [T, R, H, C, W, 3]


def initial_clip(
    init: RgbImage | str, caption: str, recipe: VideoRecipe | None
) -> tuple[RgbImage, str]:
    """`Start.init` as 16 images 32×32 one below the other, or one, and how it was found or
    converted. Raises MisuseError if it cannot be used, GenuiError if the icons are missing.
    """
    if isinstance(init, RgbImage):
        return _check_clip(init), ""
    if init == FROM_DATA:
        if recipe is None:
            raise MisuseError("this model does not say what it was trained on: name an image")
        return _training_clip(caption)
    image, note = read_image(Path(os.path.expanduser(init)))
    still = "an image that stands still through the clip"
    return image, f"{note}; {still}" if note else still


def parse_scene(caption: str) -> Scene | None:
    """The scene of a caption, or None if it names no figure.

    By default the figure stands still, is white or black, and the ground has the default colour.
    """
    words = split_words(caption)
    figures = [word for word in words if word in load_clips().figures]
    if not figures:
        return None
    ground = _find_ground(words)
    motion = _find_motion(caption) or "still"
    return Scene(figures[0], motion, _find_colour(words, ground), ground)


def _find_motion(caption: str) -> str:
    """The first motion whose last word ("up") is in the caption; "" if there is none."""
    words = split_words(caption)
    return next((m for m, (phrase, _) in MOTIONS.items() if phrase.split()[-1] in words), "")


def _training_clip(caption: str) -> tuple[RgbImage, str]:
    """A clip like those of the training data, with the scene of the caption."""
    scene = parse_scene(caption)
    if scene is None:
        raise MisuseError(
            f"no icon of the clips is named in {clean_line(caption)!r}; "
            "name one, as in 'red heart moving up on black', or give an image"
        )
    poses = draw_poses(scene.motion, np.random.default_rng(0))
    rgb = as_pixels(load_clips().draw([scene], poses[None])[0])
    image = RgbImage(width=SIDE, height=CLIP_FRAMES * SIDE, rgb=rgb.tobytes())
    return image, f"starts from a training clip, “{scene.caption}”"


def _check_clip(image: RgbImage) -> RgbImage:
    if image.width != SIDE or image.height not in (SIDE, CLIP_FRAMES * SIDE):
        raise MisuseError(
            f"the image to start from is {image.width}×{image.height}: give {SIDE}×{SIDE}, "
            f"or {CLIP_FRAMES} such frames one below the other"
        )
    _check_bytes(image)
    return image


# --- Spoken words: a log-mel spectrogram of one second each -----------------------------------

MAX_PARTS = 12  # words per request
PREVIEW_ROUNDS = 10  # Griffin–Lim iterations at every step
FINAL_ROUNDS = 32  # … at the last step
MAX_HEARD = 16  # words in the sound of one frame
PAUSE = 0.12  # seconds between words
REST = 0.5  # seconds between the cells of a grid
QUIET_DB = 40.0  # frames this far below a word's loudest frame are silence
LOUDEST = 0.95  # peak amplitude, of full scale
MARGIN = 2  # frames kept on either side of a word


@dataclass(frozen=True)
class SpeechMedium:
    """Spoken words; `recipe` names the training data."""

    recipe: VoiceRecipe | None = None
    voices: tuple[str, ...] = ()  # the speakers' names, as in captions

    medium = "audio"
    shape = (1, MELS, MEL_FRAMES)

    def parts(self, caption: str) -> tuple[str, ...]:
        """One caption for each digit, all with the same voice.

        `"4 two seven jackson"` is "four jackson", "two jackson", "seven jackson".
        """
        words = [word for typed in split_words(caption) for word in _as_words(typed)]
        digits = [word for word in words if word in DIGITS]
        others = [word for word in words if word not in DIGITS]
        if len(digits) > MAX_PARTS:
            raise MisuseError(f"{len(digits)} digits: at most {MAX_PARTS} are spoken at once")
        if digits and self.voices and not set(others) & set(self.voices):
            others.append(self.voices[0])
        if len(digits) < 2:
            return (" ".join(digits + others),)
        return tuple(" ".join((digit, *others)) for digit in digits)

    def note(self, caption: str) -> str:
        """A remark on the default voice, if the caption names none."""
        words = split_words(caption)
        if not self.voices or set(words) & set(self.voices):
            return ""
        return f"no voice named: {self.voices[0]} speaks; also {', '.join(self.voices[1:6])}"

    def frame(self, state: DiffusionState, sigma_data: float) -> ImageFrame:
        """The spectrograms of each cell's words side by side, and the sound of `denoised`."""
        sigma = state.sigma
        x, noise = scale_for_display(state, sigma_data)
        cells = _group_cells(state.rows)
        denoised = _to_mels(state.denoised)
        x, denoised_rgb, noise = (
            _mel_sheet(mels, cells, state.grid.columns)
            for mels in (_to_mels(x), denoised, _to_mels(noise))
        )
        rounds = PREVIEW_ROUNDS if sigma else FINAL_ROUNDS
        return ImageFrame(
            trace=0,  # set by the trace
            step=state.step,
            sigma=sigma,
            width=x.shape[1],
            height=x.shape[0],
            x=x.tobytes(),
            denoised=denoised_rgb.tobytes(),
            noise=noise.tobytes(),
            sound=to_pcm(sound_of(denoised, cells, rounds)).tobytes(),
            rate=SAMPLE_RATE,
        )

    def load_init(self, init: RgbImage | str, caption: str) -> InitialImage:
        if isinstance(init, RgbImage):
            return InitialImage(init, _mels_of_image(init))
        if init == FROM_DATA:
            return self._from_data(caption)
        samples, note = read_take(Path(os.path.expanduser(init)))
        return _from_mels(log_mel(pad_take(samples)), note)

    def read_mask(self, mask: bytes) -> Tensor:
        return read_mask(mask, *self.shape[1:])

    def _from_data(self, caption: str) -> InitialImage:
        """The training recording that shares the most words with the caption."""
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
        note = f"starts from the training take “{clean_line(take.caption)}”"
        return _from_mels(log_mel(pad_take(take.samples)), note)


def find_voices(captions: Sequence[str]) -> tuple[str, ...]:
    """The speakers: the other words of captions with a digit, the most frequent first."""
    with_digit = (words for words in map(split_words, captions) if set(words) & set(DIGITS))
    counts = Counter(word for words in with_digit for word in words if word not in DIGITS)
    return tuple(sorted(counts, key=lambda word: (-counts[word], word)))


def _as_words(word: str) -> list[str]:
    """A number as its digits' words: `"427"` is four, two, seven. Other words do not change."""
    return [DIGITS[int(c)] for c in word] if word.isascii() and word.isdecimal() else [word]


def _from_mels(mels: Mels, note: str) -> InitialImage:
    rgb = apply_colour_map(mels[::-1])
    image = RgbImage(width=MEL_FRAMES, height=MELS, rgb=rgb.tobytes())
    return InitialImage(image, _mels_of_image(image), note)


def _mels_of_image(image: RgbImage) -> Tensor:
    """[1, MELS, FRAMES] from a spectrogram in the colours of the display."""
    if (image.width, image.height) != (MEL_FRAMES, MELS):
        raise MisuseError(
            f"the spectrogram to start from is {image.width}×{image.height}: this model "
            f"speaks {MEL_FRAMES}×{MELS}, one word; name a WAV file"
        )
    _check_bytes(image, "spectrogram")
    rgb = np.frombuffer(image.rgb, np.uint8).reshape(MELS, MEL_FRAMES, 3)
    return torch.from_numpy(invert_colour_map(rgb)[::-1].copy())[None]


def _group_cells(rows: Sequence[Row]) -> list[slice]:
    """The rows of each cell of the grid; a cell begins with part 0."""
    starts = [i for i, row in enumerate(rows) if row.part == 0]
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], len(rows)], strict=True)]


def sound_of(mels: Mels, cells: Sequence[slice], rounds: int) -> Samples:
    """Spectrograms [B, MELS, FRAMES] as speech, one cell after another; at most MAX_HEARD words.

    `rounds` is the number of Griffin–Lim iterations.
    """
    words = [
        _trim(each, mel) for each, mel in zip(vocode(mels[:MAX_HEARD], rounds), mels, strict=False)
    ]
    pause, rest = (np.zeros(round(s * SAMPLE_RATE), np.float32) for s in (PAUSE, REST))
    pieces: list[Samples] = []
    for cell in cells:
        for i, word in enumerate(words[cell]):
            pieces += [rest if i == 0 else pause, word] if pieces else [word]
    samples = np.concatenate(pieces)
    return samples * min(1.0, LOUDEST / max(float(np.abs(samples).max()), 1e-6))


def _trim(samples: Samples, mels: Mels) -> Samples:
    """A word without the silence around it, with a fade at both ends."""
    loudness = mels.max(axis=0)  # [FRAMES]
    audible = np.flatnonzero(loudness > loudness.max() - 2 * QUIET_DB / RANGE_DB)
    if not len(audible):
        return samples
    begin = max(0, audible[0] - MARGIN) * HOP
    end = min(len(loudness), audible[-1] + 1 + MARGIN) * HOP
    word = samples[begin:end].copy()
    fade = np.linspace(0, 1, min(HOP, len(word)), dtype=np.float32)
    word[: len(fade)] *= fade
    word[len(word) - len(fade) :] *= fade[::-1]
    return word


def _to_mels(x: Tensor) -> Mels:
    """[B, 1, MELS, FRAMES] as [B, MELS, FRAMES]."""
    return x[:, 0].float().cpu().numpy()


def _mel_sheet(mels: Mels, cells: Sequence[slice], columns: int) -> NDArray[np.uint8]:
    """[B, MELS, FRAMES] as one image [H, W, 3]: low mels at the bottom, words side by side.

    Cells with fewer words than the longest end in silence.
    """
    most = max(cell.stop - cell.start for cell in cells)
    rows = len(cells) // columns
    sheet = np.full((rows, MELS, columns, most, MEL_FRAMES), -1, np.float32)
    for i, cell in enumerate(cells):
        for part, mel in enumerate(mels[cell]):
            sheet[i // columns, :, i % columns, part] = mel[::-1]
    return apply_colour_map(sheet.reshape(rows * MELS, columns * most * MEL_FRAMES))


# --- The medium of a model --------------------------------------------------------------------


def medium_of(
    recipe: DiffusionRecipe | VideoRecipe | VoiceRecipe, described: Mapping[str, Any]
) -> Medium:
    """The medium of a model; `described` is the metadata of its checkpoint."""
    match recipe:
        case VideoRecipe():
            return VideoMedium(recipe)
        case VoiceRecipe():
            return SpeechMedium(recipe, tuple(described["voices"]))
    return ImageMedium(recipe)
