"""`genui pause|stop|checkpoint|evaluate`: ask a live run for something, and see it obeyed."""

import argparse
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from genui.commands import output
from genui.commands.parser import add_run
from genui.render.numbers import count

if TYPE_CHECKING:
    from genui.runs.control import Command
    from genui.runs.layout import RunDir

POLL_SECONDS = 0.05
WAIT = 5.0  # seconds
EVALUATION_WAIT = 120.0  # seconds; it measures, and then it generates


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = f"example:\n  {parser.prog} last"
    add_run(parser)
    add_wait(parser, EVALUATION_WAIT if parser.prog.endswith(" evaluate") else WAIT)


def add_wait(parser: argparse.ArgumentParser, default: float = WAIT) -> None:
    parser.add_argument(
        "--wait",
        metavar="SECONDS",
        type=float,
        default=default,
        help=f"how long to wait until the run has obeyed (default {default:g})",
    )


def run(args: argparse.Namespace) -> int:
    from genui.runs.listing import find_run

    ask(find_run(args.run_ref), args.command, args.wait)
    return 0


def ask(run: "RunDir", command: "Command", wait: float, value: float | None = None) -> None:
    """Send `command` and say whether the run obeyed within `wait` seconds.

    Raises GenuiError where no trainer is there to obey.
    """
    from genui.runs.control import steer

    obeyed = _sign_of(run, command)
    steer(run, command, value)
    until = time.monotonic() + wait
    while not (said := obeyed()) and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
    verb = "change its learning rate" if command == "rate" else command
    output.say(f"{run.id}: {said or f'asked to {verb}; it obeys between two steps'}")


def _sign_of(run: "RunDir", command: "Command") -> Callable[[], str]:
    """What the run has done, and at which step, once it has obeyed; "" until then."""
    from genui.runs.listing import summarise

    before = len(_told(run, command))

    def told() -> str:
        return next(iter(_told(run, command)[before:]), "")

    def seen() -> str:
        summary = summarise(run)
        if command == "stop":
            obeyed = not summary.alive
        else:
            obeyed = summary.state == ("paused" if command == "pause" else "running")
        return f"{summary.state} at step {count(summary.status.step)}" if obeyed else ""

    # A state shows in status.json at once, also where a script of the user's own obeys.
    return seen if command in ("pause", "resume", "stop") else told


def _told(run: "RunDir", command: "Command") -> list[str]:
    """Every time the run obeyed that command, in its own words."""
    from genui.runs.events import read_events

    told = [event for event in read_events(run) if event.event == command]
    return [f"{event.text} at step {count(event.step)}" for event in told]
