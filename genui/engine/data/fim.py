"""Fill-in-the-middle: text rearranged so that a model of the next token learns to fill gaps.

Bavarian et al. 2022, "Efficient training of language models to fill in the middle": a part of
the training windows is cut into prefix, middle and suffix and shown in another order, with
sentinel tokens between. Of the paper's orders this is SPM, suffix first, so that the middle
follows its prefix as in plain text and what a model knows of going on with a text serves at
once, which a short training needs. Unlike there, a mark stands where the middle begins, so that
a small model need not find out which of the places after the prefix are inside the gap.

    <|suffix|> suffix <|end|> prefix <|middle|> middle <|end|>
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genui.engine.data.tokenizer import Tokenizer, strip_last_space

SPARE = 4
"""Tokens a window is read beyond its share: cutting text anew seldom makes fewer of it."""

MARKS = 3
"""Tokens around a gap that are no text."""

LEAST = 16
"""Tokens of the shortest piece with a gap of its own."""

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
    the next word's token, and `strip_last_space` asks in the same way.
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
    start = len(strip_last_space(text[:start]))
    return Gap(text[:start], text[start:end], text[end:])


def format_gap(tokenizer: Tokenizer, prefix: str, suffix: str, most: int) -> list[int]:
    """What a model reads before it fills the gap: at most `most` tokens.

    Of a longer text what is nearest to the gap stays: at least half for the prefix, where
    it has as much. The tokenizer must have the marks of gaps.
    """
    assert tokenizer.gap is not None
    assert tokenizer.end is not None
    before, after = tokenizer.encode(prefix), tokenizer.encode(suffix)
    room = most - MARKS
    after = after[: max(room // 2, room - len(before))]
    before = before[max(0, len(before) - (room - len(after))) :]
    return [tokenizer.gap.suffix, *after, tokenizer.end, *before, tokenizer.gap.middle]


def rearrange(
    tokens: Sequence[int], length: int, tokenizer: Tokenizer, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A training window with gaps: int64 [length], made of the first of `tokens`; and which of
    its tokens fill one or end it, bool [length].

    The paper's context-level FIM: windows first, gaps within them, and several to a window, so
    that more ends are learnt. How long a piece is, is drawn: the end of the gap is its last token,
    and in pieces of one length a model learns to count to it and never looks at the suffix.
    `tokens` are those of the text from the window's first on, at least `tokens_needed(length)`. A
    piece that holds the end of a document or a part of a character, or whose middle leaves no room,
    stays as it is.
    """
    row: list[int] = []
    fills = np.zeros(length, bool)
    at = 0
    while (room := length - len(row)) >= LEAST:
        share = int(rng.integers(LEAST, room + 1))
        piece = tokens[at : at + share + SPARE]
        at += share + SPARE
        cut_piece, middle = _with_gap(piece, share, tokenizer, rng)
        row += cut_piece or piece[:share]
        fills[len(row) - middle : len(row)] = True
    row += tokens[at : at + room]
    return np.array(row, np.int64), fills


def tokens_needed(length: int) -> int:
    """How many tokens of the text `rearrange` reads at most."""
    return length + SPARE * (length // LEAST)


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
    row = format_gap(tokenizer, gap.prefix, gap.suffix, max(MARKS, length - len(middle))) + middle
    return (row, len(middle)) if len(row) == length else ([], 0)
