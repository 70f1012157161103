"""Four-voice music as tokens: a voice a sixteenth, a held note told from one struck again.

Nothing but numbers, so that the engine, the app and what is saved share it.

A piece is a grid: at each sixteenth each voice has one token: HOLD (what sounded goes on),
REST, or a note that begins. The grid is written in an `order`: sixteenth by sixteenth, in
each the soprano, the bass, then what lies between them. Voices that *lead* (a given
melody, say) are written LOOKAHEAD sixteenths before the others, so that whoever harmonises
them sees where they are going.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from genui.base.errors import MisuseError

VOICES = ("soprano", "alto", "tenor", "bass")
QUARTER = 4  # sixteenths
LOOKAHEAD = 8  # sixteenths that leading voices are written before the others

LOWEST, HIGHEST = 33, 84
"""MIDI numbers of A1 and C6: the notes that have a token."""

RANGES = ((57, 81), (52, 76), (45, 69), (36, 65))
"""Lowest and highest note of each voice; wider than Bach's own in the chorales by little."""

HOLD, REST, END = 0, 1, 2
FIRST_NOTE = 3
FIRST_KEY = FIRST_NOTE + HIGHEST - LOWEST + 1
ANY_KEY = 24  # the key where none is known
FIRST_LEAD = FIRST_KEY + ANY_KEY + 1
SIZE = FIRST_LEAD + (1 << len(VOICES))
"""How many tokens there are: these three, the notes, the keys, the sets of leading voices."""

VOICE_TOKENS = frozenset({HOLD, REST, *range(FIRST_NOTE, FIRST_KEY)})
"""The tokens that a voice has."""

INPUTS = SIZE + HIGHEST - LOWEST + 1
"""How many the network reads: a HOLD is read as the note that it holds."""

MOST_SIXTEENTHS = 4096
"""Of a piece: 256 bars of 4/4."""

MELODY_FIRST = frozenset({0})
"""What leads where nothing is given: the soprano, as a hymn's tune did for Bach."""

BARS = (16, 12)  # sixteenths of a bar: 4/4, 3/4
METRES = ("4/4", "3/4")
PLACES = sum(BARS) * len(VOICES) * 2

_SHARP = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")
_FLAT = ("C", "D♭", "D", "E♭", "E", "F", "G♭", "G", "A♭", "A", "B♭", "B")
_LETTERS = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
_ORDER = (0, 3, 1, 2)  # of the voices at one sixteenth
_RANK = tuple(_ORDER.index(voice) for voice in range(len(VOICES)))


class Slot(NamedTuple):
    """One token's place in the grid: of `voice` at `sixteenth`."""

    voice: int
    sixteenth: int


@dataclass(frozen=True)
class Opening:
    """What a piece begins as: its key (tonic, 12 more for minor; ANY_KEY), metre and upbeat.

    `begins` is the sixteenth of the bar at which it begins: 0 is the first beat.
    """

    key: int = ANY_KEY
    bar: int = BARS[0]
    begins: int = 0


def note_token(pitch: int) -> int:
    """The token of a MIDI number from LOWEST to HIGHEST that begins."""
    return FIRST_NOTE + pitch - LOWEST


def pitch_of(token: int) -> int | None:
    """The MIDI number that a token begins; None where it begins none."""
    return token - FIRST_NOTE + LOWEST if FIRST_NOTE <= token < FIRST_KEY else None


def key_token(key: int) -> int:
    return FIRST_KEY + key


def lead_token(leads: frozenset[int]) -> int:
    """The token that says which voices lead."""
    return FIRST_LEAD + sum(1 << voice for voice in leads)


@lru_cache(maxsize=16)
def slot_order(leads: frozenset[int], sixteenths: int) -> tuple[Slot, ...]:
    """The slots of a piece of that length as they are written.

    The END of the piece has a slot as well: that of the voice that is written first, one
    sixteenth after its last.
    """
    shift = LOOKAHEAD if leads else 0
    keyed = [
        ((at + (0 if voice in leads else shift)) * len(VOICES) + _RANK[voice], Slot(voice, at))
        for voice in range(len(VOICES))
        for at in range(sixteenths)
    ]
    first = first_voice(leads)
    keyed.append((sixteenths * len(VOICES) + _RANK[first], Slot(first, sixteenths)))
    return tuple(slot for _, slot in sorted(keyed))


def first_voice(leads: frozenset[int]) -> int:
    """The voice that is written first at each sixteenth, and so says when the piece ends."""
    return min(leads or range(len(VOICES)), key=_RANK.__getitem__)


def allowed_tokens(slot: Slot, leads: frozenset[int], sixteenths: int | None) -> frozenset[int]:
    """The tokens that can stand in a slot of a piece whose length, where it is known, is this."""
    if sixteenths is not None:
        return frozenset({END}) if slot.sixteenth == sixteenths else VOICE_TOKENS
    ends = slot.voice == first_voice(leads) and slot.sixteenth > 0
    return VOICE_TOKENS | {END} if ends else VOICE_TOKENS


def beat_position(slot: Slot, leads: frozenset[int], opening: Opening) -> int:
    """Which beat of the bar a slot is at, of which voice, and whether that leads: 0 to PLACES."""
    beat = (opening.begins + slot.sixteenth) % opening.bar
    beat += 0 if opening.bar == BARS[0] else BARS[0]
    return (beat * len(VOICES) + slot.voice) * 2 + (slot.voice in leads)


