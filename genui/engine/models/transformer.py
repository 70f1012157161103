"""A decoder-only Transformer. Notable features:

- pre-norm with RMSNorm (Zhang & Sennrich 2019)
- rotary position embeddings (Su et al. 2021)
- normalised queries and keys (Henry et al. 2020)
- ReLU² in the feed-forward (So et al. 2021)
- block outputs initialised to zero
- logits capped to ±15 by tanh (Gemma 2, 2024)
- optional embeddings of hashed n-grams, added to those of the tokens (Svenstrup et al. 2017)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genui.engine.models.config import config_from
from genui.engine.models.language_model import GrowingCache, LayerParts, TokenNetwork


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes of the network. `context` is the length of the longest sequence in tokens.

    With `ngrams` of 2 or more, n-grams of 2 to `ngrams` tokens have embeddings of `ngram_width`
    columns (0: `width`, which is the most), in tables of at most `ngram_rows` rows.
    """

    vocab_size: int
    layers: int
    width: int
    heads: int
    context: int
    dropout: float = 0.0
    ngrams: int = 1
    ngram_rows: int = 0
    ngram_width: int = 0
    ngram_dropout: float = 0.0


def build_transformer(recipe: object, vocab_size: int) -> "Transformer":
    """Build the network of a recipe with new weights."""
    return Transformer(config_from(recipe, TransformerConfig, vocab_size=vocab_size))


