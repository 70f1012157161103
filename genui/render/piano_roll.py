"""A piano roll as a picture: time to the right, pitch upwards, a colour a voice."""

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


# --- A piano roll as lines of characters: a mark a voice, so that it is read without colour ---

STRUCK = "SATB"
"""What a note of each voice begins with …"""
HELD = "━─┅═"
"""… and goes on as."""
BAR = "│"
GUTTER = 4  # cells left of the roll, for the names of notes
_NATURALS = {0: "C", 2: "D", 4: "E", 5: "F", 7: "G", 9: "A", 11: "B"}
_LEAST = 12  # semitones that a roll has room for
_MARGIN = 1


class Heard(Protocol):
    """What a voice sounds at one sixteenth: whether it is struck there, and which step wrote it."""

    @property
    def pitch(self) -> int: ...
    @property
    def struck(self) -> bool: ...
    @property
    def step(self) -> int: ...


class Mark(NamedTuple):
    """One cell. `voice` is -1 where none sounds; `step` wrote it, 0 where no step did."""

    text: str
    voice: int = -1
    step: int = 0


Column = Sequence[Heard | None]


class Scale(NamedTuple):
    """Which notes the rows are of: the highest, and how many semitones a row has."""

    high: int
    semitones: int
    rows: int

    def row(self, pitch: int) -> int:
        return (self.high - pitch) // self.semitones

    def name(self, row: int) -> str:
        """What stands before a row: its natural note, or the C in it."""
        top = self.high - row * self.semitones
        pitches = range(top, top - self.semitones, -1)
        if self.semitones == 1:
            letter = _NATURALS.get(pitches[0] % 12, "")
            return f"{letter}{pitches[0] // 12 - 1}" if letter else ""
        return next((f"C{pitch // 12 - 1}" for pitch in pitches if pitch % 12 == 0), "")


def scale_of(columns: Sequence[Column], height: int) -> Scale:
    """The finest scale that shows every note in `height` rows."""
    pitches = [one.pitch for column in columns for one in column if one is not None]
    low, high = min(pitches, default=48) - _MARGIN, max(pitches, default=72) + _MARGIN
    high = max(high, low + _LEAST)
    span = high - low + 1
    semitones = max(1, -(-span // max(1, height)))
    return Scale(high, semitones, -(-span // semitones))


def roll_rows(
    columns: Sequence[Column], scale: Scale, first: int, width: int, bar: int, begins: int
) -> list[list[Mark]]:
    """The rows of a roll, `width` cells each, from sixteenth `first` on: a cell a sixteenth.

    Where voices share a cell the upper one is shown. Bars have `bar` sixteenths, and the piece
    begins at sixteenth `begins` of one.
    """
    blank, line = Mark(" "), Mark(BAR)
    empty = [line if (begins + first + x) % bar == 0 else blank for x in range(width)]
    rows = [list(empty) for _ in range(scale.rows)]
    for x, column in enumerate(columns[first : first + width]):
        for voice in reversed(range(len(column))):
            sound = column[voice]
            if sound is not None:
                mark = (STRUCK if sound.struck else HELD)[voice]
                rows[scale.row(sound.pitch)][x] = Mark(mark, voice, sound.step)
    return rows


def bar_numbers(first: int, width: int, bar: int, begins: int) -> str:
    """The line above a roll: each bar's number where it begins. An upbeat is bar 0."""
    text = [" "] * width
    offset = 0 if begins else 1
    for x in range(width):
        at = begins + first + x
        if at % bar == 0:
            number = str(at // bar + offset)
            text[x : x + len(number)] = number
    return "".join(text[:width])


def text_roll(columns: Sequence[Column], width: int, bar: int, begins: int) -> str:
    """A whole piece for a terminal of `width` cells: lines of bars, one below the other."""
    room = max(bar, (width - GUTTER) // bar * bar)
    scale = scale_of(columns, 1 << 16)
    out = []
    first, end = 0, (room - begins) % room or room
    while first < len(columns):
        count = min(end, len(columns)) - first
        used = [one for column in columns[first : first + count] for one in column if one]
        top = max((one.pitch for one in used), default=scale.high) + 1
        bottom = min((one.pitch for one in used), default=top - _LEAST) - 1
        part = Scale(top, 1, top - bottom + 1)
        out.append(" " * GUTTER + bar_numbers(first, count, bar, begins).rstrip())
        for row, marks in enumerate(roll_rows(columns, part, first, count, bar, begins)):
            out.append(f"{part.name(row):<{GUTTER}}{''.join(mark.text for mark in marks)}".rstrip())
        first, end = end, end + room
    return "\n".join(out)
