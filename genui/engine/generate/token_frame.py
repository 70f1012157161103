"""One token chosen, and what a person sees of the choice."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from genui.engine.generate.choosing import (
    Draw,
    distribution,
    drawn,
    entropy,
    penalises,
    softmax,
)
from genui.engine.generate.token_list import TokenList
from genui.protocol import Candidate, TextFrame, TextSettings

CANDIDATES = 12
"""How many of the likeliest tokens a frame carries."""


@dataclass(frozen=True, kw_only=True)
class TokenState:
    """What is written a token at a time, so far. `logits` [V] is the answer for the next token.

    The states that a trace keeps hold V × 4 bytes each, and 4 bytes a token between them.
    """

    token_ids: TokenList  # what the model has read
    prompt: int  # how many of them were given
    logits: np.ndarray = field(repr=False)
    step: int
    seed: int
    settings: TextSettings
    written: tuple[int, ...] = ()  # by hand: the tokens of step `written_from` + 1 and after
    written_from: int = 0

    @property
    def forced(self) -> int | None:
        """The next token, where it is not the model's to choose: it was written by hand."""
        at = self.step - self.written_from
        return self.written[at] if at < len(self.written) else None

    @property
    def wanted(self) -> int:
        """How many tokens are asked for, those written by hand and those there are counted."""
        return max(self.settings.tokens, self.written_from + len(self.written), self.step)


def next_token(
    state: TokenState,
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
