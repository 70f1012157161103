"""A piece while it is generated: the grid of its tokens, its notes, and voices that are given.

The tokens are defined in `genui.kinds.music.chorale`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from genui.base.errors import MisuseError
from genui.kinds.music import chorale

GIVEN = "notes:"
"""In `Start.init`: the prefix of voices as `Given.to_text` writes them."""

VOICES_OF = "\0"
"""In `Start.init`: separates the path of a MIDI file from the names of the voices to use."""


@dataclass(frozen=True)
class Given:
    """Given voices: the tokens of each, one a sixteenth; empty for a voice to be generated."""

    opening: chorale.Opening
    voices: tuple[bytes, bytes, bytes, bytes]

    @property
    def leads(self) -> frozenset[int]:
        """The voices that are given."""
        return frozenset(at for at, tokens in enumerate(self.voices) if tokens)

    @property
    def sixteenths(self) -> int:
        return max(map(len, self.voices))

    def to_text(self) -> str:
        """One line, for `from_text`."""
        opening = self.opening
        voices = (tokens.hex() for tokens in self.voices)
        begin = f"{opening.key};{opening.bar};{opening.begins}"
        return GIVEN + ";".join([begin, *voices, f"{opening.tempo}"])

    @classmethod
    def from_text(cls, text: str) -> "Given":
        """The inverse of `to_text`. Raises MisuseError if the text is damaged."""
        fields = text.removeprefix(GIVEN).split(";")
        try:
            key, bar, begins = map(int, fields[:3])
            soprano, alto, tenor, bass = (bytes.fromhex(field) for field in fields[3:7])
            tempo = float(fields[7]) if fields[7:] else chorale.TEMPO  # older files have none
        except ValueError:
            raise MisuseError("the given voices are damaged: give them again") from None
        given = cls(chorale.Opening(key, bar, begins, tempo), (soprano, alto, tenor, bass))
        lengths = {len(tokens) for tokens in given.voices if tokens}
        sane = key in range(chorale.ANY_KEY + 1) and bar in chorale.BARS and begins in range(bar)
        sane = sane and chorale.SLOWEST <= tempo <= chorale.FASTEST
        sung = chorale.VOICE_TOKENS.issuperset(b"".join(given.voices))
        if not (sane and sung and len(lengths) == 1 and max(lengths) <= chorale.MAX_SIXTEENTHS):
            raise MisuseError("the given voices are damaged: give them again")
        return given


class Note(NamedTuple):
    """A note: a MIDI number from sixteenth `first` up to `last`, exclusive."""

    voice: int
    pitch: int
    first: int
    last: int


def notes_of_voice(voice: int, tokens: Sequence[int]) -> list[Note]:
    """The notes of one voice. A hold at the beginning or after a rest is silence."""
    sounds: list[Note] = []
    open_note: tuple[int, int] | None = None  # pitch, first
    for at, token in enumerate(tokens):
        if token == chorale.HOLD:
            continue
        if open_note is not None:
            sounds.append(Note(voice, *open_note, at))
        pitch = chorale.pitch_of(token)
        open_note = None if pitch is None else (pitch, at)
    if open_note is not None:
        sounds.append(Note(voice, *open_note, len(tokens)))
    return sounds


class Sound(NamedTuple):
    """The sound of a voice at a sixteenth."""

    pitch: int
    struck: bool  # the note begins here
    step: int  # that generated it, from 1


def columns_of(notes: Sequence[Note], sixteenths: int) -> list[list[Sound | None]]:
    """The sounds of all voices at each sixteenth; their step is 0."""
    columns: list[list[Sound | None]] = [[None] * len(chorale.VOICES) for _ in range(sixteenths)]
    for note in notes:
        for at in range(note.first, note.last):
            columns[at][note.voice] = Sound(note.pitch, at == note.first, 0)
    return columns


class Grid:
    """A piece while its tokens are generated.

    `sixteenths` is its length, known for given voices and after END.
    """

    def __init__(self, leads: frozenset[int], sixteenths: int | None = None) -> None:
        self.leads = leads
        self.sixteenths = sixteenths
        self.voices: tuple[list[int], ...] = tuple([] for _ in chorale.VOICES)
        self.columns: list[list[Sound | None]] = []  # the sounds of the voices at each sixteenth
        self._slots = chorale.slot_order(leads, sixteenths or chorale.MAX_SIXTEENTHS)
        self._written = 0

    @property
    def next(self) -> chorale.Slot | None:
        """The slot of the next token; None at the end."""
        return self._slots[self._written] if self._written < len(self._slots) else None

    def write(self, token: int) -> chorale.Slot:
        """Writes the next token and returns its slot."""
        slot = self._slots[self._written]
        self._written += 1
        if token == chorale.END:
            self.sixteenths = slot.sixteenth
            self._slots = chorale.slot_order(self.leads, slot.sixteenth)
        else:
            self.voices[slot.voice].append(token)
            self._sound(slot, token)
        return slot

    def _sound(self, slot: chorale.Slot, token: int) -> None:
        if slot.sixteenth == len(self.columns):
            self.columns.append([None] * len(chorale.VOICES))
        pitch = chorale.pitch_of(token)
        if token == chorale.HOLD and slot.sixteenth:
            before = self.columns[slot.sixteenth - 1][slot.voice]
            pitch = before.pitch if before is not None else None
        if pitch is not None:
            sound = Sound(pitch, token != chorale.HOLD, self._written)
            self.columns[slot.sixteenth][slot.voice] = sound

    def slot(self, step: int) -> chorale.Slot:
        """The slot of the token of a step, from 1."""
        return self._slots[step - 1]

    def head(self, step: int) -> int:
        """The last sixteenth of the voices that do not lead, after a step; -1 at step 0."""
        if not step:
            return -1
        voice, sixteenth = self.slot(step)
        return max(0, sixteenth - chorale.LOOKAHEAD) if voice in self.leads else sixteenth

    @property
    def complete(self) -> int:
        """The number of sixteenths that have all voices."""
        return min(map(len, self.voices))

    def notes(self) -> list[Note]:
        """The notes of the complete sixteenths, voice by voice."""
        return [
            note
            for voice, tokens in enumerate(self.voices)
            for note in notes_of_voice(voice, tokens[: self.complete])
        ]


def grid_of(init: str | None, prompt: str) -> tuple[Grid, chorale.Opening]:
    """An empty grid and the opening for a trace with this `Start.init` and prompt.

    Raises MisuseError if they are not frames of music.
    """
    if init is None:
        return Grid(chorale.MELODY_FIRST), chorale.parse_opening(prompt)
    given = Given.from_text(init)
    return Grid(given.leads, given.sixteenths), given.opening


def describe_given(text: str) -> str:
    """Given voices in words: "a given soprano and bass, G major, 4/4"."""
    given = Given.from_text(text)
    named = " and ".join(chorale.VOICES[voice] for voice in sorted(given.leads))
    return f"a given {named}, {chorale.spell_opening(given.opening)}"


def split_init(init: str) -> dict[str, str]:
    """The options of `genui generate` for a `Start.init` that names a MIDI file."""
    path, _, voices = init.partition(VOICES_OF)
    return {"melody": path, "voices": voices} if voices else {"melody": path}
