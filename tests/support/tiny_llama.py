"""A tiny Llama with random weights as a GGUF file, with a tokenizer and a chat template."""

import json
from pathlib import Path

import torch

from genui.engine.data.tokenizer import train_bpe
from genui.kinds.open_text.convert import Plain, write_network
from genui.kinds.open_text.llama import Llama, LlamaConfig
from genui.kinds.open_text.tokenizer import tokenizer_from_gguf

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEXT = "What is the capital of France? Arr, matey! It be Paris, says I. system user assistant\n"
TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def write_tiny_llama(path: Path, seed: int = 0, width: int = 32, template: str = TEMPLATE) -> Path:
    """Write it to `path`; returns the path."""
    bpe = json.loads(train_bpe([TEXT * 20], 300).to_dict()["tokenizer"])["model"]
    learned = sorted(bpe["vocab"], key=bpe["vocab"].__getitem__)[1:]  # without our end token
    tokens = [*SPECIAL, *learned]
    metadata = {
        "model": "gpt2",
        "pre": "gpt-2",
        "tokens": tokens,
        "token_type": [3] * len(SPECIAL) + [1] * len(learned),
        "merges": [" ".join(pair) for pair in bpe["merges"]],
        "bos_token_id": 1,
        "eos_token_id": 2,
        "add_bos_token": False,
    }
    fields: dict[str, object] = {f"tokenizer.ggml.{name}": v for name, v in metadata.items()}
    tokenizer = tokenizer_from_gguf(fields | {"tokenizer.chat_template": template})
    config = LlamaConfig(
        vocab_size=len(tokens),
        layers=2,
        width=width,
        heads=4,
        kv_heads=2,
        head_width=width // 4,
        feed_forward=64,
        context=128,
        tied=True,
    )
    torch.manual_seed(seed)
    network = Llama(config)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.5 if "embedding" in name else 0.15)
    write_network(path, Plain(config, network.state_dict(), tokenizer), path.stem, "MIT", "fp32")
    return path
