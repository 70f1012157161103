"""`genui config`: the settings of the program, in config.toml."""

import argparse

from genui.base import config
from genui.base.errors import MisuseError, did_you_mean
from genui.cli import output


def configure_config(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Without an action the file is printed, with every setting and its comment. The app\n"
        "writes its theme and bell there. A variable of the environment overrides a setting.\n\n"
        "examples:\n"
        "  genui config                    every setting\n"
        "  genui config set threads 4\n"
        "  genui config set theme nord\n"
        "  $EDITOR $(genui config path)"
    )
    parser.add_argument(
        "action",
        nargs="?",
        choices=("show", "path", "set"),
        default="show",
        help="show the file, print its path, or set NAME to VALUE (show)",
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="a setting")
    parser.add_argument("value", metavar="VALUE", nargs="?", help="its new value")


def run_config(args: argparse.Namespace) -> int:
    if (args.value is None) == (args.action == "set") or (args.name and args.action != "set"):
        raise MisuseError("config: expected `config`, `config path` or `config set NAME VALUE`")
    if args.action == "set":
        if args.name == "theme" and args.value != config.AUTO:
            _check_theme(args.value)
        path = config.save_setting(args.name, args.value)
        output.note(f"{path}: {args.name} is set")
        config.load_config()  # tells if the environment has an invalid value
    elif args.action == "path":
        print(config.config_file())
    else:
        print(config.render_config(), end="")
    return 0


def _check_theme(name: str) -> None:
    """Raises MisuseError for an unknown theme."""
    from genui.ui.themes import list_themes  # late: it imports Textual

    if name not in (known := list_themes()):
        raise MisuseError(f"theme {name}: no such theme; {did_you_mean(name, known)}")
