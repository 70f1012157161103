"""Models of the Llama family as Hugging Face folders and GGUF files, adapters merged."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genui.base.errors import GenuiError
from genui.engine.convert.text import WEIGHTS, write_json, write_safetensors
from genui.engine.load import find_and_load
from genui.engine.sample.text import TextGenerator
from genui.kinds.open_text.gguf_network import gguf_name, permute
from genui.kinds.open_text.llama import (
    Llama,
    LlamaConfig,
    Rope,
    hugging_face_name,
    rope_frequencies,
)
from genui.kinds.open_text.lora import AdaptedModel
from genui.kinds.open_text.tokenizer import PretrainedTokenizer, gguf_fields, serialise
from genui.runs.models import ModelInfo


@dataclass(frozen=True)
class Plain:
    """A network without adapters, and its tokenizer."""

    config: LlamaConfig
    tensors: Mapping[str, Tensor]
    tokenizer: PretrainedTokenizer


def read_plain(model: ModelInfo) -> Plain:
    """The network of a model, with its adapters merged if it has some.

    Raises GenuiError, which names the model, if genui does not compute it itself.
    """
    generator = find_and_load(model.ref)
    network = generator.model if isinstance(generator, TextGenerator) else None
    adapted = network if isinstance(network, AdaptedModel) else None
    network = adapted.base.network if adapted else network
    if not isinstance(generator, TextGenerator) or not isinstance(network, Llama):
        raise GenuiError(f"{model.ref}: is not of the Llama family, which alone is converted")
    tensors = dict(network.state_dict())
    if adapted:
        name_of = {module: name for name, module in network.named_modules()}
        for name, weight in adapted.merged_weights().items():
            tensors[f"{name_of[adapted.base.layers[name]]}.weight"] = weight
    assert isinstance(generator.tokenizer, PretrainedTokenizer)
    return Plain(network.config, tensors, generator.tokenizer)


# --- A Hugging Face folder --------------------------------------------------------------------

_CLASSES = {
    "llama": "Llama",
    "mistral": "Mistral",
    "qwen2": "Qwen2",
    "qwen3": "Qwen3",
    "gemma": "Gemma",
    "gemma2": "Gemma2",
    "gemma3": "Gemma3",
}


def write_llama_folder(model: ModelInfo, folder: Path, dtype: str) -> None:
    """Write a folder that transformers loads without remote code.

    Raises GenuiError for what cannot be written so.
    """
    plain = read_plain(model)
    config = plain.config
    write_safetensors(folder / WEIGHTS, hugging_face_tensors(config, plain.tensors), dtype)
    ends = _special_ids(plain.tokenizer)
    write_json(folder / "config.json", hugging_face_config(config, dtype) | ends)
    write_json(folder / "generation_config.json", ends)
    _write_tokenizer(folder, plain.tokenizer, config.context)
    (folder / "README.md").write_text(_card(model), encoding="utf-8")


def hugging_face_tensors(config: LlamaConfig, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors by the names, and with the numbers, of a Hugging Face checkpoint."""
    # Gemma's norms multiply by 1 + w, and by the weight here.
    less = 1 if config.architecture.startswith("gemma") else 0
    return {
        hugging_face_name(name, config.post_norms): value - less if "norm" in name else value
        for name, value in tensors.items()
    }


def _special_ids(tokenizer: PretrainedTokenizer) -> dict[str, Any]:
    ends = [*([] if tokenizer.end is None else [tokenizer.end])]
    ends += sorted(tokenizer.ends - {*ends})
    begin = {} if tokenizer.begin is None else {"bos_token_id": tokenizer.begin}
    return begin | ({"eos_token_id": ends[0] if len(ends) == 1 else ends} if ends else {})


