"""A decoder-only Transformer, whole in one file.

Pre-norm blocks (RMSNorm, Zhang & Sennrich 2019) with rotary positions (Su et al. 2021),
normalised queries and keys (Henry et al. 2020), a ReLU² feed-forward (So et al. 2021), block
outputs that start at zero, and logits capped to ±15 by tanh (Gemma 2, 2024).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genui.engine.models.language_model import TokenNetwork
from genui.protocol import chorale
from genui.recipes import MusicRecipe, TransformerRecipe

LOGIT_CAP = 15.0


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes of the network. `context` is the longest sequence in tokens."""

    vocab_size: int
    layers: int
    width: int
    heads: int
    context: int
    dropout: float = 0.0


def transformer_config(recipe: TransformerRecipe, vocab_size: int) -> TransformerConfig:
    """The network a recipe asks for."""
    return TransformerConfig(
        vocab_size=vocab_size,
        layers=recipe.layers,
        width=recipe.width,
        heads=recipe.heads,
        context=recipe.context,
        dropout=recipe.dropout,
    )


def build_transformer(recipe: TransformerRecipe, vocab_size: int) -> "Transformer":
    """The network of a recipe, its weights drawn anew."""
    return Transformer(transformer_config(recipe, vocab_size))


def rotary_tables(length: int, head_width: int, base: float = 10_000.0) -> tuple[Tensor, Tensor]:
    """Cosines and sines, fp32 [length, head_width / 2] (Su et al. 2021, eq. 15)."""
    frequency = base ** (-torch.arange(0, head_width, 2).float() / head_width)
    angle = torch.outer(torch.arange(length).float(), frequency)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (x₁, x₂) of x [B, H, T, D] by its position's angle."""
    x1, x2 = x.chunk(2, dim=-1)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.cat((x1 * cos - x2 * sin, x1 * sin + x2 * cos), dim=-1)


