"""`genui average`: one model of the mean of several models' weights."""

import argparse
import os
from pathlib import Path

from genui.commands import output
from genui.commands.export import check_file
from genui.commands.parser import Parser
from genui.errors import MisuseError
from genui.runs.origin import Origin, find_origin

SUFFIX = ".safetensors"


def configure(parser: Parser) -> None:
    parser.epilog = (
        "The weights of models that were trained on from one another, or from one model, are\n"
        "averaged (Wortsman et al. 2022); what comes is a model like any other. Models that were\n"
        "each trained from nothing have nothing in common to average.\n\n"
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
    parser.add_argument("--force", action="store_true", help="replace what is there")


def run(args: argparse.Namespace) -> int:
    if len(args.models) < 2:
        raise MisuseError(f"{args.models[0]}: one model has no average; name two or more")
    check_file(args.out, "--out", (SUFFIX,), "a model")
    if os.path.lexists(args.out) and not args.force:
        raise MisuseError(f"--out {args.out}: is there already; --force replaces it")
    found = [find_origin(ref) for ref in args.models]
    names = [_named(model) for model in found]
    from genui.engine.train.average import average
    from genui.engine.train.checkpoint import write_model

    tensors, described = average(names, [model.weights for model in found])
    write_model(args.out, tensors, described)
    output.note(f"wrote the average of {', '.join(names)}: genui generate {args.out} uses it")
    return 0


def _named(model: Origin) -> str:
    """A run's checkpoint by its id and step, whatever it was asked for by; a file without its
    folder, which is nobody else's business."""
    return f"{model.run}@{model.step}" if model.run else Path(model.ref).name
