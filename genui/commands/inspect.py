"""`genui inspect`: one run, as it is now or as it goes on."""

import argparse
from typing import TYPE_CHECKING

from genui.commands import output
from genui.commands.parser import add_json, add_run
from genui.errors import GenuiError
from genui.render.numbers import clock, count, short, value

if TYPE_CHECKING:
    from genui.runs.layout import RunDir
    from genui.runs.listing import RunSummary

EARLIER = 10  # records shown before the new ones, for a person


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "examples:\n"
        "  genui inspect last\n"
        "  genui inspect plays --follow             the last records, then each new one\n"
        "  genui inspect plays --follow --json      every record from the first, a line each"
    )
    add_run(parser)
    parser.add_argument(
        "--follow", action="store_true", help="print metric records until the run is over"
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from genui.runs.listing import find_run, summarise

    found = find_run(args.run_ref)
    if args.follow:
        return _follow(found, args.json)
    summary = summarise(found)
    if args.json:
        from genui.commands.runs import as_dict

        output.emit(as_dict(summary))
    else:
        describe(summary)
    return 0


def describe(summary: "RunSummary") -> None:
    """What a run is, how far it is and where its files are."""
    if summary.fault:
        raise GenuiError(f"{summary.run.path}: {summary.fault}")
    info, status, run = summary.info, summary.status, summary.run
    recipe = info.recipe
    changed = " ".join(f"{key}={item}" for key, item in info.overrides.items())
    done = 100 * status.step / max(status.steps, 1)
    newest = max(run.samples.glob("step-*"), default="", key=str)
    output.facts(
        [
            ("run", run.id),
            ("state", f"{summary.state}: {status.error}" if status.error else summary.state),
            ("recipe", f"{recipe.get('name')} ({recipe.get('family')}, {recipe.get('medium')})"),
            ("changed", changed),
            ("data", info.data),
            ("machine", ", ".join(f"{key} {item}" for key, item in info.machine.items())),
            ("step", f"{count(status.step)} of {count(status.steps)} ({done:.0f} %)"),
            ("left", clock(status.eta) if summary.state == "running" else ""),
            ("rate", f"{short(status.unit_rate)} {status.unit}" if status.unit_rate else ""),
            ("loss", "" if status.loss is None else value(status.loss)),
            ("val", "" if status.val is None else value(status.val)),
            ("sample", str(newest)),
            ("folder", str(run.path)),
        ]
    )


def _follow(run: "RunDir", as_json: bool) -> int:
    from genui.commands.follow import RecordTail, follow, line
    from genui.runs.listing import summarise

    if not as_json:
        describe(summarise(run))
    skip = 0 if as_json else len(RecordTail(run.metrics).read()) - EARLIER
    for number, record in enumerate(follow(run)):
        if as_json:
            output.emit(record, indent=False)
        elif number >= skip:
            output.say(line(record))
    last = summarise(run)
    if last.state in ("failed", "dead"):
        raise GenuiError(
            f"{run.id} {last.state} at step {last.status.step}: "
            f"{last.status.error or 'its process is gone'}; `genui resume {run.id}` goes on from "
            "its newest checkpoint"
        )
    if not as_json:
        output.say(f"{last.state} at step {count(last.status.step)}")
    return 0
