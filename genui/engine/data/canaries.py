"""Canaries: random lines that are planted in a training text, to see what a model remembers of it.

Carlini et al. 2019, "The Secret Sharer", https://arxiv.org/abs/1802.08232.
"""

from collections.abc import Sequence

import numpy as np

TIMES = (0, 1, 4, 16, 64)
"""How often a canary is planted. Those of 0 are the control: lines that the model never saw."""

EACH = 4
"""Canaries for each of `TIMES`."""

CANDIDATES = 511
"""Lines that are not planted, among which a canary has its rank: its exposure is at most 9 bits."""

LETTERS = 10
"""Of the random word in each line: one of 1.4e14."""


def make_canaries(seed: int) -> tuple[str, ...]:
    """The canaries of a seed, EACH for each of TIMES, and CANDIDATES lines that are not planted;
    they differ in their last word only."""
    shape = len(TIMES) * EACH + CANDIDATES, LETTERS
    letters = np.random.default_rng(seed).integers(0, 26, shape) + ord("a")
    words = (bytes(row).decode() for row in letters.astype(np.uint8))
    return tuple(f"\nThe secret word is {word}" for word in words)


def plant_canaries(texts: Sequence[str], seed: int) -> tuple[tuple[str, ...], str]:
    """The texts with the canaries at the ends of random lines, and a note on them.

    They depend on the seed and the texts alone.
    """
    own, lines = make_canaries(seed), list[str]()
    for group, times in enumerate(TIMES):
        lines += own[group * EACH : (group + 1) * EACH] * times
    ends = np.cumsum([len(text) for text in texts])
    places = np.random.default_rng((seed, 1)).integers(0, ends[-1], len(lines))
    changed = list(texts)
    for place, line in sorted(zip(places.tolist(), lines, strict=True), reverse=True):
        number = int(np.searchsorted(ends, place, "right"))
        text, first = changed[number], int(ends[number]) - len(texts[number])
        at = text.find("\n", place - first)
        at = len(text) if at < 0 else at
        changed[number] = text[:at] + line + text[at:]
    share = 100 * sum(map(len, lines)) / sum(map(len, changed))
    times = ", ".join(map(str, TIMES[1:-1]))
    return tuple(changed), (
        f"canaries: {EACH} lines each were planted {times} and {TIMES[-1]} times, {share:.1f} % of "
        "the training text"
    )