def rotary_tables(length: int, head_width: int, base: float = 10_000.0) -> tuple[Tensor, Tensor]:
    """Cosines and sines, fp32 [length, head_width / 2] (Su et al. 2021, eq. 15)."""
    frequency = base ** (-torch.arange(0, head_width, 2, device="cpu").float() / head_width)
    angle = torch.outer(torch.arange(length, device="cpu").float(), frequency)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate each pair (x₁, x₂) of x [B, H, T, D] by the angle of its position."""
    x1, x2 = x.chunk(2, dim=-1)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.cat((x1 * cos - x2 * sin, x1 * sin + x2 * cos), dim=-1)


# --- Embeddings of n-grams --------------------------------------------------------------------

RADIX = 65537  # the radix of keys that are hashed: it does not depend on the vocabulary
MULTIPLIER = 0x9E3779B97F4A7C15 - (1 << 64)  # Fibonacci hashing (Knuth, vol. 3, 6.4)


def ngram_sizes(config: TransformerConfig) -> list[int]:
    """The rows of the tables of 2-grams, 3-grams, … up to `ngrams`."""
    radix = config.vocab_size + 1
    return [min(radix**n, config.ngram_rows) for n in range(2, config.ngrams + 1)]


def ngram_indices(token_ids: Tensor, config: TransformerConfig) -> Tensor:
    """The rows of the n-grams that end at each token, in one table below the other.

    token_ids int64 [B, ngrams - 1 + T] to int64 [B, T, ngrams - 1]. The first ngrams - 1 tokens are
    only read as those before the others; -1 stands for none, before the beginning of a text. If all
    n-grams of a length fit into its table, each has a row; if not, rows are hashed.
    """
    reach = config.ngrams - 1
    length = token_ids.shape[1] - reach
    columns = [token_ids[:, reach - back : reach - back + length] for back in range(config.ngrams)]
    return torch.stack(ngram_rows(columns, config), dim=-1)


def ngram_rows(token_ids: Sequence[Any], config: TransformerConfig) -> list[Any]:
    """`ngram_indices` of one token, or of many at once.

    token_ids[k], an int or int64 of any shape, is the token k before it. Tensors may wrap around;
    the bits that count are the same.
    """
    radix = config.vocab_size + 1
    exact = key = token_ids[0] + 1
    rows_of, first = [], 0
    for n, rows in enumerate(ngram_sizes(config), 2):
        earlier = token_ids[n - 1] + 1
        exact, key = exact * radix + earlier, key * RADIX + earlier
        is_exact = radix**n <= rows
        row = exact if is_exact else ((key * MULTIPLIER >> 32) & 0x7FFFFFFF) % rows
        rows_of.append(row + first)
        first += rows
    return rows_of


class NgramEmbedding(nn.EmbeddingBag):
    """The sum of the embeddings of the n-grams that end at each token, zero in a new network.

    Its gradient is sparse. In training the sum is left out at a share `dropout` of the positions:
    with a text read several times the network would else rely on n-grams that it will not meet
    again.
    """

    def __init__(self, config: TransformerConfig) -> None:
        columns = min(config.ngram_width or config.width, config.width)
        super().__init__(sum(ngram_sizes(config)), columns, mode="sum", sparse=True)
        self.config = config

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)

    def add_to(self, x: Tensor, token_ids: Tensor, before: Tensor | None = None) -> Tensor:
        """x [B, T, C] with the embeddings of token_ids [B, T] added to the first columns.

        `before` int64 [B, N] are the tokens before them, if there are any.
        """
        (B, T), reach = token_ids.shape, self.config.ngrams - 1
        if before is not None:
            token_ids = torch.cat((before[:, -reach:], token_ids), dim=1)
        token_ids = F.pad(token_ids, (reach + T - token_ids.shape[1], 0), value=-1)
        indices = ngram_indices(token_ids, self.config)
        added = self(indices.view(B * T, reach)).view(B, T, -1)
        if self.training and self.config.ngram_dropout:
            added = added * (torch.rand(B, T, 1, device=x.device) >= self.config.ngram_dropout)
        return x + F.pad(added, (0, x.shape[-1] - added.shape[-1]))


# --- The network ------------------------------------------------------------------------------


class KVCache(GrowingCache):
    """A cache with the tokens [B, context], if the network has embeddings of n-grams."""

    def __init__(self, config: TransformerConfig, batch: int, device: torch.device) -> None:
        super().__init__((config.layers, batch, config.heads, config.width // config.heads), device)
        tokens = config.context if config.ngrams > 1 else 0
        self.token_ids = torch.zeros(batch, tokens, dtype=torch.long, device=device)

    def remember(self, token_ids: Tensor) -> Tensor:
        """Append token_ids [B, T] at `length`; returns all tokens before them."""
        self.token_ids[:, self.length : self.length + token_ids.shape[1]] = token_ids
        return self.token_ids[:, : self.length]

    def snapshot(self, length: int) -> Self:
        other = super().snapshot(length)
        other.token_ids = self.token_ids.clone()
        return other


class Attention(nn.Module):
    """Multi-head self-attention, causal unless a mask is given."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width, bias=False)
        self.out = nn.Linear(config.width, config.width, bias=False)

    def forward(
        self,
        x: Tensor,
        cos: Tensor,
        sin: Tensor,
        cache: KVCache | None = None,
        layer: int = 0,
        visible: Tensor | None = None,
    ) -> Tensor:
        """x [B, T, C] to [B, T, C]. `visible` bool [B, 1, T, T] is what each position attends to;
        None: itself and what precedes it."""
        B, T, C = x.shape
        q, k, v = self.queries_keys_values(x, cos, sin)
        if cache is not None:
            k, v = cache.extend(layer, k, v)
        # A single new token attends to all of the cache; several need a causal mask.
        causal = visible is None and T > 1
        y = F.scaled_dot_product_attention(q, k.to(q.dtype), v.to(q.dtype), visible, 0.0, causal)
        return self.out(y.transpose(1, 2).reshape(B, T, C))

    def queries_keys_values(
        self, x: Tensor, cos: Tensor, sin: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of x [B, T, C], [B, H, T, D] each; the first two normalised and
        rotated."""
        B, T, C = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        q = rotate(F.rms_norm(q, q.shape[-1:]), cos, sin)
        k = rotate(F.rms_norm(k, k.shape[-1:]), cos, sin)
        return q, k, v

    def weights(self, x: Tensor, cos: Tensor, sin: Tensor, last: int) -> Tensor:
        """Attention weights of the last positions of x [B, T, C]: fp32 [B, H, last, T].

        The softmax of Vaswani et al. 2017, eq. 1, which `forward` computes in a fused kernel.
        """
        q, k, _ = self.queries_keys_values(x, cos, sin)
        T, D = k.shape[2:]
        scores = (q[:, :, T - last :] @ k.transpose(-2, -1)).float() * D**-0.5
        later = torch.ones(last, T, dtype=torch.bool, device=x.device).triu(T - last + 1)
        return scores.masked_fill(later, -torch.inf).softmax(dim=-1)


class FeedForward(nn.Module):
    """Two matrices with ReLU² between them, [.., C] to [.., C]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.relu(self.up(x)).square())


