"""Which pane shows which medium, and what a model is best asked first."""

from genui.recipes import RECIPES, Recipe
from genui.render import numbers
from genui.runs.catalog import ModelInfo, find_model
from genui.runs.layout import RunDir

TEXT_MEDIA = frozenset({"text", "code"})
IMAGE_MEDIA = frozenset({"image"})


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
