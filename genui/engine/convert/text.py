"""Text models of genui as Hugging Face folders: the weights, the model's code and its tokenizer."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from genui.base.errors import GenuiError
from genui.engine.convert.code import write_code
from genui.engine.data.tables import limitations
from genui.engine.data.tokenizer import (
    END,
    BPETokenizer,
    CharTokenizer,
    Tokenizer,
    byte_alphabet,
    tokenizer_from_dict,
)
from genui.engine.load import find_and_load
from genui.engine.train.checkpoint import load_weights
from genui.protocol.kinds import describe_ability
from genui.recipes import Recipe, TextRecipe, recipe_from_dict
from genui.runs.models import ModelInfo

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


CODE = "modeling_genui.py"
WEIGHTS = "model.safetensors"


def write_text_model(model: ModelInfo, folder: Path, dtype: str) -> None:
    """Write a text model of ours as a folder that transformers loads with trust_remote_code.

    Its logits agree with genui's in fp32 to rounding. Raises GenuiError if the model is damaged, or
    its network has no code for transformers.
    """
    tensors, described = load_weights(model.path)
    recipe = recipe_from_dict(described["recipe"])
    assert isinstance(recipe, TextRecipe)
    tokenizer = tokenizer_from_dict(described["tokenizer"])
    network = find_and_load(str(model.path)).model  # type: ignore[attr-defined]
    try:
        write_code(network, "modeling_text.py", folder / CODE)
    except GenuiError as error:
        raise GenuiError(f"{model.ref}: {error}") from None
    write_json(folder / "config.json", _config(recipe, tokenizer, asdict(network.config), dtype))
    named = {f"network.{name}": value for name, value in tensors.items()}
    write_safetensors(folder / WEIGHTS, named, dtype)
    (folder / "tokenizer.json").write_text(serialise_tokenizer(tokenizer), encoding="utf-8")
    write_json(folder / "tokenizer_config.json", _tokenizer_config(recipe, tokenizer))
    write_json(folder / "generation_config.json", _end_ids(tokenizer) | {"use_cache": False})
    card = _card(model, recipe, described)
    (folder / "README.md").write_text(card, encoding="utf-8")


def write_safetensors(file: Path, tensors: dict[str, Tensor], dtype: str) -> None:
    """Write the tensors in a type of DTYPES."""
    cast = {name: value.to(DTYPES[dtype]).contiguous() for name, value in tensors.items()}
    safetensors.torch.save_file(cast, file, {"format": "pt"})
    file.chmod(0o644)  # the library lets nobody else read it


def write_json(path: Path, fields: dict[str, Any]) -> None:
    path.write_text(json.dumps(fields, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _config(
    recipe: TextRecipe, tokenizer: Tokenizer, network: dict[str, Any], dtype: str
) -> dict[str, Any]:
    module = CODE.removesuffix(".py")
    return {
        "architectures": ["GenuiForCausalLM"],
        "auto_map": {
            "AutoConfig": f"{module}.GenuiConfig",
            "AutoModelForCausalLM": f"{module}.GenuiForCausalLM",
        },
        "model_type": "genui",
        "vocab_size": tokenizer.size,
        "hidden_size": recipe.width,
        "num_hidden_layers": recipe.layers,
        "max_position_embeddings": recipe.context,
        "network": network,
        "dtype": str(DTYPES[dtype]).removeprefix("torch."),
        **_end_ids(tokenizer),
    }


def _end_ids(tokenizer: Tokenizer) -> dict[str, Any]:
    return {} if tokenizer.end is None else {"eos_token_id": tokenizer.end}


def _tokenizer_config(recipe: TextRecipe, tokenizer: Tokenizer) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": recipe.context,
        "clean_up_tokenization_spaces": False,
        **({} if tokenizer.end is None else {"eos_token": END}),
    }


def serialise_tokenizer(tokenizer: Tokenizer) -> str:
    """The tokenizer as the JSON of the `tokenizers` library.

    Characters and bytes are a BPE without merges: a character that is not in the vocabulary is
    left out, as here.
    """
    from tokenizers import Tokenizer as HFTokenizer
    from tokenizers import decoders, models, pre_tokenizers

    if isinstance(tokenizer, BPETokenizer):
        serialised = HFTokenizer.from_str(tokenizer.to_dict()["tokenizer"])
        serialised.decoder = decoders.ByteLevel()
    elif isinstance(tokenizer, CharTokenizer):
        vocab = {character: token for token, character in enumerate(tokenizer.characters)}
        serialised = HFTokenizer(models.BPE(vocab, []))
        serialised.decoder = decoders.Fuse()
    else:
        serialised = HFTokenizer(models.BPE(byte_alphabet(), []))
        serialised.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        serialised.decoder = decoders.ByteLevel()
    return serialised.to_str(pretty=True)


def _card(model: ModelInfo, recipe: Recipe, described: dict[str, Any]) -> str:
    """The model card: what it is, how to load it, its data and its limits."""
    what = describe_ability(recipe.family, recipe.medium)
    licence = str(described.get("licence", "")) or "not recorded"
    return f"""# {model.name}

A {recipe.family} of {model.parameters:,} parameters that {what}, trained by genui for
{model.step:,} steps on {model.dataset} (licence of the data: {licence}).

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("FOLDER", trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained("FOLDER")
ids = tokenizer({recipe.prompts[0]!r}, return_tensors="pt").input_ids
print(tokenizer.decode(model.generate(ids, max_new_tokens=100, do_sample=True)[0]))
```

`{CODE}` and the files that it imports are the network, plain PyTorch. `trust_remote_code=True` runs
them: read them first.

Limits: {limitations(recipe)}

{model.training_cost}
"""
