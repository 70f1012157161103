"""Near duplicates in a training text, found by MinHash and removed (Broder 1997; Lee et al. 2022).

Two texts are as similar as the Jaccard index of the sets of their pieces of eight bytes, without
capitals and blank space. MinHash only proposes pairs; their similarity is then computed exactly.
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from genui.base.errors import MisuseError
from genui.base.text import clean_line
from genui.engine.data.preparation import Report

PIECE = 8
BANDS, ROWS = 21, 3
"""Two texts are compared if all ROWS numbers of one of BANDS agree: of pairs that are similar by
0.5 94 % are, of those by 0.7 all but one in 6,000 (computed)."""

SHORTEST = 100
"""Characters; shorter texts stay."""

MOST = 1 << 20
"""The most texts: their numbers take 252 bytes each."""

_PARAGRAPH = re.compile(r"\n\s*\n")
_FACTORS = np.random.default_rng(1).integers(0, 2**63, BANDS * ROWS, np.uint64) * 2 + 1


def remove_near_duplicates(
    train: Sequence[str], held: Sequence[str], least: float, report: Report
) -> tuple[tuple[str, ...], str]:
    """The training texts without those that are at least as similar as `least`, in (0, 1], to an
    earlier one or to a held-out one, and a note on what was removed.

    Of a single text its paragraphs are compared. Raises MisuseError if there are too many.
    """
    texts, others = ([*part] if len(train) > 1 else _split(part) for part in (train, held))
    if len(texts) + len(others) > MOST:
        raise MisuseError(
            f"near_duplicates={least:g}: at most {MOST:,} texts are compared, and these are "
            f"{len(texts) + len(others):,}; give fewer, or leave it out"
        )
    gone = _find([*others, *texts], len(others), least, report)[len(others) :]
    kept = [text for text, is_gone in zip(texts, gone, strict=True) if not is_gone]
    removed = [text for text, is_gone in zip(texts, gone, strict=True) if is_gone]
    noun = "texts" if len(train) > 1 else "paragraphs"
    share = 100 * sum(map(len, removed)) / sum(map(len, texts))
    note = f"near duplicates: {len(removed):,} of {len(texts):,} {noun} were removed"
    if removed:
        note += f", {share:.1f} % of the training text; the first: {clean_line(removed[0], 60)!r}"
    if len(train) == 1 and removed:
        kept = ["\n\n".join(kept)]
    return tuple(kept if removed else train), note


def _split(texts: Sequence[str]) -> list[str]:
    return [part for text in texts for part in _PARAGRAPH.split(text)]


def _find(texts: Sequence[str], known: int, least: float, report: Report) -> NDArray[np.bool_]:
    """Which of the texts [N] are near duplicates of an earlier one; of the first `known` none."""
    long = [i for i, text in enumerate(texts) if len(text) >= SHORTEST]
    numbers = np.empty((len(long), BANDS, ROWS), np.uint32)
    for row, i in enumerate(long):
        numbers[row] = _minima(pieces_of(texts[i])).reshape(BANDS, ROWS)
        if row % 1000 == 0:
            report(f"near duplicates: {row:,} of {len(long):,} texts")
    gone = np.zeros(len(texts), bool)
    for band in range(BANDS):
        first: dict[bytes, int] = {}
        report(f"near duplicates: comparing, {band} of {BANDS}")
        for row, i in enumerate(long):
            j = i if gone[i] else first.setdefault(numbers[row, band].tobytes(), i)
            gone[i] |= j != i and i >= known and similarity(texts[i], texts[j]) >= least
    return gone


def similarity(one: str, other: str) -> float:
    """The Jaccard index of two texts, 0 to 1."""
    a, b = pieces_of(one), pieces_of(other)
    both = len(np.intersect1d(a, b, assume_unique=True))
    return both / max(1, len(a) + len(b) - both)


def pieces_of(text: str) -> NDArray[np.uint64]:
    """The different pieces of a text as numbers, sorted."""
    raw = " ".join(text.lower().split()).encode("utf-8", "replace")
    raw = np.frombuffer(raw.ljust(PIECE), np.uint8)
    return np.unique(np.lib.stride_tricks.sliding_window_view(raw, PIECE).copy().view("<u8"))


def _minima(pieces: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """The least number that each of the hash functions gives a piece: [BANDS · ROWS]."""
    least = np.full(len(_FACTORS), 2**32 - 1, np.uint32)
    for at in range(0, len(pieces), 4096):
        part = pieces[at : at + 4096]
        part = (part ^ part >> 31) * np.uint64(0x9E3779B97F4A7C15)
        hashed = ((part ^ part >> 29)[:, None] * _FACTORS) >> np.uint64(32)
        least = np.minimum(least, hashed.min(axis=0).astype(np.uint32))
    return least
