"""`genui recipes`: what can be trained, and every setting of one recipe."""

import argparse
import dataclasses

from genui.commands import output
from genui.commands.parser import add_json
from genui.recipes import FIXED, RECIPES, Recipe, find_recipe
from genui.render.numbers import count


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "examples:\n"
        "  genui recipes\n"
        "  genui recipes icons      every setting that --set changes, with its value"
    )
    parser.add_argument("recipe", metavar="RECIPE", nargs="?", help="show this one's settings")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    if args.recipe is not None:
        recipe = find_recipe(args.recipe)
        if args.json:
            output.emit(dataclasses.asdict(recipe))
        else:
            _settings(recipe)
    elif args.json:
        output.emit([dataclasses.asdict(recipe) for recipe in RECIPES.values()])
    else:
        _listing()
    return 0


def _listing() -> None:
    output.table(
        ("RECIPE", "MEDIUM", "FAMILY", "DATASET", "STEPS", "WHAT"),
        [
            (r.name, r.medium, r.family, r.dataset, count(r.steps), r.summary)
            for r in RECIPES.values()
        ],
        right=(4,),
    )


def _settings(recipe: Recipe) -> None:
    output.say(f"{recipe.name}: {recipe.summary} ({recipe.family}, {recipe.medium})")
    fields = dataclasses.asdict(recipe)
    output.facts(
        (name, _as_typed(value))
        for name, value in fields.items()
        if name not in FIXED and name != "summary"
    )


def _as_typed(value: object) -> str:
    """A value as `--set` would take it, with line ends made visible."""
    text = ", ".join(value) if isinstance(value, tuple) else str(value)
    return text.replace("\n", "\\n") or "-"
