"""The longest run of a text that stands byte for byte in a body of texts.

Every run of eight bytes that begins at a multiple of four is kept as one number, sorted: any
run of `SHORTEST` bytes, wherever it lies, holds one of them, and is found exactly. That costs
3 bytes a byte of text, where a suffix array would cost 4 or 8.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

GRAM = 8  # bytes that are one number
STRIDE = 4  # bytes between the grams that are kept
SHORTEST = GRAM + STRIDE - 1
"""Bytes: a run of so many is always found, a shorter one may be missed."""

MOST_BYTES = 64 * 2**20
"""Of texts that are indexed; what is beyond is not looked through, and the index says so."""

_GAP = b"\0"  # between two texts: no run goes over it


class Run(NamedTuple):
    """Bytes [start, start + length) of what was asked about, and where the same bytes stand."""

    start: int
    length: int
    place: int  # the first of those bytes in `Verbatim.data`


class Verbatim:
    """An index of texts. `data` is all of them, one after the other, each closed by a gap."""

    def __init__(self, texts: Sequence[bytes]) -> None:
        kept: list[bytes] = []
        self.starts: list[int] = []  # of each text in `data`
        size = 0
        for text in texts:
            if size >= MOST_BYTES:
                break
            self.starts.append(size)
            kept += [text[: MOST_BYTES - size].replace(_GAP, b" "), _GAP]
            size += len(kept[-2]) + 1
        self.whole = size >= sum(map(len, texts)) + len(texts)  # nothing was left out
        self.data = b"".join(kept)
        self._bytes = np.frombuffer(self.data, np.uint8)
        self._aligned = _grams(self.data)[::STRIDE]
        self._order = np.argsort(self._aligned, kind="stable").astype(np.int32)
        self._sorted = self._aligned[self._order]

    def longest(self, text: bytes) -> Run:
        """The longest run of `text` that stands in the texts; of equals the first.

        Its length is 0 where there is none of `SHORTEST` bytes.
        """
        text = text.replace(_GAP, b" ")
        best = Run(0, 0, 0)
        grams = _grams(text)
        if not len(grams):
            return best
        low = np.searchsorted(self._sorted, grams, "left")
        high = np.searchsorted(self._sorted, grams, "right")
        known: dict[bytes, NDArray[np.int64]] = {}  # text that repeats itself is looked for once
        for start in np.flatnonzero(high > low).tolist():
            # A run that beats the best and has its first kept gram here goes on at least so far:
            # it is looked for from the rarest of its grams.
            least = max(best.length + 1 - (STRIDE - 1), GRAM)
            if start + least > len(text):
                break
            piece = text[start : start + least]
            if (places := known.get(piece)) is None:
                chain = np.arange(start, start + least - GRAM + 1, GRAM)
                rarest = int(chain[(high[chain] - low[chain]).argmin()])
                places = self._order[low[rarest] : high[rarest]].astype(np.int64) * STRIDE
                places = self._matching(grams, chain, places - (rarest - start), start)
                known[piece] = places
            if len(places):
                length = least // GRAM * GRAM
                found = self._extended(text, grams, start, length, places)
                if found.length > best.length:
                    best, known = found, {}
        return best if best.length >= SHORTEST else Run(0, 0, 0)

    def where(self, place: int) -> tuple[int, int]:
        """Which text a byte of `data` is in and at which line of it, both counted from 1."""
        number = bisect_right(self.starts, place)
        return number, 1 + self.data.count(b"\n", self.starts[number - 1], place)

    def _matching(
        self,
        grams: NDArray[np.uint64],
        chain: NDArray[np.int64],
        places: NDArray[np.int64],
        start: int,
    ) -> NDArray[np.int64]:
        """Those of `places` where every gram of the chain that begins at `start` stands."""
        places = places[places >= 0]
        for at in chain[::-1].tolist():  # the far end first: there most of them part
            on = (places + (at - start)) // STRIDE
            places, on = places[on < len(self._aligned)], on[on < len(self._aligned)]
            places = places[self._aligned[on] == grams[at]]
        return places

    def _extended(
        self,
        text: bytes,
        grams: NDArray[np.uint64],
        start: int,
        length: int,
        places: NDArray[np.int64],
    ) -> Run:
        """The longest run with the `length` bytes from `start` on, which stand at `places`."""
        before = self._before(text, start, places)
        best = Run(0, 0, 0)

        def note() -> None:
            """Keep the place from which the run, as long as it is now, goes back furthest."""
            nonlocal best
            far = int(before.argmax())
            back = int(before[far])
            if length + back > best.length:
                best = Run(start - back, length + back, int(places[far]) - back)

        def keep(alike: NDArray[np.bool_]) -> bool:
            nonlocal places, before
            if not alike.all():
                note()
            places, before = places[alike], before[alike]
            return len(places) > 0

        while start + length + GRAM <= len(text):
            on = (places + length) // STRIDE
            alike = on < len(self._aligned)
            alike[alike] = self._aligned[on[alike]] == grams[start + length]
            if not alike.any() or not keep(alike):
                break
            length += GRAM
        while start + length < len(text):
            # A gap, which no text holds, is the last of all bytes.
            on = np.minimum(places + length, len(self._bytes) - 1)
            if not keep(self._bytes[on] == text[start + length]):
                return best
            length += 1
        note()
        return best

    def _before(self, text: bytes, start: int, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many bytes before `start` stand before each place too, as far as it matters.

        With `STRIDE` of them the run was found from an earlier gram.
        """
        alike = np.ones(len(places), bool)
        before = np.zeros(len(places), np.int64)
        for back in range(1, min(start, STRIDE - 1) + 1):
            on = np.maximum(places - back, 0)
            alike &= (places >= back) & (self._bytes[on] == text[start - back])
            before += alike
        return before


def _grams(data: bytes) -> NDArray[np.uint64]:
    """The eight bytes from every position on, as one number each: [len(data) - 7]."""
    count = len(data) - GRAM + 1
    if count <= 0:
        return np.empty(0, np.uint64)
    grams = np.empty(count, np.uint64)
    for offset in range(min(GRAM, count)):
        whole = (len(data) - offset) // GRAM
        grams[offset::GRAM] = np.frombuffer(data, "<u8", whole, offset)
    return grams
