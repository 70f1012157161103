"""Bach's four-voice chorales as numbers, and as rows of tokens to train on."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genui.base.errors import GenuiError, MisuseError
from genui.protocol import chorale
from genui.recipes import MusicRecipe

FILE = Path(__file__).with_name("chorales.npz")
"""Made by tests/bench/pack_chorales.py, which says from what."""

PARTS = ("train", "valid", "test")
LICENCE = "public domain (J. S. Bach), as numbers"


@dataclass(frozen=True)
class Chorale:
    """One piece: `pitch` uint8 [T, 4] (MIDI numbers, 0 is silence), `onset` bool [T, 4]."""

    bwv: str  # its number in the catalogue of Bach's works
    opening: chorale.Opening
    pitch: NDArray[np.uint8]
    onset: NDArray[np.bool_]

    @property
    def tokens(self) -> NDArray[np.int64]:
        """The grid [T, 4] as tokens."""
        grid = np.where(self.pitch > 0, self.pitch.astype(np.int64), chorale.LOWEST)
        grid += chorale.FIRST_NOTE - chorale.LOWEST
        silent = self.pitch == 0
        # A rest is struck once, like a note, and then held.
        before = np.vstack([np.zeros((1, 4), bool), silent[:-1]])
        held = (~self.onset & ~silent) | (silent & before)
        return np.where(held, chorale.HOLD, np.where(silent, chorale.REST, grid))

    @property
    def shifts(self) -> range:
        """By how many semitones it can be moved with every voice within its range."""
        sung = np.where(self.pitch > 0, self.pitch.astype(int), -1)
        down, up = -6, 5
        for voice, (lowest, highest) in enumerate(chorale.RANGES):
            heard = sung[:, voice][sung[:, voice] >= 0]
            if len(heard):
                down = max(down, min(0, lowest - int(heard.min())))
                up = min(up, max(0, highest - int(heard.max())))
        return range(down, up + 1)


@lru_cache(maxsize=1)
def load_chorales() -> dict[str, tuple[Chorale, ...]]:
    """The chorales of each of PARTS. Raises GenuiError where the file is damaged."""
    try:
        with np.load(FILE, allow_pickle=False) as file:
            fields = {name: file[name] for name in file.files}
        lengths = fields["length"].astype(int)
        pitch = fields["pitch"]
        onset = np.unpackbits(fields["onset"])[: pitch.size].reshape(pitch.shape).astype(bool)
    except (OSError, ValueError, KeyError) as error:
        raise GenuiError(f"{FILE}: is damaged ({error}); install genui again") from None
    ends = np.cumsum(lengths)
    parts: dict[str, list[Chorale]] = {part: [] for part in PARTS}
    for at, end in enumerate(ends):
        rows = slice(end - lengths[at], end)
        opening = chorale.Opening(*(int(fields[name][at]) for name in ("key", "bar", "begins")))
        piece = Chorale(str(fields["bwv"][at]), opening, pitch[rows], onset[rows])
        parts[PARTS[fields["part"][at]]].append(piece)
    return {part: tuple(pieces) for part, pieces in parts.items()}


def fingerprint() -> str:
    """Of exactly these numbers."""
    return hashlib.sha256(FILE.read_bytes()).hexdigest()[:16]


def load_music(recipe: MusicRecipe) -> dict[str, tuple[Chorale, ...]]:
    """The recipe's data. Raises MisuseError for any but the chorales."""
    if recipe.data or recipe.dataset != "chorales":
        raise MisuseError(
            f"{recipe.data or recipe.dataset}: music is trained on the chorales that genui brings; "
            "leave out --data"
        )
    return load_chorales()


def describe(parts: dict[str, tuple[Chorale, ...]]) -> str:
    """One line for a person."""
    train, valid, test = (len(parts[part]) for part in PARTS)
    return f"chorales: {train} to train on, {valid} to validate, {test} to test"


def check_music(recipe: MusicRecipe) -> str:
    """One line describing the music a recipe would train on, having read it."""
    return describe(load_music(recipe))


def row(
    piece: Chorale, leads: frozenset[int] = frozenset(), shift: int = 0, key_known: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What the network reads of a whole piece, and what it should answer; both [4T + 3].

    `shift` moves it by semitones. The first answer, the leading voices, is none of the
    network's to give: it is -100, which a loss passes over.
    """
    opening = piece.opening
    key = (opening.key + shift) % 12 + opening.key // 12 * 12 if key_known else chorale.ANY_KEY
    grid = piece.tokens
    grid = np.where((grid >= chorale.FIRST_NOTE), grid + shift, grid)
    slots = np.array(chorale.slot_order(leads, len(grid)))
    last = slots[:, 1] == len(grid)
    at = np.where(last, 0, slots[:, 1]), slots[:, 0]
    written = np.where(last, chorale.END, grid[at])
    heard = np.where(last, chorale.END, _as_read(grid)[at])
    next_slots = places(slots, leads, opening)
    tokens = np.concatenate([[chorale.key_token(key), chorale.lead_token(leads)], heard])
    voices = np.concatenate([[chorale.NOBODY, chorale.NOBODY], slots[:, 0]])
    next_places = np.concatenate([next_slots[:1], next_slots, [0]])
    answers = np.concatenate([[-100], written, [-100]])
    return tokens + chorale.INPUTS * (voices + (len(chorale.VOICES) + 1) * next_places), answers


def row_length(piece: Chorale) -> int:
    """How many tokens `row` of a piece has, without making it."""
    return len(chorale.VOICES) * len(piece.pitch) + 3


def _as_read(grid: NDArray[np.int64]) -> NDArray[np.int64]:
    """A grid [T, 4] with each HOLD as the network reads it: the note that it holds."""
    rows = np.arange(len(grid))[:, None]
    struck = np.maximum.accumulate(np.where(grid == chorale.HOLD, 0, rows))
    sounds = np.take_along_axis(grid, struck, axis=0)
    held = (grid == chorale.HOLD) & (sounds >= chorale.FIRST_NOTE)
    return np.where(held, chorale.SIZE + sounds - chorale.FIRST_NOTE, grid)


def places(
    slots: NDArray[np.int64], leads: frozenset[int], opening: chorale.Opening
) -> NDArray[np.int64]:
    """`notes.place` of slots [N, 2], all at once."""
    first = 0 if opening.bar == chorale.BARS[0] else chorale.BARS[0]
    beat = first + (opening.begins + slots[:, 1]) % opening.bar
    return (beat * len(chorale.VOICES) + slots[:, 0]) * 2 + np.isin(slots[:, 0], list(leads))


def count_notes(pieces: Sequence[Chorale]) -> int:
    """How many notes begin in them, of all four voices."""
    return int(sum((piece.onset & (piece.pitch > 0)).sum() for piece in pieces))
