"""`genui runs`: your trainings, the newest first."""

import argparse
from typing import TYPE_CHECKING, Any

import msgspec

from genui.commands import output
from genui.commands.parser import add_json
from genui.render.numbers import clock, count, value

if TYPE_CHECKING:
    from genui.runs.listing import RunSummary


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example:\n  genui runs --json | jq -r '.[] | select(.state==\"running\").id'"
    add_json(parser, "a JSON list")


def run(args: argparse.Namespace) -> int:
    if args.json:
        from genui.runs.listing import list_runs

        output.emit([as_dict(summary) for summary in list_runs()])
    else:
        listing()
    return 0


def listing() -> None:
    """The runs as a table, or what to do where there is none."""
    from genui.runs.listing import list_runs

    summaries = list_runs()
    if not summaries:
        output.say("none yet: `genui train shakespeare` starts one")
        return
    output.table(
        ("RUN", "STATE", "STEP", "VAL", "LEFT", "LAST WRITE"), map(_row, summaries), right=(2, 3, 4)
    )


def as_dict(summary: "RunSummary") -> dict[str, Any]:
    """A run as scripts read it: `state` is the state as seen, so a killed run says "dead"."""
    status = msgspec.structs.asdict(summary.status)
    return {
        "id": summary.run.id,
        "path": summary.run.path,
        "fault": summary.fault,
        "age": summary.age,
        "info": msgspec.structs.asdict(summary.info),
        **status,
        "state": summary.state,
    }


def _row(summary: "RunSummary") -> tuple[str, ...]:
    status = summary.status
    if summary.fault:
        return (summary.run.id, "broken", "", "", "", summary.fault)
    return (
        summary.run.id,
        summary.state,
        f"{count(status.step)}/{count(status.steps)}" if status.steps else count(status.step),
        "" if status.val is None else value(status.val),
        clock(status.eta) if summary.state == "running" and status.eta >= 0 else "",
        f"{span(summary.age)} ago",
    )


def span(seconds: float) -> str:
    """A time in the largest unit that says it: 8 s, 5 min, 3 h, 2 days."""
    for unit, size, below in (("s", 1, 60), ("min", 60, 3600), ("h", 3600, 48 * 3600)):
        if seconds < below:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"
