"""The Llama family: one network for the open models of text. Notable features:

- pre-norm with RMSNorm (Zhang & Sennrich 2019), gated feed-forward (Shazeer 2020)
- rotary position embeddings (Su et al. 2021), scaled: linear, Llama 3, YaRN (Peng et al. 2023)
- grouped queries (Ainslie et al. 2023), biases of Qwen2, normalised queries and keys of Qwen3
- Gemma 2 and 3: norms also after each part, soft caps, alternating sliding windows

Weights may be fp32 or bf16; the residual stream, the norms and the logits are fp32.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genui.base.errors import GenuiError
from genui.base.late import late_imports
from genui.engine.models.frozen import plan_network
from genui.engine.models.language_model import (
    GrowingCache,
    LayerParts,
    TokenNetwork,
    frozen_scale,
    nats_in_pieces,
    rows_of,
)
from genui.engine.models.transformer import rotate
from genui.kinds.open_text.folder import MODEL_TYPES

with late_imports():
    from genui.kinds.open_text import decoder as decoding

if TYPE_CHECKING:
    from genui.engine.models.fast_decoding import Decoder


@dataclass(frozen=True)
class Rope:
    """Rotary position embeddings of some layers."""

    base: float = 10_000.0
    kind: str = "default"
    """The kind of scaling: "default", "linear", "llama3" or "yarn"."""
    factor: float = 1.0
    original_context: int = 0
    """For llama3 and yarn: the context before it was extended, in tokens."""
    low: float = 1.0
    """For llama3 the low_freq_factor; for yarn beta_slow."""
    high: float = 4.0
    """For llama3 the high_freq_factor; for yarn beta_fast."""
    attention_factor: float = 1.0
    """Multiplies the cosines and sines, for yarn."""
    divisors: tuple[float, ...] = ()
    """The divisor of each frequency, if a file has them, in place of llama3's formula."""


@dataclass(frozen=True)
class LlamaConfig:
    """Sizes and variants of the network."""

    vocab_size: int
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_width: int
    feed_forward: int
    context: int
    """The length of the longest sequence, in tokens."""
    architecture: str = "llama"
    norm_eps: float = 1e-5
    tied: bool = False
    """Whether the head is the embedding."""
    rope: Rope = field(default_factory=Rope)
    local_rope: Rope | None = None
    """The embeddings of layers with a window, if they have their own."""
    qkv_bias: bool = False
    output_bias: bool = False
    """Of the attention's output."""
    feed_forward_bias: bool = False
    qk_norm: bool = False
    post_norms: bool = False
    """Whether the output of attention and of the feed-forward is normalised too."""
    activation: str = "silu"
    """Of the gate: "silu", or "gelu" (its tanh approximation)."""
    embedding_scale: float = 1.0
    attention_scale: float = 0.0
    """Multiplies the scores; 0 is 1/√head_width."""
    attention_cap: float = 0.0
    """Scores are capped to ± this by tanh; 0 is no cap."""
    logit_cap: float = 0.0
    window: int = 0
    """The number of tokens that a layer with a window attends to."""
    windowed: tuple[bool, ...] = ()
    """For each layer whether it has the window; () for none."""

    @property
    def query_scale(self) -> float:
        return self.attention_scale or self.head_width**-0.5

    def window_of(self, layer: int) -> int:
        """The window of a layer in tokens, or 0."""
        return self.window if self.windowed and self.windowed[layer] else 0


# --- Rotary embeddings ------------------------------------------------------------------------


