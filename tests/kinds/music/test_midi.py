"""Standard MIDI files: written, read back, and broken in every way."""

import io

import mido
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genui.kinds.music.midi import MAX_BYTES, decode_midi, encode_midi

TUNE = [(0, 67, 0, 4), (0, 67, 4, 8), (0, 69, 8, 16), (3, 43, 0, 16)]


def test_a_piece_comes_back_as_it_was_written() -> None:
    music = decode_midi(encode_midi(TUNE, 12, 8, '{"recipe": 1}', "F#m"))
    assert music.metres == ((3, 4),)
    assert (music.key, music.texts) == ("F#m", ('{"recipe": 1}',))
    sixteenth = music.quarter // 4
    assert {
        (track.name, pitch, first // sixteenth, last // sixteenth)
        for track in music.tracks
        for pitch, first, last in track.notes
    } == {
        ("soprano", 67, 8, 12),
        ("soprano", 67, 12, 16),  # two that are struck stay two
        ("soprano", 69, 16, 24),
        ("bass", 43, 8, 24),
    }


def test_each_voice_has_a_track_and_a_channel_of_its_own() -> None:
    file = mido.MidiFile(file=io.BytesIO(encode_midi(TUNE, 16)))
    assert [track.name for track in file.tracks] == ["genui", "soprano", "alto", "tenor", "bass"]
    channels = [{m.channel for m in track if not m.is_meta} for track in file.tracks[1:]]
    assert channels == [{0}, {1}, {2}, {3}]


def _fault(data: bytes) -> str | None:
    """Why these bytes are no MIDI file; None where they are one."""
    try:
        decode_midi(data)
    except ValueError as error:
        return str(error)
    return None


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_in_one_line(data: bytes) -> None:
    for whole in (data, b"MThd" + data, b"MThd\0\0\0\6\0\1\0\1\1\xe0MTrk" + data):
        assert _fault(whole) != ""
        assert "\n" not in (_fault(whole) or "")


@given(st.data())
def test_a_file_that_is_cut_or_changed_is_read_or_refused_in_one_line(data: st.DataObject) -> None:
    whole = bytearray(encode_midi(TUNE, 16, 0, "text"))
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    assert "\n" not in (_fault(cut) or "")


def test_what_is_no_midi_file_a_truncated_one_and_a_huge_one_are_told_apart() -> None:
    whole = encode_midi(TUNE, 16)
    for data, reason in (
        (b"RIFF", "is not a MIDI file"),
        (whole[: len(whole) // 2], "is truncated"),
        (b"MThd" + bytes(MAX_BYTES), "is over 2 MB"),
        (whole[:9] + b"\2" + whole[10:], "several pieces"),
        (whole[:12] + b"\xe7\x28" + whole[14:], "counts in seconds"),
    ):
        with pytest.raises(ValueError, match=reason):
            decode_midi(data)


def _file(*events: bytes) -> bytes:
    """One track of these events, and its end."""
    body = b"".join(events) + b"\0\xff\x2f\0"
    return b"MThd\0\0\0\6\0\1\0\1\1\xe0MTrk" + len(body).to_bytes(4, "big") + body


LAST = b"\xff\xff\xff\x7f"  # the largest number of ticks that four bytes can say


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (_file(b"\xff" * (MAX_BYTES // 2) + b"\x7f\x90\x40\x40"), "a number without an end"),
        (_file(b"\0\x90\x40\x40", LAST + b"\x80\x40\0"), "is over 100,000 quarter notes long"),
        (_file(b"\0\xf0\x8f\xff\x7f"), "is truncated"),
    ],
    ids=["number", "long", "past its end"],
)
def test_what_would_take_too_long_to_read_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        decode_midi(data)


def test_many_events_are_read_whole() -> None:
    """Running status, system exclusive events and texts among them."""
    strike, text, system = b"\0\x90\x40\x40\1\x40\0", b"\0\xff\x01\1a", b"\0\xf0\2\1\xf7"
    music = decode_midi(_file(system, text * 20_000, strike * 5))
    assert len(music.texts) == 20_000
    assert [len(track.notes) for track in music.tracks] == [5]


def test_percussion_is_counted_and_left_out() -> None:
    file = mido.MidiFile()
    track = file.add_track("drums")
    for channel in (9, 2):
        track.append(mido.Message("note_on", channel=channel, note=60, velocity=64))
        track.append(mido.Message("note_off", channel=channel, note=60, time=480))
    buffer = io.BytesIO()
    file.save(file=buffer)
    music = decode_midi(buffer.getvalue())
    assert music.drums == 1
    assert [track.channel for track in music.tracks] == [2]


def test_a_note_that_is_never_ended_ends_with_its_track() -> None:
    file = mido.MidiFile()
    track = file.add_track("t")
    track.append(mido.Message("note_on", note=60, velocity=64))
    track.append(mido.MetaMessage("text", text="end", time=960))
    buffer = io.BytesIO()
    file.save(file=buffer)
    assert decode_midi(buffer.getvalue()).tracks[0].notes == [(60, 0, 960)]
