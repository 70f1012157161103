"""Decoding one token at a time with NumPy: our own networks in fp32 on the CPU.

A token needs each weight once, so at best it takes the time of reading the weights. Through torch's
modules a small model takes about four times as long. Products of a vector and a matrix in NumPy
come close to the speed of the memory if the matrix is stored input-major.

A decoder works on the state of its network (`KVCache`, `GrowingCache`, `RecurrentState`) and
computes the same function; the logits agree to rounding, a few 1e-6. The modules do not run, so
hooks see nothing: code that looks inside or intervenes uses the network itself. The bits differ
from torch's, so a recipe names this path (`COMPUTED_BY`).

Several texts are read together, with the bits that each has alone: a weight is multiplied by one
row after another (`product`), while it is in the processor's cache. A product of two matrices would
round otherwise, for 1.6 times the speed of this part. Each row has its own state and length.
"""

import ctypes
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Protocol

import numpy as np
import torch
from numpy.linalg import _umath_linalg  # type: ignore[attr-defined]  # it links BLAS
from numpy.typing import NDArray
from torch import Tensor, nn

from genui.engine.models import recurrent, transformer
from genui.engine.models.language_model import LOGIT_CAP

Array = NDArray[np.float32]

COMPUTED_BY = f"numpy {np.__version__}"
"""The name of this path in a recipe, after the precision, with the version that rounds."""

EPS = torch.finfo(torch.float32).eps  # of torch's rms_norm


class Decoder(Protocol):
    """Reads one token of one row, or of several rows."""

    def __call__(self, token_id: int, state: Any) -> Array:
        """Logits fp32 [V] after the token, which is added to the `state` of one row."""
        ...

    def read_rows(self, token_ids: Sequence[int], states: Sequence[Any]) -> Array:
        """Logits fp32 [R, V] after one token of each of R rows, which have a state each and may
        have different lengths. The bits are the same as for one row alone."""
        ...


def build_decoder(model: Any) -> Decoder | None:
    """The decoder of a network, as its class says by `decoder`: one that derives from another may
    compute something else. None if the class says none, the weights are not fp32 on the CPU, or the
    threads of NumPy's BLAS cannot be set.

    The network's weights are stored input-major from then on, in place, so no memory is taken. And
    NumPy's BLAS has one thread in this process from then on: several wait for each other after each
    product, which is slow while another process uses the cores.
    """
    build = vars(type(model)).get("decoder", _DECODERS.get(type(model)))
    if build is None or not can_decode(model) or (set_threads := _blas_threads()) is None:
        return None
    threads = torch.get_num_threads()
    set_threads(1)
    torch.set_num_threads(threads)  # in a build with OpenMP they are the same ones
    return build(model)


def can_decode(network: nn.Module) -> bool:
    """Whether the weights are fp32 on the CPU."""
    return all(p.dtype == torch.float32 and p.device.type == "cpu" for p in network.parameters())


# --- Matrices ---------------------------------------------------------------------------------


def input_major(weight: Tensor) -> Array:
    """A weight [out, in] as an array [in, out], to multiply a vector from the left.

    It is stored so, in place, unless it makes less of more numbers: for 1024 × 256 in the cache
    18 µs and not 24.
    """
    rows, columns = weight.shape
    if rows >= columns and not weight.t().is_contiguous():
        weight.data = weight.detach().t().contiguous().t()
    return weight.detach().numpy().T


COLUMNS = 4096
"""Columns of a weight that are multiplied by all rows before the next ones are read, while they are
in the processor's cache. OpenBLAS computes parts of this size too, so the bits are the same."""


def product(x: Array, weight: Array) -> Array:
    """x [in] or [R, in] times a weight [in, out]; each row has the bits of a vector alone."""
    if x.ndim == 1:
        return x.dot(weight)
    rows, outputs = x[:, None], weight.shape[1]
    if outputs <= COLUMNS:
        return np.matmul(rows, weight)[:, 0]  # a vector times a matrix for each row
    y = np.empty((len(x), 1, outputs), np.float32)
    for first in range(0, outputs, COLUMNS):
        part = slice(first, first + COLUMNS)
        np.matmul(rows, weight[:, part], out=y[..., part])
    return y[:, 0]


class Linear:
    """A linear layer of [.., in] to [.., out], with its bias.

    The product of the arrays [in, r] and [r, out] that `low_rank` gives is added to it: an adapter.
    """

    def __init__(self, layer: nn.Linear, low_rank: tuple[Array, Array] | None = None) -> None:
        self.weight = input_major(layer.weight)
        self.bias = None if layer.bias is None else layer.bias.detach().numpy()
        self.low_rank = low_rank

    def __call__(self, x: Array) -> Array:
        y = product(x, self.weight)
        if self.bias is not None:
            y += self.bias
        if self.low_rank is not None:
            down, up = self.low_rank
            y += product(product(x, down), up)
        return y


