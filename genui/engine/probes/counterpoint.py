"""Rules of part-writing that can be counted: parallels between voices, and their ranges."""

from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import NamedTuple

from genui.notes import VOICES
from genui.score import Note

RANGES = ((60, 79), (55, 72), (48, 67), (40, 62))
"""What textbooks let a choir sing: soprano C4 to G5, alto G3 to C5, tenor C3 to G4, bass E2 to
D4, as MIDI numbers (Aldwell & Schachter, Harmony and Voice Leading, chapter 6)."""


class Faults(NamedTuple):
    """How often a piece breaks each rule."""

    fifths: int  # perfect fifths moving in parallel, between any two voices
    octaves: int  # the same of octaves and unisons
    out_of_range: int  # notes outside RANGES
    crossings: int  # sixteenths at which a voice is above the one above it

    @property
    def parallels(self) -> int:
        return self.fifths + self.octaves


Sonority = tuple[int | None, ...]


def faults(notes: Sequence[Note], sixteenths: int) -> Faults:
    """The faults of a piece of four voices."""
    sounds = sonorities(notes, sixteenths)
    perfect = {7: 0, 0: 0}
    for before, after in pairwise(sounds):
        for one, other in combinations(range(len(VOICES)), 2):
            interval = _parallel(before, after, one, other)
            if interval in perfect:
                perfect[interval] += 1
    outside = sum(not RANGES[n.voice][0] <= n.pitch <= RANGES[n.voice][1] for n in notes)
    crossed = sum(
        any(a is not None and b is not None and a < b for a, b in pairwise(sound))
        for sound in sounds
    )
    return Faults(perfect[7], perfect[0], outside, crossed)


def sonorities(notes: Sequence[Note], sixteenths: int) -> list[Sonority]:
    """What the four voices sound at each sixteenth; None where one is silent."""
    grid: list[list[int | None]] = [[None] * len(VOICES) for _ in range(sixteenths)]
    for note in notes:
        for at in range(note.first, min(note.last, sixteenths)):
            grid[at][note.voice] = note.pitch
    return [tuple(column) for column in grid]


def _parallel(before: Sonority, after: Sonority, one: int, other: int) -> int | None:
    """The interval, in semitones within the octave, that two voices keep while both move the
    same way; None where they do not."""
    upper, lower, upper2, lower2 = before[one], before[other], after[one], after[other]
    if upper is None or lower is None or upper2 is None or lower2 is None:
        return None
    if (upper2 - upper) * (lower2 - lower) <= 0:  # one stays, or they move apart or together
        return None
    interval = (upper - lower) % 12
    return interval if interval == (upper2 - lower2) % 12 else None
