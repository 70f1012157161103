"""`genui bench`: how fast genui is on this machine."""

import argparse
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from genui.base.errors import INTERRUPTED, GenuiError, MisuseError, did_you_mean
from genui.base.numbers import about, quantity
from genui.cli import output
from genui.cli.benchmarks import ROWS, Bench, Result, Row, describe_machine, run_rows
from genui.cli.parser import add_json

ROUNDS = 3
PROFILED_STEPS = 5


def configure_bench(parser: argparse.ArgumentParser) -> None:
    names = ", ".join(row.name for row in ROWS)
    parser.epilog = (
        f"measurements: {names}\n\n"
        "Ctrl+C ends it and prints what was measured. See genui help bench.\n\n"
        "examples:\n"
        "  genui bench --quick\n"
        "  genui bench --only train-text,write\n"
        "  genui bench --profile icons        what the time of a step goes to"
    )
    parser.add_argument("--quick", action="store_true", help="one short round, about a minute")
    parser.add_argument("--only", metavar="NAMES", help="some measurements, separated by commas")
    parser.add_argument(
        "--rounds", metavar="N", type=int, help=f"times each is measured ({ROUNDS})"
    )
    parser.add_argument(
        "--profile", metavar="RECIPE", help="only say what a training step of RECIPE spends time on"
    )
    add_json(parser)


def run_bench(args: argparse.Namespace) -> int:
    if args.profile:
        return _profile(args.profile, args.json)
    rows = _choose(args.only)
    if args.rounds is not None and args.rounds < 1:
        raise MisuseError(f"--rounds {args.rounds}: expected a whole number, 1 or more")
    rounds = args.rounds or (1 if args.quick else ROUNDS)
    machine = describe_machine()
    results: dict[str, Result] = {}
    is_whole = False
    with tempfile.TemporaryDirectory(prefix="genui-bench-", ignore_cleanup_errors=True) as home:
        bench = Bench(Path(home), args.quick)
        progress = output.Progress()
        try:
            for step in run_rows(bench, rows, rounds, results):
                progress.show(f"{step.row.title} · about {about(step.seconds_left)} left")
            is_whole = True
        except KeyboardInterrupt:
            pass
        progress.clear()
    measured = [result for result in results.values() if result.readings]
    if args.json:
        rows_of = [result.to_dict() for result in measured]
        output.emit({"machine": machine, "rounds": rounds, "whole": is_whole, "rows": rows_of})
    else:
        _print(machine, measured)
    if not is_whole:
        output.note("interrupted: the rest was not measured")
        return INTERRUPTED
    if all(result.faults and not math.isfinite(result.value) for result in measured):
        raise GenuiError(f"nothing could be measured: {measured[0].faults[0]}")
    return 0


def _choose(names: str | None) -> Sequence[Row]:
    """The rows named, or all. Raises MisuseError."""
    if names is None:
        return ROWS
    table = {row.name: row for row in ROWS}
    chosen = dict.fromkeys(names.replace(",", " ").split())  # each once, in the order given
    for name in chosen:
        if name not in table:
            raise MisuseError(f"--only {name}: {did_you_mean(name, table, 'see genui bench -h')}")
    if not chosen:
        raise MisuseError("--only: names no measurement; see genui bench -h")
    return [table[name] for name in chosen]


# --- Output -----------------------------------------------------------------------------------


def format_number(value: float) -> str:
    """`5,812`, `41.3`, `1.72`; `–` if it was not reached."""
    if not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _range(result: Result) -> str:
    values = [reading.value for reading in result.readings if math.isfinite(reading.value)]
    return f"{format_number(min(values))}–{format_number(max(values))}" if len(values) > 1 else ""


def _print(machine: Mapping[str, str], results: Sequence[Result]) -> None:
    output.say(" · ".join(f"{name} {value}" for name, value in machine.items()))
    output.say()
    rows = []
    for result in results:
        note = "; ".join([result.readings[-1].note, *result.faults]).strip("; ")
        value = f"{format_number(result.value)} {result.row.unit}"
        rows.append((result.row.title, value, _range(result), note))
    heads = ["MEASUREMENT", "GENUI", "RANGE", ""]
    used = [at for at in range(len(heads)) if any(row[at] for row in rows)]
    cells = [[row[at] for at in used] for row in rows]
    output.table([heads[at] for at in used], cells, right=(1,))


def _profile(recipe: str, as_json: bool) -> int:
    """What the time of a training step goes to."""
    from genui.recipes import find_recipe

    find_recipe(recipe)  # raises MisuseError
    output.note(f"training a few steps of {recipe} …")
    with tempfile.TemporaryDirectory(prefix="genui-bench-", ignore_cleanup_errors=True) as home:
        bench = Bench(Path(home), quick=True)
        result = bench.engine("profile", recipe=recipe, steps=PROFILED_STEPS, settings={})
    if as_json:
        output.emit(result)
        return 0
    whole = sum(result["seconds"].values())
    facts = [(name, f"{100 * value / whole:4.0f} %  {1000 * value:8.1f} ms")
             for name, value in result["seconds"].items()]  # fmt: skip
    facts.append(("a step", f"{100:4d} %  {1000 * whole:8.1f} ms"))
    if result["share"]:
        share = f"{100 * result['share']:.0f} % of the peak of matrix products"
        threads = quantity(result["threads"], "thread")
        facts.append(("it reaches", f"{share}, {result['precision']}, {threads}"))
    for name, value in facts:
        output.say(f"{name:26}{value}")
    return 0
