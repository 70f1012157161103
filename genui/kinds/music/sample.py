"""Generation of four-voice music, token by token, alone or with given voices."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import read_regular, show
from genui.engine.device import Machine
from genui.engine.kinds import Checkpoint
from genui.engine.models.frozen import load_frozen
from genui.engine.sample.logits import NEVER
from genui.engine.sample.stored_logits import fixed_logits
from genui.engine.sample.token_list import TokenList
from genui.engine.sample.tokens import TokenGenerator, TokenState, next_token
from genui.kinds.music import chorale, midi, score
from genui.kinds.music.network import ChoraleTransformer, chorale_config
from genui.kinds.music.recipe import MusicRecipe
from genui.protocol import RgbImage, Settings, Start, Started, TextFrame, TextSettings

# --- Given voices: from a recipe or from a MIDI file ------------------------------------------

OFF_GRID = 1 / 8  # of a sixteenth: a note further from the grid is reported as moved

# Key profiles: the weight of each semitone above the tonic (Krumhansl & Kessler 1982, figure 2).
_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)


def read_given(init: RgbImage | str | None) -> tuple[score.Given | None, tuple[str, ...]]:
    """The voices that `Start.init` gives, and a remark for each change made to them.

    Raises MisuseError or GenuiError, one line, if it gives no voices.
    """
    if init is None:
        return None, ()
    if isinstance(init, RgbImage):
        raise MisuseError("music cannot start from an image: give a MIDI file")
    if init.startswith(score.GIVEN):
        given = score.Given.from_text(init)
        if len(given.leads) == len(chorale.VOICES):
            raise MisuseError("all four voices are given: leave one for the model to write")
        return given, ()
    path, _, voices = init.partition(score.VOICES_OF)
    return from_midi(Path(path), voices)


def from_midi(path: Path, voices: str = "") -> tuple[score.Given, tuple[str, ...]]:
    """The given voices from a MIDI file: those named in `voices` ("soprano,bass"), else those with
    a track of their name, else the highest track as the soprano.

    Raises MisuseError or GenuiError, one line that begins with the path.
    """
    name = show(path)
    data = read_regular(path, midi.MAX_BYTES, "give a MIDI file of one melody")
    if not data:
        raise GenuiError(f"{name}: is empty; write it again")
    try:
        music = midi.decode_midi(data)
    except ValueError as error:
        raise GenuiError(f"{name}: {error}; give a MIDI file of one melody") from None
    try:
        return _convert_midi(music, voices)
    except MisuseError as error:
        raise MisuseError(f"{name}: {error}") from None


def _convert_midi(music: midi.MidiMusic, voices: str) -> tuple[score.Given, tuple[str, ...]]:
    if not music.tracks:
        drums = f" but {music.drums} of percussion" if music.drums else ""
        raise MisuseError(f"it has no notes{drums}; give a melody")
    bar, remarks = _bar_length(music.metres)
    if music.drums:
        remarks.append(f"{music.drums} notes of percussion are left out")
    parts, part_remarks = _assign_voices(music, voices)
    remarks += part_remarks
    first = min(track.notes[0][1] for track in parts.values())
    last = max(end for track in parts.values() for _, _, end in track.notes)
    start = _sixteenth(first, music.quarter)
    length = _sixteenth(last, music.quarter) - start
    if length > chorale.MAX_SIXTEENTHS:
        raise MisuseError(
            f"it is {length // bar} bars long; the most is {chorale.MAX_SIXTEENTHS // bar}: cut it"
        )
    rows: list[bytes] = [b""] * len(chorale.VOICES)
    moved = total = 0
    for voice, track in parts.items():
        rows[voice], off, remark = _voice_tokens(track, voice, start, max(1, length), music.quarter)
        moved, total = moved + off, total + len(track.notes)
        remarks += [remark] if remark else []
    if moved:
        remarks.append(f"{moved} of {total} notes are moved to the nearest sixteenth")
    key = _parse_key(music.key) if music.key else None
    tempo, tempo_remarks = _choose_tempo(music.tempos)
    remarks += tempo_remarks
    key = _likeliest_key(rows) if key is None else key
    opening = chorale.Opening(key, bar, start % bar, tempo)
    soprano, alto, tenor, bass = rows
    return score.Given(opening, (soprano, alto, tenor, bass)), tuple(remarks)


def _bar_length(metres: tuple[tuple[int, int], ...]) -> tuple[int, list[str]]:
    """The sixteenths of a bar by the metres of a file (4/4 if it has none), and remarks."""
    bars = {16 * above // below for above, below in metres or ((4, 4),)}
    text = ", ".join(f"{above}/{below}" for above, below in metres)
    if len(bars) > 1:
        raise MisuseError(f"its metre changes ({text}); the model writes in one, 4/4 or 3/4")
    (bar,) = bars
    compound = any(above % 3 == 0 and above > 3 for above, _ in metres)
    if compound or bar not in (8, *chorale.BARS):
        raise MisuseError(f"its metre is {text}; the model knows 4/4 and 3/4: write it in one")
    if bar == 8:
        return 16, [f"its {text} is read as 4/4"]
    return bar, []


def _choose_tempo(tempos: list[float]) -> tuple[float, list[str]]:
    """The first tempo of a file, if a melody can have it, and remarks."""
    first = tempos[0] if tempos else chorale.TEMPO
    if not chorale.SLOWEST <= first <= chorale.FASTEST:
        most = f"{chorale.SLOWEST:g} to {chorale.FASTEST:g} quarters a minute"
        remark = f"its tempo of {first:g} is not from {most}; it becomes {chorale.TEMPO:g}"
        return chorale.TEMPO, [remark]
    if len(set(tempos)) > 1:
        return first, [f"its tempo changes; the first, {first:g} quarters a minute, is kept"]
    return first, []


def _assign_voices(
    music: midi.MidiMusic, voices: str
) -> tuple[dict[int, midi.MidiTrack], list[str]]:
    """The tracks of the given voices, and remarks; `voices` are names, or "" for any."""
    named: dict[int, midi.MidiTrack] = {}
    for track in music.tracks:
        word = track.name.strip().lower()
        for voice, name in enumerate(chorale.VOICES):
            if word == name and voice not in named:
                named[voice] = track
    if voices:
        wanted = _parse_voices(voices)
        missing = [chorale.VOICES[voice] for voice in sorted(wanted - named.keys())]
        if missing == [chorale.VOICES[voice] for voice in sorted(wanted)] and len(missing) == 1:
            return {wanted.pop(): _highest_track(music)}, []
        if missing:
            raise MisuseError(f"no track is named {missing[0]}; name its tracks after their voices")
        return {voice: named[voice] for voice in wanted}, []
    if named and len(named) < len(chorale.VOICES):
        return named, []
    remark = []
    if len(music.tracks) > 1:
        remark = [f"of its {len(music.tracks)} parts the highest is taken as the soprano"]
    return {0: named.get(0) or _highest_track(music)}, remark


def _parse_voices(voices: str) -> set[int]:
    wanted = set()
    for word in voices.split(","):
        if word.strip().lower() not in chorale.VOICES:
            raise MisuseError(f"no voice {word.strip()[:24]!r}: {', '.join(chorale.VOICES)}")
        wanted.add(chorale.VOICES.index(word.strip().lower()))
    if len(wanted) == len(chorale.VOICES):
        raise MisuseError("all four voices are given: leave one for the model to write")
    return wanted


def _highest_track(music: midi.MidiMusic) -> midi.MidiTrack:
    """The track with the highest mean pitch, weighted by duration."""

    def height(track: midi.MidiTrack) -> float:
        long = [(pitch, last - first) for pitch, first, last in track.notes]
        return sum(pitch * ticks for pitch, ticks in long) / sum(ticks for _, ticks in long)

    return max(music.tracks, key=height)


def _voice_tokens(
    track: midi.MidiTrack, voice: int, start: int, length: int, quarter: int
) -> tuple[bytes, int, str]:
    """The tokens of one voice, how many of its notes were off the grid, and a remark.

    The highest of several notes at once is taken; for the bass the lowest.
    """
    tokens = [chorale.REST, *[chorale.HOLD] * (length - 1)]
    shift = _octave_shift(track, voice)
    outer = min if voice == len(chorale.VOICES) - 1 else max
    notes: dict[int, list[tuple[int, int]]] = {}  # sixteenth to (pitch, end)
    off = 0
    for pitch, first, last in track.notes:
        at = _sixteenth(first, quarter)
        off += abs(first * 4 / quarter - at) > OFF_GRID
        notes.setdefault(at - start, []).append((pitch + shift, _sixteenth(last, quarter) - start))
    lost, until, before = 0, 0, 0
    for at in sorted(notes):
        lost += len(notes[at]) - 1
        pitch, last = outer(notes[at])
        if at >= length or (at < until and outer(pitch, before) == before):
            lost += 1  # hidden by a note that still sounds
            continue
        end = min(length, max(last, at + 1))
        tokens[at:end] = [chorale.note_token(pitch), *[chorale.HOLD] * (end - at - 1)]
        if end < length and end > until:
            tokens[end] = chorale.REST
        until, before = end, pitch
    remarks = []
    if shift:
        remarks.append(f"its {chorale.VOICES[voice]} is moved by {shift // 12:+d} octaves")
    if lost:
        remarks.append(f"{lost} notes that sound under others are left out")
    return bytes(tokens), off, "; ".join(remarks)


def _octave_shift(track: midi.MidiTrack, voice: int) -> int:
    """The semitones, a multiple of 12, that move a track into its voice's range."""
    low, high = chorale.RANGES[voice]
    lowest = min(pitch for pitch, _, _ in track.notes)
    highest = max(pitch for pitch, _, _ in track.notes)
    for octaves in (0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5):
        if low <= lowest + 12 * octaves and highest + 12 * octaves <= high:
            return 12 * octaves
    span = f"{chorale.spell(lowest)} to {chorale.spell(highest)}"
    where = f"the {chorale.VOICES[voice]} sings from {chorale.spell(low)} to {chorale.spell(high)}"
    if highest - lowest > high - low:
        raise MisuseError(f"its notes span {span}, and {where}: no voice can sing them all")
    # Any octave of a transposition that fits will do; report the smallest.
    nearest = min(((by + 6) % 12 - 6 for by in range(low - lowest, high - highest + 1)), key=abs)
    raise MisuseError(f"its notes span {span}, and {where}: transpose it by {nearest:+d} semitones")


