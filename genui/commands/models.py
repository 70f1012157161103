"""`genui models`: what can generate."""

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any

from genui.commands import output
from genui.commands.parser import add_json
from genui.render.numbers import count, short

if TYPE_CHECKING:
    from genui.runs.catalog import ModelInfo


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example:\n  genui models --json | jq -r '.[].ref'"
    add_json(parser, "a JSON list with each model's card")


def run(args: argparse.Namespace) -> int:
    if args.json:
        from genui.runs.catalog import list_models

        output.emit([as_dict(model) for model in list_models()])
    else:
        listing()
    return 0


def listing() -> None:
    """The models as a table, or what to do where there is none."""
    from genui.runs.catalog import list_models

    models = list_models()
    if not models:
        output.say("none yet: `genui train icons` makes one")
        return
    output.table(
        ("MODEL", "MEDIUM", "FAMILY", "PARAMETERS", "STEP", "FROM", "QUALITY"),
        [
            (
                model.ref,
                model.medium,
                model.family,
                short(model.parameters),
                count(model.step),
                model.source,
                model.summary,
            )
            for model in models
        ],
        right=(3, 4),
    )


def as_dict(model: "ModelInfo") -> dict[str, Any]:
    """A model as scripts read it."""
    return dataclasses.asdict(model)
