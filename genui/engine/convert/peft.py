"""Adapters as peft's folders: written, and read as models."""

from pathlib import Path

import safetensors.torch

from genui.base.errors import GenuiError, MisuseError
from genui.engine.convert.text import write_json
from genui.engine.models.llama import hugging_face_name
from genui.engine.train.checkpoint import load_weights
from genui.recipes import FineTuneRecipe, recipe_from_dict
from genui.runs.models import ModelInfo

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def write_adapter(model: ModelInfo, folder: Path, dtype: str) -> None:
    """Write the adapter of a fine-tuned model. Raises MisuseError for a model without one."""
    if model.format:
        raise MisuseError(f"{model.ref}: has no adapter; --to hf writes the whole model")
    tensors, described = load_weights(model.path)
    recipe = recipe_from_dict(described["recipe"])
    if not isinstance(recipe, FineTuneRecipe) or recipe.mode != "lora":
        raise MisuseError(f"{model.ref}: was trained in full; --to hf writes the whole model")
    safetensors.torch.save_file(tensors, folder / WEIGHTS, {"format": "pt"})
    write_json(folder / CONFIG, adapter_config(recipe))


def adapter_config(recipe: FineTuneRecipe) -> dict[str, object]:
    """peft's description of the adapters of a recipe."""
    try:
        targets = [hugging_face_name(f"blocks.0.{_PLACE[each]}.{each}") for each in recipe.targets]
    except KeyError as error:
        raise GenuiError(f"targets={error}: has no name in peft") from None
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": recipe.base,
        "r": recipe.rank,
        "lora_alpha": recipe.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "target_modules": [name.rpartition(".")[2] for name in targets],
    }


_PLACE = dict.fromkeys("qkvo", "attention") | dict.fromkeys(("gate", "up", "down"), "feed_forward")
