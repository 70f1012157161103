"""`genui run`: start a command as a run."""

import argparse
import shutil
import signal
import sys

from genui.base.errors import MisuseError
from genui.base.late import late_imports
from genui.cli import output
from genui.cli.parser import add_json
from genui.cli.watch import add_recording, choose

with late_imports():
    from genui.logs import command, printed


def configure_run(parser: argparse.ArgumentParser) -> None:
    parser.usage = "genui run [--name NAME] [--project NAME] [--foreground] -- COMMAND ..."
    parser.epilog = (
        "Metrics are read from the output of the command, as by `genui watch -`. It keeps running\n"
        "when you close this terminal. `genui stop` sends it Ctrl+C. The run ends with its exit\n"
        "code; the load of its own processes is recorded.\n\n"
        "examples:\n"
        "  genui run -- python train.py --lr 3e-4\n"
        "  genui run --name wide --foreground -- torchrun --nproc-per-node 2 train.py"
    )
    parser.add_argument(
        "--foreground",
        action="store_true",
        help="stay until it ends, copy its output, and return its exit code",
    )
    add_recording(parser)
    add_json(parser, "the run's id and folder as JSON")
    parser.add_argument("words", metavar="COMMAND", nargs=argparse.REMAINDER, help="to be run")


def run_run(args: argparse.Namespace) -> int:
    words = args.words[1:] if args.words[:1] == ["--"] else args.words
    if not words:
        raise MisuseError("run: COMMAND is missing, as in genui run -- python train.py")
    if shutil.which(words[0]) is None:
        raise MisuseError(f"run: there is no command {words[0]}; check its name and PATH")
    run = command.create(words, args.name, args.project)
    choose(args, printed.choice_key(run))
    output.print_started(run, args.json)
    if not args.foreground:
        printed.start_recorder(run, words)
        output.note("running in the background: it continues when you close this terminal")
        output.note(f"  watch  genui watch {run.id}")
        output.note(f"  stop   genui stop {run.id}")
        return 0
    command.stop_on((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), run)
    return command.record(run, words, None if args.json else sys.stdout.fileno())
