"""`genui probes`: models of the same data beside each other, measured."""

import argparse
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from genui.commands import output
from genui.commands.parser import add_json
from genui.commands.progress import Progress
from genui.errors import MisuseError
from genui.render.probe_table import HEADS, cells

if TYPE_CHECKING:
    from genui.engine.probes.table import Row

NICE = 10  # after the app, which asked
USUAL, FEWEST, MOST = 1000, 100, 10_000  # samples


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Fréchet distance, precision and recall (k 3), density and coverage (k 5) against the\n"
        "test set, in the features of the classifier shipped for that data: they compare with\n"
        "each other and with no published figure. COPYING is the share nearer to training than\n"
        "to test pictures (0.5: nothing is copied), RIGHT what the classifier takes for its\n"
        "caption.\n\n"
        "examples:\n"
        "  genui probes fashion fashion-gan\n"
        "  genui probes fashion run@1200 -n 2000 --json"
    )
    parser.add_argument(
        "models", metavar="MODEL", nargs="+", help="models that draw, of the same data"
    )
    parser.add_argument(
        "-n", dest="count", metavar="COUNT", type=int, default=USUAL, help=f"samples ({USUAL:,})"
    )
    parser.add_argument(
        "--lines",
        action="store_true",
        help="print a JSON line whenever something is known, as the app reads them",
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    if not FEWEST <= args.count <= MOST:
        raise MisuseError(f"-n {args.count}: between {FEWEST} and {MOST:,}")
    return table_of(args.models, args.count, args.json, args.lines)


def table_of(
    models: Sequence[str], count: int = USUAL, as_json: bool = False, as_lines: bool = False
) -> int:
    """Measure the models and print the table; 1 where one could not be measured."""
    from genui.engine.probes.table import check, rows

    check(models)
    if as_lines:  # the app is open beside it
        from genui.engine.priority import give_way

        give_way(NICE)
    progress = Progress()

    def tell(model: str, done: int, of: int) -> None:
        progress.show(f"{model}: {done:,}/{of:,} samples")
        if as_lines:
            output.emit({"model": model, "done": done, "of": of}, indent=False)

    found = []
    try:
        for row in rows(models, count, tell):
            found.append(row)
            if as_lines:
                output.emit({"row": as_dict(row)}, indent=False)
    finally:
        progress.clear()
    if as_json:
        output.emit([as_dict(row) for row in found])
    elif not as_lines:
        heads = [head.upper() for head in HEADS]
        output.table(heads, [cells(as_dict(row)) for row in found], range(2, len(HEADS)))
    for row in found:
        if row.fault:
            output.note(row.fault)
    return 1 if any(row.fault for row in found) else 0


def as_dict(row: "Row") -> dict[str, Any]:
    """A row as scripts and the app read it."""
    return dataclasses.asdict(row)
