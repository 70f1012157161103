"""The gap in a prompt: where it is, and what a model that fills gaps reads of it."""

import numpy as np

from genui.engine.data import fim
from genui.engine.data.tokenizer import Tokenizer, left_open
from genui.engine.generate.choosing import NEVER
from genui.errors import MisuseError
from genui.protocol import FILL

LEAST_SHARE = 4
"""The middle has at least one part in so many of the context, or the tokens asked for."""


def split(prompt: str, tokenizer: Tokenizer) -> tuple[str, str] | None:
    """What stands before and after the gap of a prompt; None where it has none.

    Raises MisuseError for several gaps, for a gap with nothing about it, and where the model
    was not trained to fill any.
    """
    prefix, mark, suffix = prompt.partition(FILL)
    if not mark:
        return None
    if tokenizer.gap is None:
        raise MisuseError(
            f"prompt: this model was not trained to fill {FILL}; leave it out, or train one with "
            "--set tokenizer=bpe --set fim_rate=0.5"
        )
    if FILL in suffix:
        marks = prompt.count(FILL)
        raise MisuseError(f"prompt: has {marks} gaps {FILL}, and one is filled at a time; keep one")
    if not prefix and not suffix:
        raise MisuseError(f"prompt: nothing stands before or after {FILL}; write what is there")
    return prefix, suffix


def masked(logits: np.ndarray, tokenizer: Tokenizer) -> np.ndarray:
    """Logits [..., V] of what may be written next, as a copy where they change: the marks of a
    gap never are, they are where training put them."""
    if tokenizer.gap is None:
        return logits
    logits = logits.copy()
    logits[..., [tokenizer.gap.suffix, tokenizer.gap.middle]] = NEVER
    return logits


def spaced(logits: np.ndarray, tokenizer: Tokenizer, prefix: str) -> np.ndarray:
    """Logits [..., V] of a gap's first token: where the model was not shown the last space of the
    prefix (`left_open`), it writes that first."""
    if left_open(prefix) == prefix:
        return logits
    bare = [t for t in range(tokenizer.size) if not tokenizer.token_bytes(t).startswith(b" ")]
    logits = logits.copy()
    logits[..., bare] = NEVER
    return logits


def read(
    prefix: str, suffix: str, tokenizer: Tokenizer, context: int, wanted: int
) -> tuple[list[int], int]:
    """The tokens a model reads before it fills the gap, and how many there would be in all.

    What it reads and the middle fit into the context together, as they did in training:
    a text too long for that is cut away from the gap.
    """
    most = context - min(wanted, context // LEAST_SHARE)
    prefix = left_open(prefix)
    tokens = fim.asked(tokenizer, prefix, suffix, most)
    whole = len(tokenizer.encode(prefix)) + len(tokenizer.encode(suffix)) + fim.MARKS
    return tokens, whole
