"""A recurrent network that writes, whole in one file: minGRU (Feng et al. 2024, "Were RNNs All We
Needed?", §3.1).

Gates look at the input and not at the state before, so a layer is one linear recurrence: with
z = σ(W x) the state becomes (1 - z) h + z W' x. Blocks are those of the Transformer with the
recurrence in the place of attention. What was read is kept in one state of fixed size, so a text
may be of any length, and there is no attention to show. The loss is `TokenNetwork.loss`.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genui.engine.models.language_model import TokenNetwork
from genui.engine.models.transformer import LOGIT_CAP, FeedForward
from genui.recipes import RecurrentRecipe

PLACES = 128
"""At most so many places of a text are kept, evenly spread, to go back to."""

PORTION = 4096
"""Tokens read in one go, so that a long prompt takes bounded memory."""


@dataclass(frozen=True)
class MinGRUConfig:
    """Sizes of the network. `context` is the length in tokens of the windows it is trained on."""

    vocab_size: int
    layers: int
    width: int
    context: int
    dropout: float = 0.0


def build_min_gru(recipe: RecurrentRecipe, vocab_size: int) -> "MinGRU":
    """The network of a recipe, its weights drawn anew."""
    return MinGRU(
        MinGRUConfig(vocab_size, recipe.layers, recipe.width, recipe.context, recipe.dropout)
    )


class RecurrentState:
    """`hidden` fp32 [layers, B, C] after `length` tokens, and some of what it was before.

    Kept are the beginning, the end of the first reading, and places at equal distances after it:
    PLACES × layers × C × 4 bytes a row at most.
    """

    def __init__(self, hidden: Tensor) -> None:
        self.hidden, self.length = hidden, 0
        self._first = 0  # tokens of the first reading
        self._stride = 1
        self.kept = {0: hidden}

    def advance(self, hidden: Tensor, tokens: int) -> None:
        """`tokens` more have been read; `hidden` is what they led to."""
        self.hidden, self.length = hidden, self.length + tokens
        self._first = self._first or self.length
        if (self.length - self._first) % self._stride == 0:
            self.kept[self.length] = hidden
        if len(self.kept) > PLACES:
            self._stride *= 2
            self.kept = {
                at: hidden
                for at, hidden in self.kept.items()
                if at == 0 or (at - self._first) % self._stride == 0
            }

    def seek(self, length: int) -> int:
        """The nearest place that is kept, where `length` itself is not."""
        if length != self.length:
            self.length = max(at for at in self.kept if at <= length)
            self.hidden = self.kept[self.length]
        return self.length

    def snapshot(self, length: int) -> "RecurrentState":
        copy = object.__new__(RecurrentState)
        copy.hidden, copy.length = self.hidden, self.length
        copy._first, copy._stride = self._first, self._stride
        copy.kept = {at: h for at, h in self.kept.items() if at <= length}
        copy.seek(length)
        return copy

    def select(self, rows: Tensor) -> None:
        self.hidden = self.hidden[:, rows]
        self.kept = {at: h[:, rows] for at, h in self.kept.items()}


class Recurrence(nn.Module):
    """The minGRU layer: x [B, T, C] and the state before it [B, C] to states [B, T, C]."""

    def __init__(self, config: MinGRUConfig) -> None:
        super().__init__()
        self.gate = nn.Linear(config.width, config.width)
        self.candidate = nn.Linear(config.width, config.width, bias=False)
        self.out = nn.Linear(config.width, config.width, bias=False)

    def forward(self, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """What is added to the residual stream [B, T, C], and the last state fp32 [B, C]."""
        z = self.gate(x).float().sigmoid()
        # One step after the other: on a processor this was quicker than the parallel scans,
        # 30 ms forwards and back for 16 × 256 × 256 against 109 (doubling) and 285 (log-space).
        states = [before]
        for forget, add in zip(
            (1 - z).unbind(1), (z * self.candidate(x).float()).unbind(1), strict=True
        ):
            states.append(torch.addcmul(add, forget, states[-1]))
        return self.out(torch.stack(states[1:], dim=1)), states[-1]


class Block(nn.Module):
    """The recurrence, then feed-forward, each added to the residual stream."""

    def __init__(self, config: MinGRUConfig) -> None:
        super().__init__()
        self.recurrence = Recurrence(config)
        self.feed_forward = FeedForward(config.width)
        self.dropout = config.dropout

    def forward(self, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        r, after = self.recurrence(F.rms_norm(x, x.shape[-1:]), before)
        x = x + F.dropout(r, self.dropout, self.training)
        f = self.feed_forward(F.rms_norm(x, x.shape[-1:]))
        return x + F.dropout(f, self.dropout, self.training), after


class MinGRU(TokenNetwork):
    """Token ids [B, T] in, logits [B, T, vocab_size] out."""

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
            # Memories of very different lengths, 1 to about 150 tokens (as Jozefowicz et al. 2015
            # do it by the bias of the forget gate).
            block.recurrence.gate.bias.data.uniform_(-5, 0)
            nn.init.zeros_(block.recurrence.out.weight)
            nn.init.zeros_(block.feed_forward.down.weight)

    def new_state(self, rows: int) -> RecurrentState:
        shape = (self.config.layers, rows, self.config.width)
        return RecurrentState(torch.zeros(shape, device=self.device))

    def prefill(self, token_ids: Tensor, state: RecurrentState) -> Tensor:
        """As `LanguageModel` says, PORTION tokens at a time."""
        *before, last = token_ids.split(PORTION, dim=1)
        for portion in before:
            self(portion, state)
        return super().prefill(last, state)

    def hidden_states(
        self, token_ids: Tensor, state: RecurrentState | None = None
    ) -> tuple[Tensor, ...]:
        before = (state or self.new_state(len(token_ids))).hidden
        x = F.rms_norm(self.embedding(token_ids), (self.config.width,))
        hidden_states, after = [F.dropout(x, self.config.dropout / 2, self.training)], []
        for block, hidden in zip(self.blocks, before, strict=True):
            x, last = block(hidden_states[-1], hidden)
            hidden_states.append(x)
            after.append(last)
        if state is not None:
            state.advance(torch.stack(after), token_ids.shape[1])
        return tuple(hidden_states)

    def forward(self, token_ids: Tensor, state: RecurrentState | None = None) -> Tensor:
        x = self.hidden_states(token_ids, state)[-1]
        logits = self.head(F.rms_norm(x, x.shape[-1:])).float()
        return LOGIT_CAP * torch.tanh(logits / LOGIT_CAP)
