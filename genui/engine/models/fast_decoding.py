"""Decoding one token at a time with NumPy: our own networks in fp32, one row, on the CPU.

A token needs each weight once, so at best its time is that of reading the weights. Through torch's
modules a small model takes about four times as long. Products of a vector and a matrix in NumPy
come close to the speed of the memory if the matrix is stored input-major.

A decoder works on the state of its network (`KVCache`, `GrowingCache`, `RecurrentState`) and
computes the same function; the logits agree to rounding, a few 1e-6. The modules do not run, so
hooks see nothing: what looks inside or intervenes uses the network itself. The bits differ from
torch's, so a recipe names this path (`COMPUTED_BY`).
"""

import ctypes
import math
from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

import numpy as np
import torch
from numpy.linalg import _umath_linalg  # type: ignore[attr-defined]  # it links BLAS
from numpy.typing import NDArray
from torch import Tensor, nn

from genui.engine.models import llama, recurrent, transformer
from genui.engine.models.lora import AdaptedModel, Adapter
from genui.engine.models.transformer import LOGIT_CAP

Array = NDArray[np.float32]

COMPUTED_BY = f"numpy {np.__version__}"
"""The name of this path in a recipe, after the precision, with the version that rounds."""

EPS = torch.finfo(torch.float32).eps  # of torch's rms_norm


class Decoder(Protocol):
    """Reads one token of one row."""

    def __call__(self, token_id: int, state: Any) -> Array:
        """Logits fp32 [V] after the token, which is added to the `state` of one row."""
        ...


def build_decoder(model: Any) -> Decoder | None:
    """The decoder of a network; None for one that has none, is not fp32 on the CPU, or if the
    threads of NumPy's BLAS cannot be set.

    The network's weights are stored input-major from now on, in place, so no memory is taken. And
    NumPy's BLAS has one thread in this process from now on: threads that wait for each other at
    each of a token's products stop beside another process that is busy.
    """
    network, adapters = model, {}
    if isinstance(model, AdaptedModel):
        network = model.base.network
        adapters = {model.base.layers[name]: each for name, each in model.adapters().items()}
    build = _DECODERS.get(type(network))  # one that derives from it may compute something else
    if build is None or (set_threads := _blas_threads()) is None:
        return None
    weights = (*model.parameters(), *network.parameters())
    if any(p.dtype != torch.float32 or p.device.type != "cpu" for p in weights):
        return None
    threads = torch.get_num_threads()
    set_threads(1)
    torch.set_num_threads(threads)  # in a build with OpenMP they are the same ones
    return build(network, adapters)


# --- Matrices ---------------------------------------------------------------------------------

Adapters = Mapping[nn.Module, Adapter]


def input_major(weight: Tensor) -> Array:
    """A weight [out, in] as an array [in, out], to multiply a vector from the left.

    It is stored so, in place, unless it makes less of more numbers: for 1024 × 256 in the cache
    18 µs and not 24.
    """
    rows, columns = weight.shape
    if rows >= columns and not weight.t().is_contiguous():
        weight.data = weight.detach().t().contiguous().t()
    return weight.detach().numpy().T


class Linear:
    """A linear layer of one vector [in] to [out], with its bias and its adapter."""

    def __init__(self, layer: nn.Linear, adapters: Adapters) -> None:
        self.weight = input_major(layer.weight)
        self.bias = None if layer.bias is None else layer.bias.detach().numpy()
        self.low_rank: tuple[Array, Array] | None = None
        if (adapter := adapters.get(layer)) is not None:
            up = adapter.lora_B.weight.detach() * adapter.scale
            self.low_rank = adapter.lora_A.weight.detach().numpy().T, up.numpy().T

    def __call__(self, x: Array) -> Array:
        y = np.dot(x, self.weight)
        if self.bias is not None:
            y += self.bias
        if self.low_rank is not None:
            down, up = self.low_rank
            y += np.dot(np.dot(x, down), up)
        return y


def normalize(x: Array, eps: float = EPS) -> Array:
    """x [C] divided by its root mean square (Zhang & Sennrich 2019), without weights."""
    return x * (1.0 / math.sqrt(float(np.dot(x, x)) / len(x) + eps))


