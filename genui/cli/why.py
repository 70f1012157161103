"""`genui why`: why a run or another training has ended, where one that lives stands still, and why
a loss jumped at a step."""

import argparse
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from genui.base.errors import GenuiError, MisuseError
from genui.base.late import late_imports
from genui.base.numbers import about
from genui.cli import output, why_step
from genui.cli.parser import add_json
from genui.cli.runs import find_path

with late_imports():
    from genui.logs import native, queue
    from genui.runs import layout, listing, stack_groups, stacks, waste
    from genui.runs import why as run_why_ended

if TYPE_CHECKING:
    from genui.runs.endings import Ending
    from genui.runs.listing import RunSummary
    from genui.runs.waste import Waste


def configure_why(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "The evidence is in the run's folder, the kernel's log and Slurm, as far as they may be\n"
        "read. A folder or file of another training is read as what it has printed. Of a run that\n"
        "lives the Python stack of each process is shown, where it is now.\n\n"
        "examples:\n"
        "  genui why last\n"
        "  genui why logs/slurm-1234.out\n"
        "  genui why torchelastic_logs/          a folder with a file for each rank\n"
        "  genui why last --step 7113            the examples of this step, with their losses"
    )
    parser.add_argument(
        "run_ref", metavar="RUN", help="a run's id, name or 'last', or the path of printed lines"
    )
    why_step.add_options(parser)
    add_json(parser)


def run_why(args: argparse.Namespace) -> int:
    if args.step is not None:
        return why_step.show_step(args)
    if args.weights_alone:
        raise MisuseError("--weights-alone needs a step: genui why RUN --step N --weights-alone")
    run = layout.RunDir(find_path(args.run_ref))
    if not run.run_json.is_file():
        ending, wasted = run_why_ended.find_ending_of(run.path), []
    else:
        summary = listing.summarise(run)
        if summary.alive:
            return _describe_live(summary, args.json)
        ending = run_why_ended.find_ending(
            run, summary.info, summary.status, summary.state, ask=True
        )
        if summary.state == "queued":
            jobs = queue.JobQueue(lambda: [summary])
            jobs.ask()
            ending = msgspec.structs.replace(ending, cause=jobs.list_all()[0].status.doing)
        wasted = _find_waste(summary)
    if args.json:
        fields = msgspec.to_builtins(ending)
        output.print_json(fields | {"waste": msgspec.to_builtins(wasted)})
    else:
        describe(ending, wasted)
    return 0


def _find_waste(summary: "RunSummary") -> "list[Waste]":
    """What takes time from the steps of a run; [] if its records cannot be read."""
    run = summary.run
    with suppress(GenuiError):
        metrics, system = native.read_series(run), native.read_records(run.system)
        return waste.find_waste(summary.status, metrics, system)
    return []


def _describe_live(summary: "RunSummary", as_json: bool) -> int:
    """Print what each process of a run does now."""
    found = stacks.collect_stacks(summary)
    groups = stack_groups.group_stacks(found)
    line = stack_groups.describe_groups(groups)
    wasted = _find_waste(summary)
    if as_json:
        ranks = [
            {"rank": one.rank, "step": one.step, "note": one.note, "remedy": one.remedy,
             "frames": [frame._asdict() for frame in one.frames]}
            for one in found
        ]  # fmt: skip
        lost = msgspec.to_builtins(wasted)
        output.print_json({"name": summary.state, "cause": line, "ranks": ranks, "waste": lost})
        return 0
    state = f"{summary.state}, last written {about(summary.age)} ago"
    now = line or "no process of it is known"
    output.print_facts([("state", state), ("now", now), *_waste_facts(wasted)])
    if groups:
        output.print_line()
    for text in stack_groups.list_groups(groups):
        output.print_line(text)
    return 0


def _waste_facts(wasted: "list[Waste]") -> list[tuple[str, str]]:
    return [("waste", each.line) for each in wasted]


def describe(ending: "Ending", wasted: "list[Waste]") -> None:
    """Print the cause, what to do, the evidence, and what took time from the steps."""
    output.print_facts(
        [
            ("cause", ending.cause),
            ("rank", "" if ending.rank is None else str(ending.rank)),
            ("your code", ending.frame),
            ("to do", ending.remedy),
            *_waste_facts(wasted),
        ]
    )
    if ending.evidence:
        output.print_line()
        output.print_facts(ending.evidence)
