"""Texts split into words and encoded as arrays, for tokenizers that merge within words only.

Words recur: each is encoded once, and looked up from then on. Byte-level BPE splits a text before
it merges, by the expression of GPT-2 (Radford et al. 2019). Here NumPy finds the same words in the
bytes of a text, and looks up all of those of a block at once: 16 bytes are compared as two numbers.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

# --- Where words begin ------------------------------------------------------------------------

SPACE, LETTER, DIGIT, SIGN, OTHER, BORDER = range(6)
"""Classes of bytes. OTHER is not ASCII; BORDER stands between texts."""

END, CUT = 0xFF, 0xFE
"""Borders, bytes that UTF-8 does not have: the end token comes there, or nothing."""

_CLASSES = np.full(256, SIGN, np.uint8)
_CLASSES[list(b" \t\n\v\f\r")] = SPACE
_CLASSES[[*range(ord("A"), ord("Z") + 1), *range(ord("a"), ord("z") + 1)]] = LETTER
_CLASSES[list(b"0123456789")] = DIGIT
_CLASSES[128:] = OTHER
_CLASSES[[END, CUT]] = BORDER


def find_words(text: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Where the words of a text in UTF-8 [N] begin, N at least 1.

    A space belongs to the word after it, and of several the last. Letters, digits and signs are
    words each, and so are `'s 't 're 've 'm 'll 'd`. What is not ASCII is one word with all that is
    around it up to the next space, for the tokenizer to split.
    """
    kinds = _CLASSES.take(text)
    starts = np.empty(len(text), bool)
    starts[0] = True
    np.not_equal(kinds[1:], kinds[:-1], out=starts[1:])
    spaces = kinds == SPACE
    starts |= kinds == BORDER
    before_word = spaces[:-1] & ~spaces[1:] & (kinds[1:] != BORDER)  # the last of some spaces
    starts[:-1] |= before_word
    starts[1:] &= ~(before_word & (text[:-1] == ord(" ")))
    _split_contractions(text, starts)
    if (kinds == OTHER).any():
        _join_others(text, kinds, starts, before_word)
    return np.flatnonzero(starts)


def _split_contractions(text: NDArray[np.uint8], starts: NDArray[np.bool_]) -> None:
    quotes = np.flatnonzero((text == ord("'")) & starts)
    padded = np.append(text, np.zeros(2, np.uint8))
    one, two = padded[quotes + 1], padded[quotes + 2]
    short = np.isin(one, list(b"stmd"))
    long = np.isin(one, list(b"rv")) & (two == ord("e")) | (one == ord("l")) & (two == ord("l"))
    starts[quotes[short | long] + 1] = False
    after = np.concatenate((quotes[short] + 2, quotes[long] + 3))
    starts[after[after < len(text)]] = True


_MAYBE_SPACE = list(b"\xc2\xe1\xe2\xe3")
"""First bytes of the spaces that are not ASCII, and of other characters."""


def _join_others(
    text: NDArray[np.uint8],
    kinds: NDArray[np.uint8],
    starts: NDArray[np.bool_],
    before_word: NDArray[np.bool_],
) -> None:
    """Let no word begin in a run with OTHER, nor in the spaces around it up to the last one, since
    OTHER may be a space itself."""
    runs = _edges((kinds != SPACE) & (kinds != BORDER))
    first, end = runs[np.logical_or.reduceat(kinds == OTHER, runs[:, 0])].T
    gaps = _edges(kinds == SPACE)
    if len(gaps):
        before = gaps[np.minimum(np.searchsorted(gaps[:, 1], first), len(gaps) - 1)].T
        # Between two that may be spaces no word begins at all.
        is_joined = np.isin(text[first], _MAYBE_SPACE) & (kinds[before[0] - 1] == OTHER)
        joined = before[0] - (is_joined & (before[0] > 0))
        after = gaps[np.minimum(np.searchsorted(gaps[:, 0], end), len(gaps) - 1)].T
        last = after[1] - 1
        last += ~np.append(before_word, False)[last]  # all, if no word comes after them
        first = np.where(before[1] == first, joined, first)
        end = np.where(after[0] == end, last, end)
    change = np.zeros(len(kinds) + 1, np.int8)
    change[first + 1] += 1
    change[end] -= 1
    starts &= np.cumsum(change[:-1], dtype=np.int8) == 0


def _edges(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """First and end of each run of true flags, [runs, 2]."""
    return np.flatnonzero(np.diff(flags, prepend=False, append=False)).reshape(-1, 2)


# --- Words to token ids -----------------------------------------------------------------------

BLOCK = 1 << 17
"""Bytes that are encoded at once: what is computed of them stays in the processor's cache."""

TAIL = 4
"""Bytes at the end of a block in which no word begins: the next bytes may belong to it."""

MOST_WORDS = 1 << 18
"""The most words that are remembered, about 60 MB."""

LONG_WORD = 100
"""Bytes; a longer word is not remembered."""

_BITS = 18
_SHORT = 16  # bytes of a word in the table
_SHIFT = np.uint64(64 - _BITS)
_MASKS = np.array([(1 << 8 * count) - 1 for count in range(9)], np.uint64)
_HEAD = _MASKS[np.minimum(np.arange(_SHORT + 1), 8)]
_REST = _MASKS[np.maximum(np.arange(_SHORT + 1) - 8, 0)]
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9))

