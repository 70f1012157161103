"""Pictures that a model drew, as `genui generate MODEL -n 6000 --out FOLDER` writes them."""

from pathlib import Path

import msgspec

from genui.engine.data.folder import shown
from genui.errors import MisuseError
from genui.recipes import DiffusionRecipe
from genui.runs.catalog import ModelInfo, find_model
from genui.runs.checkpoints import read_header, weights_fingerprint
from genui.saved.drawn import read_plan, used_critic

ALIKE = ("channels", "border", "sigma_data")
"""What the errors of two models can be compared by: the same arrays, weighted alike."""

AGAIN = "genui generate MODEL -n 6000 --out FOLDER"


def drawn_by(recipe: DiffusionRecipe) -> ModelInfo:
    """The model that drew the folder of pictures that a recipe is to be trained against.

    Raises MisuseError where no model did, it is there no more, its weights are others now, or it
    cannot be compared with.
    """
    folder = Path(recipe.against)
    try:
        plan, critic = read_plan(folder), used_critic(folder)
    except (OSError, msgspec.DecodeError):
        raise MisuseError(
            f"against={shown(folder)}: is no folder of pictures that a model drew; {AGAIN}"
        ) from None
    model = find_model(plan.model)
    if weights_fingerprint(model.path) != plan.fingerprint:
        raise MisuseError(
            f"against={shown(folder)}: was drawn with other weights of {plan.model}; "
            f"name a new folder: {AGAIN}"
        )
    if critic:
        raise MisuseError(
            f"against={shown(folder)}: was drawn with a critic, which genui no longer has; "
            f"name a new folder: {AGAIN}"
        )
    theirs = read_header(model.path).recipe
    if not isinstance(theirs, DiffusionRecipe):
        raise MisuseError(
            f"against={shown(folder)}: {model.name} is no diffusion model of pictures"
        )
    for name in ALIKE:
        if getattr(theirs, name) != getattr(recipe, name):
            raise MisuseError(
                f"against={shown(folder)}: {model.name} has {name}={getattr(theirs, name)} and "
                f"this recipe {getattr(recipe, name)}; start from it: --from {model.name}"
            )
    return model
