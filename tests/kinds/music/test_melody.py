"""A MIDI file to harmonise: what is read of it, and what is refused in one line."""

from pathlib import Path

import mido
import pytest
from file_checks import check_reader
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from music_makers import write_midi

from genui.base.errors import GenuiError, MisuseError
from genui.kinds.music import chorale, midi, score
from genui.kinds.music.sample import from_midi


def spelled(given_: score.Given, voice: int = 0) -> list[tuple[str, int]]:
    """The notes of a voice and their lengths in sixteenths."""
    heard = score.notes_of_voice(voice, given_.voices[voice])
    return [(chorale.spell(note.pitch), note.last - note.first) for note in heard]


def test_a_melody_becomes_the_soprano(tmp_path: Path) -> None:
    found, remarks = from_midi(write_midi(tmp_path / "tune.mid"))
    assert spelled(found) == [("G4", 4), ("A4", 4), ("B4", 4), ("C5", 4)]
    assert (found.leads, found.opening.bar, found.opening.begins) == ({0}, 16, 0)
    assert remarks == ()


def test_of_several_parts_the_highest_is_taken_and_said(tmp_path: Path) -> None:
    found, remarks = from_midi(write_midi(tmp_path / "tune.mid", tracks=3))
    assert spelled(found)[0] == ("G4", 4)
    assert remarks == ("of its 3 parts the highest is taken as the soprano",)


def test_parts_named_after_voices_are_given_as_those(tmp_path: Path) -> None:
    path = write_midi(tmp_path / "t.mid", (60, 62), tracks=2, names=("Soprano", "bass"))
    found, remarks = from_midi(path)
    assert (found.leads, remarks) == ({0, 3}, ())
    assert spelled(found, 3) == [("F3", 4), ("G3", 4)]


def test_one_voice_can_be_named_for_a_file_that_names_none(tmp_path: Path) -> None:
    found, _ = from_midi(write_midi(tmp_path / "t.mid", (48, 50)), "bass")
    assert (found.leads, spelled(found, 3)) == ({3}, [("C3", 4), ("D3", 4)])


def test_a_melody_an_octave_off_is_moved_and_said(tmp_path: Path) -> None:
    found, remarks = from_midi(write_midi(tmp_path / "t.mid", (43, 45, 47)))
    assert spelled(found)[0][0] == "G4"
    assert remarks == ("its soprano is moved by +2 octaves",)


def test_notes_off_the_grid_are_moved_and_counted(tmp_path: Path) -> None:
    found, remarks = from_midi(write_midi(tmp_path / "t.mid", late=30))
    assert len(spelled(found)) == 4
    assert remarks == ("4 of 4 notes are moved to the nearest sixteenth",)


def test_percussion_and_the_parts_of_a_band_are_left_out(tmp_path: Path) -> None:
    file = mido.MidiFile(write_midi(tmp_path / "t.mid", (40, 40), tracks=40))
    drums = file.add_track("drums")
    for _ in range(7):
        drums.append(mido.Message("note_on", channel=9, note=38, velocity=99))
        drums.append(mido.Message("note_off", channel=9, note=38, time=120))
    melody = file.add_track("lead")
    for pitch in (70, 72):
        melody.append(mido.Message("note_on", channel=3, note=pitch, velocity=64))
        melody.append(mido.Message("note_off", channel=3, note=pitch, time=480))
    file.save(tmp_path / "t.mid")
    found, remarks = from_midi(tmp_path / "t.mid")
    assert spelled(found) == [("A♯4", 4), ("C5", 4)]
    assert "7 notes of percussion are left out" in remarks
    assert "of its 41 parts the highest is taken as the soprano" in remarks


def test_of_notes_together_the_highest_sounds(tmp_path: Path) -> None:
    file = mido.MidiFile()
    track = file.add_track("chords")
    for pitch in (60, 64, 67):
        track.append(mido.Message("note_on", note=pitch, velocity=64))
    for wait, pitch in ((480, 60), (0, 64), (480, 67)):
        track.append(mido.Message("note_off", note=pitch, time=wait))
    file.save(tmp_path / "t.mid")
    found, remarks = from_midi(tmp_path / "t.mid")
    assert spelled(found) == [("G4", 8)]
    assert remarks == ("2 notes that sound under others are left out",)


