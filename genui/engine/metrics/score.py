"""The log-probability of a given text under a language model, token by token."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from genui.base.errors import MisuseError
from genui.engine.data.tokenizer import Tokenizer
from genui.engine.device import Machine
from genui.engine.load import find_and_load
from genui.engine.metrics.exposure import token_nats
from genui.engine.models.language_model import LanguageModel

MOST_LOGITS = 1 << 27
"""Logits that are computed at once: 512 MB of fp32."""

MOST_READ = 2048  # tokens of a window


@runtime_checkable
class ScorableGenerator(Protocol):
    """A generator whose model predicts each token from those before it."""

    model: LanguageModel
    tokenizer: Tokenizer
    machine: Machine

    @property
    def first_token(self) -> int:
        """What stands before the first token of a text."""
        ...

    def text_of(self, token: int) -> str: ...


@dataclass(frozen=True)
class Score:
    """A text as its tokens, with the surprise of each."""

    token_ids: list[int]
    texts: list[str]
    nats: NDArray[np.float32]
    """[T]: minus the logarithm of each token's probability after those before it."""
    characters: int
    left_out: str
    """The characters that the model does not know, each once."""


def score_text(model: str, text: str, progress: Callable[[int, int], None]) -> Score:
    """Score a text; `progress` gets the number of tokens that are done, and of all.

    The first token follows what an empty prompt is to the model. A text longer than the context is
    read in windows that overlap by half. Discrete diffusion is scored in blocks of one token, from
    left to right: exactly. Raises MisuseError for a model that cannot do that, and for a text of
    which it knows no character.
    """
    generator = find_and_load(model)
    is_scorable = isinstance(generator, ScorableGenerator)
    if not (is_scorable and isinstance(generator.model, LanguageModel)):
        raise MisuseError(
            f"{model}: gives no probability of the next token; name a model on this machine that "
            "writes text token by token (genui models)"
        )
    tokenizer = generator.tokenizer
    unknown = set(tokenizer.unknown(text))
    known = "".join(c for c in text if c not in unknown)
    token_ids = tokenizer.encode(known)
    if not token_ids:
        raise MisuseError(f"{model}: knows no character of this text; give it another one")
    everything, done = [generator.first_token, *token_ids], 1
    window = max(2, min(generator.model.context, MOST_READ, MOST_LOGITS // tokenizer.size))
    nats: list[NDArray[np.float32]] = []
    while done < len(everything):
        progress(done - 1, len(token_ids))
        end = min(len(everything), max(done + window // 2, window + 1))
        read = everything[max(0, end - window - 1) : end]
        nats.append(token_nats(generator.model, generator.machine, [read])[0][done - end :])
        done = end
    return Score(
        token_ids,
        [generator.text_of(token) for token in token_ids],
        np.concatenate(nats),
        len(known),
        "".join(sorted(unknown)),
    )