def hugging_face_config(config: LlamaConfig, dtype: str) -> dict[str, Any]:
    """config.json, in the words of transformers 4 and 5."""
    name = config.architecture
    if name not in _CLASSES:
        raise GenuiError(f"architecture {name}: transformers has no class of that name")
    gemma = name.startswith("gemma")
    rope = _rope(config.rope, config.head_width)
    fields = {
        "architectures": [f"{_CLASSES[name]}ForCausalLM"],
        "model_type": "gemma3_text" if name == "gemma3" else name,
        "vocab_size": config.vocab_size,
        "hidden_size": config.width,
        "intermediate_size": config.feed_forward,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_width,
        "max_position_embeddings": config.context,
        "rms_norm_eps": config.norm_eps,
        "tie_word_embeddings": config.tied,
        "hidden_act": "gelu_pytorch_tanh" if config.activation == "gelu" else "silu",
        "attention_bias": config.output_bias,
        "mlp_bias": config.feed_forward_bias,
        "rope_theta": config.rope.base,
        "dtype": {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}[dtype],
    }
    if rope["rope_type"] != "default":
        fields["rope_scaling"] = {k: v for k, v in rope.items() if k != "rope_theta"}
    if not config.local_rope:
        fields["rope_parameters"] = rope
    if config.window:
        kinds = {True: "sliding_attention", False: "full_attention"}
        fields["sliding_window"] = config.window
        fields["use_sliding_window"] = True  # of Qwen
        if config.windowed:
            fields["layer_types"] = [kinds[each] for each in config.windowed]
    if gemma:
        fields["hidden_activation"] = fields["hidden_act"]
        fields["query_pre_attn_scalar"] = round(config.query_scale**-2)
        fields["attn_logit_softcapping"] = config.attention_cap or None
        fields["final_logit_softcapping"] = config.logit_cap or None
    if config.local_rope:
        local = _rope(config.local_rope, config.head_width)
        fields["rope_local_base_freq"] = config.local_rope.base
        fields["rope_parameters"] = {"full_attention": rope, "sliding_attention": local}
    return fields


def _rope(rope: Rope, head_width: int) -> dict[str, Any]:
    if rope.divisors:
        rope = _as_llama3(rope, head_width)
    fields: dict[str, Any] = {"rope_theta": rope.base, "rope_type": rope.kind}
    if rope.kind != "default":
        fields["factor"] = rope.factor
    if rope.kind in ("llama3", "yarn"):
        fields["original_max_position_embeddings"] = rope.original_context
    if rope.kind == "llama3":
        fields |= {"low_freq_factor": rope.low, "high_freq_factor": rope.high}
    if rope.kind == "yarn":
        fields |= {"beta_slow": rope.low, "beta_fast": rope.high}
        fields["attention_factor"] = rope.attention_factor
    return fields


def _as_llama3(rope: Rope, head_width: int) -> Rope:
    """The formula of Llama 3.1 and 3.2 that gives the divisors in a GGUF file.

    Raises GenuiError if no formula gives them.
    """
    wanted, _ = rope_frequencies(rope, head_width)
    for factor in (8.0, 32.0):
        formula = Rope(rope.base, "llama3", factor, 8192, low=1.0, high=4.0)
        if torch.allclose(rope_frequencies(formula, head_width)[0], wanted, rtol=1e-4):
            return formula
    raise GenuiError("its table of rope factors differs from Llama 3's, so it has no formula here")


def _write_tokenizer(folder: Path, tokenizer: PretrainedTokenizer, context: int) -> None:
    from tokenizers import processors

    fields, template = tokenizer.fields, tokenizer.chat_template
    serialised = serialise(tokenizer)
    name_of = fields["tokens"]
    begin = tokenizer.begin
    if begin is not None and serialised.post_processor is None:
        serialised.post_processor = processors.TemplateProcessing(
            single=f"{name_of[begin]} $A", special_tokens=[(name_of[begin], begin)]
        )
    serialised.save(str(folder / "tokenizer.json"))
    words = {"bos_token": fields.get("bos_token_id"), "eos_token": fields.get("eos_token_id")}
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": context,
            "clean_up_tokenization_spaces": False,
            **{
                key: name_of[token]
                for key, token in words.items()
                if isinstance(token, int) and token >= 0 and name_of[token]
            },
            **({"chat_template": template} if template else {}),
        },
    )


def _card(model: ModelInfo) -> str:
    licence = model.card.get("licence") or "that of the original model"
    first = f"# {model.name}\n\nWritten by genui from {model.name}. Licence: {licence}.\n"
    return f"{first}\n{model.training_cost}\n" if model.training_cost else first


