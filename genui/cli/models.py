"""`genui models` and `genui average`: the list of models, and the average of several."""

import argparse
import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

from genui.base.errors import MisuseError
from genui.base.numbers import count, short
from genui.cli import output
from genui.cli.parser import Parser, add_json
from genui.runs.models import Origin, find_origin

if TYPE_CHECKING:
    pass


def configure_models(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "genui show MODEL prints one model's whole card.\n\n"
        "example:\n  genui models --json | jq -r '.[].ref'"
    )
    add_json(parser, "a JSON list with each model's card")


def run_models(args: argparse.Namespace) -> int:
    if args.json:
        from genui.runs.models import list_models

        output.emit([dataclasses.asdict(model) for model in list_models()])
    else:
        listing()
    return 0


def listing() -> None:
    """Prints the models as a table, or a hint if there are none."""
    from genui.runs.models import group_rank, list_models

    models = list_models()
    if not models:
        output.say("no models; `genui train icons` trains one")
        return
    models.sort(key=group_rank)  # a run's checkpoint is listed with the models of its kind
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
                ": ".join(filter(None, (model.quality, model.summary))),
            )
        )
    heads = ("MEDIUM", "FAMILY", "MODEL", "PARAMETERS", "STEP", "FROM", "DATA", "QUALITY")
    output.table(heads, rows, right=(3, 4))


# --- `genui average`: a model with the average of several models' weights ----------------------

SUFFIX = ".safetensors"


def configure_average(parser: Parser) -> None:
    parser.epilog = (
        "The weights of models that were trained on from one another, or from one model, are\n"
        "averaged (Wortsman et al. 2022); the result is a model like any other. Models that were\n"
        "each trained from scratch cannot be averaged.\n\n"
        "examples:\n"
        "  genui average last@400 last@500 last@600 --out soup.safetensors\n"
        "  genui generate soup.safetensors"
    )
    parser.add_argument(
        "models", metavar="MODEL", nargs="+", help="RUN, RUN@STEP, a shipped model or a file"
    )
    parser.add_argument(
        "--out", metavar="FILE", type=Path, required=True, help=f"where to write it: {SUFFIX}"
    )
    parser.add_argument("--force", action="store_true", help="replace an existing file")


def run_average(args: argparse.Namespace) -> int:
    if len(args.models) < 2:
        raise MisuseError(f"{args.models[0]}: give two or more models")
    from genui.cli import files

    files.check_file(args.out, "--out", (SUFFIX,), "a model")
    if os.path.lexists(args.out) and not args.force:
        raise MisuseError(f"--out {args.out}: exists already; --force replaces it")
    origins = [find_origin(ref) for ref in args.models]
    names = [_named(model) for model in origins]
    from genui.engine.ship import average
    from genui.engine.train.checkpoint import write_model

    tensors, described = average(names, [model.weights for model in origins])
    write_model(args.out, tensors, described)
    output.note(f"wrote the average of {', '.join(names)}: genui generate {args.out} uses it")
    return 0


def _named(model: Origin) -> str:
    """A run's checkpoint by id and step; a file without its folder, which is private."""
    return f"{model.run}@{model.step}" if model.run else Path(model.ref).name
