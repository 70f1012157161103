"""From a checkpoint to something that generates. Adding a family adds a row here."""

from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import nn

from genui.engine import device
from genui.engine.data.captions import Vocabulary
from genui.engine.data.tokenizer import tokenizer_from_dict
from genui.engine.generate.diffusion import DiffusionGenerator
from genui.engine.generate.text import TextGenerator
from genui.engine.models.dit import Denoiser, DiT, dit_config
from genui.engine.models.transformer import Transformer, transformer_config
from genui.engine.train.checkpoint import load_weights
from genui.errors import GenuiError
from genui.protocol import Frame, Start, Started
from genui.recipes import DiffusionRecipe, TransformerRecipe, recipe_from_dict
from genui.runs.catalog import find_model

M = TypeVar("M", bound=nn.Module)


class Generator(Protocol):
    """One model of any family. A state is immutable; a frame is what a person sees of a step."""

    def begin(self, request: Start) -> tuple[Any, Started]:
        """The first state of a trace. Raises MisuseError where the request does not fit."""
        ...

    def step(self, state: Any) -> tuple[Any, Frame]:
        """The next state and its frame; the same state always gives the same bits."""
        ...

    def first_frame(self, state: Any) -> Frame | None:
        """What there is to see before the first step."""
        ...

    def finished(self, state: Any) -> bool: ...


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
            return DiffusionGenerator(model.to(place), vocabulary, machine)
    except (KeyError, TypeError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise GenuiError(f"{path}: does not fit its own recipe ({reason})") from None
    raise GenuiError(f"{path}: family {recipe.family!r} cannot generate here")


def _filled(model: M, tensors: dict[str, torch.Tensor]) -> M:
    model.load_state_dict(tensors)
    return model.eval().requires_grad_(False)


def find_and_load(ref: str) -> Generator:
    """`load` of what `find_model` finds under a name or path; the last few stay loaded.

    A run's newest checkpoint is looked up each time, so a model that still trains is never
    an old one.
    """
    info = find_model(ref)
    return _loaded(info.path, info.path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _loaded(path: Path, changed: int) -> Generator:
    return load(path)