# --- A GGUF file ------------------------------------------------------------------------------


def write_gguf(model: ModelInfo, path: Path, dtype: str) -> None:
    """Write a model of the architecture llama as a GGUF file: matrices in fp32, fp16 or Q8_0,
    vectors in fp32.

    Raises GenuiError for another architecture.
    """
    write_network(path, read_plain(model), model.name, str(model.card.get("licence", "")), dtype)


def write_network(path: Path, plain: Plain, name: str, licence: str, dtype: str) -> None:
    """`write_gguf` of a network."""
    config = plain.config
    if config.architecture != "llama":
        raise GenuiError(
            f"{name}: its architecture is {config.architecture}, and GGUF files are written "
            "of llama alone; --to hf writes a folder, which llama.cpp's converter reads"
        )
    import gguf  # late: it takes 0.1 s

    kind = {
        "fp32": gguf.GGMLQuantizationType.F32,
        "fp16": gguf.GGMLQuantizationType.F16,
        "q8_0": gguf.GGMLQuantizationType.Q8_0,
    }[dtype]
    writer = gguf.GGUFWriter(path, "llama")
    _describe(writer, config, dtype)
    writer.add_name(name)
    if licence:
        writer.add_license(licence)
    _describe_tokenizer(writer, plain.tokenizer)
    for tensor, value in plain.tensors.items():
        rows = value.float()
        if tensor.endswith(("attention.q.weight", "attention.k.weight")):
            rows = permute(rows, config.heads if ".q." in tensor else config.kv_heads)
        data = rows.numpy()
        fits = data.ndim > 1 and data.shape[-1] % 32 == 0
        stored = kind if fits else gguf.GGMLQuantizationType.F32
        stored_data = gguf.quants.quantize(data, stored)
        writer.add_tensor(gguf_name(tensor), stored_data, raw_dtype=stored)
    if config.rope.divisors:
        writer.add_tensor("rope_freqs.weight", np.array(config.rope.divisors, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: Any, config: LlamaConfig, dtype: str) -> None:
    import gguf

    writer.add_context_length(config.context)
    writer.add_embedding_length(config.width)
    writer.add_block_count(config.layers)
    writer.add_feed_forward_length(config.feed_forward)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_key_length(config.head_width)
    writer.add_value_length(config.head_width)
    writer.add_rope_dimension_count(config.head_width)
    writer.add_rope_freq_base(config.rope.base)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    writer.add_vocab_size(config.vocab_size)
    rope = config.rope
    if rope.kind == "llama3":
        raise GenuiError("its rope scaling llama3 is not written as GGUF")
    if rope.kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope.factor)
    if rope.kind == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope.factor)
        writer.add_rope_scaling_orig_ctx_len(rope.original_context)
    types = {"fp32": "ALL_F32", "fp16": "MOSTLY_F16", "q8_0": "MOSTLY_Q8_0"}
    writer.add_file_type(gguf.LlamaFileType[types[dtype]])


def _describe_tokenizer(writer: Any, tokenizer: PretrainedTokenizer) -> None:
    fields, template = gguf_fields(tokenizer), tokenizer.chat_template
    writer.add_tokenizer_model(fields["model"])
    if "pre" in fields:
        writer.add_tokenizer_pre(fields["pre"])
    writer.add_token_list(fields["tokens"])
    if "token_type" in fields:
        writer.add_token_types(fields["token_type"])
    if "scores" in fields:
        writer.add_token_scores(fields["scores"])
    if "merges" in fields:
        writer.add_token_merges(fields["merges"])
    for name, add in (
        ("bos_token_id", writer.add_bos_token_id),
        ("eos_token_id", writer.add_eos_token_id),
        ("eot_token_id", writer.add_eot_token_id),
        ("unknown_token_id", writer.add_unk_token_id),
        ("add_bos_token", writer.add_add_bos_token),
        ("add_space_prefix", writer.add_add_space_prefix),
    ):
        if name in fields:
            add(fields[name])
    if template:
        writer.add_chat_template(template)