# --- the network's view: a token, whose it is, and what is asked for next -----------------


NOBODY = len(VOICES)
"""In place of a voice: of the tokens that a piece opens with."""


def input_id(token: int, sounds: int, voice: int, next_position: int) -> int:
    """One number for what the network reads at a position.

    A token, the voice that has it (or NOBODY), and the place of the slot that comes next. Of a
    HOLD the note's token that `sounds` in that voice counts (HOLD or REST where none does).
    """
    if token == HOLD and sounds >= FIRST_NOTE:
        token = SIZE + sounds - FIRST_NOTE
    return token + INPUTS * (voice + (len(VOICES) + 1) * next_position)


def opening_inputs(leads: frozenset[int], opening: Opening) -> tuple[int, int]:
    """What the network reads first: the key, and which voices lead."""
    next_position = beat_position(Slot(first_voice(leads), 0), leads, opening)
    key, lead = key_token(opening.key), lead_token(leads)
    return input_id(key, HOLD, NOBODY, next_position), input_id(lead, HOLD, NOBODY, next_position)


# --- words for people -----------------------------------------------------------------


def spell(pitch: int, flats: bool = False) -> str:
    """A MIDI number as a note: 60 is C4 (the octave as in scientific notation)."""
    names = _FLAT if flats else _SHARP
    return f"{names[pitch % 12]}{pitch // 12 - 1}"


def spell_token(token: int, flats: bool = False) -> str:
    """A token as a person reads it."""
    pitch = pitch_of(token)
    if pitch is not None:
        return spell(pitch, flats)
    return {HOLD: "hold", REST: "rest", END: "end"}.get(token, "·")


def spell_input(number: int) -> str:
    """What `seen` made, as a person reads it: the voice and its token, "S G4"."""
    voice, token = number // INPUTS % (len(VOICES) + 1), number % INPUTS
    if voice == NOBODY:
        return spell_key(token - FIRST_KEY) if token < FIRST_LEAD else "order"
    held = token >= SIZE
    return f"{VOICES[voice][0].upper()} {spell_token(HOLD if held else token)}"


def spell_key(key: int) -> str:
    """A key as a person says it: "G minor"."""
    if key == ANY_KEY:
        return "any key"
    names = _FLAT if has_flats(key) else _SHARP
    return f"{names[key % 12]} {'minor' if key >= 12 else 'major'}"


def key_signature(key: int) -> str:
    """A key as MIDI files have it: "Bb", "F#m"; "" for ANY_KEY."""
    if key == ANY_KEY:
        return ""
    name = (_FLAT if has_flats(key) else _SHARP)[key % 12]
    return name.replace("♯", "#").replace("♭", "b") + ("m" if key >= 12 else "")


def has_flats(key: int) -> bool:
    """Whether a key is usually written with flats."""
    relative = (key + 3) % 12 if 12 <= key < ANY_KEY else key % 12
    return key != ANY_KEY and relative in (1, 3, 5, 8, 10)


def spell_opening(opening: Opening) -> str:
    """The prompt that asks for this opening: "G minor, 3/4, upbeat"."""
    words = [spell_key(opening.key), METRES[BARS.index(opening.bar)]]
    return ", ".join([*words, *(["upbeat"] if opening.begins else [])])


def parse_opening(text: str) -> Opening:
    """An opening from words: a key, a metre, "upbeat" (a quarter), in any order, each optional.

    Raises MisuseError, one line, for a word that is none of these.
    """
    key, bar, upbeat = ANY_KEY, BARS[0], False
    words = text.lower().replace(",", " ").replace("♯", "#").replace("♭", "b").split()
    for word in words:
        if word in ("in", "any", "key"):
            continue
        if word in METRES:
            bar = BARS[METRES.index(word)]
        elif word == "upbeat":
            upbeat = True
        elif word in ("major", "minor") and key != ANY_KEY:
            key = key % 12 + (12 if word == "minor" else 0)
        elif word[0] in _LETTERS and word[1:] in ("", "#", "b") and key == ANY_KEY:
            key = (_LETTERS[word[0]] + {"": 0, "#": 1, "b": -1}[word[1:]]) % 12
        else:
            raise MisuseError(
                f"{word[:24]!r}: a piece is asked for by its key, its metre and an upbeat, each "
                "optional, as in 'G minor, 3/4, upbeat'"
            )
    return Opening(key, bar, bar - QUARTER if upbeat else 0)


def parse_token(word: str) -> int:
    """The token of a word: a note ("G4", "F#3", "Bb2"), "hold" or "-", "rest".

    Raises MisuseError.
    """
    plain = word.strip().lower().replace("♯", "#").replace("♭", "b")
    if plain in ("hold", "-"):
        return HOLD
    if plain in ("rest", "end"):
        return REST if plain == "rest" else END
    letter, rest = plain[:1], plain[1:]
    sign = rest[:1] if rest[:1] in ("#", "b") else ""
    octave = rest[len(sign) :]
    if letter in _LETTERS and octave.isdecimal() and len(octave) == 1:
        pitch = _LETTERS[letter] + {"": 0, "#": 1, "b": -1}[sign] + 12 * (int(octave) + 1)
        if LOWEST <= pitch <= HIGHEST:
            return note_token(pitch)
    raise MisuseError(
        f"{word[:24]!r}: a note is named as C4, F#3 or Bb2, from {spell(LOWEST)} to "
        f"{spell(HIGHEST)}; - holds the one before, and rest is silence"
    )
