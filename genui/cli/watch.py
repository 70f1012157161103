"""`genui watch`: the app on any log, or on the output of a command."""

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from genui.base.errors import MisuseError
from genui.base.late import late_imports
from genui.base.numbers import about
from genui.cli import output, runs
from genui.cli.home import before_textual, has_terminal
from genui.cli.runs import connect, find_all, find_path, title

with late_imports():
    from genui.logs import printed, printed_choice
    from genui.runs import listing
    from genui.ui import app

if TYPE_CHECKING:
    from genui.logs.printed_choice import Choice
    from genui.runs.layout import RunDir
    from genui.runs.listing import RunSummary

STDIN = "-"
AUTO = "auto"
TERMINAL = "/dev/tty"


def configure_watch(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "PATH is a log or a folder of logs: TensorBoard event files, W&B offline runs, CSV as\n"
        "Lightning writes it, trainer_state.json of Hugging Face, SQLite of trackio and MLflow,\n"
        "mlruns, JSONL, printed lines (train.log, slurm-1.out), or a run of genui by path, id or\n"
        "name (`genui help watching` has a table). user@host:PATH reads it over ssh,\n"
        "and https://wandb.ai/ENTITY/PROJECT/runs/ID is a run on a server of W&B. Without\n"
        "PATH: your runs. With -: what a command prints, recorded as a run, also after you have\n"
        "left the app.\n\n"
        "--step and --metrics say how printed lines are read where genui is unsure. They are\n"
        "remembered for the project, the name or the file; --step auto forgets them.\n\n"
        "examples:\n"
        "  genui watch                                   your runs\n"
        "  genui watch lightning_logs wandb              every log in two folders\n"
        "  genui watch me@cluster:jobs me@other:jobs     logs on two other hosts\n"
        "  python train.py 2>&1 | genui watch -          a script as it is, read from its output\n"
        "  python train.py 2>&1 | genui watch - | tee log.txt\n"
        "  genui watch slurm-123.out --step tick         a log whose step is called tick"
    )
    parser.add_argument("paths", metavar="PATH", nargs="*", help="a log, a folder of them, or -")
    add_recording(parser, "with -: ")


def add_recording(parser: argparse.ArgumentParser, when: str = "") -> None:
    """Add --name and --project of the recording, with `when` before their help; --step and
    --metrics: how printed lines are read."""
    parser.add_argument("--name", metavar="NAME", default="", help=f"{when}name of the run")
    parser.add_argument("--project", metavar="NAME", default="", help=f"{when}its project")
    parser.add_argument(
        "--step",
        metavar="NAME",
        default="",
        help="the name of the step in printed lines; 'count' numbers the records",
    )
    parser.add_argument(
        "--metrics",
        metavar="NAMES",
        default="",
        help="the metrics to read from printed lines, such as 'loss,val_*'",
    )


def run_watch(args: argparse.Namespace) -> int:
    if STDIN in args.paths:
        if len(args.paths) > 1:
            raise MisuseError("watch -: reads standard input alone; leave the other paths out")
        return _watch_pipe(args)
    if args.name or args.project:
        raise MisuseError("watch: --name and --project are for a command piped to `genui watch -`")

    if has_terminal():
        links = connect(args.paths)
        paths = [links[word].root if word in links else find_path(word) for word in args.paths]
        _choose_for_files(args, paths)
        before_textual()
        return app.run_watch(paths or None, None, [*links.values()])
    paths = [find_path(word) for word in args.paths]
    _choose_for_files(args, paths)
    if not paths:
        runs.print_runs()
    else:
        logs = [summary for path in paths for summary in find_all(path, wait=True)]
        heads = ("LOG", "FORMAT", "STATE", "LAST WRITE", "NAME")
        output.print_table(heads, map(_row, logs), optional=(4,))
    return 0


def choose(args: argparse.Namespace, key: str) -> "Choice":
    """How printed lines are read: by the options, which are remembered, or by the last ones."""
    if not args.step and not args.metrics:
        return printed_choice.recall(key)
    names = tuple(name.strip() for name in args.metrics.split(",") if name.strip())
    choice = printed_choice.Choice("" if args.step == AUTO else args.step, names)
    printed_choice.remember(key, choice)
    return choice


def _choose_for_files(args: argparse.Namespace, paths: list[Path]) -> None:
    """Remembers --step and --metrics for the logs. Raises MisuseError if they have none."""
    if not args.step and not args.metrics:
        return
    logs = [log.run.path for path in paths for log in find_all(path) if log.format == "text"]
    if not logs:
        raise MisuseError("watch: --step and --metrics are for printed lines; name such a log or -")
    for key in {printed_choice.key_of_file(path) for path in logs}:
        choose(args, key)


def _row(summary: "RunSummary") -> tuple[str, ...]:
    state = summary.fault or summary.state
    is_named = not summary.native and summary.info.name not in str(summary.run.path)  # by its tool
    name = summary.info.name if is_named else ""
    return (title(summary), summary.format, state, f"{about(summary.age)} ago", name)


def _watch_pipe(args: argparse.Namespace) -> int:
    """Records standard input as a run, and opens the app on it if there is a terminal.

    With a terminal a separate recorder reads the pipe, so that leaving the app does not close it.
    Without one this process records, and copies every byte to stdout.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise MisuseError("watch -: nothing is piped in; use `COMMAND 2>&1 | genui watch -`")
    run = printed.create(args.name, args.project)
    choice = choose(args, printed.choice_key(run))
    terminal = _open_terminal()
    if terminal is None:
        output.note(f"recording as run {run.id}: `genui watch {run.id}` shows it")
        # Ctrl-C is for the command; its last output is still recorded.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.stdout.flush()
        printed.record(run, sys.stdin.fileno(), sys.stdout.fileno(), choice)
        return 0
    printed.start_recorder(run)
    os.dup2(terminal, sys.stdin.fileno())  # Textual reads keys from standard input
    os.close(terminal)
    try:
        before_textual()
        return app.run_watch(None, run)
    finally:
        _print_recorded(run)


def _open_terminal() -> int | None:
    """The keyboard of the terminal; None if no app can be shown."""
    usable = sys.stdout.isatty() and sys.stderr.isatty() and os.environ.get("TERM", "") != "dumb"
    try:
        return os.open(TERMINAL, os.O_RDWR) if usable else None
    except OSError:  # cron, a container
        return None


def _print_recorded(run: "RunDir") -> None:
    if listing.summarise(run).alive:
        output.note(
            f"still recording as run {run.id}: this shell waits until the command ends; "
            f"`genui watch {run.id}` in another one shows it again"
        )
    else:
        output.note(f"recorded as run {run.id}")
