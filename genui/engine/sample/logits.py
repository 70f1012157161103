"""From logits to one token: penalties, temperature, filters and sampling.

The order is that of the logits processors of `transformers`: repetition penalty, DRY, temperature,
top-k, top-p, min-p, watermark. Each filter works on the tokens that the one before has kept.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from genui.base.errors import GenuiError
from genui.engine.sample import watermark
from genui.protocol import TextSettings

# --- DRY --------------------------------------------------------------------------------------

BASE = 1.75  # the penalty's factor for each further repeated token
LONGEST = 50  # tokens of a repetition that are compared; its penalty exceeds any logit by then


def apply_dry(
    logits: np.ndarray, history: np.ndarray, multiplier: float, length: int
) -> np.ndarray:
    """Logits [V], lowered for each token that would continue a repetition.

    DRY (p-e-w 2024, "Don't Repeat Yourself") as in llama.cpp, but without sequence breakers, since
    small models of code repeat whole lines. If the last n >= `length` tokens of `history` occur
    earlier too, the token after them there loses multiplier × 1.75^(n - length).
    """
    lowered = logits.copy()
    for token, run in find_repetitions(history).items():
        if run >= length:
            lowered[token] -= multiplier * BASE ** (run - length)
    return lowered


def find_repetitions(history: np.ndarray) -> dict[int, int]:
    """Each token that followed an earlier occurrence of the last n tokens, mapped to n.

    If it followed several, n is that of the longest.
    """
    longest: dict[int, int] = {}
    if len(history) < 2:
        return longest
    tokens = history.tolist()
    for at in np.flatnonzero(history[:-1] == history[-1]).tolist():
        run, limit = 1, min(LONGEST, at + 1)
        while run < limit and tokens[at - run] == tokens[-1 - run]:
            run += 1
        follower = tokens[at + 1]
        longest[follower] = max(run, longest.get(follower, 0))
    return longest


# --- The distribution and the sampled token ---------------------------------------------------

NEVER = -1e4
"""The logit of a token that must not be generated: its probability is 0."""

FILTERS = ("", "top-k", "top-p", "min-p", "grammar")
REFUSALS = 64
"""After so many rejected tokens at one step the next one is taken even if it is not allowed."""


@dataclass(frozen=True)
class Distribution:
    """The distribution from which a token is sampled.

    `probability` float64 [V] sums to 1. `filters` uint8 [V] is the index in FILTERS of the filter
    that dropped each token; 0 for all if the settings are greedy.
    """

    probability: np.ndarray
    filters: np.ndarray

    def dropped(self, token: int) -> str:
        """The filter that dropped a token; "" if it is kept."""
        return FILTERS[self.filters[token]]

    @property
    def kept(self) -> int:
        """The number of tokens with a probability above 0."""
        return int(np.count_nonzero(self.probability))


@dataclass(frozen=True)
class Draw:
    """A sampled token: `u` lies in [`low`, `high`), its share of the cumulative distribution."""

    token: int
    u: float
    low: float
    high: float


def distribution(
    logits: np.ndarray, settings: TextSettings, history: np.ndarray | None = None
) -> Distribution:
    """The distribution by `settings` from logits [V]; tokens of `history` [T] are penalized.

    top-k keeps the k likeliest tokens (Fan et al. 2018); top-p the smallest set whose probability
    reaches p (Holtzman et al. 2020); min-p those at least min_p times as likely as the likeliest
    (Nguyen et al. 2024). At least one token is kept, and tokens as likely as the last one kept.
    A watermark changes the odds of those that are kept. Raises GenuiError for logits that are NaN.
    """
    if not np.isfinite(logits.max()):
        raise GenuiError(
            "the model computes NaN: its training has diverged or its file is damaged; use an "
            "earlier checkpoint, or fetch it again"
        )
    if history is not None and settings.repetition_penalty != 1:
        logits = apply_repetition_penalty(logits, history, settings.repetition_penalty)
    if history is not None and settings.dry:
        logits = apply_dry(logits, history, settings.dry, settings.dry_length)
    filters = np.zeros(len(logits), dtype=np.uint8)
    if settings.is_greedy:
        greedy = np.zeros(len(logits))
        greedy[int(logits.argmax())] = 1.0
        return Distribution(greedy, filters)
    probability = softmax(logits / settings.temperature)
    kept = np.ones(len(probability), bool)
    for number, name in enumerate(FILTERS):
        if least := _least(name, probability, kept, settings):
            dropped = kept & (probability < least)
            filters[dropped] = number
            kept &= ~dropped
    probability[~kept] = 0.0
    probability /= probability.sum()
    if history is not None:
        probability = watermark.weigh(probability, history, settings)
    return Distribution(probability, filters)


def _least(name: str, probability: np.ndarray, kept: np.ndarray, settings: TextSettings) -> float:
    """The lowest probability [V] that a filter keeps, of the tokens that are `kept` so far, bool
    [V]; 0 if it keeps all."""
    match name:
        case "top-k" if 0 < settings.top_k < len(probability):
            return np.partition(probability, -settings.top_k)[-settings.top_k]
        case "top-p" if settings.top_p < 1:
            descending = np.sort(probability[kept])[::-1]
            cumulative = np.cumsum(descending / descending.sum())
            at = min(int(cumulative.searchsorted(settings.top_p)), len(descending) - 1)
            return descending[at]
        case "min-p" if settings.min_p > 0:
            return settings.min_p * probability.max()
    return 0.0


def likeliest(probability: np.ndarray, count: int) -> np.ndarray:
    """The tokens with the `count` highest probabilities of [V], in order; equal ones by number."""
    count = min(count, len(probability))
    least = np.partition(probability, -count)[-count]
    tokens = np.flatnonzero(probability >= least)
    return tokens[np.argsort(-probability[tokens], kind="stable")][:count]


def needs_history(settings: TextSettings) -> bool:
    """Whether `distribution` uses the tokens written before."""
    marks = settings.watermark in watermark.SCHEMES
    return settings.repetition_penalty != 1 or settings.dry > 0 or marks


def draw_token(
    logits: np.ndarray,
    settings: TextSettings,
    history: np.ndarray | None,
    key: tuple[int, int],
    allowed: Callable[[int], bool] | None = None,
) -> tuple[Distribution, Draw]:
    """The token for `key` (seed, step), and the distribution from which it was sampled.

    A token that is not `allowed` gets probability 0, and another is sampled with the next random
    number (rejection, as PICARD applies to beams, Scholak et al. 2021).
    """
    rejected: list[int] = []
    while True:
        dist = distribution(logits, settings, history)
        draw = pick(dist.probability, uniform(*key, *([len(rejected)] if rejected else [])))
        if allowed is None or len(rejected) == REFUSALS or allowed(draw.token):
            if rejected:
                dist.filters[rejected] = FILTERS.index("grammar")
            return dist, draw
        rejected.append(draw.token)
        logits = logits.copy()
        logits[draw.token] = NEVER


def apply_repetition_penalty(logits: np.ndarray, history: np.ndarray, penalty: float) -> np.ndarray:
    """Logits [V], lowered for the tokens of `history` (Keskar et al. 2019, section 4.1).

    Positive logits are divided by the penalty; negative ones are multiplied, since dividing would
    raise them.
    """
    lowered = logits.copy()
    tokens = np.unique(history)
    values = logits[tokens]
    lowered[tokens] = np.where(values < 0, values * penalty, values / penalty)
    return lowered


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities float64 [V] of logits [V]."""
    shifted = np.exp(logits.astype(np.float64) - logits.max())
    return shifted / shifted.sum()


def entropy(probability: np.ndarray) -> float:
    """The entropy of a distribution [V] in bits (Shannon 1948)."""
    return 0.0 - float((probability * np.log2(np.maximum(probability, 1e-30))).sum())


def uniform(seed: int, step: int, *more: int) -> float:
    """A random number in [0, 1), a function of the key (seed, step, …)."""
    return float(np.random.default_rng((seed, step, *more)).random())


def pick(probability: np.ndarray, u: float) -> Draw:
    """Inverse transform sampling: the first token whose cumulative probability exceeds u."""
    tokens = np.flatnonzero(probability)
    cumulative = np.cumsum(probability[tokens])
    total = cumulative[-1]
    at = min(int(cumulative.searchsorted(u * total, side="right")), len(tokens) - 1)
    low = cumulative[at - 1] / total if at else 0.0
    return Draw(int(tokens[at]), u, float(low), float(cumulative[at] / total))
