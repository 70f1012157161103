"""Whether a model says the digits it is asked for, in the voices it is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genui.engine.data.speech import DIGITS, Speech, load_speech
from genui.engine.generate.diffusion import DiffusionGenerator
from genui.engine.generate.spoken import FINAL_ROUNDS, sound_of
from genui.engine.probes.distance import nearest
from genui.engine.probes.hearing import Listener, load_listener
from genui.engine.sound.stft import RATE, Samples
from genui.protocol import ImageSettings
from genui.recipes.voice import VoiceRecipe

DIGIT_LISTENER, VOICE_LISTENER = "voice-digits", "voice-speakers"
SAMPLES = 500
SETTINGS = ImageSettings(steps=12, guidance=2.0)
BATCH = 20
COPIES = 120  # samples that are compared with the training takes


@dataclass(frozen=True, eq=False)
class Spoken:
    """What a model said: captions [N], each as sound, and as the spectrograms it drew."""

    captions: list[str]
    sounds: list[Samples]
    mels: NDArray[np.float32]  # [N, MELS, FRAMES]


def measure_voice(generator: DiffusionGenerator, recipe: VoiceRecipe) -> dict[str, str]:
    """What listeners trained on real takes hear in SAMPLES generated words, from their sound."""
    speech = load_speech(recipe.dataset, recipe.data)
    voices = list(dict.fromkeys(take.caption.split()[-1] for take in speech.takes))
    spoken = speak(generator, asked(voices, SAMPLES))
    digits, speakers = load_listener(DIGIT_LISTENER), load_listener(VOICE_LISTENER)
    held = [speech.takes[i] for i in speech.held_out]
    real = [take.samples for take in held]
    real_captions = [take.caption for take in held]
    return {
        "digit heard": _heard(digits, spoken.captions, spoken.sounds, 0),
        "voice heard": _heard(speakers, spoken.captions, spoken.sounds, -1),
        "of real takes": (
            f"digit {_heard(digits, real_captions, real, 0)}, "
            f"voice {_heard(speakers, real_captions, real, -1)}"
        ),
        "copied": f"{copied(speech, spoken.mels[:COPIES]):.0%} nearer to a trained take than to "
        "one of as many held out (50 % copies nothing)",
        "steps": f"{SETTINGS.steps}, guidance {SETTINGS.guidance:g}",
    }


def asked(voices: Sequence[str], count: int) -> list[str]:
    """`count` captions: every digit in every voice in turn."""
    pairs = [f"{digit} {voice}" for voice in voices for digit in DIGITS]
    return [pairs[i % len(pairs)] for i in range(count)]


def speak(
    generator: DiffusionGenerator, captions: list[str], settings: ImageSettings = SETTINGS
) -> Spoken:
    """The words of these captions, seeds 0, 1, …, through the vocoder."""
    parts, sounds = [], []
    for at in range(0, len(captions), BATCH):
        words = captions[at : at + BATCH]
        x = generator.denoised(words, list(range(at, at + len(words))), settings)
        mels = x[:, 0].float().cpu().numpy()
        parts.append(mels)
        sounds += [sound_of(mel[None], [slice(0, 1)], FINAL_ROUNDS) for mel in mels]
    return Spoken(captions, sounds, np.concatenate(parts))


def right(listener: Listener, captions: Sequence[str], sounds: Sequence[Samples], word: int) -> int:
    """How many of these sounds a listener takes for that word of their captions."""
    found = listener.probabilities(sounds, RATE).argmax(1)
    pairs = zip(found, captions, strict=True)
    return sum(listener.labels[label] == caption.split()[word] for label, caption in pairs)


def copied(speech: Speech, mels: NDArray[np.float32], seed: int = 0) -> float:
    """The share of spectrograms whose nearest take, of as many trained as held-out ones, is a
    trained one: half of them where nothing is copied."""
    held = speech.held_out
    train = np.random.default_rng(seed).choice(speech.train, len(held), replace=False)
    rows, *takes = (m.reshape(len(m), -1) for m in (mels, speech.mels(train), speech.mels(held)))
    to_train, to_held = (nearest(rows, each)[0] for each in takes)
    return float((to_train < to_held).mean())


def _heard(
    listener: Listener, captions: Sequence[str], sounds: Sequence[Samples], word: int
) -> str:
    count = right(listener, captions, sounds, word)
    return f"{count / len(captions):.1%} right of {len(captions)}"
