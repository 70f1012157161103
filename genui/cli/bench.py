"""`genui bench`: how fast this machine trains and generates.

Each measurement is made by `genui.engine.bench` in a process of its own.
"""

import argparse
import importlib.metadata
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from genui.base.errors import INTERRUPTED, GenuiError, MisuseError, did_you_mean
from genui.base.late import late_imports
from genui.base.numbers import about, quantity, short
from genui.cli import output
from genui.cli.parser import add_json
from genui.recipes import find_recipe
from genui.runs import launch

with late_imports():
    from genui.runs import system

ROUNDS = 3
PROFILED_STEPS = 5
LIBRARIES = ("textual", "torch", "numpy")

TEXT, IMAGES = "shakespeare", "icons"  # recipes, and shipped models
PROMPT, CAPTION = "ROMEO:", "red heart on black"


class Reading(NamedTuple):
    """One measured value, in the unit of its row; NaN if it was not reached."""

    value: float
    note: str = ""


class Measurement(NamedTuple):
    """A measurement. `seconds` is about how long it takes, for the time left."""

    name: str  # as --only takes it
    title: str
    unit: str
    measure: Callable[["Bench"], Reading]
    seconds: float
    higher_is_better: bool = False


class Bench:
    """A call of `genui bench`, and the results that several rows take values from."""

    def __init__(self, quick: bool) -> None:
        self.quick = quick
        self.seconds = 1.5 if quick else 5.0  # of a measured training
        self.tokens = 200 if quick else 400
        self._results: dict[str, Any] = {}

    def start_round(self) -> None:
        """Forget the results of the round before."""
        self._results.clear()

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """The result of that name, made once in a round. A GenuiError is raised again."""
        if name not in self._results:
            try:
                self._results[name] = make()
            except GenuiError as error:
                self._results[name] = error
        if isinstance(result := self._results[name], GenuiError):
            raise result
        return result

    def engine(self, name: str, **options: Any) -> dict[str, Any]:
        """A measurement of `genui.engine.bench`, once in a round. Raises GenuiError."""
        job = json.dumps(options)

        def measure() -> dict[str, Any]:
            argv = [sys.executable, "-m", "genui.engine.bench", name, job]
            allocator = launch.ALLOCATOR if name == "training" else {}  # as a trainer's
            env = allocator | dict(os.environ)
            done = subprocess.run(argv, capture_output=True, text=True, env=env, check=False)
            if done.returncode:
                raise GenuiError(last_line(done.stderr, done.returncode))
            return json.loads(done.stdout.strip().splitlines()[-1])

        return self.once(f"{name} {job}", measure)

    def training(self, recipe: str) -> dict[str, Any]:
        return self.engine("training", recipe=recipe, seconds=self.seconds, settings={})

    def writing(self) -> dict[str, Any]:
        return self.engine("writing", model=TEXT, prompt=PROMPT, tokens=self.tokens)


def last_line(errors: str, code: int) -> str:
    """The last line of the errors that a program printed, or its exit code."""
    return (errors.strip().splitlines() or [f"ended with exit code {code}"])[-1]


# --- The measurements -------------------------------------------------------------------------


def _products(bench: Bench) -> Reading:
    peaks = bench.engine("products", threads=0)
    threads = quantity(peaks["threads"], "thread")
    note = f"{peaks['bf16'] / 1e9:,.0f} in bf16; {peaks['device']}, {threads}"
    return Reading(peaks["fp32"] / 1e9, note)


def _training(recipe: str) -> Callable[[Bench], Reading]:
    def measure(bench: Bench) -> Reading:
        result = bench.training(recipe)
        share = f"{100 * result['share']:.0f} % of the peak, " if result["share"] else ""
        size = f"{short(result['parameters'])} parameters, {result['precision']}"
        return Reading(result["units_per_s"], share + size)

    return measure


def _writing(bench: Bench) -> Reading:
    seconds = bench.writing()["seconds"]
    return Reading(1000 * seconds, f"{1 / seconds:,.0f} tokens/s with odds")


def _denoising(bench: Bench) -> Reading:
    steps = 20 if bench.quick else 50
    result = bench.engine("denoising", model=IMAGES, prompt=CAPTION, steps=steps)
    return Reading(1000 * result["seconds"], "32×32, with guidance")


def _memory(bench: Bench) -> Reading:
    return Reading(bench.training(TEXT)["memory"] / 1e6, f"the most, {TEXT}")


def _energy(measure: Callable[[Bench], dict[str, Any]]) -> Callable[[Bench], Reading]:
    """Millijoules of a token; the note has the joules of all that was measured, and the method."""

    def read(bench: Bench) -> Reading:
        result = measure(bench)
        return Reading(1000 * result["joules"], result["energy"])

    return read


ROWS: tuple[Measurement, ...] = (
    Measurement(
        "products", "matrix products, fp32", "GFLOP/s", _products, seconds=3, higher_is_better=True
    ),
    Measurement(
        "train-text", f"training {TEXT}", "tok/s", _training(TEXT), seconds=7, higher_is_better=True
    ),
    Measurement(
        "train-images",
        f"training {IMAGES}",
        "img/s",
        _training(IMAGES),
        seconds=8,
        higher_is_better=True,
    ),
    Measurement("write", f"a token of {TEXT}", "ms", _writing, seconds=5),
    Measurement("denoise", f"a denoising step of {IMAGES}", "ms", _denoising, seconds=5),
    Measurement(
        "energy-train",
        f"energy of training {TEXT}",
        "mJ/tok",
        _energy(lambda bench: bench.training(TEXT)),
        1,
    ),
    Measurement("energy-write", f"energy of a token of {TEXT}", "mJ", _energy(Bench.writing), 1),
    Measurement("memory-trainer", "memory of the trainer", "MB", _memory, seconds=1),
)


