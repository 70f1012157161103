"""Four-voice music as tokens, shared by the engine, the app and saved files.

A piece is a grid: at each sixteenth each voice has one token. It is HOLD (the last note is held),
REST, or a note that begins. `slot_order` is the order in which the grid is written: sixteenth by
sixteenth, in each the soprano, the bass, then the voices between them. Voices that *lead* (a given
melody, for example) are written LOOKAHEAD sixteenths before the others, so that the model knows
them before it harmonizes them.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from genui.base.errors import MisuseError

VOICES = ("soprano", "alto", "tenor", "bass")
QUARTER = 4  # sixteenths
LOOKAHEAD = 8  # sixteenths by which leading voices are ahead of the others

LOWEST, HIGHEST = 33, 84
"""MIDI numbers of A1 and C6: the notes that have a token."""

RANGES = ((57, 81), (52, 76), (45, 69), (36, 65))
"""Lowest and highest note of each voice; slightly wider than in Bach's chorales."""

HOLD, REST, END = 0, 1, 2
FIRST_NOTE = 3
FIRST_KEY = FIRST_NOTE + HIGHEST - LOWEST + 1
ANY_KEY = 24  # an unknown key
FIRST_LEAD = FIRST_KEY + ANY_KEY + 1
SIZE = FIRST_LEAD + (1 << len(VOICES))
"""The number of tokens: HOLD, REST, END, the notes, the keys, the sets of leading voices."""

VOICE_TOKENS = frozenset({HOLD, REST, *range(FIRST_NOTE, FIRST_KEY)})
"""The tokens that can stand in a voice."""

INPUTS = SIZE + HIGHEST - LOWEST + 1
"""The number of inputs of the network: a HOLD is read as the note that it holds."""

MAX_SIXTEENTHS = 4096
"""The longest piece: 256 bars of 4/4."""

MELODY_FIRST = frozenset({0})
"""The leading voice if none is given: the soprano, as Bach harmonized a hymn tune."""

BARS = (16, 12)  # sixteenths of a bar: 4/4, 3/4
METRES = ("4/4", "3/4")
TEMPO = 76.0  # quarters a minute
SLOWEST, FASTEST = 30.0, 300.0  # tempos of a melody
PLACES = sum(BARS) * len(VOICES) * 2

_SHARP = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")
_FLAT = ("C", "D♭", "D", "E♭", "E", "F", "G♭", "G", "A♭", "A", "B♭", "B")
_LETTERS = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
_ORDER = (0, 3, 1, 2)  # of the voices at one sixteenth
_RANK = tuple(_ORDER.index(voice) for voice in range(len(VOICES)))


class Slot(NamedTuple):
    """The position of a token in the grid."""

    voice: int
    sixteenth: int


@dataclass(frozen=True)
class Opening:
    """The key of a piece (tonic, 12 more for minor; or ANY_KEY), its metre, upbeat and tempo.

    `begins` is the sixteenth of the bar at which the piece begins: 0 is the first beat.
    """

    key: int = ANY_KEY
    bar: int = BARS[0]
    begins: int = 0
    tempo: float = TEMPO


def note_token(pitch: int) -> int:
    """The token that begins a note: a MIDI number from LOWEST to HIGHEST."""
    return FIRST_NOTE + pitch - LOWEST


def pitch_of(token: int) -> int | None:
    """The MIDI number of the note that a token begins, else None."""
    return token - FIRST_NOTE + LOWEST if FIRST_NOTE <= token < FIRST_KEY else None


def key_token(key: int) -> int:
    return FIRST_KEY + key


def lead_token(leads: frozenset[int]) -> int:
    """The token that says which voices lead."""
    return FIRST_LEAD + sum(1 << voice for voice in leads)


@lru_cache(maxsize=16)
def slot_order(leads: frozenset[int], sixteenths: int) -> tuple[Slot, ...]:
    """The slots of a piece of that length, in the order in which they are written.

    The END of the piece has a slot too: in the first voice, one sixteenth after the last.
    """
    shift = LOOKAHEAD if leads else 0
    ranks = [
        ((at + (0 if voice in leads else shift)) * len(VOICES) + _RANK[voice], Slot(voice, at))
        for voice in range(len(VOICES))
        for at in range(sixteenths)
    ]
    first = first_voice(leads)
    ranks.append((sixteenths * len(VOICES) + _RANK[first], Slot(first, sixteenths)))
    return tuple(slot for _, slot in sorted(ranks))


def first_voice(leads: frozenset[int]) -> int:
    """The voice that is written first at each sixteenth; END stands in it."""
    return min(leads or range(len(VOICES)), key=_RANK.__getitem__)


