"""Runs of tokens that stood before: how long one would be repeated, and what that costs."""

import numpy as np

BASE = 1.75  # by which the penalty grows with each token more
LONGEST = 50  # tokens of a run that are looked at; by then its penalty is beyond any logit


def dried(logits: np.ndarray, seen: np.ndarray, multiplier: float, length: int) -> np.ndarray:
    """Logits [V], lower for each token that would make a repeated run longer still.

    DRY (p-e-w 2024, "Don't Repeat Yourself", as in llama.cpp, without its sequence breakers:
    small models of code repeat whole lines). A token that follows the last n tokens of `seen`
    where they stood before loses multiplier × 1.75^(n - length), from n = `length` on.
    """
    lowered = logits.copy()
    for token, run in runs(seen).items():
        if run >= length:
            lowered[token] -= multiplier * BASE ** (run - length)
    return lowered


def runs(seen: np.ndarray) -> dict[int, int]:
    """What followed the end of `seen` where that stood before: how much of the end, in tokens.

    Of several places with the same token after them, the longest counts.
    """
    found: dict[int, int] = {}
    if len(seen) < 2:
        return found
    tokens = seen.tolist()
    for at in np.flatnonzero(seen[:-1] == seen[-1]).tolist():
        run, most = 1, min(LONGEST, at + 1)
        while run < most and tokens[at - run] == tokens[-1 - run]:
            run += 1
        follower = tokens[at + 1]
        found[follower] = max(run, found.get(follower, 0))
    return found
