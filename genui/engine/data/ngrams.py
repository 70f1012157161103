"""A text as a bag of n-grams: words and pairs of words, and runs of three characters.

Each n-gram is a number by hashing (Weinberger et al. 2009), so that there is no vocabulary to
keep and a word never seen before has its characters still.
"""

import itertools
import re
import zlib
from collections.abc import Iterator

import numpy as np

CHARACTERS = 3

_WORDS = re.compile(r"\w+|[^\w\s]")


def bag(text: str, buckets: int) -> np.ndarray:
    """The n-grams of a text as int64 [n], each 0 to `buckets` - 1; n is at least 1.

    The last bucket is that of nothing: an empty text has it alone.
    """
    found = [zlib.crc32(gram.encode("utf-8", "replace")) % (buckets - 1) for gram in _grams(text)]
    return np.array(found or [buckets - 1], np.int64)


def _grams(text: str) -> Iterator[str]:
    words = _WORDS.findall(text.lower())
    yield from words
    yield from map(" ".join, itertools.pairwise(words))
    plain = " ".join(text.split())
    for at in range(len(plain) - CHARACTERS + 1):
        yield "\0" + plain[at : at + CHARACTERS]
