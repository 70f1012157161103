"""Folders of masked-diffusion models: their configurations and tensors in Llama's names.

LLaDA (Nie et al. 2025) is a Llama without the causal mask, with the names of OLMo; Dream (Ye et
al. 2025) is Qwen 2 without it. Their own code in the folder is not run.
"""

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from genui.base.errors import GenuiError, UnsupportedError
from genui.hub.open_model import OpenModel
from genui.kinds.open_text.folder import CONFIG, describe_config, read_json

LLADA, DREAM = "LLaDAModelLM", "DreamModel"

_LLADA_FIELDS = {
    "vocab_size": "embedding_size",
    "hidden_size": "d_model",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "num_key_value_heads": "n_kv_heads",
    "intermediate_size": "mlp_hidden_size",
    "max_position_embeddings": "max_sequence_length",
    "tie_word_embeddings": "weight_tying",
}
_LLADA_PLAIN = {
    "block_type": "llama", "layer_norm_type": "rms", "activation_type": "silu", "rope": True,
    "alibi": False, "attention_layer_norm": False, "include_bias": False, "include_qkv_bias": False,
    "input_emb_norm": False, "scale_logits": False, "block_group_size": 1,
}  # fmt: skip
"""The only variant that there are weights of."""

_LLADA_NAMES = {
    "transformer.wte": "embed_tokens",
    "transformer.ln_f": "norm",
    "transformer.blocks": "layers",
    "attn_norm": "input_layernorm",
    "q_proj": "self_attn.q_proj",
    "k_proj": "self_attn.k_proj",
    "v_proj": "self_attn.v_proj",
    "attn_out": "self_attn.o_proj",
    "ff_norm": "post_attention_layernorm",
    "ff_proj": "mlp.gate_proj",
    "up_proj": "mlp.up_proj",
    "ff_out": "mlp.down_proj",
}
_NAME = re.compile("|".join(map(re.escape, _LLADA_NAMES)))


def class_of(config: dict[str, Any]) -> str:
    """LLADA or DREAM; "" for other models."""
    classes = config.get("architectures")
    known = [name for name in (LLADA, DREAM) if isinstance(classes, list) and name in classes]
    return known[0] if known else ""


def recognise(path: Path) -> bool:
    """Whether a path is a folder of one of these classes."""
    with suppress(GenuiError):
        return (path / CONFIG).is_file() and class_of(read_json(path / CONFIG)) != ""
    return False


def describe(path: Path) -> OpenModel:
    """The model of a folder. Raises MisuseError, one line that names the file, if it is damaged or
    quantised, UnsupportedError for a variant that is not computed."""
    model = describe_config(path, as_llama(read_json(path / CONFIG)))
    return msgspec.structs.replace(
        model, format="masked-diffusion", medium="masked-text", trains=False, chat=False
    )


def as_llama(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration as one of Llama or Qwen 2. Raises UnsupportedError for variants of LLaDA
    that this network does not compute."""
    kept = {name: v for name, v in config.items() if name not in ("architectures", "auto_map")}
    if class_of(config) == DREAM:
        return kept | {"model_type": "qwen2"}
    for name, value in _LLADA_PLAIN.items():
        if config.get(name, value) != value:
            raise UnsupportedError(f"config.json: {name} is not {value}; use another model")
    fields = {ours: config.get(theirs) for ours, theirs in _LLADA_FIELDS.items()}
    known = {name: value for name, value in fields.items() if value is not None}
    return kept | known | {"model_type": "llama", "hidden_act": "silu"}


def llama_name(name: str) -> str:
    """The name in a checkpoint of Llama of a tensor of LLaDA."""
    if name.startswith("model.transformer.ff_out."):
        return name.replace("model.transformer.ff_out", "lm_head")
    return _NAME.sub(lambda match: _LLADA_NAMES[match[0]], name)
