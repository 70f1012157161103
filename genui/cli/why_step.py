"""`genui why RUN --step N`: a step of a training that is computed again."""

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from genui.base.errors import GenuiError, MisuseError
from genui.base.late import late_imports
from genui.base.numbers import about, count, quantity, value
from genui.base.text import clean_line
from genui.cli import output

with late_imports():
    from genui.runs import listing, recomputed

if TYPE_CHECKING:
    from genui.runs.recomputed import Example, Progress, Recomputed

SHOWN_TEXT = 60
"""Characters of an example in the table."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--step",
        type=int,
        metavar="N",
        help="compute this step again, and show its examples with their losses",
    )
    parser.add_argument(
        "--weights-alone",
        action="store_true",
        help="with --step: measure the examples with the nearest earlier weights, at once",
    )


def show_step(args: argparse.Namespace) -> int:
    """Compute a step of a run again and print its examples, the most unusual first."""
    run = listing.find_run(args.run_ref)
    plan = recomputed.plan_replay(run, args.step)
    steps = quantity(plan.steps, "step")
    if not args.weights_alone:
        output.note(f"computing {steps} again, from step {count(plan.began)}{_duration(plan)}")
    if plan.is_long and not args.weights_alone:
        output.note("--weights-alone measures the examples without these steps; Ctrl+C ends it")
    command = recomputed.command_for(run, args.step, args.weights_alone)
    found = None
    with output.ProgressLine() as progress:
        for line in _read_lines(command):
            if isinstance(line, recomputed.Progress):
                progress.show(line.text)
            else:
                found = line
    if found is None:
        raise GenuiError(f"run {run.id}: computing step {args.step} again ended without a result")
    if args.json:
        output.print_json(_as_json(found))
    else:
        _print(found)
    return 0


def _duration(plan: "recomputed.Replay") -> str:
    return f": about {about(plan.seconds, True)}" if plan.seconds >= 0 else ""


def _read_lines(command: list[str]) -> "Iterator[Progress | Recomputed]":
    """The lines of the process, which ends with this one. Raises what it failed with."""
    with (
        tempfile.TemporaryFile() as printed,  # a pipe that nobody reads would stop the process
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=printed
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                with suppress(msgspec.DecodeError):
                    yield recomputed.decode_line(line)
            process.wait()
        finally:
            process.terminate()
        printed.seek(0)
        errors = printed.read().decode(errors="replace").splitlines()
    if process.returncode > 0:
        reason = clean_line(errors[-1].removeprefix("genui: ")) if errors else "it failed"
        raise (MisuseError if process.returncode == 2 else GenuiError)(reason)


def _as_json(found: "Recomputed") -> dict[str, object]:
    """The result, with what follows from it."""
    fields = msgspec.to_builtins(found)
    fields.pop("type", None)
    for fields_of, example in zip(fields["examples"], found.examples, strict=True):
        fields_of["likely_cause"] = example.cause
    return fields | {"agreement": found.agreement, "remedy": found.remedy}


def _print(found: "Recomputed") -> None:
    metrics = [f"{name} {value(number)}" for name, number in found.metrics.items() if number]
    replayed = f"{quantity(found.replayed, 'step')} from step {count(found.began)}"
    output.print_facts(
        [
            ("step", count(found.step)),
            ("metrics", " · ".join(metrics)),
            ("learning rate", value(found.learning_rate) if found.learning_rate else ""),
            ("computed again", f"{replayed} in {found.seconds:.1f} s" if found.replayed else ""),
            ("the logged loss", found.agreement),
            *(("note", line) for line in found.notes),
        ]
    )
    if not found.examples:
        return
    output.print_line()
    for line in found.conclude():
        output.print_line(line)
    output.print_line()
    names = [name for name in recomputed.SHOWN if name in found.examples[0].measures]
    heads = ["unusual", *(name.replace("_", " ") for name in names), "source", "example"]
    rows = [_cells(example, names) for example in found.examples]
    output.print_table(heads, rows, right=range(len(names) + 1))


def _cells(example: "Example", names: list[str]) -> list[str]:
    measures = [example.measures.get(name) for name in names]
    numbers = ["NaN" if number is None else value(number) for number in measures]
    text = clean_line(example.text)
    text = text if len(text) <= SHOWN_TEXT else f"{text[: SHOWN_TEXT - 1]}…"
    return [f"{example.strangeness:.1f}", *numbers, clean_line(example.source), text]
