"""Fill-in-the-middle: text rearranged so that a model of the next token learns to fill gaps.

Bavarian et al. 2022, "Efficient training of language models to fill in the middle": a part of
the training windows is cut into prefix, middle and suffix and shown in another order, with
sentinel tokens between. Of the paper's orders this is SPM, suffix first (its variant 2, with
<PRE><SUF> as one token): the middle follows its prefix as in plain text, so what a model knows
of going on with a text serves at once, which a short training needs.

    <|suffix|> suffix <|middle|> prefix middle <|end|>
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genui.engine.data.tokenizer import Tokenizer, left_open

SPARE = 4
"""Tokens a window is read beyond its share: cutting text anew seldom makes fewer of it."""

_PIECES = (1, 2, 4, 8)  # of a window, each with a gap of its own: more ends are learnt
MOST_PIECES = max(_PIECES)
_WORD = re.compile(r"[^\W\d]\w+")


@dataclass(frozen=True)
class Gap:
    """A text in three parts; their concatenation is the text."""

    prefix: str
    middle: str
    suffix: str


def cut(text: str, rng: np.random.Generator) -> Gap:
    """A gap in `text`: anywhere, the rest of a line, or one word.

    The paper cuts at two places drawn uniformly. Most of the gaps here are the short ones
    that people leave when they write. A space before the gap goes into it: it is a part of
    the next word's token, and `left_open` asks in the same way.
    """
    kind = rng.random()
    if kind < 0.5 and (words := list(_WORD.finditer(text))):
        start, end = words[rng.integers(len(words))].span()
    elif kind < 0.75:
        start = int(rng.integers(len(text) + 1))
        newline = text.find("\n", start)
        end = len(text) if newline < 0 else newline
    else:
        start, end = sorted(rng.integers(len(text) + 1, size=2).tolist())
    start = len(left_open(text[:start]))
    return Gap(text[:start], text[start:end], text[end:])


def asked(tokenizer: Tokenizer, prefix: str, suffix: str, most: int) -> list[int]:
    """What a model reads before it fills the gap: at most `most` tokens.

    Of a longer text what is nearest to the gap stays: at least half for the prefix, where
    it has as much. The tokenizer must have the marks of gaps.
    """
    assert tokenizer.gap is not None
    before, after = tokenizer.encode(prefix), tokenizer.encode(suffix)
    room = most - 2
    after = after[: max(room // 2, room - len(before))]
    before = before[max(0, len(before) - (room - len(after))) :]
    return [tokenizer.gap.suffix, *after, tokenizer.gap.middle, *before]


def rearranged(
    tokens: Sequence[int], length: int, tokenizer: Tokenizer, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A training window with gaps: int64 [length], made of the first of `tokens`; and which of
    its tokens fill one or end it, bool [length].

    The paper's context-level FIM: windows first, gaps within them. `tokens` are those of the
    text from the window's first on, at least `length` + MOST_PIECES × SPARE. A piece that holds
    the end of a document or a part of a character, or whose middle leaves no room, stays as
    it is.
    """
    pieces = _PIECES[rng.integers(len(_PIECES))]
    shares = [length // pieces + (index < length % pieces) for index in range(pieces)]
    row: list[int] = []
    fills = np.zeros(length, bool)
    at = 0
    for share in shares:
        piece = tokens[at : at + share + SPARE]
        at += share + SPARE
        found, middle = _with_gap(piece, share, tokenizer, rng)
        row += found or piece[:share]
        fills[len(row) - middle : len(row)] = True
    return np.array(row, np.int64), fills


def _with_gap(
    piece: Sequence[int], length: int, tokenizer: Tokenizer, rng: np.random.Generator
) -> tuple[list[int], int]:
    """One piece in SPM order, cut to `length` tokens away from its gap, and how many of its last
    tokens are the middle and its end; empty where none fits."""
    assert tokenizer.end is not None
    text = tokenizer.decode(piece)
    if tokenizer.end in piece or "\ufffd" in text:
        return [], 0
    gap = cut(text, rng)
    middle = [*tokenizer.encode(gap.middle), tokenizer.end]
    row = asked(tokenizer, gap.prefix, gap.suffix, max(2, length - len(middle))) + middle
    return (row, len(middle)) if len(row) == length else ([], 0)
