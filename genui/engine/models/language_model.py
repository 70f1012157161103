"""The seam between what writes tokens and the network that predicts them.

Generators, beams and metrics know `LanguageModel` and `ReadingState` and nothing of what is
behind them. `TokenNetwork` is what our own networks share: a network of another kind derives
from it and defines `hidden_states`, `forward` and `new_state`.
"""

from typing import Any, Protocol, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ReadingState(Protocol):
    """What a model keeps of B rows of tokens that it has read.

    After `seek` the same tokens are read again. To read others, take a `snapshot` first.
    """

    @property
    def length(self) -> int:
        """How many tokens of each row have been read."""
        ...

    def seek(self, length: int) -> int:
        """Go to where the first `length` tokens had been read, of those read so far.

        Returns where it stands now. That may be before `length`, at worst 0, where not every
        place is kept: the tokens from there on are to be read again.
        """
        ...

    def snapshot(self, length: int) -> Self:
        """A copy that has sought `length`; what is read into one of the two leaves the other."""
        ...

    def select(self, rows: Tensor) -> None:
        """From now on row k is what row `rows[k]` was; `rows` int64 [B], of any number."""
        ...


class LanguageModel(Protocol):
    """A model of the next token. Tensors are on its `device`; token ids are int64.

    Reading the same tokens in the same portions gives the same bits: once by `prefill`, then
    by `decode`, one a row.
    """

    @property
    def context(self) -> int:
        """Tokens of the windows it was trained on."""
        ...

    @property
    def unlimited(self) -> bool:
        """Whether a state can read more tokens than `context`."""
        ...

    @property
    def device(self) -> torch.device: ...

    def eval(self) -> Self:
        """Leave nothing to chance from now on: no dropout. Returns itself."""
        ...

    def new_state(self, rows: int) -> ReadingState:
        """Of so many rows, nothing read."""
        ...

    def prefill(self, token_ids: Tensor, state: Any) -> Tensor:
        """Read token_ids [B, T] into one of its states; logits fp32 [B, V] after the last."""
        ...

    def decode(self, token_ids: Tensor, state: Any) -> Tensor:
        """Read one more token a row, token_ids [B]; logits fp32 [B, V] after it."""
        ...

    def __call__(self, token_ids: Tensor) -> Tensor:
        """Logits fp32 [B, T, V], one after each of token_ids [B, T]."""
        ...

    def loss(self, token_ids: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Mean cross-entropy in nats a token, by `weights` where they are given; all [B, T]."""
        ...

    def hidden_states(self, token_ids: Tensor) -> tuple[Tensor, ...]:
        """The residual stream, [B, T, C] each: what enters the first layer, then what leaves
        each. Empty where the model does not tell."""
        ...

    def attention_weights(self, token_ids: Tensor, last: int = 1) -> Tensor | None:
        """What the last positions of token_ids [B, T] attend to: fp32 [layers, B, H, last, T].

        None of a model that has no attention.
        """
        ...


class TokenNetwork(nn.Module):
    """What our networks of tokens share: the loss, and reading on from a state."""

    unlimited = False

    def __init__(self, context: int) -> None:
        super().__init__()
        self.context = context

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def new_state(self, rows: int) -> ReadingState:
        raise NotImplementedError

    def hidden_states(self, token_ids: Tensor, state: Any = None) -> tuple[Tensor, ...]:
        """As `LanguageModel` says; where a state is given they are read into it."""
        raise NotImplementedError

    def prefill(self, token_ids: Tensor, state: Any) -> Tensor:
        return self(token_ids, state)[:, -1]

    def decode(self, token_ids: Tensor, state: Any) -> Tensor:
        return self(token_ids[:, None], state)[:, -1]

    def loss(self, token_ids: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Mean cross-entropy in nats a token, by `weights` where they are given; all [B, T]."""
        logits = self(token_ids).flatten(0, 1)
        if weights is None:
            return F.cross_entropy(logits, targets.flatten())
        each = F.cross_entropy(logits, targets.flatten(), reduction="none")
        return (each * weights.flatten()).sum() / weights.sum()

    def attention_weights(self, token_ids: Tensor, last: int = 1) -> Tensor | None:
        return None
