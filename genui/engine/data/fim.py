"""Fill-in-the-middle: text rearranged so that a next-token model learns to fill gaps.

Bavarian et al. 2022, "Efficient training of language models to fill in the middle": some training
windows are cut into prefix, middle and suffix, which are reordered with sentinel tokens between
them. Of the paper's orders this is SPM, suffix first: the middle follows its prefix as in plain
text, so a short training can build on plain next-token prediction. Unlike in the paper a sentinel
marks the start of the middle, so that a small model need not infer where the gap begins.

    <|suffix|> suffix <|end|> prefix <|middle|> middle <|end|>

Other models have other layouts: `Tokenizer.gap` says which one a prompt is written in.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from genui.engine.data.tokenizer import Tokenizer, strip_last_space

SPARE = 4
"""Extra tokens read for each piece: text that is cut and tokenised again rarely has fewer."""

LEAST = 16
"""Tokens of the shortest piece that gets a gap."""

_WORD = re.compile(r"[^\W\d]\w+")


@dataclass(frozen=True)
class Gap:
    """A text in three parts."""

    prefix: str
    middle: str
    suffix: str


def cut(text: str, rng: np.random.Generator) -> Gap:
    """Cut a random gap: one word (half of the time), the rest of a line, or any span.

    The paper cuts at two uniform positions; most gaps here are the short ones that people leave
    when they write. A space before the gap is moved into it, because it belongs to the next word's
    token; `strip_last_space` does the same to a prompt.
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


def format_gap(tokenizer: Tokenizer, prefix: str, suffix: str, most: int) -> tuple[list[int], int]:
    """The prompt for filling a gap, at most `most` tokens or the marks alone, and how many tokens
    of the text are left out.

    If the text is longer, the tokens nearest to the gap are kept, at least half of them from the
    prefix if it is long enough. The tokenizer must have gap tokens.
    """
    assert tokenizer.gap is not None
    prefix_ids, suffix_ids = tokenizer.encode(prefix), tokenizer.encode_next(suffix)
    length = len(prefix_ids) + len(suffix_ids)
    begin = [] if tokenizer.begin is None else [tokenizer.begin]
    room = max(0, most - len(begin) - (len(tokenizer.gap.parts) - 2))
    suffix_ids = suffix_ids[: max(room // 2, room - len(prefix_ids))]
    prefix_ids = prefix_ids[max(0, len(prefix_ids) - (room - len(suffix_ids))) :]
    texts = {"prefix": prefix_ids, "suffix": suffix_ids}
    parts = ([part] if isinstance(part, int) else texts[part] for part in tokenizer.gap.parts)
    left_out = length - len(prefix_ids) - len(suffix_ids)
    return [*begin, *chain.from_iterable(parts)], left_out


def rearrange(
    tokens: Sequence[int], length: int, tokenizer: Tokenizer, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A training window with gaps, int64 [length], and a mask of the tokens that fill a gap or
    end it, bool [length].

    This is the paper's context-level FIM, with several pieces to a window so that more ends of
    gaps are learned. Pieces have random lengths: a gap ends with its piece, and with pieces of one
    length a model would count to the end instead of reading the suffix. `tokens` are at least
    `tokens_needed(length)` tokens of the text from the start of the window. A piece is left as it
    is if it contains the end of a document or part of a character, or if the middle does not fit.
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
    """The most tokens of the text that `rearrange` reads."""
    return length + SPARE * (length // LEAST)


def _with_gap(
    piece: Sequence[int], length: int, tokenizer: Tokenizer, rng: np.random.Generator
) -> tuple[list[int], int]:
    """One piece in SPM order, truncated to `length` tokens far from the gap, and how many of its
    last tokens are the middle and its end. Empty if it cannot have a gap."""
    assert tokenizer.end is not None
    text = tokenizer.decode(piece)
    if tokenizer.end in piece or "\ufffd" in text:
        return [], 0
    gap = cut(text, rng)
    middle = [*tokenizer.encode(gap.middle), tokenizer.end]
    row = format_gap(tokenizer, gap.prefix, gap.suffix, length - len(middle))[0] + middle
    return (row, len(middle)) if len(row) == length else ([], 0)