def cap_logits(logits: Array, cap: float) -> Array:
    """Logits capped to ± `cap` by tanh, in place."""
    logits /= cap
    np.tanh(logits, out=logits)
    logits *= cap
    return logits


# --- Threads of NumPy's BLAS --------------------------------------------------------------------

_SETTERS = (
    "scipy_openblas_set_num_threads64_",
    "openblas_set_num_threads64_",
    "openblas_set_num_threads",
)


@cache
def _blas_threads() -> Any:
    """The function that sets the number of threads of OpenBLAS, which NumPy's wheels contain; None
    if NumPy uses another library."""
    try:
        library = ctypes.CDLL(_umath_linalg.__file__)
    except OSError:
        return None
    return next((getattr(library, name) for name in _SETTERS if hasattr(library, name)), None)


# --- Attention of one token -------------------------------------------------------------------


def rotate_heads(x: Array, cos: Array, sin: Array) -> Array:
    """Rotate each pair (x₁, x₂) of x [H, D] by the angles of its position, as `rotate`; the cosines
    [D] are repeated, the sines are [D / 2]."""
    half = len(sin)
    y = x * cos
    y[:, :half] -= x[:, half:] * sin
    y[:, half:] += x[:, :half] * sin
    return y


def attend(scores: Array, values: Array) -> Array:
    """The values [kv_heads, T, D] by the softmax of scores [kv_heads, G, T], which are overwritten:
    [kv_heads · G · D], the heads in a row."""
    np.exp(scores, out=scores)
    mixed = np.matmul(scores, values)
    mixed /= np.dot(scores, np.ones(scores.shape[-1], np.float32))[..., None]
    return mixed.reshape(-1)


# --- The networks -----------------------------------------------------------------------------


