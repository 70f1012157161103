"""From a model's logits to one token: penalties, temperature, filters, and the draw."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from genui.protocol import TextSettings

# --- DRY: runs of tokens that stood before, and what repeating one costs ----------------------

BASE = 1.75  # by which the penalty grows with each token more
LONGEST = 50  # tokens of a run that are looked at; by then its penalty is beyond any logit


def apply_dry(logits: np.ndarray, seen: np.ndarray, multiplier: float, length: int) -> np.ndarray:
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
    longest: dict[int, int] = {}
    if len(seen) < 2:
        return longest
    tokens = seen.tolist()
    for at in np.flatnonzero(seen[:-1] == seen[-1]).tolist():
        run, most = 1, min(LONGEST, at + 1)
        while run < most and tokens[at - run] == tokens[-1 - run]:
            run += 1
        follower = tokens[at + 1]
        longest[follower] = max(run, longest.get(follower, 0))
    return longest


# --- From a model's logits to one token: penalties, temperature, filters, and the draw --------
# The order is that of `transformers`' logits processors: repetition penalty, DRY, temperature,
# top-k, top-p, min-p; each filter looks at what the one before left.

NEVER = -1e4
"""The logit of what cannot be written: its probability is 0."""

FILTERS = ("", "top-k", "top-p", "min-p", "grammar")
REFUSALS = 64
"""So many tokens are refused at one place, then the next one drawn is taken whatever it is."""


@dataclass(frozen=True)
class Distribution:
    """What a token is drawn from.

    `probability` float64 [V] sums to 1. `filters` uint8 [V] says what dropped each token, as an
    index of FILTERS; greedy choosing (temperature 0) filters nothing.
    """

    probability: np.ndarray
    filters: np.ndarray

    def dropped(self, token: int) -> str:
        """The filter that dropped a token; empty where none did."""
        return FILTERS[self.filters[token]]

    @property
    def kept(self) -> int:
        """How many tokens can be drawn."""
        return int(np.count_nonzero(self.probability))


@dataclass(frozen=True)
class Draw:
    """How a choice fell: `u` lies in [`low`, `high`), the token's share of the cumulative
    distribution."""

    token: int
    u: float
    low: float
    high: float


def distribution(
    logits: np.ndarray, settings: TextSettings, seen: np.ndarray | None = None
) -> Distribution:
    """What `settings` make of logits [V]; `seen`, tokens in their order, are penalised.

    top-k keeps the k likeliest (Fan et al. 2018); top-p the smallest set whose probability
    reaches p (Holtzman et al. 2020); min-p those at least min_p times as likely as the
    likeliest (Nguyen et al. 2024). One token is always left.
    """
    if seen is not None and settings.repetition_penalty != 1:
        logits = apply_repetition_penalty(logits, seen, settings.repetition_penalty)
    if seen is not None and settings.dry:
        logits = apply_dry(logits, seen, settings.dry, settings.dry_length)
    filters = np.zeros(len(logits), dtype=np.uint8)
    if settings.temperature == 0:
        greedy = np.zeros(len(logits))
        greedy[int(logits.argmax())] = 1.0
        return Distribution(greedy, filters)
    probability = softmax(logits / settings.temperature)
    order = np.argsort(-probability, kind="stable")
    keep = len(order)
    for number, name in enumerate(FILTERS):
        left = _left(name, probability[order[:keep]], settings)
        filters[order[left:keep]] = number
        keep = left
    probability[order[keep:]] = 0.0
    return Distribution(probability / probability.sum(), filters)


def penalises(settings: TextSettings) -> bool:
    """Whether `distribution` looks at the tokens that were seen."""
    return settings.repetition_penalty != 1 or settings.dry > 0


def draw_token(
    logits: np.ndarray,
    settings: TextSettings,
    seen: np.ndarray | None,
    key: tuple[int, int],
    allowed: Callable[[int], bool] | None = None,
) -> tuple[Distribution, Draw]:
    """The token of a seed and step (`key`), and what it was drawn from.

    One that is not `allowed` is refused: it gets no probability at all, and another is drawn
    by the next random number (rejection, as PICARD does to beams, Scholak et al. 2021).
    """
    refused: list[int] = []
    while True:
        found = distribution(logits, settings, seen)
        draw = pick(found.probability, uniform(*key, *([len(refused)] if refused else [])))
        if allowed is None or len(refused) == REFUSALS or allowed(draw.token):
            found.filters[refused] = FILTERS.index("grammar")
            return found, draw
        refused.append(draw.token)
        logits = logits.copy()
        logits[draw.token] = NEVER


def _left(name: str, falling: np.ndarray, settings: TextSettings) -> int:
    """How many of the probabilities, the greatest first, a filter leaves."""
    match name:
        case "top-k" if settings.top_k:
            return min(len(falling), settings.top_k)
        case "top-p" if settings.top_p < 1:
            cumulative = np.cumsum(falling / falling.sum())
            return min(len(falling), int(np.searchsorted(cumulative, settings.top_p)) + 1)
        case "min-p" if settings.min_p > 0:
            return int(np.count_nonzero(falling >= settings.min_p * falling[0]))
    return len(falling)


def apply_repetition_penalty(logits: np.ndarray, seen: np.ndarray, penalty: float) -> np.ndarray:
    """Logits [V] with those of the seen tokens lowered (Keskar et al. 2019, section 4.1).

    A positive logit is divided by the penalty and a negative one multiplied, since dividing
    would raise it.
    """
    lowered = logits.copy()
    seen = np.unique(seen)
    of_seen = logits[seen]
    lowered[seen] = np.where(of_seen < 0, of_seen * penalty, of_seen / penalty)
    return lowered


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities float64 [V] of logits [V]."""
    shifted = np.exp(logits.astype(np.float64) - logits.max())
    return shifted / shifted.sum()


def entropy(probability: np.ndarray) -> float:
    """Of a distribution [V], in bits (Shannon 1948)."""
    return 0.0 - float((probability * np.log2(np.maximum(probability, 1e-30))).sum())


def uniform(*key: int) -> float:
    """A random number in [0, 1), drawn from (seed, step) and never from a stream."""
    return float(np.random.default_rng(key).random())


def pick(probability: np.ndarray, u: float) -> Draw:
    """Inverse transform sampling: the first token whose cumulative probability exceeds u."""
    cumulative = np.cumsum(probability)
    total = cumulative[-1]
    token = int(np.searchsorted(cumulative, u * total, side="right"))
    token = min(token, int(np.flatnonzero(probability)[-1]))
    low = cumulative[token - 1] / total if token else 0.0
    return Draw(token, u, float(low), float(cumulative[token] / total))
