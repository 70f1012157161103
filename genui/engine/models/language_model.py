"""The interface between generators of tokens and the networks that predict them.

Generators and metrics use only `LanguageModel` and `ReadingState`. Our own networks
derive from `TokenNetwork` and define `hidden_states`, `forward` and `new_state`. A network that can
be looked into and intervened in is also a `LayeredModel`.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class ReadingState(Protocol):
    """The state of a model after reading B rows of tokens, such as a KV cache.

    After `seek` the same tokens must be read again. To read others, take a `snapshot` first.
    """

    @property
    def length(self) -> int:
        """The number of tokens read in each row."""
        ...

    def seek(self, length: int) -> int:
        """Go back to the state after the first `length` tokens.

        Returns the new length. It is smaller, at worst 0, if that state is not stored; the tokens
        from there on must be read again.
        """
        ...

    def snapshot(self, length: int) -> Self:
        """An independent copy that has sought `length`."""
        ...


@runtime_checkable
class LanguageModel(Protocol):
    """A model of the next token. Tensors are on its `device`; token ids are int64.

    Reading the same tokens in the same portions (one `prefill`, then `decode` one by one) gives
    the same bits.
    """

    @property
    def context(self) -> int:
        """The length of the training windows in tokens."""
        ...

    @property
    def unlimited(self) -> bool:
        """Whether a state can read more tokens than `context`."""
        ...

    @property
    def device(self) -> torch.device: ...

    def eval(self) -> Self:
        """Turn dropout off. Returns itself."""
        ...

    def new_state(self, rows: int) -> ReadingState:
        """An empty state of `rows` rows."""
        ...

    def prefill(self, token_ids: Tensor, state: Any) -> Tensor:
        """Read token_ids [B, T] into a state; logits fp32 [B, V] after the last token."""
        ...

    def decode(self, token_ids: Tensor, state: Any) -> Tensor:
        """Read one token per row, token_ids [B], into a state; logits fp32 [B, V] after it."""
        ...

    def __call__(self, token_ids: Tensor) -> Tensor:
        """Token ids [B, T] to logits fp32 [B, T, V]."""
        ...

    def loss(self, token_ids: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Mean cross-entropy in nats per token, weighted by `weights` if given; all [B, T]."""
        ...

    def hidden_states(self, token_ids: Tensor) -> tuple[Tensor, ...]:
        """The residual stream before the first layer and after each, [B, T, C] each. Empty if the
        model does not expose it."""
        ...

    def attention_weights(self, token_ids: Tensor, last: int = 1) -> Tensor | None:
        """Attention of the last positions of token_ids [B, T]: fp32 [layers, B, H, last, T].

        None for a model without attention.
        """
        ...


@dataclass(frozen=True)
class LayerParts:
    """The modules of one layer, to which hooks are attached; T positions at a time.

    A layer adds first attention's output to the residual stream, then the feed-forward's.
    """

    block: nn.Module
    """Its first argument is the residual stream [B, T, C] before the layer; its output, or the
    first item of it, the one after it."""
    mixer: nn.Module
    """The linear map out of attention; its input [B, T, H · D] has the heads in a row."""
    heads: int
    feed_forward: nn.Module
    """Its output [B, T, C] is added to the residual stream."""
    mixer_norm: nn.Module | None = None
    """The norm of the mixer's output before it is added, if the network has one (Gemma 2)."""
    name: str = "attention"
    """The module that has the mixer; a recurrent layer counts as one head."""
    mix: Callable[[Tensor], Tensor] | None = None
    """Applies the mixer to [.., H · D], if the module alone does not, as with adapters."""


@runtime_checkable
class LayeredModel(LanguageModel, Protocol):
    """A model whose layers can be read and intervened in (`genui.engine.sample.inside`)."""

    def layer_parts(self) -> tuple[LayerParts, ...]: ...

    def hidden_states(self, token_ids: Tensor, state: Any = None) -> tuple[Tensor, ...]:
        """As in `LanguageModel`; with a state the tokens are read into it as `decode` does."""
        ...

    def read_out(self, x: Tensor) -> Tensor:
        """Logits fp32 [..., V] of a residual stream [..., C] after any layer: the final norm, the
        head and its cap."""
        ...

    def token_directions(self, x: Tensor, token_ids: Tensor | None) -> tuple[Tensor, Tensor]:
        """Directions fp32 [N, C] of the tokens token_ids [N] in the residual stream, and the
        constants fp32 [N] of their logits; None stands for the mean over the vocabulary, N = 1.

        The scalar product of a direction and a part of the stream is what that part adds to the
        token's logit before any cap, with the scale of the final norm frozen at x [C]. A constant
        comes from the biases of the final norm and the head.
        """
        ...


def rows_of(weight: Tensor, token_ids: Tensor | None) -> Tensor:
    """The rows fp32 [N, ..] of the tokens; None: the mean of all rows, N = 1."""
    if token_ids is None:
        return weight.mean(0, keepdim=True, dtype=torch.float32)
    return weight[token_ids].float()


