"""What a piece is written round: voices that are given, from a recipe or from a MIDI file."""

from pathlib import Path

from genui import notes, score
from genui.errors import GenuiError, MisuseError
from genui.protocol import Picture
from genui.render import midi
from genui.runs.disk import read_regular, shown

OFF_GRID = 1 / 8  # of a sixteenth: a note that is further from the grid than this was moved

# How much each degree of a scale is sounded in a key (Krumhansl & Kessler 1982, figure 2).
_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)


def read_given(init: Picture | str | None) -> tuple[score.Given | None, tuple[str, ...]]:
    """The voices that `Start.init` gives, and a remark on each thing that was changed for it.

    Raises MisuseError or GenuiError, one line, for what gives none.
    """
    if init is None:
        return None, ()
    if isinstance(init, Picture):
        raise MisuseError("music cannot begin from a picture: give a MIDI file")
    if init.startswith(score.GIVEN):
        given = score.Given.from_text(init)
        if len(given.leads) == len(notes.VOICES):
            raise MisuseError("all four voices are given: leave one for the model to write")
        return given, ()
    path, _, voices = init.partition(score.VOICES_OF)
    return from_midi(Path(path), voices)


def from_midi(path: Path, voices: str = "") -> tuple[score.Given, tuple[str, ...]]:
    """The voices of a MIDI file that are given: those named in `voices` ("soprano,bass"), else
    those its tracks are named after, else its highest part as the soprano.

    Raises MisuseError or GenuiError, one line that begins with the path.
    """
    name = shown(path)
    data = read_regular(path, midi.MOST_BYTES, "give a MIDI file of one melody")
    if not data:
        raise GenuiError(f"{name}: is empty; write it again")
    try:
        music = midi.decode_midi(data)
    except ValueError as error:
        raise GenuiError(f"{name}: {error}; give a MIDI file of one melody") from None
    try:
        return _given(music, voices)
    except MisuseError as error:
        raise MisuseError(f"{name}: {error}") from None


def _given(music: midi.MidiMusic, voices: str) -> tuple[score.Given, tuple[str, ...]]:
    if not music.tracks:
        drums = f" but {music.drums} of percussion" if music.drums else ""
        raise MisuseError(f"it has no notes{drums}; give a melody")
    bar, remarks = _bar(music.metres)
    if music.drums:
        remarks.append(f"{music.drums} notes of percussion are left out")
    parts, said = _parts(music, voices)
    remarks += said
    first = min(track.notes[0][1] for track in parts.values())
    last = max(end for track in parts.values() for _, _, end in track.notes)
    start = _sixteenth(first, music.quarter)
    length = _sixteenth(last, music.quarter) - start
    if length > notes.MOST_SIXTEENTHS:
        raise MisuseError(
            f"it is {length // bar} bars long; the most is {notes.MOST_SIXTEENTHS // bar}: cut it"
        )
    rows: list[bytes] = [b""] * len(notes.VOICES)
    moved = total = 0
    for voice, track in parts.items():
        rows[voice], off, remark = _row(track, voice, start, max(1, length), music.quarter)
        moved, total = moved + off, total + len(track.notes)
        remarks += [remark] if remark else []
    if moved:
        remarks.append(f"{moved} of {total} notes are moved to the nearest sixteenth")
    key = _key_of(music.key) if music.key else None
    opening = notes.Opening(_likeliest_key(rows) if key is None else key, bar, start % bar)
    soprano, alto, tenor, bass = rows
    return score.Given(opening, (soprano, alto, tenor, bass)), tuple(remarks)


