"""Four-voice music as it is saved: a MIDI file, or the sound of it in a WAV."""

from collections.abc import Sequence
from dataclasses import dataclass

from genui import notes, score
from genui.errors import GenuiError
from genui.protocol import Frame, Picture, TextFrame

BETWEEN = 1  # bars of rest between samples


@dataclass(frozen=True)
class Piece:
    """What a generation came to, as far as it is complete."""

    opening: notes.Opening
    notes: tuple[score.Note, ...]
    sixteenths: int


@dataclass(frozen=True)
class ScoreFile:
    """The notes of a saved MIDI file, in sixteenths from its beginning."""

    notes: tuple[score.Note, ...]


def written(
    init: Picture | str | None, prompt: str, frames: Sequence[Frame]
) -> tuple[score.Grid, notes.Opening]:
    """What a trace's frames wrote, begun from `init` or as `prompt` asks."""
    grid, opening = score.grid_of(init if isinstance(init, str) else None, prompt)
    for frame in frames:
        if isinstance(frame, TextFrame):
            grid.write(frame.token)
    return grid, opening


def piece_of(init: Picture | str | None, prompt: str, frames: Sequence[Frame]) -> Piece:
    """The piece that a trace's frames are, begun from `init` or as `prompt` asks."""
    grid, opening = written(init, prompt, frames)
    return Piece(opening, tuple(grid.heard()), grid.complete)


def joined(pieces: Sequence[Piece]) -> Piece:
    """The pieces one after the other; each begins where it does in a bar of the first."""
    first = pieces[0]
    bar, begins = first.opening.bar, first.opening.begins
    heard = list(first.notes)
    end = first.sixteenths
    for piece in pieces[1:]:
        bars = -(-(begins + end) // bar) + BETWEEN
        start = bars * bar - begins + piece.opening.begins % bar
        heard += [
            note._replace(first=note.first + start, last=note.last + start) for note in piece.notes
        ]
        end = start + piece.sixteenths
    return Piece(first.opening, tuple(heard), end)


def encode(kind: str, pieces: Sequence[Piece], text: str, orchestra: bool = False) -> bytes:
    """The pieces as "mid" or "wav", with `text` inside; `orchestra`: played by fluidsynth.

    Raises GenuiError where there is no note, or no fluidsynth.
    """
    from genui.render.midi import TEMPO, encode_midi

    piece = joined(pieces)
    if not piece.notes:
        raise GenuiError("there is no note here to write yet: take more steps")
    opening = piece.opening
    key = notes.key_signature(opening.key)
    if kind == "mid":
        return encode_midi(piece.notes, opening.bar, opening.begins, text, key=key)
    from genui.render.wav import encode_wav

    if orchestra:
        from genui.saved import fluid

        return encode_wav(fluid.play(encode_midi(piece.notes, opening.bar)), fluid.RATE, text)
    from genui.render.synth import RATE, synthesise

    return encode_wav(synthesise(piece.notes, TEMPO), RATE, text)


def decode(data: bytes) -> tuple[ScoreFile, str]:
    """The notes of a MIDI file that genui wrote, and the text in it.

    Raises ValueError, a reason, where it is no MIDI file, or notes of one voice sound at once.
    """
    from genui.render.midi import decode_midi

    music = decode_midi(data)
    found = []
    for track in music.tracks:
        voice = notes.VOICES.index(track.name) if track.name in notes.VOICES else 0
        for pitch, *ticks in track.notes:
            first, last = (4 * tick // music.quarter for tick in ticks)
            found.append(score.Note(voice, pitch, first, last))
    end = max((note.last for note in found), default=0)
    if sum(note.last - note.first for note in found) > end * len(notes.VOICES):
        raise ValueError("has notes that overlap, which genui writes none of")
    text = next((text for text in music.texts if text.startswith("{")), "")
    return ScoreFile(tuple(sorted(found))), text


def difference(one: ScoreFile, other: ScoreFile) -> int | None:
    """The first sixteenth at which two scores differ; None where nowhere."""
    apart = set(one.notes) ^ set(other.notes)
    return min((note.first for note in apart), default=None)
