"""Small GGUF files with random weights, written by the `gguf` package."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

gguf: Any = import_module("gguf")  # its types are narrower than what it takes

LAYERS, WIDTH, HEADS, SHARED, INNER = 2, 64, 4, 2, 96
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHAT = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"


def byte_pieces() -> list[str]:
    """The alphabet of byte-level BPE."""
    from genui.engine.data.tokenizer import byte_alphabet

    return list(byte_alphabet())


def write_gguf(
    path: Path,
    architecture: str = "llama",
    *,
    kind: str = "F32",
    fields: dict[str, Any] | None = None,
    tensors: dict[str, np.ndarray] | None = None,
    tokenizer: str = "gpt2",
    pre: str = "smollm",
    marks: Sequence[str] = (),
) -> dict[str, np.ndarray]:
    """Write a model; returns its tensors before they were quantised to `kind`.

    `fields` are added to the metadata of the architecture, or replace them; `tensors` replace
    random ones, or are left out if they are empty. `marks` are tokens that a file calls plain text.
    """
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("Tiny")
    writer.add_license("mit")
    sizes = {
        "block_count": LAYERS,
        "context_length": 128,
        "embedding_length": WIDTH,
        "feed_forward_length": INNER,
        "attention.head_count": HEADS,
        "attention.head_count_kv": SHARED,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "rope.freq_base": 10_000.0,
    }
    for name, value in (sizes | (fields or {})).items():
        add = writer.add_float32 if isinstance(value, float) else writer.add_uint32
        (writer.add_string if isinstance(value, str) else add)(f"{architecture}.{name}", value)
    size = _add_tokenizer(writer, tokenizer, pre, marks)
    written = random_tensors(size) | (tensors or {})
    for name, values in written.items():
        if values.size == 0:
            continue
        quantised = kind if values.ndim > 1 and values.shape[-1] % 32 == 0 else "F32"
        number = gguf.GGMLQuantizationType[quantised]
        writer.add_tensor(name, gguf.quantize(values, number), raw_dtype=number)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return written


def random_tensors(vocabulary: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)

    def matrix(rows: int, width: int) -> np.ndarray:
        return (rng.standard_normal((rows, width)) * width**-0.5).astype(np.float32)

    tensors = {"token_embd.weight": matrix(vocabulary, WIDTH)}
    head = WIDTH // HEADS
    for layer in range(LAYERS):
        tensors |= {
            f"blk.{layer}.{name}.weight": value
            for name, value in {
                "attn_norm": np.ones(WIDTH, np.float32),
                "attn_q": matrix(HEADS * head, WIDTH),
                "attn_k": matrix(SHARED * head, WIDTH),
                "attn_v": matrix(SHARED * head, WIDTH),
                "attn_output": matrix(WIDTH, HEADS * head),
                "ffn_norm": np.ones(WIDTH, np.float32),
                "ffn_gate": matrix(INNER, WIDTH),
                "ffn_up": matrix(INNER, WIDTH),
                "ffn_down": matrix(WIDTH, INNER),
            }.items()
        }
    return tensors | {"output_norm.weight": np.ones(WIDTH, np.float32)}


def _add_tokenizer(writer: Any, kind: str, pre: str, marks: Sequence[str]) -> int:
    """Add a vocabulary; returns its size."""
    writer.add_tokenizer_model(kind)
    if kind == "gpt2":
        merges = ["h e", "l l", "Ġ t", "he ll"]
        pieces = [*SPECIAL, *byte_pieces(), *(m.replace(" ", "") for m in merges)]
        types = [3] * len(SPECIAL) + [1] * (len(pieces) - len(SPECIAL))
        writer.add_tokenizer_pre(pre)
        writer.add_token_merges(merges)
        writer.add_eos_token_id(2)
    else:
        plain = ["▁", "h", "e", "l", "o", "▁h", "he", "ll", "ell", "hell", "hello", "▁hello"]
        pieces = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256)), *plain, "[INST]"]
        types = [2, 3, 3, *[6] * 256, *[1] * len(plain), 4]
        scores = [0.0] * 259 + [-float(i) for i in range(len(plain))] + [0.0] * (1 + len(marks))
        writer.add_token_scores(scores)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
    pieces += marks
    types += [4] * len(marks)
    writer.add_token_list(pieces)
    writer.add_token_types(types)
    writer.add_chat_template(CHAT)
    return len(pieces)
