"""GGUF files as our network: tensors turned back into numbers, and their tokenizer."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from genui.base.errors import GenuiError, MisuseError, UnsupportedError
from genui.base.files import cannot_read
from genui.engine.device import check_memory
from genui.engine.loading import SILENT, LoadProgress
from genui.kinds.open_text.gguf import Gguf, TensorInfo, check_architecture, read_gguf, tensor_type
from genui.kinds.open_text.llama import Llama, LlamaConfig, Rope, build_llama, yarn_attention_factor
from genui.kinds.open_text.tokenizer import PretrainedTokenizer, tokenizer_from_gguf

_AT_ONCE = 1 << 24  # numbers that are converted at once

_NAMES = {
    "attn_norm": "attention_norm",
    "attn_q": "attention.q",
    "attn_k": "attention.k",
    "attn_v": "attention.v",
    "attn_output": "attention.o",
    "attn_q_norm": "attention.q_norm",
    "attn_k_norm": "attention.k_norm",
    "post_attention_norm": "attention_post_norm",
    "ffn_norm": "feed_forward_norm",
    "ffn_gate": "feed_forward.gate",
    "ffn_up": "feed_forward.up",
    "ffn_down": "feed_forward.down",
    "post_ffw_norm": "feed_forward_post_norm",
}

_ROPE_FACTORS = "rope_freqs.weight"


def load_gguf(
    path: Path, dtype: torch.dtype = torch.float32, progress: LoadProgress = SILENT
) -> tuple[Llama, PretrainedTokenizer]:
    """The network and the tokenizer of a file, in `dtype`.

    Raises MisuseError or GenuiError for a damaged file, UnsupportedError for what this network does
    not compute, TooLargeError where memory does not suffice.
    """
    file = read_gguf(path)
    check_architecture(file)
    config = config_from_gguf(file)
    check_memory(sum(math.prod(t.shape) for t in file.tensors.values()), dtype, progress)
    tokenizer = tokenizer_from_gguf(file.metadata)
    if tokenizer.size > config.vocab_size:
        raise GenuiError(
            f"its vocabulary has {tokenizer.size} tokens and its embedding {config.vocab_size} rows"
        )
    tensors = dict(_tensors(file, config, dtype, progress))
    return build_llama(config, tensors, dtype), tokenizer


def load_tokenizer(path: Path) -> PretrainedTokenizer:
    """The tokenizer of a file alone. Raises MisuseError or GenuiError as `load_gguf` does."""
    return tokenizer_from_gguf(read_gguf(path).metadata)


# --- The configuration ------------------------------------------------------------------------


class _Fields:
    """Typed access to the metadata of an architecture."""

    def __init__(self, file: Gguf) -> None:
        self._metadata, self._architecture = file.metadata, file.architecture

    def value(self, name: str) -> Any:
        return self._metadata.get(f"{self._architecture}.{name}")

    def whole(self, name: str, default: int | None = None) -> int:
        """A whole number above 0. Raises GenuiError if it is not, or missing without a default."""
        value = self.value(name)
        if isinstance(value, list) and len(set(value)) == 1:
            value = value[0]  # one for each layer
        value = default if value is None else value
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1 << 40:
            raise GenuiError(f"its {name} is {str(value)[:40]}; expected a whole number above 0")
        return value

    def number(self, name: str, default: float) -> float:
        value = self.value(name)
        if value is None:
            return default
        if not isinstance(value, int | float) or not abs(value) < 1e12:
            raise GenuiError(f"its {name} is {str(value)[:40]}; expected a number")
        return float(value)


def config_from_gguf(file: Gguf) -> LlamaConfig:
    """The sizes that a file's metadata and shapes describe.

    Raises GenuiError if some are missing, UnsupportedError for variants that this network does not
    compute.
    """
    fields, name, tensors = _Fields(file), file.architecture, file.tensors
    gemma = name.startswith("gemma")
    heads, width = fields.whole("attention.head_count"), fields.whole("embedding_length")
    layers = fields.whole("block_count")
    embedding = tensors.get("token_embd.weight")
    if embedding is None or len(embedding.shape) != 2:
        raise GenuiError("it has no embedding (token_embd.weight)")
    if layers > len(tensors):
        raise GenuiError(f"it claims {layers:,} layers and has {len(tensors)} tensors")
    head_width = fields.whole("attention.key_length", max(1, width // heads))
    if fields.whole("attention.value_length", head_width) != head_width:
        raise UnsupportedError(
            "its keys and values differ in width, which this network does not compute"
        )
    if fields.whole("rope.dimension_count", head_width) != head_width:
        raise UnsupportedError(
            "it rotates only a part of each head, which this network does not compute"
        )
    window = fields.value("attention.sliding_window") if name in ("gemma2", "gemma3") else 0
    pattern = {"gemma2": 2, "gemma3": 6}.get(name, 1)
    rope = replace(_rope(fields), divisors=read_rope_factors(file))
    if rope.divisors and len(rope.divisors) != head_width // 2:
        raise GenuiError(f"its {_ROPE_FACTORS} does not fit heads of width {head_width}")
    first = "blk.0."
    return LlamaConfig(
        architecture=name,
        vocab_size=embedding.shape[0],
        layers=layers,
        width=width,
        heads=heads,
        kv_heads=fields.whole("attention.head_count_kv", heads),
        head_width=head_width,
        feed_forward=fields.whole("feed_forward_length"),
        context=fields.whole("context_length"),
        norm_eps=fields.number("attention.layer_norm_rms_epsilon", 1e-6),
        tied="output.weight" not in tensors,
        rope=rope,
        local_rope=Rope() if name == "gemma3" else None,
        qkv_bias=f"{first}attn_q.bias" in tensors,
        output_bias=f"{first}attn_output.bias" in tensors,
        feed_forward_bias=f"{first}ffn_up.bias" in tensors,
        qk_norm=f"{first}attn_q_norm.weight" in tensors,
        post_norms=f"{first}post_ffw_norm.weight" in tensors,
        activation="gelu" if gemma else "silu",
        embedding_scale=width**0.5 if gemma else 1.0,
        attention_scale=_attention_scale(name, layers, width, heads, head_width),
        attention_cap=fields.number("attn_logit_softcapping", 50.0 if name == "gemma2" else 0.0),
        logit_cap=fields.number("final_logit_softcapping", 30.0 if name == "gemma2" else 0.0),
        window=window if isinstance(window, int) else 0,
        windowed=tuple((i + 1) % pattern != 0 for i in range(layers)) if window else (),
    )


def _attention_scale(name: str, layers: int, width: int, heads: int, head_width: int) -> float:
    """The factor of the scores; the 27B models of Gemma 2 and 3 have their own (llama.cpp)."""
    largest = {"gemma2": 46, "gemma3": 62}.get(name)
    return (width / heads) ** -0.5 if layers == largest else head_width**-0.5


def _rope(fields: _Fields) -> Rope:
    kind = fields.value("rope.scaling.type") or "none"
    factor = fields.number("rope.scaling.factor", fields.number("rope.scale_linear", 1.0))
    if kind not in ("none", "linear", "yarn"):
        raise UnsupportedError(f"its rope scaling {str(kind)[:40]!r} is unknown; use another model")
    yarn = kind == "yarn"
    return Rope(
        base=fields.number("rope.freq_base", 10_000.0),
        kind="yarn" if yarn else "linear" if factor != 1 else "default",
        factor=factor,
        original_context=fields.whole(
            "rope.scaling.original_context_length", fields.whole("context_length")
        ),
        low=fields.number("rope.scaling.yarn_beta_slow", 1.0),
        high=fields.number("rope.scaling.yarn_beta_fast", 32.0),
        attention_factor=yarn_attention_factor(factor) if yarn else 1.0,
    )


# --- Tensors ----------------------------------------------------------------------------------


def _tensors(
    file: Gguf, config: LlamaConfig, dtype: torch.dtype, progress: LoadProgress
) -> Iterator[tuple[str, Tensor]]:
    """The tensors by our names; the bytes that are read are reported."""
    done, total = 0, sum(info.size for info in file.tensors.values())
    try:
        with file.path.open("rb") as stream:
            for info in file.tensors.values():
                if info.name != _ROPE_FACTORS:

                    def report(read: int, before: int = done) -> None:
                        progress.advance(before + read, total)

                    yield _our_name(info.name), _tensor(stream, info, config, dtype, report)
                done += info.size
    except OSError as error:
        raise cannot_read(file.path, error) from None


_TOP = {"token_embd": "embedding", "output_norm": "norm", "output": "head"}


def gguf_name(name: str) -> str:
    """The name in a file of a tensor of ours, the inverse of `_our_name`."""
    stem, _, kind = name.rpartition(".")
    if not stem.startswith("blocks."):
        return f"{next(theirs for theirs, ours in _TOP.items() if ours == stem)}.{kind}"
    _, layer, part = stem.split(".", 2)
    return f"blk.{layer}.{next(theirs for theirs, ours in _NAMES.items() if ours == part)}.{kind}"


def _our_name(name: str) -> str:
    stem, _, kind = name.rpartition(".")
    if stem in _TOP:
        return f"{_TOP[stem]}.{kind}"
    block, _, layer_and_part = stem.partition(".")
    layer, _, part = layer_and_part.partition(".")
    if block != "blk" or part not in _NAMES:
        raise UnsupportedError(f"this network has no tensor {name[:60]!r}; use another model")
    return f"blocks.{layer}.{_NAMES[part]}.{kind}"


def _tensor(
    stream: BinaryIO,
    info: TensorInfo,
    config: LlamaConfig,
    dtype: torch.dtype,
    report: Callable[[int], None],
) -> Tensor:
    """One tensor, in `dtype`; a norm in fp32. `report` is called with its bytes read so far."""
    dtype = dtype if "norm" not in info.name else torch.float32
    tensor = torch.empty(info.shape, dtype=dtype)
    width = info.shape[len(info.shape) - 1]
    rows = tensor.view(-1, width)  # [N, width]
    bytes_per_row = info.size // len(rows)
    at_once = max(1, _AT_ONCE // width)
    stream.seek(info.offset)
    for first in range(0, len(rows), at_once):
        report(first * bytes_per_row)
        part = rows[first : first + at_once]
        data = stream.read(len(part) * bytes_per_row)
        if len(data) < len(part) * bytes_per_row:
            raise MisuseError("it became shorter while it was read; fetch or copy it again")
        numbers = dequantise(np.frombuffer(data, np.uint8).reshape(len(part), -1), info.type)
        part.copy_(torch.from_numpy(numbers))
    if config.architecture == "llama" and info.name.endswith(("attn_q.weight", "attn_k.weight")):
        heads = config.heads if "attn_q" in info.name else config.kv_heads
        tensor = _unpermute(tensor, heads)
    return tensor


def dequantise(data: np.ndarray, kind: int) -> np.ndarray:
    """The numbers, fp32 [N, width], of rows of bytes [N, bytes] of a type of tensors.

    By the `gguf` package, which has the formats that llama.cpp writes, the newest too.
    """
    # Late: an optional extra.
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize

    try:
        numbers = dequantize(data, GGMLQuantizationType(kind))
    except NotImplementedError:
        raise GenuiError(f"its tensors of type {tensor_type(kind)[0]} cannot be read") from None
    return numbers if numbers.flags.writeable else numbers.copy()


def _unpermute(tensor: Tensor, heads: int) -> Tensor:
    """The rows of queries or keys [heads · D, C] in the order of pairs (i, i + D / 2).

    llama.cpp's converter stores the rows of the architecture "llama" in the order (2i, 2i + 1).
    """
    rows = tensor.view(heads, tensor.shape[0] // heads // 2, 2, -1)
    return rows.transpose(1, 2).reshape(tensor.shape).contiguous()


def permute(tensor: Tensor, heads: int) -> Tensor:
    """The inverse of `_unpermute`, for files of the architecture "llama"."""
    rows = tensor.view(heads, 2, tensor.shape[0] // heads // 2, -1)
    return rows.transpose(1, 2).reshape(tensor.shape).contiguous()


def read_rope_factors(file: Gguf) -> tuple[float, ...]:
    """The divisors of the frequencies of the rotary embeddings (of Llama 3.1); () if nothing."""
    info = file.tensors.get(_ROPE_FACTORS)
    if info is None:
        return ()
    try:
        with file.path.open("rb") as stream:
            stream.seek(info.offset)
            data = np.frombuffer(stream.read(info.size), np.uint8)
    except OSError as error:
        raise cannot_read(file.path, error) from None
    return tuple(dequantise(data.reshape(1, -1), info.type).ravel().tolist())
