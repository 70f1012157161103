"""Speech as what is denoised: a log-mel spectrogram of a second, a word each."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from genui.engine.data.captions import split_words
from genui.engine.data.speech import DIGITS, load_speech, placed, read_take
from genui.engine.generate.diffusion_state import DiffusionState
from genui.engine.generate.medium import Opening
from genui.engine.generate.picture_start import check_bytes
from genui.engine.generate.spoken import spoken_frame
from genui.engine.sound.mel import FRAMES, MELS, Mels, log_mel
from genui.errors import MisuseError
from genui.protocol import FROM_DATA, ImageFrame, Picture
from genui.recipes.voice import VoiceRecipe
from genui.render.cubehelix import coloured, values_of
from genui.render.sanitise import clean_line

MOST_PARTS = 12  # words of one request


@dataclass(frozen=True)
class SoundMedium:
    """Spoken words; `recipe` says what a model was trained on, to begin from its data."""

    recipe: VoiceRecipe | None = None
    voices: tuple[str, ...] = ()  # the names of those who speak, as captions have them

    medium = "audio"
    shape = (1, MELS, FRAMES)

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
    picture = Picture(width=FRAMES, height=MELS, rgb=rgb.tobytes())
    return Opening(picture, _from_picture(picture), note)


def _from_picture(picture: Picture) -> torch.Tensor:
    """[1, MELS, FRAMES] of a spectrogram in the colours it is shown in."""
    if (picture.width, picture.height) != (FRAMES, MELS):
        raise MisuseError(
            f"the spectrogram to begin from is {picture.width}×{picture.height}: this model "
            f"speaks {FRAMES}×{MELS}, one word; name a WAV file"
        )
    check_bytes(picture, "spectrogram")
    rgb = np.frombuffer(picture.rgb, np.uint8).reshape(MELS, FRAMES, 3)
    return torch.from_numpy(values_of(rgb)[::-1].copy())[None]
