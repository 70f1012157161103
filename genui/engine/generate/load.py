"""From a checkpoint to something that generates. Adding a family adds a row here."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import torch
from msgspec.structs import replace
from torch import nn

from genui.engine import device
from genui.engine.data.captions import Vocabulary
from genui.engine.data.tokenizer import tokenizer_from_dict
from genui.engine.generate.diffusion import DiffusionGenerator
from genui.engine.generate.text import TextGenerator
from genui.engine.generate.trace import Generator, Trace
from genui.engine.models.dit import Denoiser, DiT, dit_config
from genui.engine.models.transformer import Transformer, transformer_config
from genui.engine.train.checkpoint import load_weights
from genui.errors import GenuiError
from genui.protocol import Start
from genui.recipes import DiffusionRecipe, TransformerRecipe, recipe_from_dict
from genui.runs.catalog import find_model

M = TypeVar("M", bound=nn.Module)


def load(path: Path) -> Generator:
    """A checkpoint's network with its weights, ready to generate.

    Raises GenuiError naming the file where it is damaged or does not fit its own recipe.
    """
    tensors, described = load_weights(path)
    recipe = recipe_from_dict(described.get("recipe", {}))
    machine = device.for_generation()
    place = torch.device(machine.device)
    try:
        if isinstance(recipe, TransformerRecipe):
            tokenizer = tokenizer_from_dict(described["tokenizer"])
            model = _filled(Transformer(transformer_config(recipe, tokenizer.size)), tensors)
            return TextGenerator(model.to(place), tokenizer, machine)
        if isinstance(recipe, DiffusionRecipe):
            vocabulary = Vocabulary(tuple(described["words"]))
            network = DiT(dit_config(recipe, vocabulary.size))
            model = _filled(Denoiser(network, recipe.sigma_data), tensors)
            return DiffusionGenerator(model.to(place), vocabulary, machine, recipe)
    except (KeyError, TypeError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise GenuiError(f"{path}: does not fit its own recipe ({reason})") from None
    raise GenuiError(f"{path}: family {recipe.family!r} cannot generate here")


def _filled(model: M, tensors: dict[str, torch.Tensor]) -> M:
    model.load_state_dict(tensors)
    return model.eval().requires_grad_(False)


def open_trace(request: Start) -> Trace:
    """A trace of the model that the request names, with the fingerprint of its weights."""
    info = find_model(request.model)
    trace = Trace(_loaded(*_as_it_stands(info.path)), request)
    trace.started = replace(trace.started, fingerprint=fingerprint(info.path))
    return trace


def find_and_load(ref: str) -> Generator:
    """`load` of what `find_model` finds under a name or path; the last few stay loaded.

    A run's newest checkpoint is looked up each time, so a model that still trains is never
    an old one.
    """
    return _loaded(*_as_it_stands(find_model(ref).path))


def fingerprint(path: Path) -> str:
    """Of a weights file: the first 16 hexadecimal digits of its SHA-256."""
    return _fingerprint(*_as_it_stands(path))


def _as_it_stands(path: Path) -> tuple[Path, int]:
    """The path, and when the file last changed: what is remembered of it holds until then."""
    return path, path.stat().st_mtime_ns


@lru_cache(maxsize=4)
def _loaded(path: Path, changed: int) -> Generator:
    return load(path)


@lru_cache(maxsize=64)
def _fingerprint(path: Path, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
