"""A recurrent language model: minGRU (Feng et al. 2024, "Were RNNs All We Needed?", §3.1).

Gates depend on the input and not on the previous state, so a layer is a linear recurrence: with z =
σ(W x) the state becomes (1 - z) h + z W' x. Blocks are a Transformer's, with the recurrence instead
of attention. The state has a fixed size, so a text may have any length, and there is no attention
to show.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genui.engine.models.config import config_from
from genui.engine.models.language_model import LayerParts, TokenNetwork
from genui.engine.models.transformer import FeedForward

MAX_STORED = 128
"""The most earlier states that are stored, evenly spaced, to go back to."""

PORTION = 4096
"""Tokens processed at a time, so that a long prompt takes bounded memory."""


@dataclass(frozen=True)
class MinGRUConfig:
    """Sizes of the network. `context` is the length of the training windows in tokens."""

    vocab_size: int
    layers: int
    width: int
    context: int
    dropout: float = 0.0


def build_min_gru(recipe: object, vocab_size: int) -> "MinGRU":
    """Build the network of a recipe with new weights."""
    return MinGRU(config_from(recipe, MinGRUConfig, vocab_size=vocab_size))


class RecurrentState:
    """`hidden` fp32 [layers, B, C] after `length` tokens, and some earlier states.

    Stored are the initial state, the one after the first reading, and evenly spaced ones after
    that: at most MAX_STORED × layers × C × 4 bytes per row.
    """

    def __init__(self, hidden: Tensor) -> None:
        self.hidden, self.length = hidden, 0
        self._first = 0  # tokens of the first reading
        self._stride = 1
        self.stored = {0: hidden}

    def advance(self, hidden: Tensor, tokens: int) -> None:
        """Set the state after reading `tokens` more tokens."""
        self.hidden, self.length = hidden, self.length + tokens
        self._first = self._first or self.length
        if (self.length - self._first) % self._stride == 0:
            self.stored[self.length] = hidden
        if len(self.stored) > MAX_STORED:
            self._stride *= 2
            self.stored = {
                at: hidden
                for at, hidden in self.stored.items()
                if at == 0 or (at - self._first) % self._stride == 0
            }

    def seek(self, length: int) -> int:
        """Go back to the last stored state at or before `length`."""
        if length != self.length:
            self.length = max(at for at in self.stored if at <= length)
            self.hidden = self.stored[self.length]
        return self.length

    def snapshot(self, length: int) -> "RecurrentState":
        copy = object.__new__(RecurrentState)
        copy.hidden, copy.length = self.hidden, self.length
        copy._first, copy._stride = self._first, self._stride
        copy.stored = {at: h for at, h in self.stored.items() if at <= length}
        copy.seek(length)
        return copy


class Recurrence(nn.Module):
    """The minGRU layer."""

    def __init__(self, config: MinGRUConfig) -> None:
        super().__init__()
        self.gate = nn.Linear(config.width, config.width)
        self.candidate = nn.Linear(config.width, config.width, bias=False)
        self.out = nn.Linear(config.width, config.width, bias=False)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, T, C] and the previous state [B, C] to the output [B, T, C] and the last state,
        fp32 [B, C]."""
        z = self.gate(x).float().sigmoid()
        # A loop over time: on a CPU forward and backward of 16 × 256 × 256 took 30 ms, against
        # 109 ms (doubling) and 285 ms (log-space) with parallel scans.
        states = [state]
        for forget, add in zip(
            (1 - z).unbind(1), (z * self.candidate(x).float()).unbind(1), strict=True
        ):
            states.append(torch.addcmul(add, forget, states[-1]))
        return self.out(torch.stack(states[1:], dim=1).to(x.dtype)), states[-1]


class Block(nn.Module):
    """Recurrence and feed-forward, each added to the residual stream."""

    def __init__(self, config: MinGRUConfig) -> None:
        super().__init__()
        self.recurrence = Recurrence(config)
        self.feed_forward = FeedForward(config.width)
        self.dropout = config.dropout

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        r, state = self.recurrence(F.rms_norm(x, x.shape[-1:]), state)
        x = x + F.dropout(r, self.dropout, self.training)
        f = self.feed_forward(F.rms_norm(x, x.shape[-1:]))
        return x + F.dropout(f, self.dropout, self.training), state


class MinGRU(TokenNetwork):
    """Token ids [B, T] to logits [B, T, vocab_size]."""

    unlimited = True

    def __init__(self, config: MinGRUConfig) -> None:
        super().__init__(config.context)
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.head = nn.Linear(config.width, config.vocab_size, bias=False)
        nn.init.normal_(self.embedding.weight, std=0.7)
        nn.init.zeros_(self.head.weight)
        for block in self.blocks:
            assert isinstance(block, Block)
            # Memories of 1 to about 150 tokens (as Jozefowicz et al. 2015 initialise the bias of
            # the forget gate).
            block.recurrence.gate.bias.data.uniform_(-5, 0)
            nn.init.zeros_(block.recurrence.out.weight)
            nn.init.zeros_(block.feed_forward.down.weight)

    def new_state(self, rows: int) -> RecurrentState:
        shape = (self.config.layers, rows, self.config.width)
        return RecurrentState(torch.zeros(shape, device=self.device))

    def prefill(self, token_ids: Tensor, state: RecurrentState) -> Tensor:
        """Read PORTION tokens at a time."""
        *portions, last = token_ids.split(PORTION, dim=1)
        for portion in portions:
            self(portion, state)
        return super().prefill(last, state)

    def hidden_states(
        self, token_ids: Tensor, state: RecurrentState | None = None
    ) -> tuple[Tensor, ...]:
        previous = (state or self.new_state(len(token_ids))).hidden
        x = F.rms_norm(self.embedding(token_ids), (self.config.width,))
        hidden_states, last_states = [F.dropout(x, self.config.dropout / 2, self.training)], []
        for block, hidden in zip(self.blocks, previous, strict=True):
            x, last = block(hidden_states[-1], hidden)
            hidden_states.append(x)
            last_states.append(last)
        if state is not None:
            state.advance(torch.stack(last_states), token_ids.shape[1])
        return tuple(hidden_states)

    def layer_parts(self) -> tuple[LayerParts, ...]:
        return tuple(
            LayerParts(block, block.recurrence.out, 1, block.feed_forward, name="recurrence")
            for block in self.blocks
            if isinstance(block, Block)
        )