def rope_frequencies(rope: Rope, head_width: int) -> tuple[Tensor, float]:
    """The angle of each pair per position, fp32 [head_width / 2], and what multiplies the cosines
    and sines. The formulas agree with `transformers.modeling_rope_utils`."""
    exponents = torch.arange(0, head_width, 2, device="cpu").float() / head_width
    frequencies = 1.0 / rope.base**exponents
    if rope.divisors:
        return frequencies / torch.tensor(rope.divisors, device="cpu"), rope.attention_factor
    match rope.kind:
        case "default":
            pass
        case "linear":
            frequencies = frequencies / rope.factor
        case "llama3":
            wavelength = 2 * math.pi / frequencies
            slow = rope.original_context / rope.low
            fast = rope.original_context / rope.high
            smooth = (rope.original_context / wavelength - rope.low) / (rope.high - rope.low)
            scaled = torch.where(wavelength > slow, frequencies / rope.factor, frequencies)
            between = (1 - smooth) * scaled / rope.factor + smooth * scaled
            is_between = ~(wavelength < fast) & ~(wavelength > slow)
            frequencies = torch.where(is_between, between, scaled)
        case "yarn":
            frequencies = _yarn(rope, head_width, frequencies)
        case kind:
            raise GenuiError(f"its rope scaling {kind!r} is unknown; use another model")
    return frequencies, rope.attention_factor