def token_loss(logits: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
    """The loss of `LanguageModel` of logits [B, T, V]; the others [B, T]."""
    if weights is None:
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    nats = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    return (nats * weights.flatten()).sum() / weights.sum()


PIECE = 1 << 24
"""Logits that `nats_in_pieces` computes at once: 64 MB of fp32."""


def nats_in_pieces(
    read_out: Callable[[Tensor], Tensor],
    x: Tensor,
    targets: Tensor,
    vocab_size: int,
    weights: Tensor | None = None,
) -> Tensor:
    """The sum of the cross-entropies, in nats, of rows x [N, C] of the last residual stream.

    `targets` and `weights` are [N]. Logits [.., V] are computed in pieces, and again in the
    backward pass: with a vocabulary of 49,152 the logits of 1,000 tokens would take 200 MB.
    """

    def nats(part: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        logits = read_out(part).float()
        if weights is None:
            return F.cross_entropy(logits, targets, reduction="sum")
        return (F.cross_entropy(logits, targets, reduction="none") * weights).sum()

    total, rows = x.new_zeros(()), max(1, PIECE // vocab_size)
    for first in range(0, len(x), rows):
        piece = slice(first, first + rows)
        part = (x[piece], targets[piece], None if weights is None else weights[piece])
        if torch.is_grad_enabled():
            total = total + checkpoint(nats, *part, use_reentrant=False)
        else:
            total = total + nats(*part)
    return total


LEAST = 64
"""Tokens for which a new cache has room. It grows by doubling."""


class GrowingCache:
    """Keys and values of the tokens read so far, [layers, B, heads, capacity, D] each.

    The first `length` positions are valid. Reading the same tokens again writes the same values, so
    going back only lowers `length`.
    """

    def __init__(
        self,
        shape: tuple[int, int, int, int],
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """`shape` is [layers, B, heads, D]."""
        *sizes, head_width = shape
        self.keys = torch.zeros((*sizes, 0, head_width), device=device, dtype=dtype)
        self.values = torch.zeros_like(self.keys)
        self.length = 0

    @property
    def capacity(self) -> int:
        return self.keys.shape[3]

    @property
    def nbytes(self) -> int:
        return self.keys.nbytes + self.values.nbytes

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write [B, H, T, D] at `length`; returns all keys and values up to there."""
        self.reserve(key.shape[2])
        end = self.length + key.shape[2]
        self.keys[layer, :, :, self.length : end] = key
        self.values[layer, :, :, self.length : end] = value
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    def reserve(self, tokens: int) -> None:
        """Make room for so many more tokens."""
        end = self.length + tokens
        if end > self.capacity:
            self._resize(max(LEAST, 1 << (end - 1).bit_length()))

    def _resize(self, capacity: int) -> None:
        """Make room for `capacity` tokens, and keep the first `length`."""
        self.keys, self.values = (
            torch.cat((old[..., : self.length, :], self._room(capacity)), dim=3)
            for old in (self.keys, self.values)
        )

    def _room(self, capacity: int) -> Tensor:
        layers, rows, heads, _, head_width = self.keys.shape
        return self.keys.new_zeros((layers, rows, heads, capacity - self.length, head_width))

    def seek(self, length: int) -> int:
        self.length = length
        return length

    def snapshot(self, length: int) -> Self:
        other = copy.copy(self)
        other.length = length
        other._resize(max(LEAST, 1 << max(length, 1).bit_length()))  # room for the next tokens
        return other


LOGIT_CAP = 15.0


def frozen_scale(x: Tensor, eps: float = torch.finfo(torch.float32).eps) -> Tensor:
    """The factor, fp32, by which RMSNorm without weights scales x [C]."""
    return (x.float().square().mean() + eps).rsqrt()


class TokenNetwork(nn.Module):
    """The base of our language models: the head, the loss, and reading into a state."""

    unlimited = False
    head: nn.Linear  # by default after RMSNorm without weights, its logits capped

    def __init__(self, context: int) -> None:
        super().__init__()
        self.context = context

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def new_state(self, rows: int) -> ReadingState:
        raise NotImplementedError

    def hidden_states(self, token_ids: Tensor, state: Any = None) -> tuple[Tensor, ...]:
        """As in `LanguageModel`; the tokens are read into `state` if it is given."""
        raise NotImplementedError

    def forward(self, token_ids: Tensor, state: Any = None) -> Tensor:
        return self.read_out(self.hidden_states(token_ids, state)[-1])

    def read_out(self, x: Tensor) -> Tensor:
        """As in `LayeredModel`."""
        logits = self.head(F.rms_norm(x, x.shape[-1:])).float()
        return LOGIT_CAP * torch.tanh(logits / LOGIT_CAP)

    def token_directions(self, x: Tensor, token_ids: Tensor | None) -> tuple[Tensor, Tensor]:
        """As in `LayeredModel`."""
        directions = frozen_scale(x) * rows_of(self.head.weight, token_ids)
        return directions, directions.new_zeros(len(directions))

    def prefill(self, token_ids: Tensor, state: Any) -> Tensor:
        return self(token_ids, state)[:, -1]

    def decode(self, token_ids: Tensor, state: Any) -> Tensor:
        return self(token_ids[:, None], state)[:, -1]

    def loss(self, token_ids: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        return token_loss(self(token_ids), targets, weights)

    def attention_weights(self, token_ids: Tensor, last: int = 1) -> Tensor | None:
        return None
