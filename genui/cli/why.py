"""`genui why`: why a run or another training has ended."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from genui.base.late import late_imports
from genui.cli import output
from genui.cli.parser import add_json
from genui.cli.runs import find_path

with late_imports():
    from genui.runs import layout, listing
    from genui.runs import why as run_why_ended

if TYPE_CHECKING:
    from genui.runs.endings import Ending


def configure_why(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "The evidence is in the run's folder, the kernel's log and Slurm, as far as they may be\n"
        "read. A folder or file of another training is read as what it has printed.\n\n"
        "examples:\n"
        "  genui why last\n"
        "  genui why logs/slurm-1234.out\n"
        "  genui why torchelastic_logs/          a folder with a file for each rank"
    )
    parser.add_argument(
        "run_ref", metavar="RUN", help="a run's id, name or 'last', or the path of printed lines"
    )
    add_json(parser)


def run_why(args: argparse.Namespace) -> int:
    ending = _find(args.run_ref)
    if args.json:
        output.print_json(msgspec.to_builtins(ending))
    else:
        describe(ending)
    return 0


def _find(word: str) -> "Ending":
    """Why the run or the log that `word` names has ended. Raises MisuseError if there is none."""
    path = find_path(word)
    run = None
    if path is None:
        run = listing.find_run(word)
    elif layout.RunDir(path).run_json.is_file():
        run = layout.RunDir(path)
    if run is None:
        return run_why_ended.find_ending_of(path or Path(word))
    summary = listing.summarise(run)
    return run_why_ended.find_ending(run, summary.info, summary.status, summary.state, ask=True)


def describe(ending: "Ending") -> None:
    """Print the cause, what to do, and the evidence."""
    output.print_facts(
        [
            ("cause", ending.cause),
            ("rank", "" if ending.rank is None else str(ending.rank)),
            ("your code", ending.frame),
            ("to do", ending.remedy),
        ]
    )
    if ending.evidence:
        output.print_line()
        output.print_facts(ending.evidence)
