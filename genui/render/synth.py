"""Notes as sound: a small additive synthesiser.

Each note is a sum of harmonic partials, the upper ones dying away sooner than the lower, under
an envelope that swells, stays and fades; each voice has its own mixture and its place between
left and right.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

RATE = 32_000  # samples a second
ATTACK, RELEASE = 0.035, 0.22  # seconds
BRIGHT = 0.5  # seconds in which the upper partials fall to a third
_TABLE = 4096  # samples of one period
_PANS = (0.35, 0.62, 0.42, 0.55)  # of each voice: 0 is left, 1 is right
_LEVELS = (0.30, 0.24, 0.24, 0.32)
_FALL = (1.6, 1.9, 1.7, 1.45)  # partial n of a voice has amplitude n ** -fall
_LOWER = 3  # partials that stay as long as the note does
_HIGHEST = 12_000.0  # Hz: of a partial


def synthesise(
    notes: Sequence[tuple[int, int, int, int]], tempo: float, rate: int = RATE
) -> NDArray[np.int16]:
    """The sound of notes (voice, MIDI number, first sixteenth, sixteenth after the last).

    `tempo` is in quarters a minute. Returns int16 [N, 2], left and right, a second of silence
    after the last note; its loudest sample is at most full scale.
    """
    second = 60 / tempo / 4  # of a sixteenth
    end = max((last for _, _, _, last in notes), default=0)
    sound = np.zeros((round((end * second + 1) * rate), 2), np.float32)
    for voice, pitch, first, last in notes:
        tone = _tone(voice, pitch, (last - first) * second, rate)
        start = round(first * second * rate)
        stop = min(len(sound), start + len(tone))
        pan = _PANS[voice]
        sides = np.array([np.cos(pan * np.pi / 2), np.sin(pan * np.pi / 2)], np.float32)
        sound[start:stop] += tone[: stop - start, None] * sides
    loudest = float(np.abs(sound).max(initial=0))
    if loudest > 1:
        sound /= loudest
    return np.rint(sound * 32767).astype(np.int16)


def _tone(voice: int, pitch: int, seconds: float, rate: int) -> NDArray[np.float32]:
    """One note, float32: its length and the time that it takes to fade."""
    frequency = 440 * 2 ** ((pitch - 69) / 12)
    count = round((seconds + RELEASE) * rate)
    time = np.arange(count, dtype=np.float32) / rate
    at = (np.arange(count) * (frequency * _TABLE / rate)).astype(np.int64) & (_TABLE - 1)
    lower, upper = _tables(voice, min(40, int(min(_HIGHEST, rate / 2) / frequency)))
    wave = lower[at] + upper[at] * np.exp(-time / BRIGHT)
    rise = np.minimum(time / ATTACK, 1)
    fade = np.clip((seconds + RELEASE - time) / RELEASE, 0, 1) ** 2
    return (wave * rise * fade * _LEVELS[voice]).astype(np.float32)


@lru_cache(maxsize=256)
def _tables(voice: int, partials: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A period of the partials that stay, and of those that die away."""
    phase = np.arange(_TABLE) * (2 * np.pi / _TABLE)
    waves = [n ** -_FALL[voice] * np.sin(n * phase) for n in range(1, max(1, partials) + 1)]
    lower, upper = (
        np.sum(part, axis=0) if part else np.zeros(_TABLE)
        for part in (waves[:_LOWER], waves[_LOWER:])
    )
    return lower.astype(np.float32), upper.astype(np.float32)
