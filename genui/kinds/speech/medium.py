"""Spoken words as a `Medium`: a log-mel spectrogram of one second each."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genui.base.errors import MisuseError
from genui.base.text import clean_line
from genui.engine.data.captions import split_words
from genui.engine.sample.diffusion import DiffusionParts
from genui.engine.sample.diffusion_state import DiffusionState, ImageInputs, read_mask
from genui.engine.sample.media import InitialImage, check_bytes, scale_for_display
from genui.formats.audio import to_pcm
from genui.formats.image import sheet
from genui.kinds.speech.data import (
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
from genui.kinds.speech.network import build_voice_denoiser
from genui.kinds.speech.recipe import VoiceRecipe
from genui.protocol import FROM_DATA, ImageFrame, RgbImage
from genui.render.image import apply_colour_map, invert_colour_map

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
        """A remark if the caption names no digit, or on the default voice if it names none."""
        words = {word for typed in split_words(caption) for word in _as_words(typed)}
        if self.voices and not words & set(DIGITS):
            return f"no digit is named, as in: four two seven {self.voices[0]}"
        if not self.voices or words & set(self.voices):
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
    check_bytes(image, "spectrogram")
    rgb = np.frombuffer(image.rgb, np.uint8).reshape(MELS, MEL_FRAMES, 3)
    return torch.from_numpy(invert_colour_map(rgb)[::-1].copy())[None]


def _group_cells(rows: Sequence[ImageInputs]) -> list[slice]:
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


def draw_mels(x: Tensor, columns: int) -> NDArray[np.uint8]:
    """Spectrograms [N, 1, MELS, MEL_FRAMES] as a sheet, low frequencies below."""
    return sheet(list(apply_colour_map(_to_mels(x)[:, ::-1])), columns)


def _to_mels(x: Tensor) -> Mels:
    """[B, 1, MELS, FRAMES] as [B, MELS, FRAMES]."""
    return x[:, 0].float().cpu().numpy()


def _mel_sheet(mels: Mels, cells: Sequence[slice], columns: int) -> NDArray[np.uint8]:
    """[B, MELS, FRAMES] as one image [H, W, 3]: low mels at the bottom, words side by side.

    Cells with fewer words than the longest end in silence.
    """
    most = max(cell.stop - cell.start for cell in cells)
    rows = len(cells) // columns
    picture = np.full((rows, MELS, columns, most, MEL_FRAMES), -1, np.float32)
    for i, cell in enumerate(cells):
        for part, mel in enumerate(mels[cell]):
            picture[i // columns, :, i % columns, part] = mel[::-1]
    return apply_colour_map(picture.reshape(rows * MELS, columns * most * MEL_FRAMES))


SPEECH = DiffusionParts(
    build_voice_denoiser,
    lambda recipe, described: SpeechMedium(recipe, tuple(described["voices"])),
)
"""The parts that spoken words add to diffusion models."""
