"""Rules of part-writing, counted."""

import pytest

from genui.kinds.music.metrics import faults
from genui.kinds.music.score import Note


def two(upper: tuple[int, int], lower: tuple[int, int]) -> list[Note]:
    """Soprano and bass, two quarters."""
    return [
        *(Note(0, pitch, 4 * at, 4 * at + 4) for at, pitch in enumerate(upper)),
        *(Note(3, pitch, 4 * at, 4 * at + 4) for at, pitch in enumerate(lower)),
    ]


@pytest.mark.parametrize(
    ("upper", "lower", "fifths", "octaves"),
    [
        ((67, 69), (60, 62), 1, 0),
        ((67, 69), (48, 50), 1, 0),  # a twelfth is a fifth
        ((72, 74), (60, 62), 0, 1),
        ((60, 62), (60, 62), 0, 1),  # unisons
        ((67, 67), (60, 60), 0, 0),  # struck again is no motion
        ((67, 69), (60, 60), 0, 0),  # one stays
        ((67, 55), (48, 60), 0, 0),  # they move against each other
        ((67, 69), (60, 63), 0, 0),  # a fifth to a tritone
        ((64, 65), (60, 62), 0, 0),  # thirds may move together
    ],
)
def test_parallels_are_perfect_intervals_that_move_together(
    upper: tuple[int, int], lower: tuple[int, int], fifths: int, octaves: int
) -> None:
    found = faults(two(upper, lower), 8)
    assert (found.fifths, found.octaves, found.parallels) == (fifths, octaves, fifths + octaves)


def test_notes_that_a_choir_cannot_sing_are_counted() -> None:
    assert faults([Note(0, 79, 0, 4), Note(0, 80, 4, 8), Note(3, 39, 0, 8)], 8).out_of_range == 2


def test_a_voice_above_the_one_over_it_is_counted_for_as_long_as_it_is() -> None:
    piece = [Note(0, 67, 0, 8), Note(1, 60, 0, 3), Note(1, 69, 3, 8)]
    assert faults(piece, 8).crossings == 5
