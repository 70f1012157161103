"""The `genui` command: one table of commands, their parser, and what every command shares.

A command is a module of `genui.commands` with `configure(parser)` and `run(args) -> int`.
Only the module of the command asked for is imported, so `genui` alone reaches the app
without paying for the others.
"""

import os
import sys
from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from genui import __version__
from genui.errors import GenuiError, MisuseError, did_you_mean

if TYPE_CHECKING:
    import argparse

INTERRUPTED = 130  # 128 + SIGINT, as shells count
READER_GONE = 141  # 128 + SIGPIPE


class Command(NamedTuple):
    module: str  # in genui.commands
    summary: str


COMMANDS = MappingProxyType(
    {
        "models": Command("models", "list what can generate: shipped models and your checkpoints"),
        "recipes": Command("recipes", "list what can be trained, or every setting of one recipe"),
        "train": Command("train", "train a recipe in the background (or here, --foreground)"),
        "runs": Command("runs", "list your training runs"),
        "watch": Command("watch", "open the app on any training's log, or on a command's output"),
        "inspect": Command("inspect", "show a run or log, or follow its metrics"),
        "export": Command("export_run", "write metrics as CSV, JSONL or TensorBoard events"),
        "pause": Command("steer", "hold a run between two steps"),
        "resume": Command("resume", "let a paused run go on, or restart a stopped or dead one"),
        "stop": Command("steer", "end a run after a checkpoint"),
        "checkpoint": Command("steer", "write a checkpoint now"),
        "evaluate": Command("steer", "measure a run on held-out data and sample it now"),
        "set": Command("change", "change the learning rate of a run while it trains"),
        "generate": Command("generate", "write text or draw a picture with a model"),
        "lab": Command("lab", "train a small network on points in the plane"),
        "compare": Command("compare", "run two generations in step, and say where they part"),
        "twins": Command("twins", "learn the same labels by p(y|x) and by p(x|y)p(y)"),
        "probes": Command("probes", "measure models on the same data, as a table"),
        "average": Command("average", "write a model of the mean of several models' weights"),
        "worth": Command("worth", "train on generated data and on as much real data, and compare"),
        "sheet": Command("sheet", "put saved generations on one contact sheet"),
        "replay": Command(
            "replay", "make a saved generation again, and say whether it is the same"
        ),
        "traces": Command("traces", "list the traces that were saved"),
        "show": Command("show", "show a picture, a sample, a trace, a model or a run folder"),
        "doctor": Command("doctor", "say what genui found: paste it into a bug report"),
        "help": Command("help", "read the manual, by topic or by words"),
    }
)

EXAMPLES = """\
examples:
  genui                                        open the app
  genui generate shakespeare --prompt 'ROMEO:'
  genui generate icons --prompt 'red heart on black'
  genui train shakespeare --set steps=500
  genui inspect last --follow
  genui help                                   the manual, by topic
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; faults become one line on stderr.

    0 done, 1 failed, 2 asked wrongly, 130 interrupted, 141 the reader of our output left.
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
        return _fail(
            f"unexpected {type(error).__name__}: {error}; this is a defect, please report it "
            "with `genui doctor` (GENUI_DEBUG=1 shows where)",
            1,
        )


def _drop_output() -> None:
    """Python flushes stdout once more at exit: give what cannot be written somewhere to go."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def overall_parser() -> "argparse.ArgumentParser":
    """What `genui --help` and `--version` are answered by; a command's options are its own."""
    from genui.commands.parser import Parser

    width = max(map(len, COMMANDS))
    listed = [f"  {name:{width}}  {summary}" for name, (_, summary) in COMMANDS.items()]
    parser = Parser(
        prog="genui",
        description="A laboratory for generative models in a terminal. "
        "Without a command it opens the app.",
        epilog="\n".join(["commands:", *listed, "", EXAMPLES]),
    )
    parser.add_argument("--version", action="version", version=f"genui {__version__}")
    parser.add_argument(
        "command", metavar="COMMAND", nargs="?", help="one of those below; each has its own --help"
    )
    return parser


def command_parser(command: str) -> "argparse.ArgumentParser":
    """The parser of one command, with the command's name in `args.command`."""
    from importlib import import_module

    from genui.commands.parser import Parser

    module, summary = COMMANDS[command]
    code = import_module(f"genui.commands.{module}")
    parser = Parser(prog=f"genui {command}", description=f"{summary[0].upper()}{summary[1:]}.")
    code.configure(parser)
    parser.set_defaults(run=code.run, command=command)
    return parser


def _dispatch(words: list[str]) -> int:
    if not words:
        from genui.commands import home

        return home.run()
    command = words[0]
    known = command in COMMANDS
    if not known and not command.startswith("-"):
        raise MisuseError(f"no command '{command}': {did_you_mean(command, COMMANDS)}")
    parser = command_parser(command) if known else overall_parser()
    try:
        args, unknown = parser.parse_known_args(words[1:] if known else words)
    except SystemExit as done:  # --help and --version
        return done.code if isinstance(done.code, int) else 0
    if unknown or not known:
        where, word = (f"{command}: ", unknown[0]) if known else ("", command)
        raise MisuseError(f"{where}cannot use {word!r}; see {parser.prog} --help")
    return args.run(args)


def _fail(line: str, code: int) -> int:
    from genui.render.sanitise import clean_line

    print(f"genui: {clean_line(line)}", file=sys.stderr)
    return code


def _make_streams_sturdy() -> None:
    """Neither a closed stream nor a locale without our signs may end a command."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - lives as long as we do
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