def _sixteenth(tick: int, quarter: int) -> int:
    """The nearest sixteenth; `quarter` is in ticks."""
    return (8 * tick + quarter) // (2 * quarter)


def _parse_key(name: str) -> int | None:
    """The key of a key signature as mido spells it ("Bb", "F#m"); None if it is not one."""
    try:
        opening = chorale.parse_opening(name.removesuffix("m"))
    except MisuseError:
        return None
    return opening.key + (12 if name.endswith("m") else 0)


def _likeliest_key(rows: list[bytes]) -> int:
    """The key whose profile correlates best with the notes (Krumhansl 1990, chapter 4)."""
    weight = [0.0] * 12
    for voice, tokens in enumerate(rows):
        for note in score.notes_of_voice(voice, tokens):
            weight[note.pitch % 12] += note.last - note.first
    mean = sum(weight) / 12

    def fit(key: int) -> float:
        profile = _MAJOR if key < 12 else _MINOR
        middle = sum(profile) / 12
        rotated = [profile[(tone - key) % 12] - middle for tone in range(12)]
        norm = sum(one * one for one in rotated) ** 0.5
        return sum(one * (w - mean) for one, w in zip(rotated, weight, strict=True)) / norm

    return max(range(chorale.ANY_KEY), key=fit)


# --- Traces of music --------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class MusicState(TokenState):
    """The piece so far; `logits` [SIZE] are for `slots[step]`."""

    prompt: int = 2  # the key, and the set of leading voices
    slots: Sequence[chorale.Slot] = field(repr=False)  # the position of each token
    opening: chorale.Opening
    leads: frozenset[int]
    given: score.Given | None
    sounds: tuple[int, ...]  # for each voice the token of its last note or rest, else HOLD
    sixteenths: int | None = None  # the length of the piece, if voices are given or it has ended

    @property
    def forced(self) -> int | None:
        """The next token, if it is written by hand or given."""
        if (by_hand := super().forced) is not None:
            return by_hand
        if self.given is None or self.step >= len(self.slots):
            return None
        slot = self.slots[self.step]
        if slot.sixteenth == self.sixteenths:
            return chorale.END
        tokens = self.given.voices[slot.voice]
        return tokens[slot.sixteenth] if tokens else None


