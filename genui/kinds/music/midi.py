"""Standard MIDI files to notes and back, by `mido`."""

import io
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from genui.base.calls import run_program
from genui.base.config import load_config
from genui.base.errors import GenuiError
from genui.formats.audio import encode_wav
from genui.formats.codec import Codec
from genui.formats.recipe import TraceRecipe, recipe_text, to_json
from genui.formats.sample import Difference, Sample
from genui.kinds.music import chorale, score
from genui.protocol import Frame, RgbImage, TextFrame

if TYPE_CHECKING:
    import mido

TICKS = 480  # per quarter note in files that are written
MAX_BYTES = 2 * 1024 * 1024
MAX_QUARTERS = 100_000  # quarter notes; 64 of the longest pieces have two thirds of it
DRUMS = 9  # General MIDI's channel for percussion
VELOCITY = 80
CHOIR = 52  # General MIDI's "Choir Aahs", counted from 0


@dataclass
class MidiTrack:
    """The notes of one channel of one track: (MIDI number, first tick, tick after the last)."""

    name: str
    channel: int
    notes: list[tuple[int, int, int]] = field(default_factory=list)


@dataclass
class MidiMusic:
    """The content of a file; times are ticks from its beginning."""

    quarter: int  # ticks
    tracks: list[MidiTrack]  # those with notes, without percussion
    drums: int = 0  # notes of percussion
    metres: tuple[tuple[int, int], ...] = ()  # such as (4, 4), in order, each once
    key: str = ""  # the first, in mido's spelling: "G", "F#m"
    texts: tuple[str, ...] = ()
    tempos: list[float] = field(default_factory=list)  # quarters a minute, in order


def encode_midi(
    notes: Sequence[tuple[int, int, int, int]],
    bar: int,
    begins: int = 0,
    text: str = "",
    key: str = "",
    tempo: float = chorale.TEMPO,
) -> bytes:
    """A file with a track for each of the four voices and one for metre, tempo, key and `text`.

    `notes` are (voice, MIDI number, first sixteenth, sixteenth after the last). A bar has `bar`
    sixteenths; the piece starts at sixteenth `begins` of a bar, after silence. `text` is ASCII,
    `tempo` in quarters a minute.
    """
    import mido  # late: it takes 30 ms, and the table of codecs imports this file

    file = mido.MidiFile(type=1, ticks_per_beat=TICKS)
    head = file.add_track("genui")
    head.append(mido.MetaMessage("time_signature", numerator=bar // 4, denominator=4))
    head.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo)))
    if key:
        head.append(mido.MetaMessage("key_signature", key=key))
    if text:
        head.append(mido.MetaMessage("text", text=text))
    for voice, name in enumerate(chorale.VOICES):
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
    """The content of a Standard MIDI File of type 0 or 1.

    Raises ValueError, one line, if it is another format, truncated or damaged, counts in seconds
    instead of beats, or has over MAX_BYTES or MAX_QUARTERS.
    """
    import mido

    if not data.startswith(b"MThd"):
        raise ValueError("is not a MIDI file")
    if len(data) > MAX_BYTES:
        raise ValueError(f"is over {MAX_BYTES >> 20} MB")
    if _ENDLESS.search(data):
        raise ValueError("is a damaged MIDI file (a number without an end)")
    try:
        file = mido.MidiFile(file=io.BytesIO(data), clip=True)
    except EOFError:
        raise ValueError("is truncated") from None
    except Exception as error:  # mido raises anything for a damaged file
        reason = " ".join(str(error).split())[:80]
        raise ValueError(f"is a damaged MIDI file ({reason or type(error).__name__})") from None
    if file.type == 2:
        raise ValueError("holds several pieces (MIDI type 2); save one of them by itself")
    if not 0 < file.ticks_per_beat < 0x8000:
        raise ValueError("counts in seconds (SMPTE), not in beats; save it with a tempo")
    longest = max((sum(message.time for message in track) for track in file.tracks), default=0)
    if longest > MAX_QUARTERS * file.ticks_per_beat:
        raise ValueError(f"is over {MAX_QUARTERS:,} quarter notes long")
    music = MidiMusic(file.ticks_per_beat, [])
    metres: dict[tuple[int, int], None] = {}
    texts: list[str] = []
    for track in file.tracks:
        _read_track(track, music, metres, texts)
    music.tracks = [track for track in music.tracks if track.notes]
    music.metres, music.texts = tuple(metres), tuple(texts)
    return music


