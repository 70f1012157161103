"""`genui config`: the settings of the program, in config.toml."""

import argparse
import os
from pathlib import Path

from genui.base import config, watermarks
from genui.base.errors import MisuseError, did_you_mean
from genui.base.files import show
from genui.base.late import late_imports
from genui.cli import output
from genui.runs.webhook import check_address, format_text, post

with late_imports():
    from genui.ui import themes


def configure_config(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Without an action the file is printed, with every setting and its comment. The app\n"
        "writes its theme and bell there. A variable of the environment overrides a setting.\n\n"
        "examples:\n"
        "  genui config                    every setting\n"
        "  genui config set threads 4\n"
        "  genui config set theme nord\n"
        "  $EDITOR $(genui config path)\n"
        "  genui config set alert_url https://ntfy.sh/my-topic && genui config test-alert\n"
        "  genui config key mine           make a key for watermarks"
    )
    parser.add_argument(
        "action",
        nargs="?",
        choices=("show", "path", "set", "key", "test-alert"),
        default="show",
        help="show the file, print its path, set NAME to VALUE, make the watermark key NAME, or "
        "send a text to alert_url (show)",
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="a setting, or a new key")
    parser.add_argument("value", metavar="VALUE", nargs="?", help="its new value")


def run_config(args: argparse.Namespace) -> int:
    words = {"set": 2, "key": 1}.get(args.action, 0)
    if sum(word is not None for word in (args.name, args.value)) != words:
        raise MisuseError(
            "config: expected `config show`, `config path`, `config set NAME VALUE`, "
            "`config key NAME` or `config test-alert`"
        )
    if args.action == "set":
        if args.name == "alert_text":
            format_text(args.value, {})
        if args.name == "theme" and args.value != config.AUTO:
            _check_theme(args.value)
        if args.name == "alert_url" and args.value:
            check_address(args.value)
        if args.name in _PATHS and args.value:
            args.value = _find_path(args.name, args.value)
        path = config.save_setting(args.name, args.value)
        output.note(f"{path}: {args.name} is set")
        config.load_config()  # tells if the environment has an invalid value
    elif args.action == "key":
        watermarks.make_key(args.name)
        output.note(f"{watermarks.keys_file()}: has the watermark key {args.name}; keep a copy")
    elif args.action == "test-alert":
        _send_test()
    elif args.action == "path":
        print(config.config_file())
    else:
        print(config.render_config(), end="")
    return 0


def _send_test() -> None:
    """Raises GenuiError if alert_url is not set or does not take the text."""
    import socket

    settings = config.load_config()
    if not settings.alert_url:
        raise MisuseError("alert_url is not set: genui config set alert_url https://…")
    values = {"name": "test", "alert": "alerts arrive here", "host": socket.gethostname()}
    text = format_text(settings.alert_text, values)
    post(settings, text)
    output.print_line(f"sent: {text}")


_PATHS = ("certificate", "trusted_roots", "emoji_font", "soundfont", "data")


def _find_path(name: str, value: str) -> str:
    """The absolute path, which holds in every folder. Raises MisuseError if there is none."""
    path = Path(os.path.expanduser(value)).absolute()
    if not (path.is_dir() if name == "data" else path.is_file()):
        kind = "folder" if name == "data" else "file"
        raise MisuseError(f"{name}: {show(path)}: no such {kind}; check the path")
    return str(path)


def _check_theme(name: str) -> None:
    """Raises MisuseError for an unknown theme."""
    if name not in (known := themes.list_themes()):
        raise MisuseError(f"theme {name}: no such theme; {did_you_mean(name, known)}")
