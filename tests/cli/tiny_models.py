"""Models with real weights that no training made: small enough to generate in a moment."""

import json
from pathlib import Path

import torch
from torch import nn

from genui.engine.data.captions import Vocabulary
from genui.engine.data.tokenizer import CharTokenizer
from genui.engine.models.dit import Denoiser, DiT, dit_config
from genui.engine.models.transformer import Transformer, transformer_config
from genui.engine.train.checkpoint import model_metadata, write_tensors
from genui.recipes import DiffusionRecipe, Recipe, TransformerRecipe, find_recipe, override

ALPHABET = "\n abcdefghijklmnopqrstuvwxyz"
CONTEXT = 32  # tokens


def write_models(weights: Path, seed: int = 0) -> None:
    """`plays` and `shapes` in a folder of shipped models; another seed gives other weights."""
    torch.manual_seed(seed)
    small = {"layers": "1", "width": "32", "heads": "2"}
    text = override(find_recipe("shakespeare"), small | {"context": str(CONTEXT)})
    assert isinstance(text, TransformerRecipe)
    tokenizer = CharTokenizer(ALPHABET)
    writer = Transformer(transformer_config(text, tokenizer.size))
    _write(weights / "plays", text, _scattered(writer, 0.3), {"tokenizer": tokenizer.to_dict()})

    changes = {"patch": "8", "caption_width": "16", "sample_captions": "cat"}
    drawing = override(find_recipe("icons"), small | changes)
    assert isinstance(drawing, DiffusionRecipe)
    vocabulary = Vocabulary.build(["cat", "dog"])
    drawer = Denoiser(DiT(dit_config(drawing, vocabulary.size)), drawing.sigma_data)
    _write(weights / "shapes", drawing, _scattered(drawer, 0.1), {"words": vocabulary.words})


def _scattered(model: nn.Module, spread: float) -> nn.Module:
    """Heads start at zero, which would make every token and every picture equal."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=spread)
    return model


def _write(folder: Path, recipe: Recipe, model: nn.Module, extra: dict) -> None:
    described = model_metadata(recipe, 1, model, extra)
    metadata = {"genui": json.dumps(described)}
    write_tensors(folder / "model.safetensors", dict(model.state_dict()), metadata)
    (folder / "card.json").write_text(json.dumps({"name": folder.name}))
