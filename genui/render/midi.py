"""Standard MIDI files to notes and back, by `mido`."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import mido

TICKS = 480  # of a quarter, in what is written
TEMPO = 76.0  # quarters a minute
MOST_BYTES = 2 * 1024 * 1024
MOST_NOTES = 100_000
MOST_EVENTS = 400_000
MOST_QUARTERS = 100_000  # of a file's length; 64 of the longest pieces have two thirds of it
DRUMS = 9  # the channel that General MIDI keeps for percussion
VELOCITY = 80
CHOIR = 52  # General MIDI's "Choir Aahs", counted from 0
NAMES = ("soprano", "alto", "tenor", "bass")


@dataclass
class MidiTrack:
    """The notes of one channel of one track: (MIDI number, first tick, tick after the last)."""

    name: str
    channel: int
    notes: list[tuple[int, int, int]] = field(default_factory=list)


@dataclass
class MidiMusic:
    """What a file holds. `quarter` is in ticks; times are from the file's beginning."""

    quarter: int
    tracks: list[MidiTrack]  # those with notes, percussion apart
    drums: int = 0  # notes of percussion
    metres: tuple[tuple[int, int], ...] = ()  # in their order, each once: (4, 4)
    key: str = ""  # the first, as mido spells it: "G", "F#m"
    tempo: float = TEMPO
    texts: tuple[str, ...] = ()


def encode_midi(
    notes: Sequence[tuple[int, int, int, int]],
    bar: int,
    begins: int = 0,
    text: str = "",
    tempo: float = TEMPO,
    key: str = "",
) -> bytes:
    """A file of four tracks, one a voice, and one that has the metre, tempo, key and `text`.

    `notes` are (voice, MIDI number, first sixteenth, sixteenth after the last); a bar has `bar`
    sixteenths and the piece starts at sixteenth `begins` of one, silence before it. `text` is
    ASCII.
    """
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS)
    head = file.add_track("genui")
    head.append(mido.MetaMessage("time_signature", numerator=bar // 4, denominator=4))
    head.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo)))
    if key:
        head.append(mido.MetaMessage("key_signature", key=key))
    if text:
        head.append(mido.MetaMessage("text", text=text))
    for voice, name in enumerate(NAMES):
        track = file.add_track(name)
        track.append(mido.Message("program_change", channel=voice, program=CHOIR))
        events = []
        for at, pitch, first, last in notes:
            if at == voice:
                events += [(begins + last, 0, pitch), (begins + first, 1, pitch)]
        now = 0
        for at, on, pitch in sorted(events):  # a note ends before the next begins
            kind = "note_on" if on else "note_off"
            wait = (at - now) * TICKS // 4
            track.append(
                mido.Message(kind, channel=voice, note=pitch, velocity=VELOCITY * on, time=wait)
            )
            now = at
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def decode_midi(data: bytes) -> MidiMusic:
    """What a Standard MIDI File of type 0 or 1 holds.

    Raises ValueError, one line, where it is none, truncated, over MOST_BYTES or MOST_NOTES, or
    counted in seconds instead of beats, over MOST_EVENTS or MOST_QUARTERS, or has a number of over
    four bytes. These are counted before `mido` reads it, which has no bounds of its own.
    """
    if not data.startswith(b"MThd"):
        raise ValueError("is no MIDI file")
    if len(data) > MOST_BYTES:
        raise ValueError(f"is over {MOST_BYTES >> 20} MB")
    _check_bounds(data)
    try:
        file = mido.MidiFile(file=io.BytesIO(data), clip=True)
    except EOFError:
        raise ValueError("is truncated") from None
    except Exception as error:  # mido raises whatever its parsing stumbles over
        reason = " ".join(str(error).split())[:80]
        raise ValueError(f"is a damaged MIDI file ({reason or type(error).__name__})") from None
    if file.type == 2:
        raise ValueError("holds several pieces (MIDI type 2); save one of them by itself")
    if not 0 < file.ticks_per_beat < 0x8000:
        raise ValueError("counts in seconds (SMPTE), not in beats; save it with a tempo")
    music = MidiMusic(file.ticks_per_beat, [])
    metres: dict[tuple[int, int], None] = {}
    texts: list[str] = []
    for track in file.tracks:
        _read_track(track, music, metres, texts)
    music.tracks = [track for track in music.tracks if track.notes]
    music.metres, music.texts = tuple(metres), tuple(texts)
    if sum(len(track.notes) for track in music.tracks) > MOST_NOTES:
        raise ValueError(f"has over {MOST_NOTES:,} notes")
    return music


