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
    parser.epilog = (
        "genui show MODEL prints one model's whole card.\n\n"
        "example:\n  genui models --json | jq -r '.[].ref'"
    )
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
    from genui.runs.catalog import group_rank, list_models

    models = list_models()
    if not models:
        output.say("none yet: `genui train icons` makes one")
        return
    models.sort(key=group_rank)  # a run's checkpoint stands with the models of its kind
    rows: list[tuple[str, ...]] = []
    before = ("", "")
    for model in models:
        group = (model.medium, model.family)
        named = ("", "") if group == before else group
        before = group
        rows.append(
            (
                *named,
                model.ref,
                short(model.parameters),
                count(model.step),
                model.source,
                model.dataset,
                model.summary,
            )
        )
    heads = ("MEDIUM", "FAMILY", "MODEL", "PARAMETERS", "STEP", "FROM", "DATA", "QUALITY")
    output.table(heads, rows, right=(3, 4))


def as_dict(model: "ModelInfo") -> dict[str, Any]:
    """A model as scripts read it."""
    return dataclasses.asdict(model)
