"""Bach's four-voice chorales: their notes as arrays, and as rows of tokens to train on."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genui.base.errors import GenuiError, MisuseError
from genui.engine.data.preparation import QUIET, Preparation
from genui.kinds.music import chorale
from genui.kinds.music.recipe import MusicRecipe

FILE = Path(__file__).with_name("chorales.npz")
"""Made by tests/bench/pack_chorales.py, which names the source."""

PARTS = ("train", "valid", "test")
LICENCE = "public domain (J. S. Bach), as numbers"


@dataclass(frozen=True)
class Chorale:
    """One piece on a grid of sixteenths: `pitch` uint8 [T, 4] (MIDI numbers, 0 is silence) and
    `onset` bool [T, 4]."""

    bwv: str  # its number in the catalogue of Bach's works
    opening: chorale.Opening
    pitch: NDArray[np.uint8]
    onset: NDArray[np.bool_]

    @property
    def tokens(self) -> NDArray[np.int64]:
        """The grid as tokens, int64 [T, 4]."""
        grid = np.where(self.pitch > 0, self.pitch.astype(np.int64), chorale.LOWEST)
        grid += chorale.FIRST_NOTE - chorale.LOWEST
        silent = self.pitch == 0
        # A rest has an onset like a note, and is held after it.
        was_silent = np.vstack([np.zeros((1, 4), bool), silent[:-1]])
        held = (~self.onset & ~silent) | (silent & was_silent)
        return np.where(held, chorale.HOLD, np.where(silent, chorale.REST, grid))

    @property
    def shifts(self) -> range:
        """Semitones by which it can be transposed with every voice in its range, within -6 to 5."""
        down, up = -6, 5
        for (lowest, highest), pitch in zip(chorale.RANGES, self.pitch.T.astype(int), strict=True):
            sung = pitch[pitch > 0]
            if len(sung):
                down = max(down, min(0, lowest - int(sung.min())))
                up = min(up, max(0, highest - int(sung.max())))
        return range(down, up + 1)


@lru_cache(maxsize=1)
def load_chorales() -> dict[str, tuple[Chorale, ...]]:
    """The chorales of each of PARTS. Raises GenuiError if the file is damaged."""
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
    """16 hexadecimal digits that change when the file does."""
    return hashlib.sha256(FILE.read_bytes()).hexdigest()[:16]


def load_music(recipe: MusicRecipe) -> dict[str, tuple[Chorale, ...]]:
    """Load the recipe's data. Raises MisuseError for any but the chorales."""
    if recipe.data or recipe.dataset != "chorales":
        raise MisuseError(
            f"{recipe.data or recipe.dataset}: music is trained on the chorales that genui brings; "
            "leave out --data"
        )
    return load_chorales()


def describe(parts: dict[str, tuple[Chorale, ...]]) -> str:
    """Describe the data in one line."""
    train, valid, test = (len(parts[part]) for part in PARTS)
    return f"chorales: {train} to train on, {valid} to validate, {test} to test"


def check_music(recipe: MusicRecipe, preparation: Preparation = QUIET) -> str:
    """Load the music of a recipe and describe it in one line."""
    return describe(load_music(recipe))


def row(
    piece: Chorale, leads: frozenset[int] = frozenset(), shift: int = 0, key_known: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Inputs and targets of the network for a whole piece, int64 [4T + 3] each.

    The piece is transposed by `shift` semitones. The first target, where the token of the leading
    voices would be, and the last, after END, are -100, which the loss ignores.
    """
    opening = piece.opening
    key = (opening.key + shift) % 12 + opening.key // 12 * 12 if key_known else chorale.ANY_KEY
    grid = piece.tokens
    grid = np.where((grid >= chorale.FIRST_NOTE), grid + shift, grid)
    slots = np.array(chorale.slot_order(leads, len(grid)))  # [N, 2]: voice, time
    is_end = slots[:, 1] == len(grid)
    at = np.where(is_end, 0, slots[:, 1]), slots[:, 0]
    written = np.where(is_end, chorale.END, grid[at])
    read = np.where(is_end, chorale.END, _as_read(grid)[at])
    slot_places = places(slots, leads, opening)
    tokens = np.concatenate([[chorale.key_token(key), chorale.lead_token(leads)], read])
    voices = np.concatenate([[chorale.NOBODY, chorale.NOBODY], slots[:, 0]])
    next_places = np.concatenate([slot_places[:1], slot_places, [0]])
    targets = np.concatenate([[-100], written, [-100]])
    return tokens + chorale.INPUTS * (voices + (len(chorale.VOICES) + 1) * next_places), targets


def row_length(piece: Chorale) -> int:
    """The length of `row` for a piece, without making it."""
    return len(chorale.VOICES) * len(piece.pitch) + 3


def _as_read(grid: NDArray[np.int64]) -> NDArray[np.int64]:
    """A grid [T, 4] as the network reads it: each HOLD as a token of the note that is held."""
    rows = np.arange(len(grid))[:, None]
    onset_row = np.maximum.accumulate(np.where(grid == chorale.HOLD, 0, rows))
    note = np.take_along_axis(grid, onset_row, axis=0)
    held = (grid == chorale.HOLD) & (note >= chorale.FIRST_NOTE)
    return np.where(held, chorale.SIZE + note - chorale.FIRST_NOTE, grid)


def places(
    slots: NDArray[np.int64], leads: frozenset[int], opening: chorale.Opening
) -> NDArray[np.int64]:
    """`chorale.beat_position` of slots [N, 2], all at once."""
    first = 0 if opening.bar == chorale.BARS[0] else chorale.BARS[0]
    beat = first + (opening.begins + slots[:, 1]) % opening.bar
    return (beat * len(chorale.VOICES) + slots[:, 0]) * 2 + np.isin(slots[:, 0], list(leads))


def count_notes(pieces: Sequence[Chorale]) -> int:
    """The number of onsets in all four voices."""
    return int(sum((piece.onset & (piece.pitch > 0)).sum() for piece in pieces))
