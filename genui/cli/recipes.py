"""`genui recipes`: the list of recipes, and all settings of one."""

import argparse
import dataclasses

from genui.base.late import late_imports
from genui.base.numbers import count
from genui.base.schema import settings_of
from genui.base.text import clean_line
from genui.cli import output
from genui.cli.parser import add_json
from genui.recipes import FIXED, RECIPES, Recipe, find_recipe

with late_imports():
    from genui.engine.data import tables

HELP_COLUMN = 30


def configure_recipes(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "examples:\n"
        "  genui recipes\n"
        "  genui recipes icons      every setting that --set changes, with its value"
    )
    parser.add_argument("recipe", metavar="RECIPE", nargs="?", help="show this one's settings")
    add_json(parser)


def run_recipes(args: argparse.Namespace) -> int:
    if args.recipe is not None:
        recipe = find_recipe(args.recipe)
        if args.json:
            output.print_json(dataclasses.asdict(recipe))
        else:
            _print_settings(recipe)
    elif args.json:
        output.print_json([dataclasses.asdict(recipe) for recipe in RECIPES.values()])
    else:
        _print_recipes()
    return 0


def _print_recipes() -> None:
    output.print_table(
        ("RECIPE", "MEDIUM", "FAMILY", "DATASET", "STEPS", "WHAT"),
        [
            (r.name, r.medium, r.family, r.dataset, count(r.steps), r.summary)
            for r in RECIPES.values()
        ],
        right=(4,),
    )


def _print_settings(recipe: Recipe) -> None:
    output.print_line(f"{recipe.name}: {recipe.summary} ({recipe.family}, {recipe.medium})")
    if data := tables.describe_dataset(recipe.dataset):
        output.print_line(f"trained on {recipe.dataset}: {data}")
    for name, one in settings_of(type(recipe)).items():
        if name not in FIXED and name != "summary":
            begin, value = f"{name:17} ", clean_line(_as_typed(getattr(recipe, name)))
            if len(begin + value) >= HELP_COLUMN:  # a long value: the help goes below it
                output.print_hanging(begin, value)
                begin = value = ""
            output.print_hanging(f"{begin + value:{HELP_COLUMN}}", one.help)


def _as_typed(value: object) -> str:
    """A value as for `--set`, with escaped line ends."""
    text = ", ".join(value) if isinstance(value, tuple) else str(value)
    return text.replace("\n", "\\n") or "-"