class TransformerDecoder:
    """The decoder of `Transformer` and `ChoraleTransformer`."""

    def __init__(self, network: transformer.Transformer, adapters: Adapters) -> None:
        self.network = network
        self.blocks = [
            (
                input_major(block.attention.qkv.weight),
                input_major(block.attention.out.weight),
                input_major(block.feed_forward.up.weight),
                input_major(block.feed_forward.down.weight),
            )
            for block in network.blocks
            if isinstance(block, transformer.Block)
        ]
        self.head = input_major(network.head.weight)
        self.tables = {
            module: module.weight.detach().numpy()
            for module in network.children()
            if isinstance(module, nn.Embedding | nn.EmbeddingBag)
        }
        config = network.config
        self.heads, self.head_width = config.heads, config.width // config.heads
        self.cos, self.sin = network.cos.numpy(), network.sin.numpy()
        self.angles: dict[int, tuple[Array, Array]] = {}
        self.ones = np.ones(config.context, np.float32)
        self.shares = np.full(self.head_width, 1 / self.head_width, np.float32)
        # The other half of each head of queries and keys [2 · H · D].
        self.partners = np.arange(2 * config.width).reshape(-1, 2, self.head_width // 2)
        self.partners = self.partners[:, ::-1].ravel()

    def __call__(self, token_id: int, state: transformer.KVCache) -> Array:
        at, heads, width = state.length, self.heads, self.heads * self.head_width
        keys, values = state.keys.numpy()[:, 0], state.values.numpy()[:, 0]
        ones, shares, eps = self.ones[: at + 1], self.shares, np.float32(EPS)
        cos, sin = self._angles(at)
        x = normalize(self._embed(token_id, state))
        for layer, (qkv, out, up, down) in enumerate(self.blocks):
            rows = normalize(x).dot(qkv)
            qk = rows[: 2 * width]
            by_head = qk.reshape(2 * heads, -1)
            by_head /= np.sqrt((by_head * by_head).dot(shares) + eps)[:, None]
            turned = qk.take(self.partners)
            turned *= sin
            qk *= cos
            qk += turned
            k, v = keys[layer, :, : at + 1], values[layer, :, : at + 1]
            k[:, at] = by_head[heads:]
            v[:, at] = rows[2 * width :].reshape(heads, -1)
            # |q · k| ≤ √D after the norms, so the softmax needs no maximum.
            scores = np.matmul(k, by_head[:heads, :, None])[..., 0]
            np.exp(scores, out=scores)
            mixed = np.matmul(scores[:, None], v)[:, 0]
            mixed /= scores.dot(ones)[:, None]
            x = x + mixed.reshape(-1).dot(out)
            inner = normalize(x).dot(up)
            np.maximum(inner, 0, out=inner)
            inner *= inner
            x += inner.dot(down)
        state.length = at + 1
        return cap_logits(normalize(x).dot(self.head), LOGIT_CAP)

    def _embed(self, token_id: int, state: transformer.KVCache) -> Array:
        """The sum of the token's embeddings [C]."""
        x = np.zeros(self.heads * self.head_width, np.float32)
        for embedding, row in self.network.lookups(token_id):
            x += self.tables[embedding][row]
        if (ngrams := self.network.ngram_embedding) is not None:
            reach, tokens = self.network.config.ngrams, state.token_ids.numpy()[0]
            tokens[state.length] = token_id
            last = tokens[max(0, state.length + 1 - reach) : state.length + 1].tolist()[::-1]
            rows = transformer.ngram_rows(last + [-1] * reach, self.network.config)
            table = self.tables[ngrams]
            x[: table.shape[1]] += table[rows].sum(0)
        return x

    def _angles(self, position: int) -> tuple[Array, Array]:
        """What queries and keys [2 · H · D] are multiplied by, and what their partners. The queries
        are divided by the √D of the attention too."""
        if position in self.angles:
            return self.angles[position]
        cos, sin = self.cos[position], self.sin[position]
        pair = np.stack((np.concatenate((cos, cos)), np.concatenate((-sin, sin))))  # [2, D]
        of_queries = np.tile(pair / np.float32(self.head_width**0.5), self.heads)
        both = np.concatenate((of_queries, np.tile(pair, self.heads)), axis=1)
        self.angles[position] = both[0].astype(np.float32), both[1].astype(np.float32)
        return self.angles[position]


class MinGRUDecoder:
    """The decoder of `MinGRU`."""

    def __init__(self, network: recurrent.MinGRU, adapters: Adapters) -> None:
        self.network = network
        self.blocks = [
            (
                Linear(block.recurrence.gate, adapters),
                input_major(block.recurrence.candidate.weight),
                input_major(block.recurrence.out.weight),
                input_major(block.feed_forward.up.weight),
                input_major(block.feed_forward.down.weight),
            )
            for block in network.blocks
            if isinstance(block, recurrent.Block)
        ]
        self.head = input_major(network.head.weight)

    def __call__(self, token_id: int, state: recurrent.RecurrentState) -> Array:
        before = state.hidden.numpy()
        after = np.empty_like(before)
        x = normalize(self.network.embedding(torch.tensor([token_id])).detach().numpy()[0])
        for layer, (gate, candidate, out, up, down) in enumerate(self.blocks):
            h = normalize(x)
            z = 0.5 + 0.5 * np.tanh(0.5 * gate(h))  # σ, without overflow
            after[layer, 0] = (1 - z) * before[layer, 0] + z * np.dot(h, candidate)
            x = x + np.dot(after[layer, 0], out)
            inner = np.dot(normalize(x), up)
            np.maximum(inner, 0, out=inner)
            inner *= inner
            x += np.dot(inner, down)
        state.advance(torch.from_numpy(after), 1)
        return cap_logits(np.dot(normalize(x), self.head), LOGIT_CAP)


class LlamaDecoder:
    """The decoder of `Llama` in all its variants, with or without adapters."""

    def __init__(self, network: llama.Llama, adapters: Adapters) -> None:
        self.network, self.config = network, network.config
        blocks = [block for block in network.blocks if isinstance(block, llama.Block)]
        self.blocks = [_LlamaBlock(block, adapters) for block in blocks]
        self.norm = _Norm(network.norm)
        head = network.embedding if network.config.tied else network.head
        self.head = input_major(head.weight)
        local = network.config.local_rope is not None
        self.turns = _Turns(network.rotary)
        self.local_turns = _Turns(network.local_rotary) if local else self.turns

    def __call__(self, token_id: int, state: llama.GrowingCache) -> Array:
        state.reserve(1)
        at, config = state.length, self.config
        keys, values = state.keys.numpy()[:, 0], state.values.numpy()[:, 0]
        turn, local_turn = self.turns.at(at), self.local_turns.at(at)
        x = self.network.embed(torch.tensor([[token_id]])).detach().numpy()[0, 0]
        for layer, block in enumerate(self.blocks):
            window = config.window_of(layer)
            h = block.attention_norm(x)
            q, k, v = block.queries_keys_values(h, local_turn if window else turn)
            keys[layer, :, at], values[layer, :, at] = k, v
            seen = slice(max(0, at + 1 - window) if window else 0, at + 1)
            q *= config.query_scale
            scores = np.matmul(
                q.reshape(config.kv_heads, -1, config.head_width),
                keys[layer, :, seen].transpose(0, 2, 1),
            )
            if config.attention_cap:
                cap_logits(scores, config.attention_cap)
            scores -= scores.max(-1, keepdims=True)
            a = block.o(attend(scores, values[layer, :, seen]))
            x = x + (a if block.attention_post_norm is None else block.attention_post_norm(a))
            f = block.feed_forward(block.feed_forward_norm(x))
            x += f if block.feed_forward_post_norm is None else block.feed_forward_post_norm(f)
        state.length = at + 1
        logits = np.dot(self.norm(x), self.head)
        return cap_logits(logits, config.logit_cap) if config.logit_cap else logits


class _Norm:
    """RMSNorm of a vector [C], or of each row of [H, D]."""

    def __init__(self, norm: llama.RMSNorm) -> None:
        self.weight, self.eps = norm.weight.detach().numpy(), norm.eps

    def __call__(self, x: Array) -> Array:
        if x.ndim == 1:
            return normalize(x, self.eps) * self.weight
        scale = np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(self.eps))
        return x / scale * self.weight