def allowed_tokens(slot: Slot, leads: frozenset[int], sixteenths: int | None) -> frozenset[int]:
    """The tokens that can stand in a slot; `sixteenths` is the length of the piece, if known."""
    if sixteenths is not None:
        return frozenset({END}) if slot.sixteenth == sixteenths else VOICE_TOKENS
    ends = slot.voice == first_voice(leads) and slot.sixteenth > 0
    return VOICE_TOKENS | {END} if ends else VOICE_TOKENS


def beat_position(slot: Slot, leads: frozenset[int], opening: Opening) -> int:
    """A number below PLACES for the beat of a slot in the bar, its voice and whether it leads."""
    beat = (opening.begins + slot.sixteenth) % opening.bar
    beat += 0 if opening.bar == BARS[0] else BARS[0]
    return (beat * len(VOICES) + slot.voice) * 2 + (slot.voice in leads)


# --- Inputs of the network: a token, its voice, and the position of the next token ----------


NOBODY = len(VOICES)
"""The voice of the tokens before the first slot."""


def input_id(token: int, sounds: int, voice: int, next_position: int) -> int:
    """The input of the network as one number.

    It encodes a token, its voice (or NOBODY), and the `beat_position` of the next slot. For a
    HOLD it has the token of the note that `sounds` in that voice (HOLD or REST if none does).
    """
    if token == HOLD and sounds >= FIRST_NOTE:
        token = SIZE + sounds - FIRST_NOTE
    return token + INPUTS * (voice + (len(VOICES) + 1) * next_position)


def opening_inputs(leads: frozenset[int], opening: Opening) -> tuple[int, int]:
    """The first two inputs of the network: the key, and the leading voices."""
    next_position = beat_position(Slot(first_voice(leads), 0), leads, opening)
    key, lead = key_token(opening.key), lead_token(leads)
    return input_id(key, HOLD, NOBODY, next_position), input_id(lead, HOLD, NOBODY, next_position)


# --- Tokens, keys and openings as text ------------------------------------------------


def spell(pitch: int, flats: bool = False) -> str:
    """A MIDI number as a note: 60 is C4 (the octave as in scientific notation)."""
    names = _FLAT if flats else _SHARP
    return f"{names[pitch % 12]}{pitch // 12 - 1}"


def spell_token(token: int, flats: bool = False) -> str:
    """A token as text."""
    pitch = pitch_of(token)
    if pitch is not None:
        return spell(pitch, flats)
    return {HOLD: "hold", REST: "rest", END: "end"}.get(token, "·")


def spell_input(number: int) -> str:
    """The result of `input_id` as text: the voice and its token, "S G4"."""
    voice, token = number // INPUTS % (len(VOICES) + 1), number % INPUTS
    if voice == NOBODY:
        return spell_key(token - FIRST_KEY) if token < FIRST_LEAD else "order"
    held = token >= SIZE
    return f"{VOICES[voice][0].upper()} {spell_token(HOLD if held else token)}"


def spell_key(key: int) -> str:
    """A key as text: "G minor"."""
    if key == ANY_KEY:
        return "any key"
    names = _FLAT if has_flats(key) else _SHARP
    return f"{names[key % 12]} {'minor' if key >= 12 else 'major'}"


def key_signature(key: int) -> str:
    """A key as in MIDI files: "Bb", "F#m"; "" for ANY_KEY."""
    if key == ANY_KEY:
        return ""
    name = (_FLAT if has_flats(key) else _SHARP)[key % 12]
    return name.replace("♯", "#").replace("♭", "b") + ("m" if key >= 12 else "")


def has_flats(key: int) -> bool:
    """Whether a key is usually written with flats."""
    relative = (key + 3) % 12 if 12 <= key < ANY_KEY else key % 12
    return key != ANY_KEY and relative in (1, 3, 5, 8, 10)


def spell_opening(opening: Opening) -> str:
    """The prompt for this opening: "G minor, 3/4, upbeat"."""
    words = [spell_key(opening.key), METRES[BARS.index(opening.bar)]]
    return ", ".join([*words, *(["upbeat"] if opening.begins else [])])


def parse_opening(text: str) -> Opening:
    """An opening from text: a key, a metre, "upbeat" (a quarter), in any order, each optional.

    Raises MisuseError, one line, for any other word.
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
                f"{word[:24]!r}: give a key, a metre and an upbeat, each optional, as in "
                "'G minor, 3/4, upbeat'"
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
        f"{word[:24]!r}: give a note such as C4, F#3 or Bb2, from {spell(LOWEST)} to "
        f"{spell(HIGHEST)}, - to hold the last note, or rest"
    )
