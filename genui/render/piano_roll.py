"""Piano rolls as images and as text: time to the right, pitch upwards.

Times are in sixteenths, pitches are MIDI numbers, voices count from 0, the soprano.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

VOICE_COLOURS = ((235, 110, 90), (235, 190, 80), (110, 195, 120), (100, 150, 235))
"""Soprano, alto, tenor, bass, as RGB."""

_GROUND = (18, 20, 26)
_BLACK_KEY = (26, 29, 37)
_BAR_LINE = (58, 62, 74)
_BLACK_KEYS = {1, 3, 6, 8, 10}
_ABOVE_AND_BELOW = 2  # semitones


def draw_roll_image(
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
    image = np.empty(((high - low + 1) * up, max(1, sixteenths) * across, 3), np.uint8)
    for pitch in range(low, high + 1):
        row = (high - pitch) * up
        image[row : row + up] = _BLACK_KEY if pitch % 12 in _BLACK_KEYS else _GROUND
    first_bar = (bar - begins) % bar
    image[:, first_bar * across :: bar * across] = _BAR_LINE
    for voice, pitch, first, last in sorted(notes, reverse=True):  # the soprano on top
        row = (high - pitch) * up
        # A gap before the next note shows a repeated note.
        image[row : row + up, first * across : last * across - 1] = VOICE_COLOURS[voice]
    return image


# --- Piano rolls as text ----------------------------------------------------------------------

ONSETS = "SATB"
"""The character of the first sixteenth of a note, a voice each."""
SUSTAINS = "━─┅═"
"""The character of its other sixteenths."""
BAR = "│"
GUTTER = 4  # cells left of the roll, for the names of notes
_NATURALS = {0: "C", 2: "D", 4: "E", 5: "F", 7: "G", 9: "A", 11: "B"}
_LEAST = 12  # semitones, at least
_MARGIN = 1


class Sound(Protocol):
    """The note of a voice at one sixteenth: `struck` where it begins, written by `step`."""

    @property
    def pitch(self) -> int: ...
    @property
    def struck(self) -> bool: ...
    @property
    def step(self) -> int: ...


class Mark(NamedTuple):
    """One cell. `voice` is -1 where none sounds; `step` is the one that wrote it, or 0."""

    text: str
    voice: int = -1
    step: int = 0


Column = Sequence[Sound | None]


class Scale(NamedTuple):
    """The rows of a roll: the pitch of the highest and the semitones a row."""

    high: int
    semitones: int
    rows: int

    def row(self, pitch: int) -> int:
        return (self.high - pitch) // self.semitones

    def name(self, row: int) -> str:
        """The label of a row: its natural note, or the C in it."""
        top = self.high - row * self.semitones
        pitches = range(top, top - self.semitones, -1)
        if self.semitones == 1:
            letter = _NATURALS.get(pitches[0] % 12, "")
            return f"{letter}{pitches[0] // 12 - 1}" if letter else ""
        return next((f"C{pitch // 12 - 1}" for pitch in pitches if pitch % 12 == 0), "")


def choose_scale(columns: Sequence[Column], height: int) -> Scale:
    """The finest scale that shows every note in `height` rows."""
    pitches = [one.pitch for column in columns for one in column if one is not None]
    low, high = min(pitches, default=48) - _MARGIN, max(pitches, default=72) + _MARGIN
    high = max(high, low + _LEAST)
    span = high - low + 1
    semitones = max(1, -(-span // max(1, height)))
    return Scale(high, semitones, -(-span // semitones))


def draw_roll_rows(
    columns: Sequence[Column], scale: Scale, first: int, width: int, bar: int, begins: int
) -> list[list[Mark]]:
    """The rows of a roll, `width` cells each, from sixteenth `first` on: a cell a sixteenth.

    Where voices share a cell the upper one is drawn. Bars have `bar` sixteenths, and the piece
    begins at sixteenth `begins` of one.
    """
    blank, line = Mark(" "), Mark(BAR)
    empty = [line if (begins + first + x) % bar == 0 else blank for x in range(width)]
    rows = [list(empty) for _ in range(scale.rows)]
    for x, column in enumerate(columns[first : first + width]):
        for voice in reversed(range(len(column))):
            sound = column[voice]
            if sound is not None:
                mark = (ONSETS if sound.struck else SUSTAINS)[voice]
                rows[scale.row(sound.pitch)][x] = Mark(mark, voice, sound.step)
    return rows


def format_bar_numbers(first: int, width: int, bar: int, begins: int) -> str:
    """The line above a roll: the number of each bar at its start. An upbeat is bar 0."""
    text = [" "] * width
    offset = 0 if begins else 1
    for x in range(width):
        at = begins + first + x
        if at % bar == 0:
            number = str(at // bar + offset)
            text[x : x + len(number)] = number
    return "".join(text[:width])


def format_roll(columns: Sequence[Column], width: int, bar: int, begins: int) -> str:
    """A whole piece in systems of at most `width` cells, one below the other."""
    room = max(bar, (width - GUTTER) // bar * bar)
    scale = choose_scale(columns, 1 << 16)
    lines = []
    first, end = 0, (room - begins) % room or room
    while first < len(columns):
        count = min(end, len(columns)) - first
        used = [one for column in columns[first : first + count] for one in column if one]
        top = max((one.pitch for one in used), default=scale.high) + 1
        bottom = min((one.pitch for one in used), default=top - _LEAST) - 1
        part = Scale(top, 1, top - bottom + 1)
        lines.append(" " * GUTTER + format_bar_numbers(first, count, bar, begins).rstrip())
        for row, marks in enumerate(draw_roll_rows(columns, part, first, count, bar, begins)):
            text = "".join(mark.text for mark in marks)
            lines.append(f"{part.name(row):<{GUTTER}}{text}".rstrip())
        first, end = end, end + room
    return "\n".join(lines)
