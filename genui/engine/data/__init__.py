"""Datasets: real data of one medium each, with a licence and a fingerprint. No torch here."""

from genui.errors import MisuseError
from genui.recipes import DiffusionRecipe, Recipe, TransformerRecipe


def check(recipe: Recipe) -> str:
    """One line describing the data a recipe would train on, having read it.

    Raises MisuseError or GenuiError where it cannot be used: better now than in a trainer
    that nobody is watching.
    """
    if isinstance(recipe, TransformerRecipe):
        from genui.engine.data.text import load_text

        return load_text(recipe.dataset, recipe.data).describe()
    if isinstance(recipe, DiffusionRecipe):
        from genui.engine.data.pictures import load_pictures

        pictures = load_pictures(recipe.dataset, recipe.data)
        line = f"{pictures.name}: {len(pictures):,} pictures"
        match pictures.notes:
            case []:
                return line
            case [note]:
                return f"{line}; left out: {note}"
            case [note, *more]:
                return f"{line}; left out: {note} (and {len(more)} more like it)"
    raise MisuseError(f"family {recipe.family!r} has no data")