_ENDLESS = re.compile(rb"[\x80-\xff]{4096}")
"""For a number of a million bytes `mido` takes minutes; no text or message has so many of these."""


def _read_track(
    track: "mido.MidiTrack", music: MidiMusic, metres: dict[tuple[int, int], None], texts: list[str]
) -> None:
    """Adds the content of one track."""
    now, name = 0, ""
    notes: list[tuple[int, int, int, int]] = []  # channel, MIDI number, first tick, last tick
    sounding: dict[tuple[int, int], int] = {}  # channel and MIDI number to the first tick
    for message in track:
        now += message.time
        match message.type:
            case "track_name":
                name = message.name
            case "time_signature":
                metres[message.numerator, message.denominator] = None
            case "set_tempo":
                music.tempos.append(round(60e6 / max(1, message.tempo), 3))
            case "key_signature":
                music.key = music.key or message.key
            case "text":
                texts.append(message.text)
            case "note_on" | "note_off":
                key = (message.channel, message.note)
                if key in sounding:
                    notes.append((*key, sounding.pop(key), now))
                if message.type == "note_on" and message.velocity:
                    sounding[key] = now
    notes += [(*key, first, now) for key, first in sounding.items()]  # they end with the track
    channels: dict[int, MidiTrack] = {}
    for channel, pitch, first, last in notes:
        if last > first and channel == DRUMS:
            music.drums += 1
        elif last > first:
            part = channels.setdefault(channel, MidiTrack(name, channel))
            part.notes.append((pitch, first, last))
    for part in channels.values():
        part.notes.sort(key=lambda note: note[1:])
        music.tracks.append(part)


# --- Notes as sound: a small additive synthesiser ---------------------------------------------
# Each note is a sum of harmonic partials, of which the upper ones decay faster, with an envelope of
# attack, sustain and release; each voice has its own mixture of partials and its own panning.

RATE = 32_000  # samples a second
ATTACK, RELEASE = 0.035, 0.22  # seconds
BRIGHT = 0.5  # seconds in which the upper partials decay to 1/e
_TABLE = 4096  # samples of one period
_PANS = (0.35, 0.62, 0.42, 0.55)  # of each voice: 0 is left, 1 is right
_LEVELS = (0.30, 0.24, 0.24, 0.32)
_FALL = (1.6, 1.9, 1.7, 1.45)  # partial n of a voice has amplitude n ** -fall
_LOWER = 3  # partials that do not decay
_HIGHEST = 12_000.0  # Hz of a partial


def synthesise(notes: Sequence[tuple[int, int, int, int]], tempo: float) -> NDArray[np.int16]:
    """The sound of notes (voice, MIDI number, first sixteenth, sixteenth after the last).

    `tempo` is in quarters a minute. Returns int16 [N, 2], left and right, a second of silence
    after the last note; its loudest sample is at most full scale.
    """
    second = 60 / tempo / 4  # of a sixteenth
    end = max((last for _, _, _, last in notes), default=0)
    sound = np.zeros((round((end * second + 1) * RATE), 2), np.float32)
    for voice, pitch, first, last in notes:
        tone = _tone(voice, pitch, (last - first) * second)
        start = round(first * second * RATE)
        stop = min(len(sound), start + len(tone))
        pan = _PANS[voice]
        sides = np.array([np.cos(pan * np.pi / 2), np.sin(pan * np.pi / 2)], np.float32)
        sound[start:stop] += tone[: stop - start, None] * sides
    loudest = float(np.abs(sound).max(initial=0))
    if loudest > 1:
        sound /= loudest
    return np.rint(sound * 32767).astype(np.int16)


def _tone(voice: int, pitch: int, seconds: float) -> NDArray[np.float32]:
    """One note, float32 [N], of its length and the release."""
    frequency = 440 * 2 ** ((pitch - 69) / 12)
    count = round((seconds + RELEASE) * RATE)
    time = np.arange(count, dtype=np.float32) / RATE
    at = (np.arange(count) * (frequency * _TABLE / RATE)).astype(np.int64) & (_TABLE - 1)
    lower, upper = _tables(voice, min(40, int(min(_HIGHEST, RATE / 2) / frequency)))
    wave = lower[at] + upper[at] * np.exp(-time / BRIGHT)
    rise = np.minimum(time / ATTACK, 1)
    fade = np.clip((seconds + RELEASE - time) / RELEASE, 0, 1) ** 2
    return (wave * rise * fade * _LEVELS[voice]).astype(np.float32)


