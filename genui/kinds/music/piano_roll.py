"""Piano rolls as images and as text: time to the right, pitch upwards.

Times are in sixteenths, pitches are MIDI numbers, voices count from 0, the soprano.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genui.kinds.music.score import Sound

VOICE_COLOURS = ((235, 110, 90), (235, 190, 80), (110, 195, 120), (100, 150, 235))
"""RGB colours of soprano, alto, tenor and bass."""

_GROUND = (18, 20, 26)
_BLACK_KEY = (26, 29, 37)
_BAR_LINE = (58, 62, 74)
_BLACK_KEYS = {1, 3, 6, 8, 10}
_IMAGE_MARGIN = 2  # semitones above and below
_SIZE = 3, 4  # pixels: the width of a sixteenth, and the height of a semitone


def draw_roll_image(
    notes: Sequence[tuple[int, int, int, int]],
    sixteenths: int,
    bar: int,
    begins: int,
) -> NDArray[np.uint8]:
    """Draw notes as uint8 [H, W, 3].

    A note is (voice, MIDI number, first sixteenth, sixteenth after the last). Bars are `bar`
    sixteenths long and the piece starts at sixteenth `begins` of a bar.
    """
    across, up = _SIZE
    pitches = [pitch for _, pitch, _, _ in notes] or [60]
    low, high = min(pitches) - _IMAGE_MARGIN, max(pitches) + _IMAGE_MARGIN
    image = np.empty(((high - low + 1) * up, max(1, sixteenths) * across, 3), np.uint8)
    for pitch in range(low, high + 1):
        row = (high - pitch) * up
        image[row : row + up] = _BLACK_KEY if pitch % 12 in _BLACK_KEYS else _GROUND
    first_bar = (bar - begins) % bar
    image[:, first_bar * across :: bar * across] = _BAR_LINE
    for voice, pitch, first, last in sorted(notes, reverse=True):  # the soprano on top
        row = (high - pitch) * up
        # The last pixel is left out to separate repeated notes.
        image[row : row + up, first * across : last * across - 1] = VOICE_COLOURS[voice]
    return image


# --- Piano rolls as text ----------------------------------------------------------------------

ONSETS = "SATB"
"""The character of the first sixteenth of a note, for each voice."""
SUSTAINS = "━─┅═"
"""The character of its other sixteenths."""
BAR = "│"
GUTTER = 4  # cells to the left of the roll, for the names of notes
_NATURALS = {0: "C", 2: "D", 4: "E", 5: "F", 7: "G", 9: "A", 11: "B"}
_MIN_RANGE = 12  # semitones
_MARGIN = 1


class Mark(NamedTuple):
    """A cell. `voice` is -1 if none sounds; `step` is the step that wrote it, or 0."""

    text: str
    voice: int = -1
    step: int = 0


Column = Sequence[Sound | None]


class Scale(NamedTuple):
    """The rows of a roll: the pitch at the top, and the semitones that share `rows` evenly."""

    high: int
    semitones: int
    rows: int

    def row(self, pitch: int) -> int:
        return (self.high - pitch) * self.rows // self.semitones

    def name(self, row: int) -> str:
        """Return the label of a row: its natural note, or the C in it; else ""."""
        if self.rows == self.semitones:
            pitch = self.high - row
            letter = _NATURALS.get(pitch % 12, "")
            return f"{letter}{pitch // 12 - 1}" if letter else ""
        pitches = range(self.high, self.high - self.semitones, -1)
        in_row = (pitch for pitch in pitches if self.row(pitch) == row)
        return next((f"C{pitch // 12 - 1}" for pitch in in_row if pitch % 12 == 0), "")


def choose_scale(columns: Sequence[Column], height: int) -> Scale:
    """Choose the scale that shows every note in `height` rows, at most a row per semitone."""
    pitches = [one.pitch for column in columns for one in column if one is not None]
    low, high = min(pitches, default=48) - _MARGIN, max(pitches, default=72) + _MARGIN
    high = max(high, low + _MIN_RANGE)
    span = high - low + 1
    return Scale(high, span, max(1, min(span, height)))


def draw_roll_rows(
    columns: Sequence[Column], scale: Scale, first: int, width: int, bar: int, begins: int
) -> list[list[Mark]]:
    """Draw the rows of a roll, `width` cells each, one per sixteenth from `first` on.

    If voices share a cell the upper one is drawn. Bars have `bar` sixteenths, and the piece begins
    at sixteenth `begins` of a bar.
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
    """Return the line above a roll: the number of each bar at its start. An upbeat is bar 0."""
    text = [" "] * width
    offset = 0 if begins else 1
    for x in range(width):
        at = begins + first + x
        if at % bar == 0:
            number = str(at // bar + offset)
            text[x : x + len(number)] = number
    return "".join(text[:width])


def format_roll(columns: Sequence[Column], width: int, bar: int, begins: int) -> str:
    """Return a whole piece as text, in systems of at most `width` cells, one below the other."""
    room = max(bar, (width - GUTTER) // bar * bar)
    scale = choose_scale(columns, 1 << 16)
    lines = []
    first, end = 0, (room - begins) % room or room
    while first < len(columns):
        count = min(end, len(columns)) - first
        used = [one for column in columns[first : first + count] for one in column if one]
        top = max((one.pitch for one in used), default=scale.high) + 1
        bottom = min((one.pitch for one in used), default=top - _MIN_RANGE) - 1
        part = Scale(top, top - bottom + 1, top - bottom + 1)
        lines.append(" " * GUTTER + format_bar_numbers(first, count, bar, begins).rstrip())
        for row, marks in enumerate(draw_roll_rows(columns, part, first, count, bar, begins)):
            text = "".join(mark.text for mark in marks)
            lines.append(f"{part.name(row):<{GUTTER}}{text}".rstrip())
        first, end = end, end + room
    return "\n".join(lines)
