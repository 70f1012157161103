"""`genui set`: change the learning rate of a run while it trains."""

import argparse
from typing import TYPE_CHECKING

from genui.commands.parser import add_run
from genui.commands.steer import add_wait, ask
from genui.errors import MisuseError
from genui.recipes import FIXED, Recipe, override, recipe_from_dict

if TYPE_CHECKING:
    from genui.runs.layout import RunDir

RATE = "learning_rate"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "The learning rate is the recipe's base rate: warm-up and decay keep their shape, and\n"
        "Muon's rate changes by the same factor. A checkpoint is written with it, so a run that\n"
        "is killed later goes on as it would have. Other settings need a new run:\n"
        "genui train --from RUN --set KEY=VALUE.\n\n"
        "example:\n"
        "  genui set last learning_rate=3e-4"
    )
    add_run(parser)
    parser.add_argument("setting", metavar="learning_rate=VALUE", help="for example 3e-4")
    add_wait(parser)


def run(args: argparse.Namespace) -> int:
    from genui.runs.listing import find_run

    found = find_run(args.run_ref)
    ask(found, "rate", args.wait, learning_rate(found, [args.setting]))
    return 0


def learning_rate(run: "RunDir", pairs: list[str]) -> float:
    """The one thing that can be set in a run, from `learning_rate=VALUE`.

    Raises MisuseError for any other setting, with how to train with that one, and for a value
    that will not do.
    """
    from genui.runs.layout import read_info

    info = read_info(run)
    if info.kind == "script":
        raise MisuseError(f"run {run.id} is a script of your own: it sets its learning rate itself")
    recipe = recipe_from_dict(info.recipe)
    settings: dict[str, str] = {}
    for pair in pairs:
        key, sign, value = (part.strip() for part in pair.partition("="))
        if not sign:
            raise MisuseError(f"{pair!r}: expected {RATE}=VALUE, as in {RATE}=3e-4")
        if key != RATE:
            raise _fixed(run, recipe, key, value)
        settings[key] = value
    try:
        return override(recipe, settings).learning_rate
    except MisuseError as error:
        raise MisuseError(str(error).removeprefix("--set ")) from None


def _fixed(run: "RunDir", recipe: Recipe, key: str, value: str) -> MisuseError:
    remedy = f"start another with genui train --from {run.id} --set {key}={value}"
    if not hasattr(recipe, key) or key in FIXED:
        remedy = f"give {RATE}=VALUE"
    return MisuseError(f"{key}={value}: only {RATE} can change in a run; {remedy}")