def normalize(x: Array, eps: float = EPS) -> Array:
    """x [.., C] divided by its root mean square (Zhang & Sennrich 2019), without weights."""
    if x.ndim == 1:
        return x * (1.0 / math.sqrt(float(np.dot(x, x)) / len(x) + eps))
    squares = np.matmul(x[:, None], x[..., None]).ravel().tolist()
    scales = [1.0 / math.sqrt(square / x.shape[1] + eps) for square in squares]
    return x * np.array(scales, np.float32)[:, None]


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
    """Rotate each pair (x₁, x₂) of x [.., H, D] by the angles of its position, as `rotate`; the
    cosines [.., 1, D] are repeated, the sines are [.., 1, D / 2]."""
    half = sin.shape[-1]
    y = x * cos
    y[..., :half] -= x[..., half:] * sin
    y[..., half:] += x[..., :half] * sin
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
    """The decoder of `Transformer`, and of those that say so."""

    def __init__(self, network: transformer.Transformer) -> None:
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
        return self._read(self._embed(token_id, state), self._angles(state.length), [state])

    def read_rows(self, token_ids: Sequence[int], states: Sequence[transformer.KVCache]) -> Array:
        x = np.stack([self._embed(*each) for each in zip(token_ids, states, strict=True)])
        cos, sin = zip(*(self._angles(state.length) for state in states), strict=True)
        return self._read(x, (np.stack(cos), np.stack(sin)), states)

    def _read(
        self, x: Array, angles: tuple[Array, Array], states: Sequence[transformer.KVCache]
    ) -> Array:
        """Logits [.., V] of embeddings x [.., C]: for one row, or for R rows."""
        heads, shape, (cos, sin) = self.heads, x.shape[:-1], angles
        width, shares, eps = heads * self.head_width, self.shares, np.float32(EPS)
        for state in states:
            state.reserve(1)
        caches = [
            (state.length, state.keys.numpy()[:, 0], state.values.numpy()[:, 0]) for state in states
        ]
        x = normalize(x)
        for layer, (qkv, out, up, down) in enumerate(self.blocks):
            rows = product(normalize(x), qkv)
            qk = rows[..., : 2 * width]
            by_head = qk.reshape(*shape, 2 * heads, -1)
            by_head /= np.sqrt(np.matmul(by_head * by_head, shares) + eps)[..., None]
            turned = qk.take(self.partners, axis=-1)
            turned *= sin
            qk *= cos
            qk += turned
            each_qk = by_head.reshape(-1, 2 * heads, self.head_width)
            each_v = rows[..., 2 * width :].reshape(-1, heads, self.head_width)
            outputs = []
            for row, (at, keys, values) in enumerate(caches):
                k, v = keys[layer, :, : at + 1], values[layer, :, : at + 1]
                k[:, at], v[:, at] = each_qk[row, heads:], each_v[row]
                # |q · k| ≤ √D after the norms, so the softmax needs no maximum.
                scores = np.matmul(k, each_qk[row, :heads, :, None])[..., 0]
                np.exp(scores, out=scores)
                mixed = np.matmul(scores[:, None], v)[:, 0]
                mixed /= scores.dot(self.ones[: at + 1])[:, None]
                outputs.append(mixed.ravel())
            x = x + product(np.array(outputs) if shape else outputs[0], out)
            inner = product(normalize(x), up)
            np.maximum(inner, 0, out=inner)
            inner *= inner
            x += product(inner, down)
        for state, (at, _, _) in zip(states, caches, strict=True):
            state.length = at + 1
        return cap_logits(product(normalize(x), self.head), LOGIT_CAP)

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
        """The factors of queries and keys [2 · H · D], and the factors of their partners. The
        queries are divided by the √D of the attention too."""
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

    def __init__(self, network: recurrent.MinGRU) -> None:
        self.network = network
        self.blocks = [
            (
                Linear(block.recurrence.gate),
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
        logits, after = self._read(self._embed([token_id])[0], state.hidden.numpy()[:, 0])
        state.advance(torch.from_numpy(after[:, None]), 1)
        return logits

    def read_rows(
        self, token_ids: Sequence[int], states: Sequence[recurrent.RecurrentState]
    ) -> Array:
        before = np.concatenate([state.hidden.numpy() for state in states], axis=1)
        logits, after = self._read(self._embed(token_ids), before)
        for row, state in enumerate(states):  # each has an array of its own, which it stores
            state.advance(torch.from_numpy(after[:, row : row + 1].copy()), 1)
        return logits

    def _embed(self, token_ids: Sequence[int]) -> Array:
        return self.network.embedding(torch.tensor(token_ids)).detach().numpy()

    def _read(self, x: Array, before: Array) -> tuple[Array, Array]:
        """Logits [.., V] of embeddings x [.., C], and the state [layers, .., C] after `before`."""
        after = np.empty_like(before)
        x = normalize(x)
        for layer, (gate, candidate, out, up, down) in enumerate(self.blocks):
            h = normalize(x)
            z = 0.5 + 0.5 * np.tanh(0.5 * gate(h))  # σ, without overflow
            after[layer] = (1 - z) * before[layer] + z * product(h, candidate)
            x = x + product(after[layer], out)
            inner = product(normalize(x), up)
            np.maximum(inner, 0, out=inner)
            inner *= inner
            x += product(inner, down)
        return cap_logits(product(normalize(x), self.head), LOGIT_CAP), after


_DECODERS: Mapping[type[nn.Module], Callable[[Any], Decoder]] = {
    transformer.Transformer: TransformerDecoder,
    recurrent.MinGRU: MinGRUDecoder,
}
"""The networks that do not say it themselves, since their files are written for other programs as
they are (`genui.engine.convert.code`)."""
