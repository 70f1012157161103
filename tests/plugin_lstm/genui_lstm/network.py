"""The network: `torch.nn.LSTM` between an embedding and the head that genui's networks have."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genui.engine.models.config import config_from
from genui.engine.models.language_model import TokenNetwork


@dataclass(frozen=True)
class LstmConfig:
    """Sizes of the network, called as the fields of the recipe."""

    vocab_size: int
    layers: int
    width: int
    context: int


class LstmState:
    """What the network has read: hidden and cell state [layers, B, C] after `length` tokens."""

    def __init__(self, hidden: tuple[Tensor, Tensor]) -> None:
        self.first = self.hidden = hidden
        self.length = 0

    def seek(self, length: int) -> int:
        """Go back to `length`, or to the beginning: other states are not kept."""
        if length != self.length:
            self.hidden, self.length = self.first, 0
        return self.length

    def snapshot(self, length: int) -> "LstmState":
        copy = LstmState(self.first)
        copy.hidden, copy.length = self.hidden, self.length
        copy.seek(length)
        return copy

    def select(self, rows: Tensor) -> None:
        self.first = (self.first[0][:, rows], self.first[1][:, rows])
        self.hidden = (self.hidden[0][:, rows], self.hidden[1][:, rows])


class Lstm(TokenNetwork):
    """Token ids [B, T] to logits [B, T, vocab_size]."""

    unlimited = True

    def __init__(self, config: LstmConfig) -> None:
        super().__init__(config.context)
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        self.lstm = nn.LSTM(config.width, config.width, config.layers, batch_first=True)
        self.head = nn.Linear(config.width, config.vocab_size, bias=False)

    def new_state(self, rows: int) -> LstmState:
        zeros = torch.zeros(self.config.layers, rows, self.config.width, device=self.device)
        return LstmState((zeros, zeros))

    def hidden_states(
        self, token_ids: Tensor, state: LstmState | None = None
    ) -> tuple[Tensor, ...]:
        x = self.embedding(token_ids)
        out, hidden = self.lstm(x, None if state is None else state.hidden)
        if state is not None:
            state.hidden, state.length = hidden, state.length + token_ids.shape[1]
        return x, out


def build_lstm(recipe: object, vocab_size: int) -> Lstm:
    """Build the network of a recipe with new weights."""
    return Lstm(config_from(recipe, LstmConfig, vocab_size=vocab_size))