def _bar(metres: tuple[tuple[int, int], ...]) -> tuple[int, list[str]]:
    """The sixteenths of a bar, from the metres of a file; a file that names none is in 4/4."""
    bars = dict.fromkeys(16 * above // below for above, below in metres or ((4, 4),))
    named = ", ".join(f"{above}/{below}" for above, below in metres)
    if len(bars) > 1:
        raise MisuseError(f"its metre changes ({named}); the model writes in one, 4/4 or 3/4")
    (bar,) = bars
    compound = any(above % 3 == 0 and above > 3 for above, _ in metres)
    if compound or bar not in (8, *notes.BARS):
        raise MisuseError(f"its metre is {named}; the model knows 4/4 and 3/4: write it in one")
    if bar == 8:
        return 16, [f"its {named} is read as 4/4"]
    return bar, []


def _parts(music: midi.MidiMusic, voices: str) -> tuple[dict[int, midi.MidiTrack], list[str]]:
    """The tracks that are given, by voice."""
    named: dict[int, midi.MidiTrack] = {}
    for track in music.tracks:
        word = track.name.strip().lower()
        for voice, name in enumerate(notes.VOICES):
            if word == name and voice not in named:
                named[voice] = track
    if voices:
        wanted = _wanted(voices)
        missing = [notes.VOICES[voice] for voice in sorted(wanted - named.keys())]
        if missing == [notes.VOICES[voice] for voice in sorted(wanted)] and len(missing) == 1:
            return {wanted.pop(): _highest(music)}, []
        if missing:
            raise MisuseError(f"no track is named {missing[0]}; name its tracks after their voices")
        return {voice: named[voice] for voice in wanted}, []
    if named and len(named) < len(notes.VOICES):
        return named, []
    remark = []
    if len(music.tracks) > 1:
        remark = [f"of its {len(music.tracks)} parts the highest is taken as the soprano"]
    return {0: named.get(0) or _highest(music)}, remark


def _wanted(voices: str) -> set[int]:
    wanted = set()
    for word in voices.split(","):
        if word.strip().lower() not in notes.VOICES:
            raise MisuseError(f"no voice {word.strip()[:24]!r}: {', '.join(notes.VOICES)}")
        wanted.add(notes.VOICES.index(word.strip().lower()))
    if len(wanted) == len(notes.VOICES):
        raise MisuseError("all four voices are given: leave one for the model to write")
    return wanted


def _highest(music: midi.MidiMusic) -> midi.MidiTrack:
    """The part whose notes are highest, weighed by how long they sound."""

    def height(track: midi.MidiTrack) -> float:
        long = [(pitch, last - first) for pitch, first, last in track.notes]
        return sum(pitch * ticks for pitch, ticks in long) / sum(ticks for _, ticks in long)

    return max(music.tracks, key=height)


def _row(
    track: midi.MidiTrack, voice: int, start: int, length: int, quarter: int
) -> tuple[bytes, int, str]:
    """The tokens of one voice, how many of its notes were off the grid, and a remark.

    Where several sound at once the highest is taken, of the bass the lowest.
    """
    tokens = [notes.REST, *[notes.HOLD] * (length - 1)]
    shift = _octaves(track, voice)
    outer = min if voice == len(notes.VOICES) - 1 else max
    begun: dict[int, list[tuple[int, int]]] = {}
    off = 0
    for pitch, first, last in track.notes:
        at = _sixteenth(first, quarter)
        off += abs(first * 4 / quarter - at) > OFF_GRID
        begun.setdefault(at - start, []).append((pitch + shift, _sixteenth(last, quarter) - start))
    lost, until, before = 0, 0, 0
    for at in sorted(begun):
        lost += len(begun[at]) - 1
        pitch, last = outer(begun[at])
        if at >= length or (at < until and outer(pitch, before) == before):
            lost += 1  # below a note that still sounds
            continue
        end = min(length, max(last, at + 1))
        tokens[at:end] = [notes.note_token(pitch), *[notes.HOLD] * (end - at - 1)]
        if end < length and end > until:
            tokens[end] = notes.REST
        until, before = end, pitch
    remarks = []
    if shift:
        remarks.append(f"its {notes.VOICES[voice]} is moved by {shift // 12:+d} octaves")
    if lost:
        remarks.append(f"{lost} notes that sound under others are left out")
    return bytes(tokens), off, "; ".join(remarks)


def _octaves(track: midi.MidiTrack, voice: int) -> int:
    """By how many semitones, whole octaves, a part is moved into its voice's range."""
    low, high = notes.RANGES[voice]
    lowest = min(pitch for pitch, _, _ in track.notes)
    highest = max(pitch for pitch, _, _ in track.notes)
    for octaves in (0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5):
        if low <= lowest + 12 * octaves and highest + 12 * octaves <= high:
            return 12 * octaves
    span = f"{notes.spell(lowest)} to {notes.spell(highest)}"
    where = f"the {notes.VOICES[voice]} sings from {notes.spell(low)} to {notes.spell(high)}"
    if highest - lowest > high - low:
        raise MisuseError(f"its notes span {span}, and {where}: no voice can sing them all")
    # Octaves apart from what fits: the nearest of those is the least to transpose by.
    nearest = min(((by + 6) % 12 - 6 for by in range(low - lowest, high - highest + 1)), key=abs)
    raise MisuseError(f"its notes span {span}, and {where}: transpose it by {nearest:+d} semitones")


def _sixteenth(tick: int, quarter: int) -> int:
    return (8 * tick + quarter) // (2 * quarter)


def _key_of(name: str) -> int | None:
    """A key signature as mido spells it: "Bb", "F#m"."""
    try:
        opening = notes.parse_opening(name.removesuffix("m"))
    except MisuseError:
        return None
    return opening.key + (12 if name.endswith("m") else 0)


def _likeliest_key(rows: list[bytes]) -> int:
    """The key whose profile goes best with the notes (Krumhansl 1990, chapter 4)."""
    weight = [0.0] * 12
    for voice, tokens in enumerate(rows):
        for note in score.sounding(voice, tokens):
            weight[note.pitch % 12] += note.last - note.first
    mean = sum(weight) / 12

    def fit(key: int) -> float:
        profile = _MAJOR if key < 12 else _MINOR
        middle = sum(profile) / 12
        turned = [profile[(tone - key) % 12] - middle for tone in range(12)]
        spread = sum(one * one for one in turned) ** 0.5
        return sum(one * (w - mean) for one, w in zip(turned, weight, strict=True)) / spread

    return max(range(notes.ANY_KEY), key=fit)
