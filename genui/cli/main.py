"""The `genui` command: the table of commands, their parsers, and error handling.

A command is a row of `COMMANDS` in a module of `genui.cli`. Only the module of the given command is
imported, so that `genui` alone opens the app fast. Kinds of models add commands (`Kind.commands`).
"""

import os
import sys
from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from genui import __version__
from genui.base.errors import INTERRUPTED, GenuiError, MisuseError, describe_bug, did_you_mean

if TYPE_CHECKING:
    import argparse

    from genui.protocol.kinds import Command as KindCommand

SEE_HELP = "genui --help lists them"
READER_GONE = 141  # 128 + SIGPIPE


class Command(NamedTuple):
    module: str  # of genui.cli, whose own COMMANDS has what runs it
    summary: str


COMMANDS = MappingProxyType(
    {
        "tour": Command("home", "learn the app in five minutes, in the app itself"),
        "models": Command(
            "models", "list the models that can generate: shipped ones and your checkpoints"
        ),
        "pull": Command("pull", "fetch an open model from the hub, or list those known by name"),
        "recipes": Command("recipes", "list what can be trained, or every setting of one recipe"),
        "train": Command("train", "train a recipe in the background (or here, --foreground)"),
        "sweep": Command("sweep", "train a recipe with many settings, the best first"),
        "run": Command("run", "start a command as a run: its console, metrics, load and exit code"),
        "runs": Command("runs", "list your training runs"),
        "rename": Command("labels", "rename a run"),
        "tag": Command("labels", "add tags to a run, or remove some"),
        "note": Command("labels", "add a note to a run"),
        "rm": Command("labels", "delete runs, and say how much space that frees"),
        "watch": Command("watch", "open the app on any training's log, or on a command's output"),
        "top": Command(
            "top", "show the machine now: processor, memory, GPUs and what trains there"
        ),
        "inspect": Command("inspect", "show a run or log, or follow its metrics"),
        "export": Command("export", "write metrics as CSV, JSONL or TensorBoard events"),
        "pause": Command("control", "pause a run between two steps"),
        "resume": Command("train", "continue a paused, stopped or failed run"),
        "stop": Command("control", "stop a run after a last checkpoint"),
        "checkpoint": Command("control", "write a checkpoint now"),
        "evaluate": Command("control", "evaluate a run on held-out data and sample from it now"),
        "set": Command("control", "change the learning rate of a run while it trains"),
        "generate": Command("generate", "write text or draw an image with a model"),
        "compare": Command(
            "replay", "generate with two models or files and compare them step by step"
        ),
        "twins": Command("measure", "compare a discriminative and a generative classifier"),
        "probes": Command("measure", "compare image models of the same data by their metrics"),
        "average": Command("models", "average the weights of several models into one model"),
        "convert": Command("convert", "write a model as a folder or file that other programs load"),
        "worth": Command("measure", "compare classifiers trained on generated and on real images"),
        "sheet": Command("sheet", "put saved generations on one contact sheet"),
        "replay": Command("replay", "repeat a saved generation and compare the two"),
        "traces": Command("show", "list saved traces"),
        "show": Command("show", "show an image, a sample, a trace, a model or a run folder"),
        "dataset": Command("datasets", "list the datasets prepared on the disk, or remove some"),
        "config": Command("config", "show the settings of genui, or change one"),
        "completion": Command("completion", "print the completion script for bash, zsh or fish"),
        "bench": Command("bench", "measure how fast genui is here, alone or beside other programs"),
        "doctor": Command("doctor", "print what genui finds here, for a bug report"),
        "help": Command("help", "read the manual, by topic or by words"),
    }
)

EXAMPLES = """\
examples:
  genui                                        open the app
  genui tour                                   learn it in five minutes
  genui generate shakespeare --prompt 'ROMEO:'
  genui generate icons --prompt 'red heart on black'
  genui train shakespeare --set steps=500
  genui inspect last --follow
  genui help                                   the manual, by topic
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; errors become one line on stderr.

    0 done, 1 failed, 2 misuse, 130 interrupted, 141 the reader of the output has ended.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    _make_streams_sturdy()
    try:
        code = _dispatch(words)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return READER_GONE
    except GenuiError as error:
        return _fail(str(error), error.exit_code)
    except OSError as error:
        if error.filename is None:
            _drop_output()
        return _fail(f"{error.filename or 'standard output'}: {error.strerror or error}", 1)
    except Exception as error:
        if os.environ.get("GENUI_DEBUG"):
            raise
        return _fail(describe_bug(error), 1)


def _drop_output() -> None:
    """Discards the rest of stdout, which Python flushes once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def list_commands() -> dict[str, str]:
    """List every command with its summary: those of genui, then those of its kinds. Loads no
    plug-in."""
    from genui.protocol.kinds import KINDS  # late: it imports every kind

    of_kinds = {row.name: row for kind in KINDS.list_built_in() for row in kind.commands}
    return {name: row.summary for name, row in {**COMMANDS, **of_kinds}.items()}


