"""A piano roll as a picture: time to the right, pitch upwards, a colour a voice."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

VOICE_COLOURS = ((235, 110, 90), (235, 190, 80), (110, 195, 120), (100, 150, 235))
"""Soprano, alto, tenor, bass, as RGB."""

_GROUND = (18, 20, 26)
_BLACK_KEY = (26, 29, 37)
_BAR_LINE = (58, 62, 74)
_BLACK_KEYS = {1, 3, 6, 8, 10}
_ABOVE_AND_BELOW = 2  # semitones


def roll_picture(
    notes: Sequence[tuple[int, int, int, int]],
    sixteenths: int,
    bar: int,
    begins: int,
    size: tuple[int, int] = (3, 4),
) -> NDArray[np.uint8]:
    """The notes (voice, MIDI number, first sixteenth, sixteenth after the last) as uint8 [H, W, 3].

    `size` is the pixels of a sixteenth across and of a semitone upwards. Bars are `bar`
    sixteenths long and the piece starts at sixteenth `begins` of one.
    """
    across, up = size
    pitches = [pitch for _, pitch, _, _ in notes] or [60]
    low, high = min(pitches) - _ABOVE_AND_BELOW, max(pitches) + _ABOVE_AND_BELOW
    picture = np.empty(((high - low + 1) * up, max(1, sixteenths) * across, 3), np.uint8)
    for pitch in range(low, high + 1):
        row = (high - pitch) * up
        picture[row : row + up] = _BLACK_KEY if pitch % 12 in _BLACK_KEYS else _GROUND
    first_bar = (bar - begins) % bar
    picture[:, first_bar * across :: bar * across] = _BAR_LINE
    for voice, pitch, first, last in sorted(notes, reverse=True):  # the soprano on top
        row = (high - pitch) * up
        # A gap before the next note tells two that are struck from one that is held.
        picture[row : row + up, first * across : last * across - 1] = VOICE_COLOURS[voice]
    return picture
