"""One token chosen, and what a person sees of the choice."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from genui.engine.generate.choosing import (
    Draw,
    distribution,
    drawn,
    entropy,
    penalises,
    softmax,
)
from genui.protocol import Candidate, TextFrame, TextSettings

CANDIDATES = 12
"""How many of the likeliest tokens a frame carries."""


class Writing(Protocol):
    """A state of what is written a token at a time: text or music."""

    @property
    def logits(self) -> np.ndarray:
        """The model's answer for the next token, [V]."""
        ...

    @property
    def step(self) -> int: ...

    @property
    def seed(self) -> int: ...

    @property
    def settings(self) -> TextSettings: ...

    @property
    def forced(self) -> int | None:
        """The next token, where it is not the model's to choose."""
        ...


def next_token(
    state: Writing,
    seen: Callable[[], np.ndarray],
    spelled: Callable[[int], str],
    allowed: Callable[[int], bool] | None = None,
) -> TextFrame:
    """The next token: the forced one, or one that is drawn and, where that is asked, `allowed`.

    `seen` gives the tokens that are penalised, where any are, and `spelled` the text of one.
    """
    step, settings, forced = state.step + 1, state.settings, state.forced
    before = seen() if penalises(settings) else None
    if forced is None:
        sampled, draw = drawn(state.logits, settings, before, (state.seed, step), allowed)
    else:
        sampled = distribution(state.logits, settings, before)
        draw = Draw(forced, 0.0, 0.0, 0.0)
    token, model = draw.token, softmax(state.logits)
    top = np.argsort(-model, kind="stable")[:CANDIDATES].tolist()
    if token not in top:
        top[-1] = token  # the chosen one, wherever it stood
    return TextFrame(
        trace=0,  # the trace numbers its frames
        step=step,
        token=token,
        text=spelled(token),
        surprisal=float(-np.log2(max(model[token], 1e-30))),
        entropy=entropy(model),
        candidates=tuple(
            Candidate(
                token=t,
                text=spelled(t),
                model=float(model[t]),
                sampled=float(sampled.probability[t]),
                logit=float(state.logits[t]),
                dropped=sampled.dropped(t),
            )
            for t in top
        ),
        sampled_entropy=entropy(sampled.probability),
        u=draw.u,
        low=draw.low,
        high=draw.high,
        forced=forced is not None,
        kept=sampled.kept,
    )