def _check_bounds(data: bytes) -> None:
    """Walk the events of a file without keeping any (Standard MIDI Files 1.0, 1996).

    Raises ValueError, one line, where they are too many, last too long or are cut off. What else
    may be wrong with them is for `mido` to say.
    """
    tracks, quarter = (int.from_bytes(data[i : i + 2], "big") for i in (10, 12))
    at = 8 + int.from_bytes(data[4:8], "big")
    events = 0
    for _ in range(tracks):
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "big")
        at, now, status = at + 8, 0, 0
        if end > len(data):
            raise ValueError("is truncated")
        while at < end:
            events += 1
            if events > MOST_EVENTS:
                raise ValueError(f"has over {MOST_EVENTS:,} events")
            delta, at = _variable(data, at)
            now += delta
            if now > MOST_QUARTERS * max(1, quarter):
                raise ValueError(f"is over {MOST_QUARTERS:,} quarter notes long")
            kind, at = data[at] if at < end else 0, at + 1
            known = kind < 0x80  # the status is that of the event before, and this its first byte
            if known:
                kind = status
            elif kind != 0xFF:
                status = kind
            if kind in (0xF0, 0xF7, 0xFF):
                size, at = _variable(data, at + (kind == 0xFF))
            else:
                size = max(0, _SIZES.get(kind & 0xF0 if kind < 0xF0 else kind, 0) - known)
            at += size
        if at > end:
            raise ValueError("is a damaged MIDI file (an event goes on past the end of its track)")


_SIZES = {
    **dict.fromkeys((0x80, 0x90, 0xA0, 0xB0, 0xE0, 0xF2), 2),
    **dict.fromkeys((0xC0, 0xD0, 0xF1, 0xF3), 1),
}
"""Bytes of an event after its status byte; of those that are not here, none."""


def _variable(data: bytes, at: int) -> tuple[int, int]:
    """The number of seven bits a byte that begins there, and where it ends.

    Raises ValueError where it has over four bytes or is cut off.
    """
    value = 0
    for byte in data[at : at + 4]:
        value, at = value << 7 | byte & 0x7F, at + 1
        if byte < 0x80:
            return value, at
    raise ValueError("is truncated" if at >= len(data) else "has a number of over four bytes")


def _read_track(
    track: mido.MidiTrack,
    music: MidiMusic,
    metres: dict[tuple[int, int], None],
    texts: list[str],
) -> None:
    """Add what one track holds."""
    now, name = 0, ""
    channels: dict[int, MidiTrack] = {}
    sounding: dict[tuple[int, int], int] = {}
    for message in track:
        now += message.time
        match message.type:
            case "track_name":
                name = message.name
            case "time_signature":
                metres[message.numerator, message.denominator] = None
            case "key_signature":
                music.key = music.key or message.key
            case "set_tempo" if message.tempo:
                music.tempo = mido.tempo2bpm(message.tempo)
            case "text":
                texts.append(message.text)
            case "note_on" | "note_off":
                here = (message.channel, message.note)
                first = sounding.pop(here, None)
                if first is not None and now > first:
                    _add(music, channels, here, (first, now))
                if message.type == "note_on" and message.velocity:
                    sounding[here] = now
    for here, first in sounding.items():  # never ended: they end with the track
        if now > first:
            _add(music, channels, here, (first, now))
    for one in channels.values():
        one.name = name
        one.notes.sort(key=lambda note: note[1:])
        music.tracks.append(one)


def _add(
    music: MidiMusic,
    channels: dict[int, MidiTrack],
    here: tuple[int, int],
    span: tuple[int, int],
) -> None:
    channel, pitch = here
    if channel == DRUMS:
        music.drums += 1
        return
    track = channels.setdefault(channel, MidiTrack("", channel))
    track.notes.append((pitch, *span))
