"""The options that name a recipe and change it, of `genui train` and `genui sweep`."""

import argparse
import os
from pathlib import Path

from genui.base.errors import MisuseError
from genui.base.late import late_imports
from genui.cli import output
from genui.recipes import PATH_FIELDS, Recipe

with late_imports():
    from genui.engine import kinds
    from genui.engine.data import preparation


def add_recipe(parser: argparse.ArgumentParser, metavar: str, purpose: str) -> None:
    """Add the recipe and the options that change it; `--set` takes `metavar`."""
    parser.add_argument(
        "recipe",
        metavar="RECIPE",
        nargs="?",
        help="a name that `genui recipes` lists; optional with --from",
    )
    parser.add_argument(
        "--from",
        metavar="MODEL",
        default="",
        dest="start_from",
        help="start from the weights of RUN, RUN@STEP, a shipped model or a file; step, optimiser "
        "and schedule are reset",
    )
    parser.add_argument(
        "--set",
        metavar=metavar,
        action="append",
        default=[],
        dest="settings",
        help=f"{purpose} (`genui recipes RECIPE` lists them); may be repeated",
    )
    parser.add_argument("--steps", metavar="N", help="the same as --set steps=N")
    parser.add_argument(
        "--data",
        metavar="PATH",
        help="your own file or folder: text, or captioned images (genui help data)",
    )


def absolute(key: str, text: str) -> str:
    """The text of a setting, a path as an absolute one: the trainer runs in another folder."""
    return str(Path(os.path.expanduser(text)).absolute()) if key in PATH_FIELDS and text else text


def refuse_missing(recipe: Recipe) -> None:
    """Raise MisuseError if the data of the user are not where the recipe says."""
    if recipe.data and not Path(recipe.data).exists():
        raise MisuseError(f"--data {recipe.data}: no such file or folder; check the path")


def check_data(recipe: Recipe) -> None:
    """Read the data, and describe them on stderr. Raises GenuiError."""
    with output.ProgressLine() as progress:
        data = kinds.check_data(recipe, preparation.Preparation(progress.show))
    output.note(f"data: {data}")