class _LlamaBlock:
    """The arrays of one layer."""

    def __init__(self, block: llama.Block, adapters: Adapters) -> None:
        attention, feed_forward = block.attention, block.feed_forward
        self.q, self.k, self.v, self.o, self.gate, self.up, self.down = (
            Linear(layer, adapters)
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

    def queries_keys_values(
        self, x: Array, turn: tuple[Array, Array]
    ) -> tuple[Array, Array, Array]:
        """Queries [H, D], keys and values [kv_heads, D] of x [C]; the first two rotated."""
        q, k, v = (each(x).reshape(-1, self.head_width) for each in (self.q, self.k, self.v))
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        return rotate_heads(q, *turn), rotate_heads(k, *turn), v

    def feed_forward(self, x: Array) -> Array:
        """The gated feed-forward of x [C]."""
        gate = self.gate(x)
        if self.gelu:  # its tanh approximation
            inner = math.sqrt(2 / math.pi) * (gate + 0.044715 * gate**3)
            gate *= 0.5 * (1 + np.tanh(inner))
        else:  # silu
            gate /= 1 + np.exp(-np.maximum(gate, -80))  # e^80 is a finite fp32
        gate *= self.up(x)
        return self.down(gate)


class _Turns:
    """Cosines, repeated [D], and sines [D / 2] of each position."""

    BLOCK = 256  # positions that are computed at once: a position's bits do not depend on others

    def __init__(self, rotary: nn.Module) -> None:
        self.rotary = rotary
        self.blocks: dict[int, tuple[Array, Array]] = {}

    def at(self, position: int) -> tuple[Array, Array]:
        block, row = divmod(position, self.BLOCK)
        if block not in self.blocks:
            cos, sin = (each.numpy() for each in self.rotary(block * self.BLOCK, self.BLOCK))
            self.blocks[block] = np.concatenate((cos, cos), axis=1), sin
        cos, sin = self.blocks[block]
        return cos[row], sin[row]


_DECODERS: dict[type[nn.Module], Any] = {
    transformer.Transformer: TransformerDecoder,
    transformer.ChoraleTransformer: TransformerDecoder,
    recurrent.MinGRU: MinGRUDecoder,
    llama.Llama: LlamaDecoder,
}