class MusicGenerator(TokenGenerator[MusicState]):
    """Generates four-voice music; a step is one voice at one sixteenth."""

    medium = "music"
    edits = "music takes other settings, a seed, notes, or an edit of a layer"

    def begin(self, request: Start) -> tuple[MusicState, Started]:
        """The first state. Raises MisuseError for a prompt that is not an opening, and for voices
        that cannot be given."""
        given, remarks = read_given(request.init)
        opening = given.opening if given is not None else chorale.parse_opening(request.prompt)
        state = self._start(request, opening, given)
        init = None if given is None else given.to_text()
        return state, self.describe_start(
            request, state, chorale.spell_opening(opening), self.medium, *remarks, init=init
        )

    def _start(
        self, request: Start, opening: chorale.Opening, given: score.Given | None
    ) -> MusicState:
        leads = given.leads if given is not None else chorale.MELODY_FIRST
        sixteenths = given.sixteenths if given is not None else None
        state = MusicState(
            token_ids=TokenList(chorale.opening_inputs(leads, opening)),
            slots=chorale.slot_order(leads, sixteenths or chorale.MAX_SIXTEENTHS),
            opening=opening,
            leads=leads,
            given=given,
            sounds=(chorale.HOLD,) * len(chorale.VOICES),
            stored=fixed_logits(np.empty(0)),
            step=0,
            seed=request.seed,
            settings=self.check_settings(request.settings),
            sixteenths=sixteenths,
        )
        return self._with_logits(state)

    def total(self, state: MusicState) -> int:
        """The number of tokens: the whole piece if its length is known, else the budget."""
        if state.sixteenths is not None:
            return len(state.slots)
        return min(state.token_budget, len(state.slots))

    def check_settings(self, settings: Settings) -> TextSettings:
        checked = super().check_settings(settings)
        for name in ("grammar", "watermark"):
            if (value := getattr(checked, name)) != "none":
                raise MisuseError(f"{name} {value}: this model writes music; leave it out")
        return checked

    def check_editable(self, state: MusicState) -> None:
        if state.step >= len(state.slots):
            raise MisuseError(f"the piece ended at step {state.step}: edit it at an earlier step")

    def check_written(self, state: MusicState, written: tuple[int, ...]) -> None:
        if len(written) > len(state.slots) - state.step:
            raise MisuseError(f"{len(written)} notes: the piece has room for fewer")
        if state.sixteenths is None and chorale.END in written[:-1]:
            raise MisuseError("'end' is the end of the piece: write it last")
        for at, token in enumerate(written, state.step):
            if token not in chorale.allowed_tokens(state.slots[at], state.leads, state.sixteenths):
                raise MisuseError(
                    f"{chorale.spell_token(token)!r} cannot stand at step {at + 1}: "
                    "a note from A1 to C6, hold or rest does"
                )

    def parse(self, state: MusicState, text: str) -> tuple[int, ...]:
        written = tuple(chorale.parse_token(word) for word in text.split())
        if not written:
            raise MisuseError("no note is named: write one, as C4, or - to hold")
        return written

    def step(self, state: MusicState) -> tuple[MusicState, TextFrame]:
        flats = chorale.has_flats(state.opening.key)
        frame = next_token(
            state,
            lambda: _note_tokens(state.token_ids),
            lambda token: chorale.spell_token(token, flats),
        )
        after = self._append(state, frame.token)
        return after, msgspec.structs.replace(frame, text=frame.text + " ")

    @property
    def input_size(self) -> int:
        return chorale.INPUTS * (len(chorale.VOICES) + 1) * chorale.PLACES

    def encode(self, text: str) -> list[int]:
        raise MisuseError("music is not steered by texts; ablate a head, or patch by token ids")

    def name(self, token: int) -> str:
        return chorale.spell_token(token)

    def spell(self, token_ids: list[int]) -> tuple[str, ...]:
        """Each input of the network as text: "S G4", "B hold"."""
        return tuple(chorale.spell_input(token) for token in token_ids)

    def _append(self, state: MusicState, token: int) -> MusicState:
        """The state after a token, with the logits of the next slot."""
        slot, slots, sixteenths = state.slots[state.step], state.slots, state.sixteenths
        if token == chorale.END:
            sixteenths = slot.sixteenth
            slots = chorale.slot_order(state.leads, sixteenths)
        step = state.step + 1
        ended = step == len(slots)
        position = 0 if ended else chorale.beat_position(slots[step], state.leads, state.opening)
        sounds = state.sounds
        if token not in (chorale.HOLD, chorale.END):
            sounds = tuple(token if v == slot.voice else s for v, s in enumerate(sounds))
        input_id = chorale.input_id(token, sounds[slot.voice], slot.voice, position)
        token_ids = state.token_ids.appended(input_id)
        state = replace(
            state, token_ids=token_ids, slots=slots, step=step, sixteenths=sixteenths, sounds=sounds
        )
        return state if ended else self._with_logits(state)

    def _with_logits(self, state: MusicState) -> MusicState:
        state = replace(state, stored=fixed_logits(np.empty(0)))  # not those of earlier states
        read = partial(self._slot_logits, state)
        return replace(state, stored=self.store_logits(read))

    def _slot_logits(self, state: MusicState) -> np.ndarray:
        """Logits float32 [SIZE] of the next slot, with the tokens that it cannot have masked."""
        logits = self.read(state.reading)
        return mask_slot(logits, state.slots[state.step], state.leads, state.sixteenths)


def mask_slot(
    logits: np.ndarray, slot: chorale.Slot, leads: frozenset[int], sixteenths: int | None
) -> np.ndarray:
    """A copy of the logits [SIZE] of a slot with NEVER for tokens that it cannot have."""
    allowed = list(chorale.allowed_tokens(slot, leads, sixteenths))
    masked = np.full_like(logits, NEVER)
    masked[allowed] = logits[allowed]
    return masked


def _note_tokens(token_ids: TokenList) -> np.ndarray:
    """The tokens that begin a note, for the repetition penalties."""
    tokens = token_ids.since(0) % chorale.INPUTS
    return tokens[(tokens >= chorale.FIRST_NOTE) & (tokens < chorale.FIRST_KEY)]


def load_music_model(checkpoint: Checkpoint[MusicRecipe], machine: Machine) -> MusicGenerator:
    """The generator of a checkpoint; raises what `kinds.build_generator` says."""
    config = chorale_config(checkpoint.recipe)
    model = load_frozen(lambda: ChoraleTransformer(config), checkpoint.tensors)
    return MusicGenerator(model.to(machine.device), machine)