def test_two_two_is_read_as_four_four(tmp_path: Path) -> None:
    found, remarks = from_midi(write_midi(tmp_path / "t.mid", metre=(2, 2)))
    assert (found.opening.bar, remarks) == (16, ())
    found, remarks = from_midi(write_midi(tmp_path / "t.mid", metre=(2, 4)))
    assert (found.opening.bar, remarks) == (16, ("its 2/4 is read as 4/4",))


def test_the_key_is_guessed_from_the_notes_where_none_is_named(tmp_path: Path) -> None:
    scale = (62, 64, 66, 67, 69, 71, 73, 74, 69, 66, 62)
    found, _ = from_midi(write_midi(tmp_path / "t.mid", scale))
    assert chorale.spell_key(found.opening.key) == "D major"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"metre": (6, 8)}, "its metre is 6/8; the model knows 4/4 and 3/4"),
        ({"metre": (5, 4)}, "its metre is 5/4"),
        ({"pitches": ()}, "it has no notes; give a melody"),
        ({"channel": 9}, "it has no notes but 4 of percussion"),
        ({"pitches": (40, 80)}, "no voice can sing them all"),
        ({"pitches": (56, 79)}, r"transpose it by \+1 semitones"),
        ({"pitches": (60,) * 1200}, "it is 300 bars long; the most is 256"),
    ],
)
def test_what_cannot_be_harmonised_is_refused_in_one_line(
    tmp_path: Path, changes: dict, reason: str
) -> None:
    path = write_midi(tmp_path / "t.mid", **changes)
    with pytest.raises(MisuseError, match=reason) as error:
        from_midi(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_metre_that_changes_is_refused(tmp_path: Path) -> None:
    file = mido.MidiFile(write_midi(tmp_path / "t.mid"))
    file.tracks[0].append(mido.MetaMessage("time_signature", numerator=3, denominator=4, time=960))
    file.save(tmp_path / "t.mid")
    with pytest.raises(MisuseError, match=r"its metre changes \(4/4, 3/4\)"):
        from_midi(tmp_path / "t.mid")


@pytest.mark.parametrize(
    ("voices", "reason"),
    [
        ("soprano,kazoo", "no voice 'kazoo'"),
        ("soprano,bass", "no track is named bass"),
        ("soprano,alto,tenor,bass", "leave one for the model"),
    ],
)
def test_voices_that_are_not_there_are_refused(tmp_path: Path, voices: str, reason: str) -> None:
    path = write_midi(tmp_path / "t.mid", tracks=2, names=("soprano", "guitar"))
    with pytest.raises(MisuseError, match=reason):
        from_midi(path, voices)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"MThd", "is truncated"),
        (b"not a MIDI file", "is not a MIDI file"),
        (b"MThd" + bytes(3_000_000), "is over 2 MB"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "broken.mid"
    path.write_bytes(data)
    with pytest.raises(GenuiError, match=reason) as error:
        from_midi(path)
    assert str(error.value).startswith(str(path))


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.mid"):
        with pytest.raises(GenuiError):
            from_midi(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_melody_is_given_whole_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    pitches = data.draw(st.lists(st.integers(0, 127), max_size=12))
    late, ticks = data.draw(st.integers(0, 400)), data.draw(st.integers(401, 3000))
    path = write_midi(tmp_path / "t.mid", pitches, ticks=ticks, late=late)
    fault, found = "", None
    try:
        found, _ = from_midi(path)
    except MisuseError as error:
        fault = str(error)
    assert "\n" not in fault
    if found is not None:
        assert score.Given.from_text(found.to_text()) == found
        assert 0 < len(spelled(found)) <= len(pitches)


def test_a_melody_is_read_from_a_regular_file_alone(tmp_path: Path) -> None:
    check_reader(tmp_path / "melody.mid", from_midi, midi.MAX_BYTES)
