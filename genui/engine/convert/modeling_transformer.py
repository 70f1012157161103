"""The Transformer of genui as a model of Hugging Face transformers. Needs only torch and
transformers.

    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(FOLDER, trust_remote_code=True)
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)

A decoder-only Transformer: pre-norm with RMSNorm without weights, rotary positions, normalised
queries and keys, ReLU² in the feed-forward, logits capped to ±15 by tanh. With `ngrams` of 2 or
more the sum of the embeddings of the n-grams that end at a token is added to that of the token.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput


class GenuiConfig(PretrainedConfig):
    model_type = "genui-transformer"

    def __init__(
        self,
        vocab_size: int = 256,
        hidden_size: int = 256,
        num_hidden_layers: int = 6,
        num_attention_heads: int = 4,
        max_position_embeddings: int = 256,
        logit_cap: float = 15.0,
        rope_theta: float = 10_000.0,
        ngrams: int = 1,
        ngram_rows: int = 0,
        ngram_width: int = 0,
        **options: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.max_position_embeddings = max_position_embeddings
        self.logit_cap = logit_cap
        self.rope_theta = rope_theta
        self.ngrams, self.ngram_rows = ngrams, ngram_rows
        self.ngram_width = min(ngram_width or hidden_size, hidden_size)
        options.setdefault("tie_word_embeddings", False)
        super().__init__(**options)


def norm(x: Tensor) -> Tensor:
    """RMSNorm (Zhang & Sennrich 2019) of the last dimension, without weights."""
    return F.rms_norm(x, x.shape[-1:])


def rotate(x: Tensor, base: float) -> Tensor:
    """Rotary positions (Su et al. 2021): turn the pairs of x [B, H, T, D] by their position."""
    T, D = x.shape[-2:]
    frequency = base ** (-torch.arange(0, D, 2, device=x.device).float() / D)
    angle = torch.outer(torch.arange(T, device=x.device).float(), frequency)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    x1, x2 = x.chunk(2, dim=-1)
    return torch.cat((x1 * cos - x2 * sin, x1 * sin + x2 * cos), dim=-1)


class Attention(nn.Module):
    def __init__(self, config: GenuiConfig) -> None:
        super().__init__()
        self.heads, self.base = config.num_attention_heads, config.rope_theta
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size, bias=False)
        self.out = nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        B, T, C = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        q, k = rotate(norm(q), self.base), rotate(norm(k), self.base)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(B, T, C))


class FeedForward(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.relu(self.up(x)).square())


class Block(nn.Module):
    def __init__(self, config: GenuiConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.feed_forward = FeedForward(config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(norm(x))
        return x + self.feed_forward(norm(x))


class NgramEmbedding(nn.EmbeddingBag):
    """The sum of the embeddings of the 2- to `ngrams`-grams that end at each token.

    Each length has a table of `ngram_rows` rows, into which its n-grams are hashed, or a row for
    every n-gram if there are fewer.
    """

    def __init__(self, config: GenuiConfig) -> None:
        self.reach, self.radix = config.ngrams - 1, config.vocab_size + 1
        lengths = range(2, config.ngrams + 1)
        self.rows = [min(self.radix**n, config.ngram_rows) for n in lengths]
        super().__init__(sum(self.rows), config.ngram_width, mode="sum")

    def add_to(self, x: Tensor, token_ids: Tensor) -> Tensor:
        """x [B, T, C] with the embeddings added to its first columns."""
        B, T = token_ids.shape
        digits = F.pad(token_ids + 1, (self.reach, 0))  # 0: before the beginning
        exact = key = digits[:, self.reach :]
        indices, first = [], 0
        for n, rows in enumerate(self.rows, 2):
            earlier = digits[:, self.reach + 1 - n : self.reach + 1 - n + T]
            exact, key = exact * self.radix + earlier, key * 65537 + earlier
            hashed = ((key * (0x9E3779B97F4A7C15 - (1 << 64)) >> 32) & 0x7FFFFFFF) % rows
            indices.append((exact if self.radix**n <= rows else hashed) + first)
            first += rows
        added = self(torch.stack(indices, -1).view(B * T, self.reach)).view(B, T, -1)
        return x + F.pad(added, (0, x.shape[-1] - added.shape[-1]))


class GenuiForCausalLM(PreTrainedModel, GenerationMixin):
    """Token ids [B, T], T at most `max_position_embeddings`, to logits [B, T, vocab_size].

    Nothing is cached: each new token reads the whole text, of which `generate` keeps the end. Rows
    have no padding, so a batch needs texts of equal length.
    """

    config_class = GenuiConfig
    main_input_name = "input_ids"

    def __init__(self, config: GenuiConfig) -> None:
        super().__init__(config)
        self.embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.ngram_embedding = NgramEmbedding(config) if config.ngrams > 1 else None
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))
        self.head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embedding

    def get_output_embeddings(self) -> nn.Linear:
        return self.head

    def forward(
        self, input_ids: Tensor, labels: Tensor | None = None, **ignored: Any
    ) -> CausalLMOutput:
        x = self.embedding(input_ids)
        if self.ngram_embedding is not None:
            x = self.ngram_embedding.add_to(x, input_ids)
        x = norm(x)
        for block in self.blocks:
            x = block(x)
        logits = self.head(norm(x)).float()
        logits = self.config.logit_cap * torch.tanh(logits / self.config.logit_cap)
        loss = None
        if labels is not None:  # shifted here, as in the models of transformers
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        return CausalLMOutput(loss=loss, logits=logits)

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, *ignored: Any, **options: Any
    ) -> dict[str, Any]:
        return {"input_ids": input_ids[:, -self.config.max_position_embeddings :]}
