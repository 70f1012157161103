"""Metrics of speech models: does a word match its caption, and what was copied?"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from genui.base.errors import MisuseError
from genui.base.text import clean_line
from genui.engine.metrics.copying import closest
from genui.engine.metrics.distance import copying_share
from genui.engine.sample.diffusion import DiffusionGenerator
from genui.engine.sample.diffusion_state import DiffusionState
from genui.engine.sample.trace import Trace
from genui.kinds.speech.classifier import SoundClassifier
from genui.kinds.speech.data import DIGITS, Samples, Speech, load_speech
from genui.kinds.speech.medium import FINAL_ROUNDS, sound_of
from genui.kinds.speech.recipe import VoiceRecipe
from genui.protocol import ImageSettings, Neighbours
from genui.render.image import apply_colour_map

DIGIT_CLASSIFIER, VOICE_CLASSIFIER = "voice-digits", "voice-speakers"
SPEECH_SAMPLES = 500
SPEECH_SETTINGS = ImageSettings(steps=12, guidance=2.0)
SPEECH_BATCH = 20
COPIES = 120  # samples, for copying


@dataclass(frozen=True, eq=False)
class SpeechSamples:
    """Generated words: N captions, sounds and spectrograms."""

    captions: list[str]
    sounds: list[Samples]
    mels: NDArray[np.float32]  # [N, MELS, FRAMES]


def measure_voice(generator: DiffusionGenerator, recipe: VoiceRecipe) -> dict[str, str]:
    """The accuracy of classifiers, trained on real takes, on the sound of SPEECH_SAMPLES words."""
    speech = load_speech(recipe.dataset, recipe.data)
    voices = list(dict.fromkeys(take.caption.split()[-1] for take in speech.takes))
    spoken = speak(generator, spoken_captions(voices, SPEECH_SAMPLES))
    digits, speakers = map(SoundClassifier.load, (DIGIT_CLASSIFIER, VOICE_CLASSIFIER))
    held = [speech.takes[i] for i in speech.held_out]
    real, real_captions = [take.samples for take in held], [take.caption for take in held]
    return {
        "digit heard": _format_right(digits, spoken.captions, spoken.sounds, 0),
        "voice heard": _format_right(speakers, spoken.captions, spoken.sounds, -1),
        "of real takes": (
            f"digit {_format_right(digits, real_captions, real, 0)}, "
            f"voice {_format_right(speakers, real_captions, real, -1)}"
        ),
        "copied": f"{speech_copied(speech, spoken.mels[:COPIES]):.0%} nearer to a trained take "
        "than to one of as many held out (50 % copies nothing)",
        "steps": f"{SPEECH_SETTINGS.steps}, guidance {SPEECH_SETTINGS.guidance:g}",
    }


def spoken_captions(voices: Sequence[str], count: int) -> list[str]:
    """`count` captions: all digits in all voices, in turn."""
    pairs = [f"{digit} {voice}" for voice in voices for digit in DIGITS]
    return [pairs[i % len(pairs)] for i in range(count)]


def speak(
    generator: DiffusionGenerator, captions: list[str], settings: ImageSettings = SPEECH_SETTINGS
) -> SpeechSamples:
    """Generate a word for each caption, with seeds 0, 1, …"""
    parts, sounds = [], []
    for at in range(0, len(captions), SPEECH_BATCH):
        batch = captions[at : at + SPEECH_BATCH]
        x = generator.denoised(batch, list(range(at, at + len(batch))), settings)
        mels = x[:, 0].float().cpu().numpy()
        parts.append(mels)
        sounds += [sound_of(mel[None], [slice(0, 1)], FINAL_ROUNDS) for mel in mels]
    return SpeechSamples(captions, sounds, np.concatenate(parts))


def count_right(
    classifier: SoundClassifier, captions: Sequence[str], sounds: Sequence[Samples], word: int
) -> int:
    """For how many sounds the classifier's label is the caption's word at index `word`."""
    predicted = classifier.probabilities(sounds).argmax(1)
    pairs = zip(predicted, captions, strict=True)
    return sum(classifier.labels[label] == caption.split()[word] for label, caption in pairs)


def speech_copied(speech: Speech, mels: NDArray[np.float32]) -> float:
    """The share of spectrograms nearer to training takes than to as many held-out takes; 0.5 if
    nothing is copied."""
    takes = speech.mels(speech.train), speech.mels(speech.held_out)
    return copying_share(*(each.reshape(len(each), -1) for each in (mels, *takes)))


def _format_right(
    classifier: SoundClassifier, captions: Sequence[str], sounds: Sequence[Samples], word: int
) -> str:
    count = count_right(classifier, captions, sounds, word)
    return f"{count / len(captions):.1%} right of {len(captions)}"


# --- The training takes most similar to a word ------------------------------------------------

SPEECH_DISTANCE = "root mean square of the log-mel differences, −1 to 1"


def nearest_takes(recipe: VoiceRecipe, trace: Trace, step: int, count: int) -> Neighbours:
    """The recordings nearest to the first word of `denoised` at `step`.

    Raises MisuseError for a grid, MisuseError or GenuiError if the recordings cannot be read.
    """
    state = trace.state(step)
    assert isinstance(state, DiffusionState)
    if trace.request.grid:
        raise MisuseError("one sound is compared, and not a grid: speak one")
    speech = _speech(recipe.dataset, recipe.data)
    word = state.denoised[0, 0].float().cpu().numpy()  # [MELS, FRAMES]
    takes = speech.mels(speech.train)

    def example(i: int) -> tuple[str, NDArray[np.uint8]]:
        caption = speech.takes[speech.train[i]].caption
        return caption, apply_colour_map(takes[i][::-1])

    data = f"{clean_line(speech.name)}, {len(speech.train):,} takes"
    distances = np.sqrt(((takes - word) ** 2).mean(axis=(1, 2)))
    return closest(data, SPEECH_DISTANCE, distances, count, example)


@lru_cache(maxsize=1)
def _speech(dataset: str, data: str) -> Speech:
    return load_speech(dataset, data)