def _yarn(rope: Rope, head_width: int, frequencies: Tensor) -> Tensor:
    """Frequencies [D / 2] that are interpolated from slow to fast (Peng et al. 2023, §3.2)."""

    def pair(rotations: float) -> float:
        turns = rope.original_context / (rotations * 2 * math.pi)
        return head_width * math.log(turns) / (2 * math.log(rope.base))

    first = max(math.floor(pair(rope.high)), 0)
    last = min(math.ceil(pair(rope.low)), head_width - 1)
    ramp = (torch.arange(head_width // 2, device="cpu").float() - first) / max(last - first, 0.001)
    kept = 1 - ramp.clamp(0, 1)
    return frequencies / rope.factor * (1 - kept) + frequencies * kept


def yarn_attention_factor(factor: float) -> float:
    """YaRN's temperature of the attention (Peng et al. 2023, eq. 22)."""
    return 0.1 * math.log(factor) + 1.0 if factor > 1 else 1.0


class Rotary(nn.Module):
    """Cosines and sines of positions; they are computed when needed, for any position."""

    def __init__(self, rope: Rope, head_width: int) -> None:
        super().__init__()
        self.frequencies: Tensor
        frequencies, self.factor = rope_frequencies(rope, head_width)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, start: int, length: int) -> tuple[Tensor, Tensor]:
        """fp32 [length, D / 2] each, for the positions from `start` on."""
        positions = torch.arange(start, start + length, device=self.frequencies.device).float()
        angles = torch.outer(positions, self.frequencies.float())
        return angles.cos() * self.factor, angles.sin() * self.factor


# --- The network ------------------------------------------------------------------------------


class RMSNorm(nn.Module):
    """x / rms(x) · weight in fp32 (Zhang & Sennrich 2019). Gemma's 1 + w is its weight here."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x.float(), x.shape[-1:], self.weight.float(), self.eps)


class Attention(nn.Module):
    """Self-attention in which groups of query heads share keys and values. Unless it `is_causal`,
    a position sees what follows it too."""

    is_causal = True

    def __init__(self, config: LlamaConfig, layer: int) -> None:
        super().__init__()
        self.config, self.layer, self.window = config, layer, config.window_of(layer)
        queries, shared = config.heads * config.head_width, config.kv_heads * config.head_width
        self.q = nn.Linear(config.width, queries, bias=config.qkv_bias)
        self.k = nn.Linear(config.width, shared, bias=config.qkv_bias)
        self.v = nn.Linear(config.width, shared, bias=config.qkv_bias)
        self.o = nn.Linear(queries, config.width, bias=config.output_bias)
        if config.qk_norm:
            self.q_norm = RMSNorm(config.head_width, config.norm_eps)
            self.k_norm = RMSNorm(config.head_width, config.norm_eps)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], cache: GrowingCache | None) -> Tensor:
        B, T, _ = x.shape
        q, k, v = self.queries_keys_values(x, turn)
        if cache is not None:
            k, v = cache.extend(self.layer, k, v)
        return self.o(self._attend(q, k, v).transpose(1, 2).reshape(B, T, -1))

    def queries_keys_values(
        self, x: Tensor, turn: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [B, H, T, D], keys and values [B, kv_heads, T, D] of x [B, T, C]; the first two
        rotated."""
        B, T, _ = x.shape
        q = self.q(x).view(B, T, self.config.heads, self.config.head_width)
        k = self.k(x).view(B, T, self.config.kv_heads, self.config.head_width)
        v = self.v(x).view(B, T, self.config.kv_heads, self.config.head_width)
        if self.config.qk_norm:
            q, k = self.q_norm(q).to(q.dtype), self.k_norm(k).to(k.dtype)
        q, k, v = (each.transpose(1, 2) for each in (q, k, v))
        return rotate(q, *turn), rotate(k, *turn), v

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The values [B, H, T, D] that the queries attend to."""
        B, H, T, D = q.shape
        if self.window and T == 1:
            k, v = k[:, :, -self.window :], v[:, :, -self.window :]
        if self.config.attention_cap:
            weights = self._softmax(q, k, self._mask(T, k.shape[2], q.device)).to(v.dtype)
            return (weights @ self._shared(v)).flatten(1, 2)
        if T == 1:  # the queries of a group are the rows of one product
            groups = q.view(B, self.config.kv_heads, -1, D)
            y = F.scaled_dot_product_attention(groups, k, v, scale=self.config.query_scale)
            return y.reshape(B, H, T, D)
        plain = k.shape[2] == T and not (self.window and self.window < T)
        return F.scaled_dot_product_attention(
            q,
            self._shared(k).expand(B, -1, H // k.shape[1], -1, D).flatten(1, 2),
            self._shared(v).expand(B, -1, H // k.shape[1], -1, D).flatten(1, 2),
            attn_mask=None if plain else self._mask(T, k.shape[2], q.device),
            is_causal=plain and self.is_causal,
            scale=self.config.query_scale,
        )

    @staticmethod
    def _shared(x: Tensor) -> Tensor:
        """[B, kv_heads, 1, T, D]: broadcast over the queries of a group."""
        return x[:, :, None]

    def _mask(self, T: int, length: int, device: torch.device) -> Tensor:
        """Whether each of the last T of `length` positions sees each position, [T, length]."""
        here = torch.arange(length - T, length, device=device)[:, None]
        there = torch.arange(length, device=device)
        seen = there <= (here if self.is_causal else length)
        return seen & (there > here - self.window) if self.window else seen

    def _softmax(self, q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
        """Attention weights fp32 [B, kv_heads, H / kv_heads, T, length]."""
        B, H, T, D = q.shape
        groups = q.view(B, k.shape[1], H // k.shape[1], T, D)
        scores = (groups @ self._shared(k).transpose(-2, -1)).float() * self.config.query_scale
        if cap := self.config.attention_cap:
            scores = cap * torch.tanh(scores / cap)
        return scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)

    def weights(self, x: Tensor, turn: tuple[Tensor, Tensor], last: int) -> Tensor:
        """Attention weights of the last positions of x [B, T, C]: fp32 [B, H, last, T]."""
        q, k, _ = self.queries_keys_values(x, turn)
        mask = self._mask(last, k.shape[2], x.device)
        return self._softmax(q[:, :, -last:].contiguous(), k, mask).flatten(1, 2)


class FeedForward(nn.Module):
    """A gated feed-forward (Shazeer 2020), [.., C] to [.., C]."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        width, inner, bias = config.width, config.feed_forward, config.feed_forward_bias
        self.gate = nn.Linear(width, inner, bias=bias)
        self.up = nn.Linear(width, inner, bias=bias)
        self.down = nn.Linear(inner, width, bias=bias)
        self.gelu = config.activation == "gelu"

    def forward(self, x: Tensor) -> Tensor:
        gate = self.gate(x)
        gate = F.gelu(gate, approximate="tanh") if self.gelu else F.silu(gate)
        return self.down(gate * self.up(x))


class Block(nn.Module):
    """Attention and feed-forward, each added to the residual stream."""

    def __init__(self, config: LlamaConfig, layer: int) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.width, config.norm_eps)
        self.attention = Attention(config, layer)
        self.feed_forward_norm = RMSNorm(config.width, config.norm_eps)
        self.feed_forward = FeedForward(config)
        self.post_norms = config.post_norms
        if config.post_norms:
            self.attention_post_norm = RMSNorm(config.width, config.norm_eps)
            self.feed_forward_post_norm = RMSNorm(config.width, config.norm_eps)

    def forward(
        self,
        x: Tensor,
        turn: tuple[Tensor, Tensor],
        dtype: torch.dtype,
        cache: GrowingCache | None = None,
    ) -> Tensor:
        a = self.attention(self.attention_norm(x).to(dtype), turn, cache)
        x = x + (self.attention_post_norm(a) if self.post_norms else a.float())
        f = self.feed_forward(self.feed_forward_norm(x).to(dtype))
        return x + (self.feed_forward_post_norm(f) if self.post_norms else f.float())


