"""Which pane shows which medium, and what a model is best asked first."""

from genui.recipes import RECIPES, Recipe
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
