"""`genui doctor`: facts about this machine and installation, one a line."""

import argparse
import importlib.metadata
import locale
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

from genui import __version__
from genui.base import paths, plugins
from genui.base.config import load_config
from genui.base.errors import GenuiError, MisuseError
from genui.base.late import late_imports
from genui.cli import output
from genui.cli.output import speaks_unicode
from genui.cli.parser import add_json

with late_imports():
    from genui import logs, protocol, recipes
    from genui.cli import home
    from genui.engine.data import icons, tables
    from genui.formats import codec
    from genui.protocol import kinds
    from genui.render import colours as render_colours
    from genui.runs import gpus
    from genui.runs import models as run_models
    from genui.ui import graphics, watchdog

LIBRARIES = ("textual", "numpy", "msgspec", "safetensors", "tokenizers", "pillow")


def configure_doctor(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example:\n  genui doctor > report.txt"
    add_json(parser)


def run_doctor(args: argparse.Namespace) -> int:
    facts = {**_software(), **_machine(), **_terminal(), **_places(), **_content()}
    left_out = _left_out()
    if args.json:
        output.print_json({**facts, "left out": left_out})
    else:
        output.print_facts([*facts.items(), *(("left out", line) for line in left_out)])
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
    """The device, precision and threads that the engine would choose."""
    try:
        from genui.engine.device import describe

        facts = describe()
    except ImportError as error:
        return {"device": f"torch cannot be imported: {error}", "GPUs measured": _gpus()}
    except GenuiError as error:
        facts = {"device": str(error)}
    return {**facts, "GPUs measured": _gpus()}


def _gpus() -> str:
    """The GPUs whose load is recorded."""
    names = ", ".join(f"{state.index} {state.name}" for state in gpus.Gpus().read())
    return names or gpus.missing_library() or "none"


def _terminal() -> dict[str, str]:
    size = shutil.get_terminal_size()
    unicode = "yes" if speaks_unicode() else "no"
    return {
        "terminal": " ".join(
            filter(None, (os.environ.get("TERM", "none"), os.environ.get("TERM_PROGRAM", "")))
        ),
        "full screen": "yes" if home.has_terminal() else "no: stdin or stdout is not a terminal",
        "size": f"{size.columns}×{size.lines}",
        "colour": render_colours.detect_colours(os.environ, sys.stdout.isatty()),
        "images": _images(),
        "unicode": f"{unicode} ({sys.stdout.encoding}, locale {locale.setlocale(locale.LC_CTYPE)})",
        "ssh": "yes" if os.environ.get("SSH_CONNECTION") else "no",
        "tmux": "yes" if os.environ.get("TMUX") else "no",
        "stalls": watchdog.describe_stalls(),
    }


def _images() -> str:
    """Return how the app shows images here, and why. Asks the terminal."""
    try:
        setting = load_config().images
    except MisuseError as error:
        return str(error)
    colours = render_colours.detect_colours(os.environ, sys.stderr.isatty())  # stdout may be a file
    choice = graphics.choose_for_terminal(os.environ, setting, colours)
    return f"{choice.protocol or 'half-blocks'} ({choice.reason})"


def _places() -> dict[str, str]:
    places = {"data": paths.data_dir(), "cache": paths.cache_dir(), "state": paths.state_dir()}
    places["config"] = paths.config_dir()
    return {f"{name} folder": f"{path} ({_writable(path)})" for name, path in places.items()}


def _writable(path: Path) -> str:
    """Whether a file can be created in the folder, or the folder itself; leaves no file."""
    folder = next((p for p in (path, *path.parents) if p.exists()), path)
    try:
        with tempfile.TemporaryFile(dir=folder):
            return "writable" if folder == path else "writable, not created yet"
    except OSError as error:
        return f"not writable: {error.strerror}"


def _content() -> dict[str, str]:
    try:
        shipped = [model.name for model in run_models.list_models() if model.source == "shipped"]
        models = ", ".join(shipped) or "none"
    except GenuiError as error:
        models = str(error)
    loaded = ", ".join(plugins.list_sources()) or "none"
    return {"shipped models": models, "plug-ins": loaded, "emoji font": _emoji_font()}


def _left_out() -> list[str]:
    """A line for each plug-in that failed, and each of its rows that no table takes."""
    for table in (
        kinds.KINDS,
        recipes.RECIPES,
        protocol.SAMPLERS,
        codec.CODECS,
        logs.FORMATS,
        *tables.tables(),
    ):
        len(table)  # asks every plug-in for its rows
    return plugins.list_faults()


def _emoji_font() -> str:
    try:
        return str(icons.find_font())
    except GenuiError as error:
        return str(error)
