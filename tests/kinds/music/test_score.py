"""A grid that fills with tokens, the notes in it, and voices that are given."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genui.base.errors import MisuseError
from genui.kinds.music import chorale, score

C4, D4 = chorale.note_token(60), chorale.note_token(62)


def test_a_note_sounds_until_the_next_one_or_a_rest() -> None:
    row = [chorale.HOLD, C4, chorale.HOLD, D4, chorale.REST, chorale.HOLD, C4]
    found = [(note.pitch, note.first, note.last) for note in score.notes_of_voice(1, row)]
    assert found == [(60, 1, 3), (62, 3, 4), (60, 6, 7)]


def test_a_grid_ends_where_its_end_was_written_and_is_as_long_as_that() -> None:
    grid = score.Grid(frozenset())
    for token in (C4,) * 4 + (chorale.HOLD,) * 4 + (chorale.END,):
        grid.write(token)
    assert (grid.next, grid.sixteenths, grid.complete) == (None, 2, 2)
    assert {(note.first, note.last) for note in grid.notes()} == {(0, 2)}


def test_only_sixteenths_that_all_voices_have_are_heard() -> None:
    grid = score.Grid(chorale.MELODY_FIRST)
    for _ in range(chorale.LOOKAHEAD + 1):
        grid.write(C4)
    assert (grid.complete, grid.notes(), len(grid.columns)) == (0, [], chorale.LOOKAHEAD + 1)
    for _ in range(3):
        grid.write(D4)
    assert (grid.complete, len(grid.notes())) == (1, 4)


def test_the_playhead_is_where_the_voices_are_that_do_not_lead() -> None:
    grid = score.Grid(chorale.MELODY_FIRST)
    assert [grid.head(step) for step in (0, 1, 9, 10, 13, 14)] == [-1, 0, 0, 0, 1, 1]


def test_a_hold_in_a_column_sounds_the_note_before_it_and_remembers_its_own_step() -> None:
    grid = score.Grid(frozenset())
    for token in (C4, D4, C4, D4, chorale.HOLD, C4, chorale.REST, chorale.HOLD):
        grid.write(token)
    first, bass = grid.columns[1][0], grid.columns[1][3]
    assert first == score.Sound(60, False, 5)
    assert bass == score.Sound(60, True, 6)
    assert grid.columns[1][1] is None


@given(
    st.integers(0, 24),
    st.sampled_from([(16, 0), (16, 12), (12, 8)]),
    st.lists(st.sampled_from([chorale.HOLD, chorale.REST, C4, D4]), min_size=1, max_size=9),
    st.sets(st.integers(0, 3), min_size=1, max_size=3),
)
def test_given_voices_are_read_back_as_they_are_written(
    key: int, metre: tuple[int, int], row: list[int], voices: set[int]
) -> None:
    rows = [bytes(row) if voice in voices else b"" for voice in range(4)]
    given_ = score.Given(chorale.Opening(key, *metre), (rows[0], rows[1], rows[2], rows[3]))
    assert score.Given.from_text(given_.to_text()) == given_
    assert given_.leads == voices


@pytest.mark.parametrize(
    "text",
    [
        "notes:",
        "notes:1;2",
        "notes:99;16;0;05;;;",  # no such key
        "notes:7;15;0;05;;;",  # no such bar
        "notes:7;16;16;05;;;",  # begins after the bar
        "notes:7;16;0;zz;;;",
        "notes:7;16;0;02;;;",  # END is no note
        "notes:7;16;0;05;0505;;",  # voices of two lengths
        "notes:7;16;0;;;;",
        "notes:7;16;0;" + "00" * 5000 + ";;;",
    ],
)
def test_voices_that_are_damaged_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(MisuseError, match="are damaged: give them again"):
        score.Given.from_text(text)