class Llama(TokenNetwork):
    """Token ids [B, T] to logits [B, T, vocab_size]."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__(config.context)
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.norm = RMSNorm(config.width, config.norm_eps)
        if not config.tied:
            self.head = nn.Linear(config.width, config.vocab_size, bias=False)
        self.rotary = Rotary(config.rope, config.head_width)
        self.local_rotary = Rotary(config.local_rope or config.rope, config.head_width)

    def decoder(self) -> "Decoder":
        """As `genui.engine.models.fast_decoding` builds it."""
        return decoding.LlamaDecoder(self, {})

    @property
    def dtype(self) -> torch.dtype:
        """Of the matrices."""
        return self.embedding.weight.dtype

    def new_state(self, rows: int) -> GrowingCache:
        config = self.config
        shape = (config.layers, rows, config.kv_heads, config.head_width)
        return GrowingCache(shape, self.device, self.dtype)

    def hidden_states(
        self, token_ids: Tensor, state: GrowingCache | None = None
    ) -> tuple[Tensor, ...]:
        """The residual stream before the first layer and after each, fp32 [B, T, C] each."""
        return tuple(self._streams(token_ids, state))

    def last_stream(self, token_ids: Tensor, state: GrowingCache | None = None) -> Tensor:
        """The residual stream after the last layer, fp32 [B, T, C]; the others are not kept, which
        take 0.6 GB for 8,000 tokens of a small model."""
        streams = self._streams(token_ids, state)
        x = next(streams)
        for x in streams:  # noqa: B007
            pass
        return x

    def _streams(self, token_ids: Tensor, state: GrowingCache | None) -> Iterator[Tensor]:
        start, T = state.length if state is not None else 0, token_ids.shape[1]
        turns = self._turns(start, T)
        x = self.embed(token_ids)
        yield x
        for layer, block in enumerate(self.blocks):
            x = block(x, turns[self._is_local(layer)], self.dtype, state)
            yield x
        if state is not None:
            state.length = start + T

    def embed(self, token_ids: Tensor) -> Tensor:
        """The input of the first layer, fp32 [B, T, C]."""
        x = self.embedding(token_ids)
        if self.config.embedding_scale != 1:
            x = x * torch.tensor(self.config.embedding_scale, dtype=x.dtype)
        return x.float()

    def read_out(self, x: Tensor) -> Tensor:
        """Logits fp32 [.., V] of the residual stream [.., C] after the last layer, or any other
        (logit lens)."""
        x = self.norm(x).to(self.dtype)
        logits = (F.linear(x, self.embedding.weight) if self.config.tied else self.head(x)).float()
        if cap := self.config.logit_cap:
            logits = cap * torch.tanh(logits / cap)
        return logits

    def token_directions(self, x: Tensor, token_ids: Tensor | None) -> tuple[Tensor, Tensor]:
        rows = rows_of((self.embedding if self.config.tied else self.head).weight, token_ids)
        directions = frozen_scale(x, self.norm.eps) * self.norm.weight.float() * rows
        return directions, directions.new_zeros(len(directions))

    def layer_parts(self) -> tuple[LayerParts, ...]:
        return tuple(
            LayerParts(
                block,
                block.attention.o,
                self.config.heads,
                block.feed_forward_post_norm if block.post_norms else block.feed_forward,
                block.attention_post_norm if block.post_norms else None,
            )
            for block in self.blocks
            if isinstance(block, Block)
        )

    def forward(self, token_ids: Tensor, state: GrowingCache | None = None) -> Tensor:
        return self.read_out(self.last_stream(token_ids, state))

    def prefill(self, token_ids: Tensor, state: Any) -> Tensor:
        """As in `LanguageModel`; the head is applied to the last row only, since a vocabulary of
        262,144 would take 1 MB for each row."""
        return self.read_out(self.last_stream(token_ids, state)[:, -1])

    def decode(self, token_ids: Tensor, state: Any) -> Tensor:
        return self.prefill(token_ids[:, None], state)

    def loss(self, token_ids: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """As in `LanguageModel`. Logits are computed in pieces, again in the backward pass."""
        x = self.last_stream(token_ids).flatten(0, 1)  # [B·T, C]
        flat = targets.flatten()
        w = torch.ones_like(flat, dtype=torch.float32) if weights is None else weights.flatten()
        return nats_in_pieces(self.read_out, x, flat, self.config.vocab_size, w) / w.sum()

    def attention_weights(self, token_ids: Tensor, last: int = 1) -> Tensor:
        turns, weights = self._turns(0, token_ids.shape[1]), []
        for layer, (block, x) in enumerate(
            zip(self.blocks, self.hidden_states(token_ids), strict=False)
        ):
            assert isinstance(block, Block)
            x = block.attention_norm(x).to(self.dtype)
            weights.append(block.attention.weights(x, turns[self._is_local(layer)], last))
        return torch.stack(weights)

    def _turns(self, start: int, length: int) -> tuple[tuple[Tensor, Tensor], ...]:
        """Cosines and sines of the layers without and with a window."""
        turn = self.rotary(start, length)
        return turn, turn if self.config.local_rope is None else self.local_rotary(start, length)

    def _is_local(self, layer: int) -> bool:
        return self.config.window_of(layer) > 0


# --- Hugging Face's names ---------------------------------------------------------------------

_GELU = ("gelu_pytorch_tanh", "gelu_new")

_NAMES = {
    "embed_tokens": "embedding",
    "self_attn.q_proj": "attention.q",
    "self_attn.k_proj": "attention.k",
    "self_attn.v_proj": "attention.v",
    "self_attn.o_proj": "attention.o",
    "self_attn.q_norm": "attention.q_norm",
    "self_attn.k_norm": "attention.k_norm",
    "mlp.gate_proj": "feed_forward.gate",
    "mlp.up_proj": "feed_forward.up",
    "mlp.down_proj": "feed_forward.down",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "feed_forward_norm",
    "norm": "norm",
    "lm_head": "head",
}

_POST_NORMS = {
    "post_attention_layernorm": "attention_post_norm",
    "pre_feedforward_layernorm": "feed_forward_norm",
    "post_feedforward_layernorm": "feed_forward_post_norm",
}
"""In Gemma 2 and 3, where the names mean other places."""


def our_name(name: str, post_norms: bool = False) -> str:
    """Our name of a tensor of a Hugging Face checkpoint: "model.layers.0.mlp.up_proj.weight" is
    "blocks.0.feed_forward.up.weight". Raises GenuiError for one that this network has not."""
    stem, _, kind = name.removeprefix("model.").rpartition(".")
    prefix = ""
    if stem.startswith("layers."):
        _, layer, stem = stem.split(".", 2)
        prefix = f"blocks.{layer}."
    ours = (_NAMES | _POST_NORMS if post_norms else _NAMES).get(stem)
    if ours is None:
        raise GenuiError(
            f"this network has no tensor {name!r}; use a model of another architecture"
        )
    return f"{prefix}{ours}.{kind}"


def hugging_face_name(name: str, post_norms: bool = False) -> str:
    """The name in a Hugging Face checkpoint of a tensor or module of ours, the inverse of
    `our_name`: "blocks.0.feed_forward.up" is "model.layers.0.mlp.up_proj"."""
    names = {
        ours: theirs for theirs, ours in (_NAMES | _POST_NORMS if post_norms else _NAMES).items()
    }
    stem, end = name, ""
    if name.endswith((".weight", ".bias")):
        stem, _, kind = name.rpartition(".")
        end = f".{kind}"
    if stem == "head":
        return f"lm_head{end}"
    prefix = "model."
    if stem.startswith("blocks."):
        _, layer, stem = stem.split(".", 2)
        prefix = f"model.layers.{layer}."
    return f"{prefix}{names[stem]}{end}"


def config_from_hugging_face(config: Mapping[str, Any]) -> LlamaConfig:
    """The sizes that a config.json describes (of transformers 4 or 5).

    Raises GenuiError for a `model_type` or a variant that this network does not compute.
    """
    kind = str(config.get("model_type"))
    if kind not in MODEL_TYPES:
        raise GenuiError(f"architecture {kind!r} is unknown; known are {', '.join(MODEL_TYPES)}")
    gemma, heads = kind.startswith("gemma"), _number(config, "num_attention_heads")
    width, layers = _number(config, "hidden_size"), _number(config, "num_hidden_layers", 1 << 16)
    head_width = int(config.get("head_dim") or width // heads)
    usual = ("hidden_activation", _GELU[0]) if gemma else ("hidden_act", "silu")
    act = config.get(usual[0]) or usual[1]
    if act not in (*_GELU, "silu"):
        raise GenuiError(f"its activation {act!r} is unknown; known are silu and gelu")
    window = int(config.get("sliding_window") or 0)
    if kind == "qwen2" or kind == "qwen3":
        window = window if config.get("use_sliding_window") else 0
    scalar = config.get("query_pre_attn_scalar")
    return LlamaConfig(
        architecture=kind.removesuffix("_text"),
        vocab_size=_number(config, "vocab_size"),
        layers=layers,
        width=width,
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
        head_width=head_width,
        feed_forward=_number(config, "intermediate_size"),
        context=_number(config, "max_position_embeddings"),
        norm_eps=float(config.get("rms_norm_eps", 1e-6)),
        tied=bool(config.get("tie_word_embeddings", gemma)),
        rope=_rope(config, "full_attention"),
        local_rope=_rope(config, "sliding_attention") if kind == "gemma3_text" else None,
        qkv_bias=kind == "qwen2" or bool(config.get("attention_bias")),
        output_bias=kind != "qwen2" and bool(config.get("attention_bias")),
        feed_forward_bias=bool(config.get("mlp_bias")),
        qk_norm=kind in ("qwen3", "gemma3_text"),
        post_norms=kind in ("gemma2", "gemma3_text"),
        activation="silu" if act == "silu" else "gelu",
        embedding_scale=width**0.5 if gemma else 1.0,
        attention_scale=float(scalar) ** -0.5 if scalar and gemma else 0.0,
        attention_cap=float(config.get("attn_logit_softcapping") or 0),
        logit_cap=float(config.get("final_logit_softcapping") or 0),
        window=window,
        windowed=_windowed(config, kind, layers) if window else (),
    )


def _number(config: Mapping[str, Any], name: str, most: int = 1 << 40) -> int:
    value = config.get(name)
    if type(value) is not int or not 0 < value < most:
        shown = str(value)[:40]
        raise GenuiError(f"config.json: {name} is {shown}; expected a whole number above 0")
    return value


def _windowed(config: Mapping[str, Any], kind: str, layers: int) -> tuple[bool, ...]:
    if isinstance(types := config.get("layer_types"), list):
        return tuple(each == "sliding_attention" for each in types)
    pattern = {"gemma2": 2, "gemma3_text": int(config.get("sliding_window_pattern") or 6)}
    if kind in pattern:
        return tuple((layer + 1) % pattern[kind] != 0 for layer in range(layers))
    first = int(config.get("max_window_layers") or 0) if kind.startswith("qwen") else 0
    return tuple(layer >= first for layer in range(layers))


def _rope(config: Mapping[str, Any], layers: str) -> Rope:
    """The rotary embeddings of "full_attention" or "sliding_attention" layers."""
    fields = config.get("rope_parameters") or {}
    fields = fields.get(layers, fields) or {}
    base = float(fields.get("rope_theta") or config.get("rope_theta") or 10_000.0)
    if "rope_parameters" not in config:
        if layers == "sliding_attention":
            return Rope(float(config.get("rope_local_base_freq") or 10_000.0))
        fields = config.get("rope_scaling") or {}
    kind = str(fields.get("rope_type") or fields.get("type") or "default")
    if kind not in ("default", "linear", "llama3", "yarn"):
        raise GenuiError(f"its rope scaling {kind!r} is unknown; use another model")
    factor = float(fields.get("factor") or 1.0)
    yarn = kind == "yarn"
    return Rope(
        base=base,
        kind=kind,
        factor=factor,
        original_context=int(
            fields.get("original_max_position_embeddings")
            or config.get("max_position_embeddings")
            or 0
        ),
        low=float(fields.get("beta_slow" if yarn else "low_freq_factor") or 1.0),
        high=float(fields.get("beta_fast") or 32.0)
        if yarn
        else float(fields.get("high_freq_factor") or 4.0),
        attention_factor=float(fields.get("attention_factor") or yarn_attention_factor(factor))
        if yarn
        else 1.0,
    )


def from_hugging_face(
    config: Mapping[str, Any], tensors: Mapping[str, Tensor], dtype: torch.dtype = torch.float32
) -> Llama:
    """The network of a Hugging Face configuration and checkpoint, frozen.

    Raises GenuiError for what this network does not compute, RuntimeError, one line, if the tensors
    do not fit the configuration.
    """
    ours = config_from_hugging_face(config)
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.endswith("rotary_emb.inv_freq") or (ours.tied and name == "lm_head.weight"):
            continue
        renamed[our_name(name, ours.post_norms)] = tensor
    if ours.architecture.startswith("gemma"):
        for name in renamed:
            if name.endswith("norm.weight"):
                renamed[name] = renamed[name].float() + 1.0
    return build_llama(ours, renamed, dtype)


def build_llama(
    config: LlamaConfig, tensors: Mapping[str, Tensor], dtype: torch.dtype = torch.float32
) -> Llama:
    """The network with these tensors by our names, in `dtype` (norms in fp32), frozen.

    No memory is taken besides the memory of the tensors. Raises RuntimeError, one line, if names or
    shapes differ.
    """
    # First what would take memory: the layers, and the angles of a head.
    queries = tensors.get("blocks.0.attention.q.weight", torch.empty(0))
    if config.layers > len(tensors) or len(queries) != config.heads * config.head_width:
        raise RuntimeError(
            f"its configuration has {config.layers:,} layers and {config.heads:,} heads of width "
            f"{config.head_width:,}, its weights have others"
        )
    model = plan_network(lambda: Llama(config), tensors)
    ours = {n: t.to(torch.float32 if "norm" in n else dtype) for n, t in tensors.items()}
    model.load_state_dict(ours, assign=True)
    return model.eval().requires_grad_(False)
