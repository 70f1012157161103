"""Folders of Hugging Face language models: config.json, safetensors and a tokenizer.

Read from the JSON files and the headers of the weights alone. Code in a folder is never run, and
pickles are never opened.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from genui.base import files, numbers
from genui.base.errors import GenuiError, MisuseError
from genui.base.files import LARGEST_JSON, read_regular, sanitize, show
from genui.hub.open_model import OpenModel, read_licence
from genui.hub.safetensors import TensorEntry, name_dtype, read_tensors

REMEDY = "fetch the model again"

MODEL_TYPES = ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text")
"""The `model_type` of configurations that `genui.kinds.open_text.llama` computes; transformers
computes others."""

CONFIG, INDEX, WEIGHTS = "config.json", "model.safetensors.index.json", "model.safetensors"
TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
TEMPLATE = "chat_template.jinja"

_OTHER_KINDS = ("model_index.json", "adapter_config.json")


def recognise(path: Path) -> bool:
    """Whether a path is a folder with the configuration of a model of transformers."""
    if not (path / CONFIG).is_file() or any((path / name).exists() for name in _OTHER_KINDS):
        return False
    with suppress(GenuiError):
        return "model_type" in read_json(path / CONFIG)
    return False


def describe(path: Path) -> OpenModel:
    """The model of a folder.

    Raises MisuseError, one line that names the file, if it is no language model, needs code of its
    own, is quantised, has a part missing or truncated, or has its weights as pickles only.
    """
    return describe_config(path, read_json(path / CONFIG))


def describe_config(path: Path, config: dict[str, Any]) -> OpenModel:
    """`describe`, with this configuration in place of the one in the folder."""
    kind = str(config.get("model_type", ""))
    classes = config.get("architectures")
    classes = classes if isinstance(classes, list) else []
    if classes and not any("CausalLM" in str(name) or "LMHead" in str(name) for name in classes):
        raise MisuseError(
            f"{show(path)}: {sanitize(str(classes[0]), 60)} predicts no next token; choose a model "
            "of text (…ForCausalLM)"
        )
    if "auto_map" in config:
        raise MisuseError(
            f"{show(path)}: it needs code of its own, which genui does not run; choose a model "
            "whose architecture transformers has"
        )
    quantised = config.get("quantization_config") or config.get("compression_config")
    if isinstance(quantised, dict):
        method = sanitize(str(quantised.get("quant_method", "another program")), 40)
        raise MisuseError(
            f"{show(path)}: is quantised by {method}; take the GGUF or the unquantised folder"
        )
    text = config.get("text_config") if isinstance(config.get("text_config"), dict) else config
    assert isinstance(text, dict)
    tensors = read_weights(path)
    if not (path / TOKENIZER).is_file():
        raise MisuseError(f"{show(path)}: it has no {TOKENIZER}; {REMEDY}, with its tokenizer")
    stored = name_dtype(tensors.values())
    layers = text.get("num_hidden_layers") or text.get("n_layer") or 0
    if not isinstance(layers, int) or layers > len(tensors):  # each layer takes memory
        raise MisuseError(
            f"{show(path / CONFIG)}: it claims {sanitize(str(layers), 20)} layers and has "
            f"{len(tensors)} tensors; {REMEDY}"
        )
    context = text.get("max_position_embeddings") or text.get("n_positions") or 0
    parameters = sum(tensor.count for tensor in tensors.values())
    context = context if isinstance(context, int) else 0
    return OpenModel(
        path=path,
        format="huggingface",
        name=path.name,
        architecture=kind,
        parameters=parameters,
        size=sum(tensor.size for tensor in tensors.values()),
        stored=stored,
        context=context,
        licence=read_licence(path),
        chat=bool(read_template(path)),
        trains=kind in MODEL_TYPES,
        summary=f"{kind}, {numbers.parameters(parameters)} parameters, {stored}",
    )


def read_weights(path: Path) -> dict[str, TensorEntry]:
    """The tensors of a folder's safetensors files by name.

    Raises MisuseError if there are none, or one of several files is missing or truncated.
    """
    tensors: dict[str, TensorEntry] = {}
    for file in weight_files(path):
        tensors |= read_tensors(file, REMEDY)[0]
    return tensors


def weight_files(path: Path) -> list[Path]:
    """The safetensors files of a folder.

    Raises MisuseError if there are none, or one of those that its index names is missing.
    """
    if (path / INDEX).is_file():
        named = read_json(path / INDEX).get("weight_map")
        names = sorted({str(name) for name in named.values()}) if isinstance(named, dict) else []
        for name in names:
            if Path(name).name != name or not os.path.isfile(path / name):  # of any length
                raise MisuseError(f"{show(path)}: {sanitize(name, 80)} is missing; {REMEDY}")
        if names:
            return [path / name for name in names]
    if (path / WEIGHTS).is_file():
        return [path / WEIGHTS]
    if any(path.glob("*.bin")) or any(path.glob("*.pt*")):
        raise MisuseError(
            f"{show(path)}: its weights are pickles, which can run code and are never opened; use "
            "a copy with safetensors"
        )
    raise MisuseError(f"{show(path)}: it has no {WEIGHTS}; {REMEDY}")


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object in a file. Raises MisuseError, one line that names the file."""
    return files.read_json(file, dict[str, Any], REMEDY, LARGEST_JSON, MisuseError)


def read_template(path: Path) -> str:
    """The chat template of a folder; "" without one.

    It is a file of its own, or an entry of the tokenizer's configuration, of which there may be
    several by name ("default").
    """
    with suppress(GenuiError, UnicodeError):
        if (path / TEMPLATE).is_file():
            return read_regular(path / TEMPLATE, 1 << 20, REMEDY).decode()
        if (path / TOKENIZER_CONFIG).is_file():
            template = read_json(path / TOKENIZER_CONFIG).get("chat_template")
            if isinstance(template, list):
                named = [t for t in template if isinstance(t, dict)]
                template = next(
                    (t.get("template") for t in named if t.get("name") == "default"), ""
                )
            return template if isinstance(template, str) else ""
    return ""
