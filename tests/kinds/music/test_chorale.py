"""Tokens of four-voice music: their order, their places, and their words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genui.base.errors import MisuseError
from genui.kinds.music import chorale

LEADS = st.frozensets(st.integers(0, 3))


@given(LEADS, st.integers(1, 40))
def test_every_voice_has_every_sixteenth_once_and_the_end_one_slot(
    leads: frozenset[int], sixteenths: int
) -> None:
    slots = chorale.slot_order(leads, sixteenths)
    grid = {(voice, at) for voice in range(4) for at in range(sixteenths)}
    assert len(slots) == len(set(slots)) == 4 * sixteenths + 1
    assert set(slots) - grid == {(chorale.first_voice(leads), sixteenths)}
    for voice in range(4):  # each voice is written forwards
        assert [at for v, at in slots if v == voice] == sorted(at for v, at in slots if v == voice)


def test_a_leading_voice_is_written_before_the_others() -> None:
    slots = chorale.slot_order(frozenset({0}), 20)
    before = slots[: slots.index((3, 0))]
    assert [slot.sixteenth for slot in before] == list(range(chorale.LOOKAHEAD + 1))
    assert {slot.voice for slot in before} == {0}


@given(LEADS, st.integers(1, 20), st.sampled_from([(16, 12), (16, 0), (12, 8)]))
def test_the_order_up_to_the_end_does_not_know_where_the_end_is(
    leads: frozenset[int], sixteenths: int, metre: tuple[int, int]
) -> None:
    """A piece that is written must not need its own length."""
    slots = chorale.slot_order(leads, sixteenths)
    end = slots.index((chorale.first_voice(leads), sixteenths))
    assert chorale.slot_order(leads, 100)[: end + 1] == slots[: end + 1]
    opening = chorale.Opening(0, *metre)
    assert all(0 <= chorale.beat_position(slot, leads, opening) < chorale.PLACES for slot in slots)


@given(st.integers(0, chorale.ANY_KEY), st.sampled_from(chorale.BARS), st.booleans())
def test_an_opening_is_read_as_it_is_spelled(key: int, bar: int, upbeat: bool) -> None:
    opening = chorale.Opening(key, bar, bar - chorale.QUARTER if upbeat else 0)
    assert chorale.parse_opening(chorale.spell_opening(opening)) == opening


@pytest.mark.parametrize(
    ("text", "key"),
    [("G minor", 19), ("f# minor 3/4", 18), ("B♭", 10), ("a", 9), ("in A minor", 21), ("", 24)],
)
def test_a_key_is_understood_as_people_write_it(text: str, key: int) -> None:
    assert chorale.parse_opening(text).key == key


@pytest.mark.parametrize("text", ["H minor", "5/4", "G minor major A", "hello", "G minor; 3/4"])
def test_what_is_no_opening_is_refused_in_one_line_with_an_example(text: str) -> None:
    with pytest.raises(MisuseError, match="as in 'G minor, 3/4, upbeat'") as error:
        chorale.parse_opening(text)
    assert "\n" not in str(error.value)


@given(st.integers(chorale.LOWEST, chorale.HIGHEST), st.booleans())
def test_a_note_is_read_as_it_is_spelled(pitch: int, flats: bool) -> None:
    assert chorale.parse_token(chorale.spell(pitch, flats)) == chorale.note_token(pitch)


@pytest.mark.parametrize("word", ["H4", "C9", "C", "c#", "440", "🎵", "C-1"])
def test_a_word_that_is_no_note_is_refused(word: str) -> None:
    with pytest.raises(MisuseError, match="give a note such as C4"):
        chorale.parse_token(word)


@pytest.mark.parametrize(("key", "flats"), [(5, True), (7, False), (19, True), (16, False)])
def test_keys_are_spelled_with_the_signs_they_have(key: int, flats: bool) -> None:
    assert chorale.has_flats(key) is flats