@lru_cache(maxsize=256)
def _tables(voice: int, partials: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One period of the partials that do not decay, and of those that do."""
    phase = np.arange(_TABLE) * (2 * np.pi / _TABLE)
    waves = [n ** -_FALL[voice] * np.sin(n * phase) for n in range(1, max(1, partials) + 1)]
    lower, upper = (
        np.sum(part, axis=0) if part else np.zeros(_TABLE)
        for part in (waves[:_LOWER], waves[_LOWER:])
    )
    return lower.astype(np.float32), upper.astype(np.float32)


# --- Music played with General MIDI instruments, by fluidsynth if it is installed -------------

FLUID_RATE = 32_000  # samples a second
SECONDS = 120  # time limit of fluidsynth
FOLDERS = ("/usr/share/sounds/sf2", "/usr/share/soundfonts", "/usr/local/share/soundfonts")
FONT = "default-GM.sf2"  # Debian's name of the default one


def soundfont() -> Path | None:
    """The file of the setting `soundfont`, else an installed one; None if there is none."""
    if named := load_config().soundfont:
        return Path(os.path.expanduser(named))
    fonts = [path for folder in FOLDERS for path in sorted(Path(folder).glob("*.sf2"))]
    return next((path for path in fonts if path.name == FONT), next(iter(fonts), None))


def fluidsynth() -> tuple[str, Path]:
    """The program and the soundfont. Raises GenuiError if one is missing."""
    program, font = shutil.which("fluidsynth"), soundfont()
    if program is None:
        raise GenuiError(
            "--gm: needs fluidsynth, which is not installed (as in: apt install fluidsynth "
            "fluid-soundfont-gm); leave it out for the synthesiser that genui brings"
        )
    if font is None or not font.is_file():
        missing = f"{font} is no file" if font is not None else "none is installed"
        raise GenuiError(
            f"--gm: needs a soundfont, and {missing} (as in: apt install fluid-soundfont-gm; "
            "or name one: genui config set soundfont FILE)"
        )
    return program, font


def play(midi: bytes) -> NDArray[np.int16]:
    """The sound of a MIDI file, int16 [N, 2], FLUID_RATE samples a second.

    Raises GenuiError if fluidsynth is missing or fails.
    """
    program, font = fluidsynth()
    with tempfile.TemporaryDirectory(prefix="genui-") as folder:
        score, raw = Path(folder, "tune.mid"), Path(folder, "tune.raw")
        score.write_bytes(midi)
        how = ["-ni", "-q", "-F", str(raw), "-T", "raw", "-O", "s16", "-r", str(FLUID_RATE)]
        try:
            done = run_program([program, *how, str(font), str(score)], SECONDS)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise GenuiError(f"fluidsynth failed ({type(error).__name__})") from None
        if done.returncode or not raw.is_file() or not raw.stat().st_size:
            lines = done.stderr.strip().splitlines()
            reason = lines[-1][:100] if lines else f"exit code {done.returncode}"
            raise GenuiError(f"fluidsynth failed ({reason})")
        pcm = np.frombuffer(raw.read_bytes(), "<i2")
    return pcm[: len(pcm) // 2 * 2].reshape(-1, 2)


# --- Four-voice music as it is saved: a MIDI file, or the sound of it in a WAV ----------------

BETWEEN = 1  # bars of rest between samples


@dataclass(frozen=True)
class Piece:
    """The complete part of a generation."""

    opening: chorale.Opening
    notes: tuple[score.Note, ...]
    sixteenths: int


Notes = tuple[score.Note, ...]
"""Of a saved MIDI file, in sixteenths from its beginning."""


def grid_of_frames(
    init: RgbImage | str | None, prompt: str, frames: Sequence[Frame]
) -> tuple[score.Grid, chorale.Opening]:
    """The notes of a trace's frames, and its opening, from `init` or else from `prompt`."""
    grid, opening = score.grid_of(init if isinstance(init, str) else None, prompt)
    for frame in frames:
        if isinstance(frame, TextFrame):
            grid.write(frame.token)
    return grid, opening


def piece_of(init: RgbImage | str | None, prompt: str, frames: Sequence[Frame]) -> Piece:
    """The complete part of a trace's frames as a piece; see `grid_of_frames`."""
    grid, opening = grid_of_frames(init, prompt, frames)
    return Piece(opening, tuple(grid.notes()), grid.complete)


def concatenate(pieces: Sequence[Piece]) -> Piece:
    """The pieces one after the other, each from its own position in a bar of the first."""
    first = pieces[0]
    bar, begins = first.opening.bar, first.opening.begins
    combined = list(first.notes)
    end = first.sixteenths
    for piece in pieces[1:]:
        bars = -(-(begins + end) // bar) + BETWEEN
        start = bars * bar - begins + piece.opening.begins % bar
        combined += [
            note._replace(first=note.first + start, last=note.last + start) for note in piece.notes
        ]
        end = start + piece.sixteenths
    return Piece(first.opening, tuple(combined), end)


def encode_score(samples: Sequence[Sample], recipe: TraceRecipe, rate: float | None) -> bytes:
    """The pieces as a MIDI file. Raises GenuiError if there is no note."""
    piece = _concatenate(samples, recipe)
    _require_notes(piece)
    opening = piece.opening
    key = chorale.key_signature(opening.key)
    text = to_json(recipe)
    return encode_midi(piece.notes, opening.bar, opening.begins, text, key, opening.tempo)


def encode_played(samples: Sequence[Sample], recipe: TraceRecipe) -> bytes:
    """The pieces as a WAV, played by the synthesiser or, if the view says so, by fluidsynth."""
    orchestra = recipe.view.kind == "orchestra"
    return play_piece(_concatenate(samples, recipe), to_json(recipe), orchestra)


def play_piece(piece: Piece, text: str = "", orchestra: bool = False) -> bytes:
    """A piece as a WAV with `text` inside, played by fluidsynth if `orchestra`.

    Raises GenuiError if there is no note, or no fluidsynth.
    """
    _require_notes(piece)
    opening = piece.opening
    if orchestra:
        midi = encode_midi(piece.notes, opening.bar, tempo=opening.tempo)
        return encode_wav(play(midi), FLUID_RATE, text)
    return encode_wav(synthesise(piece.notes, opening.tempo), RATE, text)


def _concatenate(samples: Sequence[Sample], recipe: TraceRecipe) -> Piece:
    return concatenate([piece_of(recipe.init, one.prompt, one.frames) for one in samples])


def _require_notes(piece: Piece) -> None:
    if not piece.notes:
        raise GenuiError("there is no note to write yet: take more steps")


def decode_score(data: bytes, name: str) -> tuple[Notes, str]:
    """The notes of a MIDI file that genui wrote, and the recipe in it.

    Raises GenuiError if it is not a MIDI file, or notes of one voice overlap.
    """
    try:
        music = decode_midi(data)
        score_notes = []
        for track in music.tracks:
            voice = chorale.VOICES.index(track.name) if track.name in chorale.VOICES else 0
            for pitch, *ticks in track.notes:
                first, last = (4 * tick // music.quarter for tick in ticks)
                score_notes.append(score.Note(voice, pitch, first, last))
        end = max((note.last for note in score_notes), default=0)
        if sum(note.last - note.first for note in score_notes) > end * len(chorale.VOICES):
            raise ValueError("has overlapping notes, so genui did not write it")
    except ValueError as error:
        raise GenuiError(f"{name}: {error}; write or copy it again") from None
    text = next((text for text in music.texts if text.startswith("{")), "")
    return tuple(sorted(score_notes)), recipe_text(text)


def compare_scores(saved: Notes, again: Notes, samples: Sequence[Sample]) -> Difference | None:
    """The first sixteenth at which two scores differ."""
    changed = set(saved) ^ set(again)
    if not changed:
        return None
    at = min(note.first for note in changed) + 1
    return Difference(f"other notes from sixteenth {at} on", {"sixteenth": at})


CODEC = Codec(
    suffix=".mid",
    title="a MIDI file, a track a voice",
    encode=encode_score,
    decode=decode_score,
    difference=compare_scores,
    shows="score",
)
