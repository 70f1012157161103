"""Adapters as peft's folders: written, and read as models."""

import json
import os
import shutil
from pathlib import Path

import safetensors.torch
import torch

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import atomic_path, atomic_write, cannot_read, cannot_write, show
from genui.engine.data.tokenizer import Tokenizer
from genui.engine.device import Machine
from genui.engine.load import find_and_load
from genui.engine.loaders import load_open_tokenizer
from genui.engine.loading import LoadProgress
from genui.engine.models.language_model import TokenNetwork
from genui.engine.sample.text import TextGenerator
from genui.engine.train.checkpoint import load_weights
from genui.hub.formats import format_of
from genui.hub.open_model import OpenModel
from genui.hub.records import list_records
from genui.kinds.open_text.lora import AdaptedModel, Base, check_rank, list_layers
from genui.kinds.open_text.peft import CONFIG, WEIGHTS, find_base, read_config
from genui.kinds.open_text.recipe import FineTuneRecipe
from genui.protocol.kinds import PRETRAINED
from genui.recipes import recipe_from_dict
from genui.runs.models import ModelInfo

# --- Written ----------------------------------------------------------------------------------


def write_adapter(model: ModelInfo, folder: Path, dtype: str) -> None:
    """Write the adapter of a fine-tuned model. Raises MisuseError for a model without one."""
    if model.format:
        raise MisuseError(f"{model.ref}: has no adapter; --to hf writes the whole model")
    _, described = load_weights(model.path)
    recipe = recipe_from_dict(described["recipe"])
    if not isinstance(recipe, FineTuneRecipe) or recipe.mode != "lora":
        raise MisuseError(f"{model.ref}: was trained in full; --to hf writes the whole model")
    write_folder(folder, model.path, recipe)


def write_folder(folder: Path, checkpoint: Path, recipe: FineTuneRecipe) -> None:
    """Fill a folder with a checkpoint, whose tensors have peft's names already, and its
    description. Raises GenuiError if it cannot be written."""
    try:
        folder.mkdir(exist_ok=True)
        with atomic_path(folder / WEIGHTS, durable=False) as aside:
            try:
                os.link(checkpoint, aside)
            except OSError:  # another file system, or one without links
                shutil.copyfile(checkpoint, aside)
        text = json.dumps(adapter_config(recipe), indent=2)
        atomic_write(folder / CONFIG, f"{text}\n".encode(), durable=False)
    except OSError as error:
        raise cannot_write(folder, error) from None


def adapter_config(recipe: FineTuneRecipe) -> dict[str, object]:
    """peft's description of the adapters of a recipe."""
    record = list_records().get(recipe.base)
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": record.source if record and record.source else recipe.base,
        "r": recipe.rank,
        "lora_alpha": recipe.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "target_modules": [f"{target}_proj" for target in recipe.targets],
    }


# --- Read -------------------------------------------------------------------------------------


def load_adapter(model: OpenModel, machine: Machine, progress: LoadProgress) -> TextGenerator:
    """The generator of a base model with the adapter in a folder, as
    `Loader.load` of `genui.engine.load` says."""
    config, base = read_config(model.path), find_base(model.path)
    # Shared with its own generator.
    generator = find_and_load(str(base), precision=machine.precision, progress=progress)
    network = generator.model if isinstance(generator, TextGenerator) else None
    if not isinstance(generator, TextGenerator) or not isinstance(network, TokenNetwork):
        raise GenuiError(f"{show(base)}: genui does not compute this base model itself")
    try:
        tensors = safetensors.torch.load_file(model.path / WEIGHTS)
    except OSError as error:
        raise cannot_read(model.path / WEIGHTS, error) from None
    except safetensors.SafetensorError as error:
        raise GenuiError(f"{WEIGHTS} is damaged ({error}); copy it again") from None
    check_rank(tensors, config.r)
    ends = (".lora_A.weight", ".lora_B.weight")
    names = {name.removesuffix(end) for name in tensors for end in ends if name.endswith(end)}
    layers = list_layers(network)
    if unknown := names - layers.keys():
        raise GenuiError(f"its base model has no layer {min(unknown)}")
    chosen = {name: layer for name, layer in layers.items() if name in names}
    adapted = AdaptedModel(Base(network, chosen), config.r, config.scale)
    adapted.load_state_dict({name: value.float() for name, value in tensors.items()})
    adapted.requires_grad_(False).to(torch.device(machine.device))
    return TextGenerator(adapted, generator.tokenizer, generator.machine, PRETRAINED)


def load_base_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of an adapter's base model."""
    base = find_base(path)
    return load_open_tokenizer(base, format_of(base))
