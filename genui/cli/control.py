"""`genui pause`, `stop`, `checkpoint`, `evaluate` and `set`: control a run while it trains."""

import argparse
import re
import time
from typing import TYPE_CHECKING

from genui.base.errors import MisuseError
from genui.base.late import late_imports
from genui.cli import output
from genui.cli.parser import add_run

with late_imports():
    from genui import recipes
    from genui.cli import sweep
    from genui.runs import control, layout, listing, slurm

if TYPE_CHECKING:
    from genui.runs.control import Command
    from genui.runs.layout import RunDir
    from genui.runs.slurm import Job

POLL_SECONDS = 0.05
WAIT = 5.0  # seconds
EVALUATION_WAIT = 120.0  # seconds; it measures, and then it generates


def configure_control(parser: argparse.ArgumentParser) -> None:
    parser.epilog = f"example:\n  {parser.prog} last"
    add_run(parser)
    if parser.prog.endswith(" stop"):
        parser.add_argument(
            "--yes", action="store_true", help="do not ask before a job of Slurm is stopped"
        )
    add_wait(parser, EVALUATION_WAIT if parser.prog.endswith(" evaluate") else WAIT)


def add_wait(parser: argparse.ArgumentParser, default: float = WAIT) -> None:
    parser.add_argument(
        "--wait",
        metavar="SECONDS",
        type=float,
        default=default,
        help=f"how long to wait until the run has done it (default {default:g})",
    )


def run_control(args: argparse.Namespace) -> int:
    if (folder := named_sweep(args.run_ref)) is not None:
        if args.command != "stop":
            raise MisuseError(
                f"{folder.id} is a sweep: name one of its trials, as in {folder.id}.1, or "
                f"genui stop {folder.id}, which genui resume {folder.id} undoes"
            )
        sweep.stop(folder, args.wait)
        return 0
    if args.command == "stop" and (job := _named_job(args.run_ref)) is not None:
        return _stop_job(job, args.yes)
    request(listing.find_run(args.run_ref), args.command, args.wait)
    return 0


def named_sweep(word: str) -> "RunDir | None":
    """The sweep that the argument RUN names; a run has precedence."""
    folder = listing.find_sweep(word)
    if folder is None or any(word in (one.run.id, one.info.name) for one in listing.list_runs()):
        return None
    return folder


_JOB = re.compile(r"\d+(_\d+)?")


def _named_job(word: str) -> "Job | None":
    """The user's job in Slurm with that number; None for the name of a run. A job that genui has
    submitted is stopped as its run. Raises MisuseError for it, GenuiError if Slurm fails."""
    if not (_JOB.fullmatch(word) and slurm.has_slurm()):
        return None
    runs = listing.list_runs()
    for run in runs:
        if run.info.slurm.get("job") == word:
            raise MisuseError(f"job {word} is of a run: stop it with genui stop {run.run.id}")
    if listing.match_runs(word, runs):
        return None
    return next((job for job in slurm.list_jobs() if job.id == word), None)


def _stop_job(job: "Job", yes: bool) -> int:
    """End a job that genui did not submit, if the user confirms it."""
    about = f"job {job.id} ({job.name}, {job.state})"
    asks = f"{about} was not submitted by genui, so stop asks first"
    if not yes and not output.confirm(f"{about} was not submitted by genui: end it?", asks):
        output.note("nothing was stopped")
        return 1
    slurm.call_slurm(["scancel", job.id])
    output.print_line(f"job {job.id}: ended by scancel")
    return 0


def request(run: "RunDir", command: "Command", wait: float, value: float | None = None) -> None:
    """Sends `command` and prints the outcome within `wait` seconds.

    Raises GenuiError if the run has no trainer.
    """
    outcome = control.Outcome(run, command)
    control.send_live(run, command, value)
    until = time.monotonic() + wait
    while not (line := outcome.look()) and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
    action = "new learning rate" if command == "set_lr" else command
    output.print_line(
        f"{run.id}: {line or f'{action} requested; it takes effect between two steps'}"
    )


# --- `genui set`: change the learning rate of a run while it trains ---------------------------

SETTING = "learning_rate"


def configure_set(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "This is the recipe's base learning rate: warm-up and decay keep their shape, and Muon's\n"
        "rate changes by the same factor. A checkpoint records it, so a run that is\n"
        "killed later resumes with it. Other settings need a new run:\n"
        "genui train --from RUN --set KEY=VALUE.\n\n"
        "example:\n"
        "  genui set last learning_rate=3e-4"
    )
    add_run(parser)
    parser.add_argument("setting", metavar="learning_rate=VALUE", help="for example 3e-4")
    add_wait(parser)


def run_set(args: argparse.Namespace) -> int:
    run = listing.find_run(args.run_ref)
    request(run, "set_lr", args.wait, learning_rate(run, [args.setting]))
    return 0


def learning_rate(run: "RunDir", pairs: list[str]) -> float:
    """The new learning rate, from `learning_rate=VALUE`.

    Raises MisuseError for an invalid value and for any other setting, with the command that trains
    with it.
    """
    info, rate = layout.read_info(run), 0.0
    if info.kind == "script" and "set_lr" not in info.controls:
        raise MisuseError(f"run {run.id} belongs to a script, which sets its learning rate itself")
    for pair in pairs:
        key, sign, value = (part.strip() for part in pair.partition("="))
        if not sign:
            raise MisuseError(f"{pair!r}: expected {SETTING}=VALUE, as in {SETTING}=3e-4")
        if key != SETTING:
            remedy = f"start another with genui train --from {run.id} --set {key}={value}"
            if key not in info.recipe or key in recipes.FIXED:
                remedy = f"give {SETTING}=VALUE"
            raise MisuseError(f"{key}={value}: only {SETTING} can change in a run; {remedy}")
        rate = control.parse_learning_rate(value).value or 0.0  # never 0: it was checked
    return rate
