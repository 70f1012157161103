"""From the file of a diffusion model of pictures to what draws by it."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from genui.engine.data.captions import Vocabulary
from genui.engine.device import Machine
from genui.engine.generate.diffusion import DiffusionGenerator
from genui.engine.generate.picture_medium import PictureMedium
from genui.engine.models import guiding
from genui.engine.models.filled import load_frozen
from genui.engine.models.picture_denoiser import picture_denoiser
from genui.errors import MisuseError
from genui.recipes import DiffusionRecipe, recipe_from_dict


def load_picture_model(
    recipe: DiffusionRecipe,
    tensors: dict[str, Tensor],
    described: Mapping[str, Any],
    machine: Machine,
    device: torch.device,
) -> DiffusionGenerator:
    """The generator of a checkpoint's weights; errors as `kinds.build_generator` says."""
    vocabulary = Vocabulary(tuple(described["words"]))
    own, weaker = guiding.apart(tensors)
    model = load_frozen(lambda: picture_denoiser(recipe, vocabulary.size), own).to(device)
    guide = None
    if weaker:
        asked = _guide_recipe(described["guide"]["recipe"])
        guide = load_frozen(lambda: picture_denoiser(asked, vocabulary.size), weaker).to(device)
    return DiffusionGenerator(model, vocabulary, machine, PictureMedium(recipe), guide)


def _guide_recipe(fields: dict[str, Any]) -> DiffusionRecipe:
    """Of the guide in a model's file. Raises TypeError where it is none."""
    try:
        recipe = recipe_from_dict(fields)
        recipe.check()
    except MisuseError as error:
        raise TypeError(f"its guide: {error}") from None
    if not isinstance(recipe, DiffusionRecipe):
        raise TypeError("its guide is no diffusion model")
    return recipe
