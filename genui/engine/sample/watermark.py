"""Watermarks of text: a key marks some of the tokens that may follow, and sampling favours these.

Which tokens are marked is a hash of the key, the last tokens (the context) and the token. So the
owner of the key counts the marks of a text without the model, and without torch. Text that was
written without the key has as many as chance gives, and the probability of more is an exact sum.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from genui.base.errors import MisuseError
from genui.base.watermarks import find_key, tail
from genui.protocol import TextSettings

Hashes = NDArray[np.uint64]
Marks = NDArray[np.bool_]
"""[L, N]: for each of the layers of a watermark, which of N tokens are marked."""


class Scheme(NamedTuple):
    """How a watermark marks tokens and changes their odds."""

    mark: Callable[[Hashes], Marks]
    """The marks [L, N] of tokens with these hashes [N]."""
    weigh: Callable[[np.ndarray, Marks, TextSettings], np.ndarray]
    """The distribution [N] that favours marked tokens, from one [N] that sums to 1."""
    share: float
    """The share of marks that chance gives."""
    skips_seen: bool = False
    """Whether a context that the text has had before stays unmarked."""


# --- Green list: Kirchenbauer et al. 2023, "A Watermark for Large Language Models" ----------------
# Algorithm 2, but green is drawn for each pair of context and token by itself, so that the count of
# green pairs is exactly binomial.


GAMMA = 0.25
"""The share of tokens that are green."""


def _mark_green(hashes: Hashes) -> Marks:
    return (hashes < np.uint64(GAMMA * 2**64))[None]


def _weigh_green(probability: np.ndarray, marks: Marks, settings: TextSettings) -> np.ndarray:
    """δ is added to the logits of green tokens."""
    return probability * np.exp(settings.watermark_delta * marks[0])


# --- Tournament: SynthID-Text, Dathathri et al. 2024, "Scalable watermarking for identifying large
# language model outputs", with two candidates in each of 30 layers -------------------------------

LAYERS = 30


def _mark_layers(hashes: Hashes) -> Marks:
    octets = hashes.astype("<u8").view(np.uint8).reshape(-1, 8)
    return np.unpackbits(octets, axis=1, bitorder="little")[:, :LAYERS].T.astype(bool)


def _weigh_tournament(probability: np.ndarray, marks: Marks, settings: TextSettings) -> np.ndarray:
    """The odds of the token that wins a tournament: its layers are matches of two candidates, each
    won by the marked one. Over all keys they are the odds without it."""
    for marked in marks:
        probability = probability * (1 + marked - probability[marked].sum())
    return np.maximum(probability, 0)  # rounding: a match that all win may leave -1e-16


SCHEMES: Mapping[str, Scheme] = MappingProxyType(
    {
        "green": Scheme(_mark_green, _weigh_green, share=GAMMA),
        "tournament": Scheme(_mark_layers, _weigh_tournament, share=0.5, skips_seen=True),
    }
)
"""The watermarks by the value of the setting `watermark`."""


# --- The hash ---------------------------------------------------------------------------------

_STEP = np.uint64(0x9E3779B97F4A7C15)


def hash_tokens(key: int, contexts: np.ndarray, tokens: np.ndarray) -> Hashes:
    """A 64-bit number for each token [N] after its context [N, C] or [1, C], oldest first.

    Each id is mixed in by the finalizer of SplitMix64 (Steele et al. 2014).
    """
    hashes = _mix(np.array([key], np.uint64))
    for ids in (*contexts.T, tokens):
        hashes = _mix((hashes ^ ids.astype(np.uint64)) + _STEP)
    return hashes


def _mix(x: Hashes) -> Hashes:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


# --- While it is written ------------------------------------------------------------------------


def check(settings: TextSettings) -> None:
    """Raises MisuseError for settings that mark nothing, and for a key that is not here."""
    if settings.watermark in SCHEMES:
        find_key(settings.watermark_key)
        if settings.is_greedy:
            raise MisuseError(
                "temperature 0 always takes the likeliest token, so that no token can be marked: "
                "raise it, or set the watermark to none"
            )


def warn(settings: TextSettings) -> str:
    """What is wrong with the settings of a watermark; "" if nothing is."""
    if settings.watermark not in SCHEMES or settings.watermark_context > 1:
        return ""
    return (
        "a watermark with a context of 1 token raises false alarms: with some keys one real text "
        "in ten looks marked; 4 is usual"
    )


def weigh(probability: np.ndarray, history: np.ndarray, settings: TextSettings) -> np.ndarray:
    """The distribution [V] that favours the marked tokens after `history` [T], by the settings.

    Unchanged without a watermark, without a whole context, and where the scheme skips it.
    """
    scheme, length = SCHEMES.get(settings.watermark), settings.watermark_context
    if scheme is None or len(history) < length:
        return probability
    context = history[-length:]
    if scheme.skips_seen and _occurs(context, history[:-1]):
        return probability
    kept = np.flatnonzero(probability)
    hashes = hash_tokens(find_key(settings.watermark_key), context[None], kept)
    weighed = np.zeros_like(probability)
    weighed[kept] = scheme.weigh(probability[kept], scheme.mark(hashes), settings)
    return weighed / weighed.sum()


def count_last(
    history: np.ndarray | None, token: int, settings: TextSettings
) -> tuple["Count", "Count"]:
    """The counts of a token after `history` [T], if their pair is new, and of both together."""
    if history is None or settings.watermark not in SCHEMES:
        return NOTHING, NOTHING
    text = np.append(history, np.int32(token))
    key, last = find_key(settings.watermark_key), text[-settings.watermark_context - 1 :]
    is_new = not _occurs(last, text[:-1])
    return count_text(last, key, settings) if is_new else NOTHING, count_text(text, key, settings)


def _occurs(sequence: np.ndarray, history: np.ndarray) -> bool:
    if len(history) < len(sequence):
        return False
    return bool((sliding_window_view(history, len(sequence)) == sequence).all(axis=1).any())


# --- Afterwards ---------------------------------------------------------------------------------


class Count(NamedTuple):
    """What a text has of a watermark: `marks` of `trials`, in `pairs` of context and token."""

    pairs: int
    marks: int
    trials: int
    p: float
    """The probability that a text written without the key has as many."""


NOTHING = Count(0, 0, 0, 1.0)


def count_text(tokens: np.ndarray, key: int, settings: TextSettings) -> Count:
    """Count the marks of a text of tokens [T] by its settings' watermark; each pair once."""
    scheme, length = SCHEMES[settings.watermark], settings.watermark_context
    if len(tokens) <= length:
        return NOTHING
    pairs = sliding_window_view(tokens, length + 1)
    hashes = np.unique(hash_tokens(key, pairs[:, :-1], pairs[:, -1]))  # equal for equal pairs
    marks = scheme.mark(hashes)
    hits, trials = int(marks.sum()), marks.size
    return Count(len(hashes), hits, trials, tail(hits, trials, scheme.share))
