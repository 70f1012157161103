"""Which pane shows which medium, and what a model is best asked first."""

from collections.abc import Sequence
from typing import cast

from genui.kinds import KINDS, LABELS
from genui.recipes import RECIPES, Recipe
from genui.render import numbers
from genui.runs.catalog import ModelInfo, find_model
from genui.runs.layout import RunDir
from genui.saved.recipe import TraceRecipe
from genui.ui.key import PaneName


def pane_of(model: ModelInfo) -> PaneName | None:
    """The pane that shows its traces; None where it generates nothing."""
    kind = KINDS.get((model.family, model.medium))
    return cast(PaneName, kind.pane) if kind is not None else None


def pane_of_saved(recipe: TraceRecipe, models: Sequence[ModelInfo]) -> PaneName:
    """The pane of a saved trace: its model's, or, where that is gone, that of its settings."""
    known = next((model for model in models if model.ref == recipe.model), None)
    if known is not None and (pane := pane_of(known)) is not None:
        return pane
    return next(
        cast(PaneName, kind.pane)
        for kind in KINDS.values()
        if isinstance(recipe.settings, kind.settings)
    )


def classifiers(models: Sequence[ModelInfo]) -> list[ModelInfo]:
    """Those that give labels to what others make."""
    return [model for model in models if (model.family, model.medium) in LABELS]


def recipe_of(model: ModelInfo) -> Recipe | None:
    """The built-in recipe nearest to the model, for its sample prompts."""
    return RECIPES.get(model.name) or RECIPES.get(model.dataset)


def newest_model(run: RunDir) -> ModelInfo:
    """The run's newest checkpoint as `run@step`. Touches the disk; raises MisuseError."""
    newest = find_model(run.id)
    return find_model(f"{run.id}@{newest.step}")


def at_step(model: ModelInfo) -> str:
    """Behind the name of a run's model, the step of its checkpoint: ` @1,240`."""
    return f" @{numbers.count(model.step)}" if model.source == "run" else ""


def which(model: ModelInfo) -> str:
    """The same with the model's size: ` @1,240 · 4.8M`."""
    return f"{at_step(model)} · {numbers.short(model.parameters)}"
