"""`genui models` and `genui average`: the list of models, names for other people's, averages."""

import argparse
import dataclasses
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genui.base.errors import MisuseError
from genui.base.files import sanitize
from genui.base.late import late_imports
from genui.base.numbers import count, parameters, size
from genui.cli import output
from genui.cli.parser import Parser, add_json
from genui.hub import formats
from genui.hub.records import Record, list_records, record_file, remove_record, write_record
from genui.protocol.kinds import add_options
from genui.runs.models import Origin, find_model, find_origin, group_rank, list_models

with late_imports():
    from genui.cli import files
    from genui.engine import ship
    from genui.engine.train import checkpoint
    from genui.hub import pull

if TYPE_CHECKING:
    from collections.abc import Mapping

    from genui.runs.models import ModelInfo


def configure_models(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "genui show MODEL prints one model's whole card.\n\n"
        "examples:\n"
        "  genui models --json | jq -r '.[].ref'\n"
        "  genui models add ~/models/smol.gguf --name smol\n"
        "  genui models remove smol"
    )
    add_json(parser, "a JSON list with each model's card")
    actions = parser.add_subparsers(
        dest="action", metavar="ACTION", title="actions", parser_class=Parser
    )
    add = actions.add_parser(
        "add",
        help="give a name to a model that others trained",
        description="Gives a name to a model that others trained. Files and folders stay where "
        "they are.",
    )
    add.add_argument("what", metavar="WHAT", help="a file, a folder or an address")
    add.add_argument("--name", metavar="NAME", default="", help="its name in genui")
    add_options(add, "models add")
    remove = actions.add_parser(
        "remove",
        help="forget such a name; the model stays where it is",
        description="Forgets a name that `genui models add` or `genui pull` gave. The model stays, "
        "except a file that genui pull took out of a package.",
    )
    remove.add_argument("name", metavar="MODEL", help="a name that was added")


def run_models(args: argparse.Namespace) -> int:
    match args.action:
        case "add":
            return _add(args.what, args.name, vars(args))
        case "remove":
            return _remove(args.name)
    if args.json:
        output.print_json([dataclasses.asdict(model) for model in list_models()])
    else:
        print_models()
    return 0


# --- Names for other people's models -----------------------------------------------------------


def _add(what: str, name: str, options: "Mapping[str, Any]") -> int:
    """Writes the record of a model after it was described. Raises MisuseError or GenuiError."""
    finders = [row.find for row in formats.FORMATS.values() if row.find is not None]
    found = next((found for find in finders if (found := find(what, options))), None)
    if found is not None:
        record, stem = found
    else:
        path = Path(os.path.abspath(os.path.expanduser(what)))
        described = formats.describe(path)
        record, stem = Record(path=str(path), licence=described.licence), path.stem
    name = name or re.sub(r"[^A-Za-z0-9._-]+", "-", stem.rpartition("/")[2]).strip("-._")[:80]
    _check_free(name, record)
    write_record(name, record)
    output.note(f"added {name}: genui generate {name} --prompt '...' uses it")
    return 0


def _check_free(name: str, record: Record) -> None:
    """Raises MisuseError if a name is another model's."""
    record_file(name)  # raises for what cannot be a name
    known = list_records().get(name)
    if known is not None and (known.path, known.url) == (record.path, record.url):
        return
    try:
        other = find_model(name).path
    except MisuseError:
        other = None
    # A folder in `.` is also found by its own name.
    if known is None and (other is None or (record.path and other == Path(record.path))):
        return
    raise MisuseError(f"there is a model {name!r} already; choose another name with --name")


def _remove(name: str) -> int:
    own = _own_file(name)
    if not remove_record(name):
        known = ", ".join(list_records()) or "none"
        raise MisuseError(
            f"no name {sanitize(name, 80)!r} was added; added are: {sanitize(known, 500)}"
        )
    if own is None:
        output.note(f"removed the name {name}; the model itself is where it was")
        return 0
    freed = own.stat().st_size
    shutil.rmtree(own.parent)
    output.note(f"removed {name} and its file, {size(freed)}; genui pull fetches it again")
    return 0


def _own_file(name: str) -> Path | None:
    """The file of a model, alone in a folder of `genui pull`, that has no other name."""
    records = list_records()
    path = Path(records[name].path) if name in records else Path()
    others = [record.path for other, record in records.items() if other != name]
    is_own = path.parent.parent == pull.files_dir() and path.is_file() and str(path) not in others
    return path if is_own else None


# --- The list ----------------------------------------------------------------------------------


def print_models() -> None:
    """Prints the models as a table, or a hint if there are none."""
    models = list_models()
    if not models:
        output.print_line("no models; `genui train icons` trains one")
        return
    local = [model for model in models if model.source == "found"]
    models = [model for model in models if model.source != "found"]
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
                parameters(model.parameters) if model.parameters else "",
                count(model.step) if model.source != "added" else "",
                "genui" if model.source == "shipped" else model.source,
                model.dataset,
                ": ".join(filter(None, (model.quality, model.summary))),
            )
        )
    heads = ("MEDIUM", "FAMILY", "MODEL", "PARAMETERS", "STEP", "FROM", "DATA", "QUALITY")
    output.print_table(heads, rows, right=(3, 4))
    if local:
        output.print_line()
        _list_local(local)


def _list_local(models: "list[ModelInfo]") -> None:
    """Prints the models that other programs keep, and why some cannot be used."""
    output.print_line("on this machine, kept by other programs:")
    rows: list[tuple[str, ...]] = []
    for model in models:
        facts = model.card["facts"]
        about = [facts.get(key, "") for key in ("size", "kept by")]
        remark = facts.get("licence", "") if model.is_usable else f"cannot be used: {model.summary}"
        if "needs" in facts:
            remark = ", ".join(filter(None, (remark, model.summary.partition(";")[0])))
        rows.append(
            (model.ref, parameters(model.parameters) if model.parameters else "", *about, remark)
        )
    output.print_table(("MODEL", "PARAMETERS", "SIZE", "KEPT BY", "LICENCE"), rows, right=(1, 2))


# --- `genui average`: a model with the average of several models' weights ----------------------

SUFFIX = ".safetensors"


def configure_average(parser: argparse.ArgumentParser) -> None:
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
    files.check_file(args.out, "--out", (SUFFIX,), "a model", args.force)
    origins = [find_origin(ref) for ref in args.models]
    names = [_named(model) for model in origins]
    tensors, described = ship.average(names, [model.weights for model in origins])
    checkpoint.write_model(args.out, tensors, described)
    output.note(f"wrote the average of {', '.join(names)}: genui generate {args.out} uses it")
    return 0


def _named(model: Origin) -> str:
    """A run's checkpoint by id and step; a file without its folder, which is private."""
    return f"{model.run}@{model.step}" if model.run else Path(model.ref).name
