"""The table of recipes, and how fields of a recipe are overridden.

A recipe is everything needed to train a model again: dataset, family, hyperparameters and budget.
It is a frozen dataclass. `override` changes fields from text, as in `--set width=384`.

Each kind of model has a class of recipes, named by its folder of `genui.kinds`.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from genui.base.conditions import parse_condition
from genui.base.errors import MisuseError, did_you_mean
from genui.base.plugins import Table, index_by_name
from genui.base.schema import Setting, settings_of
from genui.protocol.kinds import KINDS, Kind
from genui.recipes.base import LOGGING_FIELDS as LOGGING_FIELDS
from genui.recipes.base import PATH_FIELDS as PATH_FIELDS
from genui.recipes.base import Recipe
from genui.recipes.base import Size as Size
from genui.recipes.classifier import ImageClassifierRecipe as ImageClassifierRecipe
from genui.recipes.classifier import TextClassifierRecipe as TextClassifierRecipe
from genui.recipes.diffusion import DiffusionRecipe as DiffusionRecipe
from genui.recipes.diffusion import EDMRecipe as EDMRecipe
from genui.recipes.transformer import RecurrentRecipe as RecurrentRecipe
from genui.recipes.transformer import TextRecipe as TextRecipe
from genui.recipes.transformer import TransformerRecipe as TransformerRecipe


def _recipes_of(kinds: Iterable[Kind]) -> dict[str, Recipe]:
    families = (kind.recipes() for kind in kinds if kind.recipes is not None)
    return index_by_name(recipe for family in families for recipe in family.shipped)


RECIPES: Mapping[str, Recipe] = Table(
    "genui.recipes",
    Recipe,
    lambda: _recipes_of(KINDS.list_built_in()),
    also=lambda: _recipes_of(KINDS.list_of_plugins()),
)
"""The recipes by name, those of plug-ins last."""

FIXED = frozenset({"name", "family", "medium", "base", "base_fingerprint"})
"""The identity of a recipe: fields that cannot be overridden."""


def find_recipe(name: str) -> Recipe:
    """The recipe of that name. Raises MisuseError with the nearest name."""
    try:
        return RECIPES[name]
    except KeyError:
        near = did_you_mean(name, RECIPES, lists="genui recipes")
        raise MisuseError(f"no recipe '{name}': {near}") from None


def parse_settings(pairs: Iterable[str]) -> dict[str, str]:
    """Parse `["width=384"]` to `{"width": "384"}`. Raises MisuseError for a pair without `=`."""
    settings: dict[str, str] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key.strip():
            raise MisuseError(f"--set {pair!r}: expected KEY=VALUE, as in --set steps=500")
        settings[key.strip()] = value.strip()
    return settings


def find_setting(recipe: Recipe, key: str) -> Setting:
    """The setting of that name, which can be overridden. Raises MisuseError with the nearest."""
    known = settings_of(type(recipe))
    if key not in known or key in FIXED:
        lists = f"genui recipes {recipe.name}" if recipe.name in RECIPES else ""
        raise MisuseError(
            f"--set {key}: the {recipe.family} recipe has no such setting; "
            f"{did_you_mean(key, known.keys() - FIXED, lists=lists)}"
        )
    return known[key]


def override(recipe: Recipe, settings: Mapping[str, str]) -> Recipe:
    """A copy of a recipe with fields replaced from text.

    Raises MisuseError, one line, for an unknown field (with the nearest name), a value of the wrong
    type or out of range, or fields that contradict each other.
    """
    fields = dataclasses.asdict(recipe)
    if "steps" in settings:
        fields["minutes"] = 0.0  # of the recipe of an earlier run
    for key, text in settings.items():
        fields[key] = find_setting(recipe, key).parse(text, f"--set {key}={text}")
    result = recipe_from_dict(fields)
    result.check()
    _check_until(result)
    return result


def _check_until(recipe: Recipe) -> None:
    """Raise MisuseError if no evaluation gives a metric that `until` waits for."""
    if not recipe.until:
        return
    condition, known = parse_condition(recipe.until, "until="), recipe.EVALUATED
    if known and not condition.keys.keys() <= set(known):
        raise MisuseError(
            f"until={recipe.until}: evaluations of {recipe.name} give {', '.join(known)}"
        )


def recipe_from_dict(fields: Mapping[str, Any]) -> Recipe:
    """Restore a recipe from a file's fields. Raises MisuseError if they do not fit its family."""
    family, medium = str(fields.get("family")), str(fields.get("medium"))
    kind = KINDS.get((family, medium))
    if kind is None or kind.recipes is None:
        trained = [key for key, kind in KINDS.items() if kind.recipes is not None]
        media = [its_medium for its_family, its_medium in trained if its_family == family]
        if not media:
            families = dict.fromkeys(family for family, _ in trained)
            raise MisuseError(f"family {family[:40]!r}: {did_you_mean(family, families)}")
        raise MisuseError(f"medium {medium[:40]!r} of {family}: {did_you_mean(medium, media)}")
    recipe_class = kind.recipes().recipe
    known = {f.name for f in dataclasses.fields(recipe_class)}
    try:
        return msgspec.convert({k: v for k, v in fields.items() if k in known}, recipe_class)
    except msgspec.ValidationError as error:
        raise MisuseError(f"recipe does not fit family {family}: {error}") from None