class Block(nn.Module):
    """Attention and feed-forward, each added to the residual stream."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.feed_forward = FeedForward(config.width)
        self.dropout = config.dropout

    def forward(
        self,
        x: Tensor,
        cos: Tensor,
        sin: Tensor,
        cache: KVCache | None = None,
        layer: int = 0,
        visible: Tensor | None = None,
    ) -> Tensor:
        a = self.attention(F.rms_norm(x, x.shape[-1:]), cos, sin, cache, layer, visible)
        x = x + F.dropout(a, self.dropout, self.training)
        f = self.feed_forward(F.rms_norm(x, x.shape[-1:]))
        return x + F.dropout(f, self.dropout, self.training)


class Transformer(TokenNetwork):
    """Token ids [B, T] to logits [B, T, vocab_size]."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config.context)
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        self.ngram_embedding = NgramEmbedding(config) if config.ngrams > 1 else None
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.head = nn.Linear(config.width, config.vocab_size, bias=False)
        cos, sin = rotary_tables(config.context, config.width // config.heads)
        self.cos: Tensor
        self.sin: Tensor
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        nn.init.normal_(self.embedding.weight, std=0.7)
        nn.init.zeros_(self.head.weight)
        for block in self.blocks:
            assert isinstance(block, Block)
            for matrix in (block.attention.qkv, block.feed_forward.up):
                nn.init.normal_(matrix.weight, std=0.6 * matrix.in_features**-0.5)
            nn.init.zeros_(block.attention.out.weight)
            nn.init.zeros_(block.feed_forward.down.weight)

    def new_state(self, rows: int) -> KVCache:
        return KVCache(self.config, rows, self.device)

    def lookups(self, token_ids: Any) -> list[tuple[nn.Embedding, Any]]:
        """The embeddings that are added for each token, and their rows; token_ids is an int or an
        int64 tensor of any shape."""
        return [(self.embedding, token_ids)]

    def embed(self, token_ids: Tensor) -> Tensor:
        """The input embeddings of token_ids [B, T], [B, T, C]."""
        first, *others = (embedding(rows) for embedding, rows in self.lookups(token_ids))
        return reduce(torch.add, others, first)

    def hidden_states(self, token_ids: Tensor, state: KVCache | None = None) -> tuple[Tensor, ...]:
        start, T = state.length if state is not None else 0, token_ids.shape[1]
        cos, sin = self.cos[start : start + T], self.sin[start : start + T]
        x = self.embed(token_ids)
        if self.ngram_embedding is not None:
            before = state.remember(token_ids) if state is not None else None
            x = self.ngram_embedding.add_to(x, token_ids, before)
        x = F.rms_norm(x, (self.config.width,))
        hidden_states = [F.dropout(x, self.config.dropout / 2, self.training)]
        for layer, block in enumerate(self.blocks):
            hidden_states.append(block(hidden_states[-1], cos, sin, state, layer))
        if state is not None:
            state.length = start + T
        return tuple(hidden_states)

    def layer_parts(self) -> tuple[LayerParts, ...]:
        return tuple(
            LayerParts(block, block.attention.out, block.attention.heads, block.feed_forward)
            for block in self.blocks
            if isinstance(block, Block)
        )

    def attention_weights(self, token_ids: Tensor, last: int = 1) -> Tensor:
        cos, sin = self.cos[: token_ids.shape[1]], self.sin[: token_ids.shape[1]]
        weights = []
        for block, x in zip(self.blocks, self.hidden_states(token_ids), strict=False):
            assert isinstance(block, Block)
            weights.append(block.attention.weights(F.rms_norm(x, x.shape[-1:]), cos, sin, last))
        return torch.stack(weights)
