"""`genui models`: what can generate."""

import argparse
import dataclasses
import importlib.metadata
import locale
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genui import __version__
from genui.base import paths, plugins
from genui.base.errors import GenuiError, MisuseError
from genui.base.numbers import count, short
from genui.cli import files, output
from genui.cli.parser import Parser, add_json
from genui.runs.models import Origin, find_origin

if TYPE_CHECKING:
    from genui.runs.models import ModelInfo


def configure_models(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "genui show MODEL prints one model's whole card.\n\n"
        "example:\n  genui models --json | jq -r '.[].ref'"
    )
    add_json(parser, "a JSON list with each model's card")


def run_models(args: argparse.Namespace) -> int:
    if args.json:
        from genui.runs.models import list_models

        output.emit([as_dict(model) for model in list_models()])
    else:
        listing()
    return 0


def listing() -> None:
    """The models as a table, or what to do where there is none."""
    from genui.runs.models import group_rank, list_models

    models = list_models()
    if not models:
        output.say("none yet: `genui train icons` makes one")
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
                model.summary,
            )
        )
    heads = ("MEDIUM", "FAMILY", "MODEL", "PARAMETERS", "STEP", "FROM", "DATA", "QUALITY")
    output.table(heads, rows, right=(3, 4))


def as_dict(model: "ModelInfo") -> dict[str, Any]:
    """A model as scripts read it."""
    return dataclasses.asdict(model)


# --- `genui doctor`: what genui found on this machine, one fact a line ------------------------

LIBRARIES = ("textual", "numpy", "msgspec", "safetensors", "tokenizers", "pillow")


def configure_doctor(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example:\n  genui doctor > report.txt"
    add_json(parser)


def run_doctor(args: argparse.Namespace) -> int:
    facts = {**_software(), **_machine(), **_terminal(), **_places(), **_content()}
    if args.json:
        output.emit(facts)
    else:
        output.facts(facts.items())
    return 0


def _software() -> dict[str, str]:
    return {
        "genui": f"{__version__} in {Path(__file__).parents[1]}",
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": platform.platform(),
        **{name: _version(name) for name in LIBRARIES},
    }


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _machine() -> dict[str, str]:
    """Device, precision and threads, as the engine would choose them now."""
    try:
        from genui.engine.device import describe
    except ImportError as error:
        return {"device": f"torch cannot be imported: {error}"}
    return describe()


def _terminal() -> dict[str, str]:
    from genui.cli.home import has_terminal
    from genui.cli.output import speaks_unicode
    from genui.render.colours import detect_colours

    size = shutil.get_terminal_size()
    unicode = "yes" if speaks_unicode() else "no"
    return {
        "terminal": " ".join(
            filter(None, (os.environ.get("TERM", "none"), os.environ.get("TERM_PROGRAM", "")))
        ),
        "full screen": "yes" if has_terminal() else "no: stdin or stdout is not a terminal",
        "size": f"{size.columns}×{size.lines}",
        "colour": detect_colours(os.environ, sys.stdout.isatty()),
        "unicode": f"{unicode} ({sys.stdout.encoding}, locale {locale.setlocale(locale.LC_CTYPE)})",
        "ssh": "yes" if os.environ.get("SSH_CONNECTION") else "no",
        "tmux": "yes" if os.environ.get("TMUX") else "no",
    }


def _places() -> dict[str, str]:
    places = {"data": paths.data_dir(), "cache": paths.cache_dir(), "state": paths.state_dir()}
    return {f"{name} folder": f"{path} ({_writable(path)})" for name, path in places.items()}


def _writable(path: Path) -> str:
    """Whether a file can be made there, or where the folder would be made; leaves nothing."""
    folder = next((p for p in (path, *path.parents) if p.exists()), path)
    try:
        with tempfile.TemporaryFile(dir=folder):
            return "writable" if folder == path else "writable, not made yet"
    except OSError as error:
        return f"not writable: {error.strerror}"


def _content() -> dict[str, str]:
    from genui.runs.models import list_models

    try:
        shipped = [model.name for model in list_models() if model.source == "shipped"]
        models = ", ".join(shipped) or "none"
    except GenuiError as error:
        models = str(error)
    loaded = ", ".join(plugins.list_sources()) or "none"
    return {"shipped models": models, "plug-ins": loaded, "emoji font": _emoji_font()}


def _emoji_font() -> str:
    from genui.engine.data.icons import find_font

    try:
        return str(find_font())
    except GenuiError as error:
        return str(error)


# --- `genui average`: one model of the mean of several models' weights ------------------------

SUFFIX = ".safetensors"


def configure_average(parser: Parser) -> None:
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


def run_average(args: argparse.Namespace) -> int:
    if len(args.models) < 2:
        raise MisuseError(f"{args.models[0]}: one model has no average; name two or more")
    files.check_file(args.out, "--out", (SUFFIX,), "a model")
    if os.path.lexists(args.out) and not args.force:
        raise MisuseError(f"--out {args.out}: is there already; --force replaces it")
    origins = [find_origin(ref) for ref in args.models]
    names = [_named(model) for model in origins]
    from genui.engine.ship import average
    from genui.engine.train.checkpoint import write_model

    tensors, described = average(names, [model.weights for model in origins])
    write_model(args.out, tensors, described)
    output.note(f"wrote the average of {', '.join(names)}: genui generate {args.out} uses it")
    return 0


def _named(model: Origin) -> str:
    """A run's checkpoint by its id and step, however it was named; a file without its
    folder, which is private."""
    return f"{model.run}@{model.step}" if model.run else Path(model.ref).name
