"""The table of families: how each is trained. Adding a family adds a row here."""

from typing import Any

import torch

from genui.engine.train.task import Task
from genui.errors import MisuseError
from genui.recipes import DiffusionRecipe, Recipe, TransformerRecipe


def build_task(recipe: Recipe, device: torch.device, extra: dict[str, Any] | None = None) -> Task:
    """The task of a recipe; `extra` is a checkpoint's, so that resuming keeps its tokenizer."""
    if isinstance(recipe, TransformerRecipe):
        from genui.engine.train.text_task import TextTask

        return TextTask(recipe, device, extra)
    if isinstance(recipe, DiffusionRecipe):
        from genui.engine.train.picture_task import PictureTask

        return PictureTask(recipe, device, extra)
    raise MisuseError(f"family {recipe.family!r} cannot be trained here")