class KVCache:
    """Keys and values of the tokens already read: two [layers, B, H, context, D] buffers.

    The first `length` tokens are valid. Writing position k always writes the same values for the
    same tokens before it, so going back is a matter of lowering `length`.
    """

    def __init__(self, config: TransformerConfig, batch: int, device: torch.device) -> None:
        head_width = config.width // config.heads
        shape = (config.layers, batch, config.heads, config.context, head_width)
        self.keys = torch.zeros(shape, device=device)
        self.values = torch.zeros(shape, device=device)
        self.length = 0

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Store [B, H, T, D] after the valid part; all keys and values up to there."""
        end = self.length + key.shape[2]
        self.keys[layer, :, :, self.length : end] = key
        self.values[layer, :, :, self.length : end] = value
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    def seek(self, length: int) -> int:
        """Every place that was read is kept."""
        self.length = length
        return length

    def snapshot(self, length: int) -> "KVCache":
        copy = object.__new__(KVCache)
        copy.keys, copy.values = torch.zeros_like(self.keys), torch.zeros_like(self.values)
        copy.keys[..., :length, :] = self.keys[..., :length, :]
        copy.values[..., :length, :] = self.values[..., :length, :]
        copy.length = length
        return copy

    def select(self, rows: Tensor) -> None:
        """From now on row k is what row `rows[k]` was; `rows` int64 [B], any number."""
        self.keys, self.values = self.keys[:, rows], self.values[:, rows]


class Attention(nn.Module):
    """Causal multi-head self-attention."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width, bias=False)
        self.out = nn.Linear(config.width, config.width, bias=False)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, cache: KVCache | None = None, layer: int = 0
    ) -> Tensor:
        B, T, C = x.shape
        q, k, v = self.queries_keys_values(x, cos, sin)
        if cache is not None:
            k, v = cache.extend(layer, k, v)
        # One new token may look at everything; several at once only backwards.
        y = F.scaled_dot_product_attention(q, k.to(q.dtype), v.to(q.dtype), is_causal=T > 1)
        return self.out(y.transpose(1, 2).reshape(B, T, C))

    def queries_keys_values(
        self, x: Tensor, cos: Tensor, sin: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of x [B, T, C], each [B, H, T, D]; queries and keys normalised and turned."""
        B, T, C = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        q = rotate(F.rms_norm(q, q.shape[-1:]), cos, sin)
        k = rotate(F.rms_norm(k, k.shape[-1:]), cos, sin)
        return q, k, v

    def weights(self, x: Tensor, cos: Tensor, sin: Tensor, last: int) -> Tensor:
        """How much the last `last` positions of x [B, T, C] attend to each: fp32 [B, H, last, T].

        The softmax that `forward` leaves to the fused kernel (Vaswani et al. 2017, eq. 1).
        """
        q, k, _ = self.queries_keys_values(x, cos, sin)
        T, D = k.shape[2:]
        scores = (q[:, :, T - last :] @ k.transpose(-2, -1)).float() * D**-0.5
        later = torch.ones(last, T, dtype=torch.bool, device=x.device).triu(T - last + 1)
        return scores.masked_fill(later, -torch.inf).softmax(dim=-1)


class FeedForward(nn.Module):
    """Two matrices with ReLU² between."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.relu(self.up(x)).square())


class Block(nn.Module):
    """Attention, then feed-forward, each added to the residual stream."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.feed_forward = FeedForward(config.width)
        self.dropout = config.dropout

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, cache: KVCache | None = None, layer: int = 0
    ) -> Tensor:
        a = self.attention(F.rms_norm(x, x.shape[-1:]), cos, sin, cache, layer)
        x = x + F.dropout(a, self.dropout, self.training)
        f = self.feed_forward(F.rms_norm(x, x.shape[-1:]))
        return x + F.dropout(f, self.dropout, self.training)


class Transformer(TokenNetwork):
    """Token ids [B, T] in, logits [B, T, vocab_size] out."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config.context)
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.head = nn.Linear(config.width, config.vocab_size, bias=False)
        cos, sin = rotary_tables(config.context, config.width // config.heads)
        self.cos: Tensor
        self.sin: Tensor
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self._initialise()

    def _initialise(self) -> None:
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

    def embed(self, token_ids: Tensor) -> Tensor:
        """What is read at each position: token_ids [B, T] to [B, T, C]."""
        return self.embedding(token_ids)

    def hidden_states(self, token_ids: Tensor, state: KVCache | None = None) -> tuple[Tensor, ...]:
        start, T = state.length if state is not None else 0, token_ids.shape[1]
        cos, sin = self.cos[start : start + T], self.sin[start : start + T]
        x = F.rms_norm(self.embed(token_ids), (self.config.width,))
        hidden_states = [F.dropout(x, self.config.dropout / 2, self.training)]
        for layer, block in enumerate(self.blocks):
            hidden_states.append(block(hidden_states[-1], cos, sin, state, layer))
        if state is not None:
            state.length = start + T
        return tuple(hidden_states)

    def forward(self, token_ids: Tensor, state: KVCache | None = None) -> Tensor:
        x = self.hidden_states(token_ids, state)[-1]
        logits = self.head(F.rms_norm(x, x.shape[-1:])).float()
        return LOGIT_CAP * torch.tanh(logits / LOGIT_CAP)

    def attention_weights(self, token_ids: Tensor, last: int = 1) -> Tensor:
        """What the last positions of token_ids [B, T] attend to: fp32 [layers, B, H, last, T]."""
        cos, sin = self.cos[: token_ids.shape[1]], self.sin[: token_ids.shape[1]]
        weights = []
        for block, x in zip(self.blocks, self.hidden_states(token_ids), strict=False):
            assert isinstance(block, Block)
            weights.append(block.attention.weights(F.rms_norm(x, x.shape[-1:]), cos, sin, last))
        return torch.stack(weights)


# --- The Transformer that writes four-voice music: it reads whose a token is, and what comes next
# The grid of a piece has a voice and a beat at every position (see `genui.notes`). Told both,
# the network need not count: each position is the sum of what the token is, whose it is, and
# the place of the slot that is asked for next.


class ChoraleTransformer(Transformer):
    """Numbers of `notes.seen` [B, T] in, logits of tokens [B, T, notes.SIZE] out."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.embedding = nn.Embedding(chorale.INPUTS, config.width)
        self.voice_embedding = nn.Embedding(len(chorale.VOICES) + 1, config.width)
        self.place_embedding = nn.Embedding(chorale.PLACES, config.width)
        for embedding in (self.embedding, self.voice_embedding, self.place_embedding):
            nn.init.normal_(embedding.weight, std=0.7)

    def embed(self, token_ids: Tensor) -> Tensor:
        voices, token = token_ids // chorale.INPUTS, token_ids % chorale.INPUTS
        places = voices // (len(chorale.VOICES) + 1)
        return (
            self.embedding(token)
            + self.voice_embedding(voices % (len(chorale.VOICES) + 1))
            + self.place_embedding(places)
        )


def chorale_config(recipe: MusicRecipe) -> TransformerConfig:
    """The network a recipe asks for."""
    return TransformerConfig(
        vocab_size=chorale.SIZE,
        layers=recipe.layers,
        width=recipe.width,
        heads=recipe.heads,
        context=recipe.context,
        dropout=recipe.dropout,
    )