HEAD, REST, LENGTH, ENTRY = range(4)
"""Columns of the table: the first and the next 8 bytes of a word, its length, and its entry."""


class WordEncoder:
    """Encodes texts by their words, of which `encode` has the token ids."""

    def __init__(
        self,
        encode: Callable[[list[str]], Iterable[Sequence[int]]],
        end: int | None,
        dtype: np.dtype,
    ) -> None:
        self._encode, self._end, self._dtype = encode, end, dtype
        self._clear()

    def _clear(self) -> None:
        # A word stands in the table at the hash of its bytes, if that place was free. The others,
        # and longer ones, are looked up in the dictionary.
        self._table = np.zeros((1 << _BITS, 4), np.uint64)
        self._entries: dict[bytes, int] = {}
        self._count = 0  # entries
        self._first = np.zeros(MOST_WORDS, np.int64)  # of the token ids of an entry
        self._length = np.zeros(MOST_WORDS, np.int64)
        self._token_ids = np.zeros(4 * MOST_WORDS, self._dtype)
        self._used = 0
        self._add(bytes((END,)), [] if self._end is None else [self._end])
        self._add(bytes((CUT,)), [])

    def encode(self, texts: Iterable[tuple[str, bool]]) -> NDArray[np.unsignedinteger]:
        """The token ids of texts, each with whether the end token comes after it."""
        data = b"".join(
            part for text, ends in texts for part in (text.encode(), bytes((END if ends else CUT,)))
        )
        parts, start, length = [], 0, BLOCK
        while start < len(data):
            block = data[start : start + length]
            is_last = start + length >= len(data)
            words = find_words(np.frombuffer(block, np.uint8))
            if not is_last:
                words = words[words <= length - TAIL]
                if len(words) < 2:  # one word
                    length *= 2
                    continue
            stop = len(block) if is_last else int(words[-1])
            parts.append(self._encode_block(block[:stop], words if is_last else words[:-1]))
            start, length = start + stop, BLOCK
        return np.concatenate(parts) if parts else np.zeros(0, self._dtype)

    def _encode_block(self, block: bytes, starts: NDArray[np.int64]) -> NDArray:
        if self._count > MOST_WORDS or self._used > 4 * MOST_WORDS:
            self._clear()
        lengths = np.diff(starts, append=len(block))
        short = np.minimum(lengths, _SHORT)
        # The 8 bytes from each byte on, as a number.
        eight = np.ndarray((len(block) + 8,), "<u8", block + bytes(_SHORT), strides=(1,))
        head = eight[starts] & _HEAD.take(short)
        rest = eight[starts + 8] & _REST.take(short)
        size = lengths.view(np.uint64)
        mixed = (head * _MIX[0] ^ rest * _MIX[1]) + size * _MIX[2]
        slots = (mixed * _MIX[0] >> _SHIFT).view(np.int64)
        rows = self._table.take(slots, 0)
        is_known = (rows[:, HEAD] == head) & (rows[:, REST] == rest) & (rows[:, LENGTH] == size)
        entries = rows[:, ENTRY].view(np.int64).copy()
        missing = np.flatnonzero(~(is_known & (lengths <= _SHORT)))
        if len(missing):
            entries[missing] = self._look_up(block, starts[missing], lengths[missing])
            places = slots[missing]
            free = (self._table[places, LENGTH] == 0) & (lengths[missing] <= _SHORT)
            new = missing[free]
            values = (head[new], rest[new], size[new], entries[new].view(np.uint64))
            # Of several words for one place the last stays, whole.
            self._table[places[free]] = np.stack(values, axis=1)
        first, count = self._first.take(entries), self._length.take(entries)
        end = np.cumsum(count)
        index = np.repeat(first - end + count, count)
        index += np.arange(len(index))
        return self._token_ids.take(index)

    def _look_up(
        self, block: bytes, starts: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> list[int]:
        """The entries of words, which are made for new ones."""
        ends = (starts + lengths).tolist()
        words = [block[start:end] for start, end in zip(starts.tolist(), ends, strict=True)]
        entries = self._entries
        new = [word for word in dict.fromkeys(words) if word not in entries]
        encoded = self._encode([word.decode() for word in new])
        for word, token_ids in zip(new, encoded, strict=True):
            self._add(word, token_ids)
        result = [entries[word] for word in words]
        for word in new:
            if len(word) > LONG_WORD:
                del entries[word]
        return result

    def _add(self, word: bytes, token_ids: Sequence[int]) -> None:
        entry, stop = self._count, self._used + len(token_ids)
        if entry == len(self._first):
            self._first = np.append(self._first, np.zeros_like(self._first))
            self._length = np.append(self._length, np.zeros_like(self._length))
        if stop > len(self._token_ids):
            more = np.zeros(len(self._token_ids) + len(token_ids), self._dtype)
            self._token_ids = np.append(self._token_ids, more)
        self._first[entry], self._length[entry] = self._used, len(token_ids)
        self._token_ids[self._used : stop] = token_ids
        self._entries[word] = entry
        self._count, self._used = entry + 1, stop