def _find_command(name: str) -> "KindCommand | None":
    """Find a command of a kind. Loads no plug-in for one that is built in."""
    from genui.protocol.kinds import KINDS

    rows = (row for kind in KINDS.search() for row in kind.commands)
    return next((row for row in rows if row.name == name), None)


def overall_parser() -> "argparse.ArgumentParser":
    """The parser of `genui --help` and `--version`; each command has its own."""
    from genui.cli.parser import Parser

    commands = list_commands()
    width = max(map(len, commands))
    listed = [f"  {name:{width}}  {summary}" for name, summary in commands.items()]
    parser = Parser(
        prog="genui",
        description="A laboratory for generative models in a terminal. "
        "Without a command it opens the app.",
        epilog="\n".join(["commands:", *listed, "", EXAMPLES]),
    )
    parser.add_argument(
        "--plugin",
        metavar="FILE",
        help="run a Python file that adds recipes, datasets and more (genui help extend)",
    )
    parser.add_argument("--version", action="version", version=f"genui {__version__}")
    parser.add_argument(
        "command",
        metavar="COMMAND",
        nargs="?",
        help="one of the commands below; each has its own --help",
    )
    return parser


def command_parser(command: str) -> "argparse.ArgumentParser":
    """The parser of one command, with the command's name in `args.command`."""
    from importlib import import_module

    from genui.cli.parser import Parser

    if command in COMMANDS:
        module, summary = COMMANDS[command]
        configure, run = import_module(f"genui.cli.{module}").COMMANDS[command]
    else:
        from genui.cli.kinds import open_command

        row = _find_command(command)
        assert row is not None
        summary, (configure, run) = row.summary, open_command(row)
    parser = Parser(prog=f"genui {command}", description=f"{summary[0].upper()}{summary[1:]}.")
    configure(parser)
    parser.set_defaults(run=run, command=command)
    return parser


def _use_plugins(words: list[str]) -> list[str]:
    """Loads the files of every `--plugin FILE` at the beginning; returns the other words."""
    files = []
    while words and words[0].partition("=")[0] == "--plugin":
        option, sign, file = words.pop(0).partition("=")
        if not sign and not words:
            raise MisuseError(f"{option}: name a Python file, as in --plugin my_recipe.py")
        files.append(file if sign else words.pop(0))
    if files or os.environ.get("GENUI_PLUGINS"):
        from genui.base import plugins

        plugins.use_files(files)
    return words


def _dispatch(words: list[str]) -> int:
    words = _use_plugins(words)
    if not words:
        from genui.cli import home

        return home.run_home()
    command = words[0]
    is_option = command.startswith("-")
    known = command in COMMANDS or (not is_option and _find_command(command) is not None)
    if not known and not is_option:
        near = did_you_mean(command, list_commands(), SEE_HELP)
        raise MisuseError(f"no command '{command}': {near}")
    parser = command_parser(command) if known else overall_parser()
    try:
        args, unknown = parser.parse_known_args(words[1:] if known else words)
    except SystemExit as done:  # --help and --version
        return done.code if isinstance(done.code, int) else 0
    if unknown or not known:
        where, word = (f"{command}: ", unknown[0]) if known else ("", command)
        if known and word.partition("=")[0] == "--plugin":
            raise MisuseError(
                f"--plugin must stand before the command: genui --plugin FILE {command} …"
            )
        what = "unknown option" if word.startswith("-") else "unexpected"
        raise MisuseError(f"{where}{what} {word!r}; see {parser.prog} --help")
    return args.run(args)


def _fail(line: str, code: int) -> int:
    from genui.base.text import clean_line

    print(f"genui: {clean_line(line)}", file=sys.stderr)
    return code


def _make_streams_sturdy() -> None:
    """Makes closed streams and locales without our characters harmless."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - lives as long as we do
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
