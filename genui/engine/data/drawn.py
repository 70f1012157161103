"""Pictures that a model drew, as `genui generate MODEL -n 6000 --out FOLDER` writes them."""

import shlex
from pathlib import Path

import msgspec

from genui.engine.data.folder import shown
from genui.errors import MisuseError
from genui.kinds import UNGUIDED
from genui.protocol import ImageSettings
from genui.recipes import DiffusionRecipe
from genui.runs.catalog import ModelInfo, find_model
from genui.runs.checkpoints import read_header, weights_fingerprint
from genui.saved.drawn import METADATA, Plan, read_plan

ALIKE = ("channels", "border", "sigma_data")
"""What the errors of two models can be compared by: the same arrays, weighted alike."""

AGAIN = "genui generate MODEL -n 6000 --out FOLDER"


def plan_of(folder: str | Path, asked: str) -> Plan:
    """What a folder says of how it was drawn. Raises MisuseError, which begins with `asked`,
    where no model drew it."""
    try:
        return read_plan(Path(folder))
    except (OSError, msgspec.DecodeError):
        raise MisuseError(f"{asked}: is no folder of pictures that a model drew; {AGAIN}") from None


def is_sifted(plan: Plan) -> bool:
    """Whether the model's critic chose among what was drawn."""
    return isinstance(plan.settings, ImageSettings) and plan.settings.rejection > 0


def count_drawn(folder: Path) -> int:
    """How many pictures are in a folder that a model drew. Raises OSError."""
    return (folder / METADATA).read_bytes().count(b"\n")


def drawing(folder: Path, plan: Plan, count: int) -> str:
    """The command that draws such a folder, without where the model and the folder are."""
    words = ["genui", "generate", Path(plan.model).name, "-n", str(count), "--seed", str(plan.seed)]
    for key in UNGUIDED.__struct_fields__:
        if (asked := getattr(plan.settings, key)) != getattr(UNGUIDED, key):
            words += [f"--{key.replace('_', '-')}", str(asked)]
    return shlex.join([*words, "--out", folder.name])


def drawn_by(recipe: DiffusionRecipe) -> ModelInfo:
    """The model that drew the folder of pictures that a recipe is to be trained against.

    Raises MisuseError where no model did, it is there no more, its weights are others now, or it
    cannot be compared with.
    """
    folder = Path(recipe.against)
    plan = plan_of(folder, f"against={shown(folder)}")
    model = find_model(plan.model)
    if weights_fingerprint(model.path) != plan.fingerprint:
        raise MisuseError(
            f"against={shown(folder)}: was drawn with other weights of {plan.model}; "
            f"name a new folder: {AGAIN}"
        )
    if is_sifted(plan):
        raise MisuseError(
            f"against={shown(folder)}: {model.name}'s critic has sifted it; draw with --rejection 0"
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
