"""Decoding one token at a time with NumPy, as in `genui.engine.models.fast_decoding`."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import nn

from genui.engine.models.fast_decoding import (
    Array,
    Linear,
    attend,
    cap_logits,
    input_major,
    normalize,
    product,
    rotate_heads,
)
from genui.engine.models.language_model import GrowingCache

if TYPE_CHECKING:
    from genui.kinds.open_text.llama import Block, Llama, RMSNorm

LowRank = Mapping[nn.Module, tuple[Array, Array]]
"""Layers to what their adapters add, arrays [in, r] and [r, out]."""


class LlamaDecoder:
    """The decoder of `Llama` in all its variants, with or without adapters."""

    def __init__(self, network: "Llama", low_rank: LowRank) -> None:
        self.network, self.config = network, network.config
        self.blocks = [_LlamaBlock(cast("Block", block), low_rank) for block in network.blocks]
        self.norm = _Norm(network.norm)
        head = network.embedding if network.config.tied else network.head
        self.head = input_major(head.weight)
        local = network.config.local_rope is not None
        self.turns = _Turns(network.rotary)
        self.local_turns = _Turns(network.local_rotary) if local else self.turns

    def __call__(self, token_id: int, state: GrowingCache) -> Array:
        turns = self.turns.at(state.length), self.local_turns.at(state.length)
        return self._read(self._embed([token_id])[0], turns, [state])

    def read_rows(self, token_ids: Sequence[int], states: Sequence[GrowingCache]) -> Array:
        lengths = [state.length for state in states]
        turns = self.turns.of_rows(lengths), self.local_turns.of_rows(lengths)
        return self._read(self._embed(token_ids), turns, states)

    def _embed(self, token_ids: Sequence[int]) -> Array:
        return self.network.embed(torch.tensor([token_ids])).detach().numpy()[0]

    def _read(
        self,
        x: Array,
        turns: tuple["Turn", "Turn"],
        states: Sequence[GrowingCache],
    ) -> Array:
        """Logits [.., V] of embeddings x [.., C]: for one row, or for R rows."""
        config, (turn, local_turn) = self.config, turns
        for state in states:
            state.reserve(1)
        caches = [
            (state.length, state.keys.numpy()[:, 0], state.values.numpy()[:, 0]) for state in states
        ]
        for layer, block in enumerate(self.blocks):
            window = config.window_of(layer)
            h = block.attention_norm(x)
            q, k, v = block.queries_keys_values(h, local_turn if window else turn)
            q *= config.query_scale
            each: Iterable[tuple[Array, Array, Array]] = zip(q, k, v, strict=True)
            mixed = [
                self._attend(*parts, keys[layer], values[layer], at, window)
                for parts, (at, keys, values) in zip(
                    each if x.ndim > 1 else [(q, k, v)], caches, strict=True
                )
            ]
            a = block.o(np.stack(mixed) if x.ndim > 1 else mixed[0])
            x = x + (a if block.attention_post_norm is None else block.attention_post_norm(a))
            f = block.feed_forward(block.feed_forward_norm(x))
            x += f if block.feed_forward_post_norm is None else block.feed_forward_post_norm(f)
        for state, (at, _, _) in zip(states, caches, strict=True):
            state.length = at + 1
        logits = product(self.norm(x), self.head)
        return cap_logits(logits, config.logit_cap) if config.logit_cap else logits

    def _attend(
        self, q: Array, k: Array, v: Array, keys: Array, values: Array, at: int, window: int
    ) -> Array:
        """The output of the heads for one row, [H · D]; k and v [kv_heads, D] are stored at
        `at`."""
        config = self.config
        keys[:, at], values[:, at] = k, v
        seen = slice(max(0, at + 1 - window) if window else 0, at + 1)
        scores = np.matmul(
            q.reshape(config.kv_heads, -1, config.head_width), keys[:, seen].transpose(0, 2, 1)
        )
        if config.attention_cap:
            cap_logits(scores, config.attention_cap)
        scores -= scores.max(-1, keepdims=True)
        return attend(scores, values[:, seen])


class _Norm:
    """RMSNorm of x [.., C]."""

    def __init__(self, norm: "RMSNorm") -> None:
        self.weight, self.eps = norm.weight.detach().numpy(), norm.eps

    def __call__(self, x: Array) -> Array:
        return normalize(x, self.eps) * self.weight

    def of_heads(self, x: Array) -> Array:
        """RMSNorm of each head of x [.., H, D]."""
        scale: Array = np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(self.eps))
        return x / scale * self.weight


class _LlamaBlock:
    """The arrays of one layer."""

    def __init__(self, block: "Block", low_rank: LowRank) -> None:
        attention, feed_forward = block.attention, block.feed_forward
        self.q, self.k, self.v, self.o, self.gate, self.up, self.down = (
            Linear(layer, low_rank.get(layer))
            for layer in (
                attention.q,
                attention.k,
                attention.v,
                attention.o,
                feed_forward.gate,
                feed_forward.up,
                feed_forward.down,
            )
        )
        self.head_width, self.gelu = attention.config.head_width, feed_forward.gelu
        self.attention_norm = _Norm(block.attention_norm)
        self.feed_forward_norm = _Norm(block.feed_forward_norm)
        post, qk = block.post_norms, attention.config.qk_norm
        self.attention_post_norm = _Norm(block.attention_post_norm) if post else None
        self.feed_forward_post_norm = _Norm(block.feed_forward_post_norm) if post else None
        self.q_norm = _Norm(attention.q_norm) if qk else None
        self.k_norm = _Norm(attention.k_norm) if qk else None

    def queries_keys_values(self, x: Array, turn: "Turn") -> tuple[Array, Array, Array]:
        """Queries [.., H, D], keys and values [.., kv_heads, D] of x [.., C]; the first two
        rotated."""
        heads = (*x.shape[:-1], -1, self.head_width)
        q, k, v = (each(x).reshape(heads) for each in (self.q, self.k, self.v))
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm.of_heads(q), self.k_norm.of_heads(k)
        return rotate_heads(q, *turn), rotate_heads(k, *turn), v

    def feed_forward(self, x: Array) -> Array:
        """The gated feed-forward of x [.., C]."""
        gate = self.gate(x)
        if self.gelu:  # its tanh approximation
            inner = math.sqrt(2 / math.pi) * (gate + 0.044715 * gate**3)
            gate *= 0.5 * (1 + np.tanh(inner))
        else:  # silu
            gate /= 1 + np.exp(-np.maximum(gate, -80))  # e^80 is a finite fp32
        gate *= self.up(x)
        return self.down(gate)


Turn = tuple[Array, Array]
"""Cosines, repeated [.., 1, D], and sines [.., 1, D / 2] of a position, or of one for each row."""


class _Turns:
    """The turn of each position."""

    BLOCK = 256  # positions that are computed at once: a position's bits do not depend on others

    def __init__(self, rotary: nn.Module) -> None:
        self.rotary = rotary
        self.blocks: dict[int, tuple[Array, Array]] = {}

    def at(self, position: int) -> Turn:
        block, row = divmod(position, self.BLOCK)
        if block not in self.blocks:
            cos, sin = (each.numpy() for each in self.rotary(block * self.BLOCK, self.BLOCK))
            self.blocks[block] = np.concatenate((cos, cos), axis=1), sin
        cos, sin = self.blocks[block]
        return cos[row : row + 1], sin[row : row + 1]

    def of_rows(self, positions: Sequence[int]) -> Turn:
        cos, sin = zip(*map(self.at, positions), strict=True)
        return np.stack(cos), np.stack(sin)
