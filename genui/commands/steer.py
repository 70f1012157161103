"""`genui pause|stop|checkpoint`: ask a live run for something, and see it obeyed."""

import argparse
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from genui.commands import output
from genui.commands.parser import add_run
from genui.render.numbers import count

if TYPE_CHECKING:
    from genui.runs.control import Command
    from genui.runs.layout import RunDir

POLL_SECONDS = 0.05


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = f"example:\n  {parser.prog} last"
    add_run(parser)
    add_wait(parser)


def add_wait(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--wait",
        metavar="SECONDS",
        type=float,
        default=5.0,
        help="how long to wait until the run has obeyed (default 5)",
    )


def run(args: argparse.Namespace) -> int:
    from genui.runs.listing import find_run

    ask(find_run(args.run_ref), args.command, args.wait)
    return 0


def ask(run: "RunDir", command: "Command", wait: float) -> None:
    """Send `command` and say whether the run obeyed within `wait` seconds.

    Raises GenuiError where no trainer is there to obey.
    """
    from genui.runs.control import steer
    from genui.runs.listing import summarise

    obeyed = _sign_of(run, command)
    steer(run, command)
    until = time.monotonic() + wait
    while not (done := obeyed()) and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
    summary = summarise(run)
    if done:
        said = "checkpoint written" if command == "checkpoint" else summary.state
        output.say(f"{run.id}: {said} at step {count(summary.status.step)}")
    else:
        output.say(f"{run.id}: asked to {command}; it obeys between two steps")


def _sign_of(run: "RunDir", command: "Command") -> Callable[[], bool]:
    """What shows that a run has obeyed."""
    from genui.runs.listing import summarise

    if command == "checkpoint":
        before = _written(run)
        return lambda: _written(run) != before
    if command == "stop":
        return lambda: not summarise(run).alive
    wanted = "paused" if command == "pause" else "running"
    return lambda: summarise(run).state == wanted


def _written(run: "RunDir") -> dict[str, int]:
    """The checkpoints of a run and when each was written."""
    written = {}
    for file in run.checkpoints.glob("*.safetensors"):
        with suppress(FileNotFoundError):  # an old one, just removed
            written[file.name] = file.stat().st_mtime_ns
    return written