class MeasuredValues:
    """The values of a row, of each round."""

    def __init__(self, row: Measurement) -> None:
        self.row = row
        self.readings: list[Reading] = []
        self.faults: list[str] = []

    @property
    def known(self) -> list[float]:
        return [reading.value for reading in self.readings if math.isfinite(reading.value)]

    @property
    def value(self) -> float:
        """The median; NaN if no round reached it."""
        return statistics.median(self.known) if self.known else math.nan

    def to_dict(self) -> dict[str, Any]:
        """The result for JSON."""
        row = self.row
        return {
            "name": row.name,
            "title": row.title,
            "unit": row.unit,
            "better": "higher" if row.higher_is_better else "lower",
            "value": self.value,
            "values": [reading.value for reading in self.readings],
            "note": self.readings[-1].note if self.readings else "",
            "faults": self.faults,
        }


def run_rows(
    bench: Bench, rows: Sequence[Measurement], rounds: int, results: dict[str, MeasuredValues],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[tuple[Measurement, float]]:  # fmt: skip
    """Measure all rows in turns; yields each before it is measured, and about how many seconds
    remain.

    `results` has the measurements so far whenever this is interrupted. A measurement that fails is
    a fault of its row.
    """
    total = rounds * sum(row.seconds for row in rows)
    done, begin = 0.0, clock()
    for _ in range(rounds):
        bench.start_round()
        for row in rows:
            result = results.setdefault(row.name, MeasuredValues(row))
            pace = (clock() - begin) / done if done else 1.0
            yield row, (total - done) * pace
            try:
                result.readings.append(row.measure(bench))
            except (GenuiError, AssertionError, OSError) as error:
                if str(error) not in result.faults:
                    result.faults.append(str(error))
                result.readings.append(Reading(math.nan))
            done += row.seconds


def describe_machine() -> dict[str, str]:
    """Processor, cores, load and versions. Does not import torch."""
    return {
        "processor": system.processor_name(),
        "cores": str(system.usable_cores()),
        "load": f"{os.getloadavg()[0]:.1f}",  # of other programs, before any measurement
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
    }


# --- The command ------------------------------------------------------------------------------


def configure_bench(parser: argparse.ArgumentParser) -> None:
    names = ", ".join(row.name for row in ROWS)
    parser.epilog = (
        f"measurements: {names}\n\n"
        "Ctrl+C ends it and prints what was measured. See genui help bench.\n\n"
        "examples:\n"
        "  genui bench --quick\n"
        "  genui bench --only train-text,write\n"
        "  genui bench --profile icons        the time of each part of a step"
    )
    parser.add_argument("--quick", action="store_true", help="one short round, about a minute")
    parser.add_argument("--only", metavar="NAMES", help="some measurements, separated by commas")
    parser.add_argument(
        "--rounds", metavar="N", type=int, help=f"times each is measured ({ROUNDS})"
    )
    parser.add_argument(
        "--profile",
        metavar="RECIPE",
        help="only print the time of each part of a step of RECIPE",
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
    results: dict[str, MeasuredValues] = {}
    is_whole = False
    progress = output.ProgressLine()
    try:
        for row, seconds_left in run_rows(Bench(args.quick), rows, rounds, results):
            progress.show(f"{row.title} · about {about(seconds_left)} left")
        is_whole = True
    except KeyboardInterrupt:
        pass
    progress.clear()
    measured = [result for result in results.values() if result.readings]
    if args.json:
        rows_of = [result.to_dict() for result in measured]
        output.print_json(
            {"machine": machine, "rounds": rounds, "whole": is_whole, "rows": rows_of}
        )
    else:
        _print(machine, measured)
    if not is_whole:
        output.note("interrupted: the rest was not measured")
        return INTERRUPTED
    if all(result.faults and not result.known for result in measured):
        raise GenuiError(f"nothing could be measured: {measured[0].faults[0]}")
    return 0


def _choose(names: str | None) -> Sequence[Measurement]:
    """The rows named, or all. Raises MisuseError."""
    if names is None:
        return ROWS
    table = {row.name: row for row in ROWS}
    chosen = dict.fromkeys(names.replace(",", " ").split())  # each once, in the order given
    for name in chosen:
        if name not in table:
            raise MisuseError(f"--only {name}: no such measurement; {did_you_mean(name, table)}")
    if not chosen:
        raise MisuseError("--only: names no measurement; see genui bench -h")
    return [table[name] for name in chosen]


def format_number(value: float) -> str:
    """`5,812`, `41.3`, `1.72`; `–` if it was not reached."""
    if not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _range(result: MeasuredValues) -> str:
    values = result.known
    return f"{format_number(min(values))}–{format_number(max(values))}" if len(values) > 1 else ""


def _print(machine: Mapping[str, str], results: Sequence[MeasuredValues]) -> None:
    output.print_line(" · ".join(f"{name} {value}" for name, value in machine.items()))
    output.print_line()
    rows = []
    for result in results:
        note = "; ".join([result.readings[-1].note, *result.faults]).strip("; ")
        value = f"{format_number(result.value)} {result.row.unit}"
        rows.append((result.row.title, value, _range(result), note))
    heads = ["MEASUREMENT", "GENUI", "RANGE", ""]
    output.print_table(heads, rows, right=(1,), optional=(2, 3))


def _profile(recipe: str, as_json: bool) -> int:
    """The time of each part of a training step."""
    find_recipe(recipe)  # raises MisuseError
    output.note(f"training a few steps of {recipe} …")
    options = {"recipe": recipe, "steps": PROFILED_STEPS, "settings": {}}
    result = Bench(quick=True).engine("profile", **options)
    if as_json:
        output.print_json(result)
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
        output.print_line(f"{name:26}{value}")
    return 0
