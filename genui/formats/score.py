"""A piece as it is written: a grid of tokens that fills, the notes in it, voices that are given.

`genui.protocol.chorale` says what the tokens are. Nothing but numbers here either.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from genui.base.errors import MisuseError
from genui.protocol import chorale

GIVEN = "notes:"
"""As `Start.init`: what follows are voices, as `Given.to_text` writes them."""

VOICES_OF = "\0"
"""Between a path and the voices that are taken of it, where those are named."""


@dataclass(frozen=True)
class Given:
    """Voices that stand: of each its tokens, a sixteenth each; none of one to be written."""

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
        """One line that `from_text` reads back."""
        opening = self.opening
        voices = (tokens.hex() for tokens in self.voices)
        return GIVEN + ";".join([f"{opening.key};{opening.bar};{opening.begins}", *voices])

    @classmethod
    def from_text(cls, text: str) -> "Given":
        """What `to_text` wrote. Raises MisuseError where it is not that."""
        fields = text.removeprefix(GIVEN).split(";")
        try:
            key, bar, begins = map(int, fields[:3])
            soprano, alto, tenor, bass = (bytes.fromhex(field) for field in fields[3:])
        except ValueError:
            raise MisuseError("the given voices are damaged: give them again") from None
        given = cls(chorale.Opening(key, bar, begins), (soprano, alto, tenor, bass))
        lengths = {len(tokens) for tokens in given.voices if tokens}
        sane = key in range(chorale.ANY_KEY + 1) and bar in chorale.BARS and begins in range(bar)
        sung = chorale.VOICE_TOKENS.issuperset(b"".join(given.voices))
        if not (sane and sung and len(lengths) == 1 and max(lengths) <= chorale.MOST_SIXTEENTHS):
            raise MisuseError("the given voices are damaged: give them again")
        return given


class Note(NamedTuple):
    """A note of `voice`: a MIDI number from sixteenth `first` up to `last`, which it leaves."""

    voice: int
    pitch: int
    first: int
    last: int


def notes_of_voice(voice: int, tokens: Sequence[int]) -> list[Note]:
    """The notes of one voice. A hold after nothing is silence."""
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
    """What a voice sounds at a sixteenth: whether it is struck there, and the step (from 1)
    that wrote it."""

    pitch: int
    struck: bool
    step: int


def columns_of(notes: Sequence[Note], sixteenths: int) -> list[list[Sound | None]]:
    """Notes as they sound at each sixteenth; no step wrote them."""
    columns: list[list[Sound | None]] = [[None] * len(chorale.VOICES) for _ in range(sixteenths)]
    for note in notes:
        for at in range(note.first, note.last):
            columns[at][note.voice] = Sound(note.pitch, at == note.first, 0)
    return columns


class Grid:
    """A piece as it is written, token by token in its order.

    `sixteenths` is its length where that is known: of given voices, and once its END came.
    """

    def __init__(self, leads: frozenset[int], sixteenths: int | None = None) -> None:
        self.leads = leads
        self.sixteenths = sixteenths
        self.voices: tuple[list[int], ...] = tuple([] for _ in chorale.VOICES)
        self.columns: list[list[Sound | None]] = []  # a sixteenth each: what its voices sound
        self._slots = chorale.slot_order(leads, sixteenths or chorale.MOST_SIXTEENTHS)
        self._written = 0

    @property
    def next(self) -> chorale.Slot | None:
        """The slot that is written next; None at the end."""
        return self._slots[self._written] if self._written < len(self._slots) else None

    def write(self, token: int) -> chorale.Slot:
        """Write the next token; where it went."""
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
        """Where the token of a step went, from 1 on."""
        return self._slots[step - 1]

    def head(self, step: int) -> int:
        """The sixteenth that the voices which do not lead have come to with a step; -1 at 0."""
        if not step:
            return -1
        voice, sixteenth = self.slot(step)
        return max(0, sixteenth - chorale.LOOKAHEAD) if voice in self.leads else sixteenth

    @property
    def complete(self) -> int:
        """How many sixteenths have all their voices."""
        return min(map(len, self.voices))

    def notes(self) -> list[Note]:
        """The notes of the sixteenths that are complete, voice by voice."""
        return [
            note
            for voice, tokens in enumerate(self.voices)
            for note in notes_of_voice(voice, tokens[: self.complete])
        ]


def grid_of(init: str | None, prompt: str) -> tuple[Grid, chorale.Opening]:
    """An empty grid for a trace begun from `Start.init` and its prompt, and how it begins.

    Raises MisuseError where these are not such.
    """
    if init is None:
        return Grid(chorale.MELODY_FIRST), chorale.parse_opening(prompt)
    given = Given.from_text(init)
    return Grid(given.leads, given.sixteenths), given.opening
