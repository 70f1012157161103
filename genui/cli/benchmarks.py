"""The measurements of `genui bench`: one table of rows.

What computes is measured by `genui.engine.bench` in a process of its own; the app in a
pseudo-terminal of 120×40.
"""

import importlib.metadata
import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from genui.base.errors import GenuiError
from genui.base.numbers import quantity, short
from genui.base.pseudo_terminal import GENUI, PseudoTerminal
from genui.runs import launch

LIBRARIES = ("textual", "torch", "numpy")

TEXT, IMAGES = "shakespeare", "icons"  # recipes, and shipped models
PROMPT, CAPTION = "ROMEO:", "red heart on black"
UP, DOWN = "\x1b[A", "\x1b[B"


class Reading(NamedTuple):
    """One measured value, in the unit of its row; NaN if it was not reached."""

    value: float
    note: str = ""


class Row(NamedTuple):
    """A measurement. `seconds` is about how long it takes, for the time left."""

    name: str  # as --only takes it
    title: str
    unit: str
    measure: Callable[["Bench"], Reading]
    seconds: float
    higher_is_better: bool = False


class Bench:
    """A call of `genui bench`: its options, and the results that several rows take values from.

    `home` is an empty GENUI_HOME for the app and the training that is watched.
    """

    def __init__(self, home: Path, quick: bool) -> None:
        self.home, self.quick = home, quick
        self.seconds = 1.5 if quick else 5.0  # of a measured training
        self.tokens = 200 if quick else 400
        self.points = 10_000 if quick else 100_000  # steps of the log that is opened
        self._results: dict[object, Any] = {}

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

    @property
    def env(self) -> dict[str, str]:
        """Of the app that is measured: without the demo on Home."""
        return {"GENUI_HOME": str(self.home), "GENUI_QUIET": "1"}


# --- Computing --------------------------------------------------------------------------------


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


# --- The app ----------------------------------------------------------------------------------


class Session(NamedTuple):
    """One use of the app."""

    first_paint: float  # seconds
    keys: list[float]  # seconds until each was answered
    app: float  # bytes resident
    worker: float


READY = rb"(cpu|cuda|mps) (fp32|bf16)"


def use_app(bench: Bench) -> Session:
    """Open the app, load a model, move the choice in the list, and read the memory."""
    import psutil

    with PseudoTerminal(env=bench.env) as terminal:
        first = terminal.until_sent(b"Models") - terminal.started
        terminal.until_sent(READY)
        time.sleep(1)  # the worker's first messages
        presses = 8 if bench.quick else 40
        keys = [terminal.answer(key) for _ in range(presses // 2) for key in (DOWN, UP)]
        process = psutil.Process(terminal.process.pid)
        worker = sum(child.memory_info().rss for child in process.children(recursive=True))
        return Session(first, keys, process.memory_info().rss, worker)


def _session(bench: Bench) -> Session:
    return bench.once("session", lambda: use_app(bench))


def _first_paint(bench: Bench) -> Reading:
    return Reading(_session(bench).first_paint, "from the launch")


def _key(bench: Bench) -> Reading:
    keys = [1000 * seconds for seconds in _session(bench).keys]
    return Reading(statistics.median(keys), f"95 of 100 within {percentile(keys, 95):.0f}")


def _app_memory(bench: Bench) -> Reading:
    return Reading(_session(bench).app / 1e6, "resident, without torch")


def _worker_memory(bench: Bench) -> Reading:
    return Reading(_session(bench).worker / 1e6, "resident, with torch")


def _trainer_memory(bench: Bench) -> Reading:
    return Reading(bench.training(TEXT)["memory"] / 1e6, f"the most, {TEXT}")


# --- Watching ---------------------------------------------------------------------------------

BRAILLE = re.compile(rb"\xe2[\xa0-\xa3][\x80-\xbf]")
CHART = 30
"""Signs of dots: more than a spinner or a logo."""


def first_chart(terminal: PseudoTerminal) -> float:
    """Seconds from the launch to the first chart. Raises AssertionError after 60."""
    end = time.perf_counter() + 60
    while time.perf_counter() < end:
        signs = 0
        for chunk in terminal.chunks:
            signs += len(BRAILLE.findall(chunk.data))
            if signs >= CHART:
                return chunk.at - terminal.started
        time.sleep(0.01)
    raise AssertionError(f"no chart in 60 s; the last output: {terminal.output[-500:]!r}")


def open_log(argv: Sequence[str], env: dict[str, str]) -> float:
    with PseudoTerminal(argv, env=env) as terminal:
        return first_chart(terminal)


METRICS = ("loss", "val_loss", "grad_norm", "lr", "rate")


def values(step: int, metrics: int = len(METRICS)) -> dict[str, float]:
    """A loss that falls with noise, and what goes with it; the same at every call."""
    noise = (step * 2654435761 % 4294967296) / 4294967296
    loss = 4 * math.exp(-step / 2e4) + 1 + noise / 5
    first = dict(zip(METRICS, (loss, loss + 0.1, noise, 3e-4, 5800 + loss), strict=True))
    return first | {f"layer{number}": loss + number for number in range(metrics - len(first))}


def lines(start: int, steps: int, metrics: int = len(METRICS)) -> Iterator[str]:
    """Records of `steps` steps from `start`, as genui's trainer writes them."""
    now = round(time.time() - steps, 3)
    for step in range(start, start + steps):
        record = {"step": step, "time": now + step - start, **values(step, metrics)}
        yield json.dumps(record, separators=(",", ":")) + "\n"


def write_run(name: str, steps: int, metrics: int = len(METRICS)) -> Path:
    """A finished run in GENUI_HOME with that many steps and, if given, metrics."""
    from genui.recipes import find_recipe
    from genui.runs.layout import Status, create_run, write_status

    run = create_run(find_recipe("shakespeare"), {"steps": str(steps)}, name)
    with run.metrics.open("w") as file:
        file.writelines(lines(1, steps, metrics))
    write_status(run, Status(state="finished", step=steps, steps=steps))
    return run.path


def long_run(bench: Bench) -> Path:
    """A run of `points` steps in the bench's home."""
    if path := next((bench.home / "data" / "runs").glob("long-*"), None):
        return path
    code = f"from genui.cli.benchmarks import write_run; print(write_run('long', {bench.points}))"
    env = {**os.environ, **bench.env}
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GenuiError(last_line(done.stderr, done.returncode))
    return Path(done.stdout.strip())


def _watching(bench: Bench) -> Reading:
    seconds = open_log([*GENUI, "watch", str(long_run(bench))], bench.env)
    return Reading(seconds, f"{bench.points:,} steps × {len(METRICS)}")


# --- The table --------------------------------------------------------------------------------

ROWS: tuple[Row, ...] = (
    Row("products", "matrix products, fp32", "GFLOP/s", _products, 3, higher_is_better=True),
    Row("train-text", f"training {TEXT}", "tok/s", _training(TEXT), 7, higher_is_better=True),
    Row("train-images", f"training {IMAGES}", "img/s", _training(IMAGES), 8, higher_is_better=True),
    Row("write", f"a token of {TEXT}", "ms", _writing, 5),
    Row("denoise", f"a denoising step of {IMAGES}", "ms", _denoising, 5),
    Row("first-paint", "first paint of the app", "s", _first_paint, 5),
    Row("key", "a key answered", "ms", _key, 1),
    Row("watch", "first chart of a long log", "s", _watching, 2),
    Row("memory-app", "memory of the app", "MB", _app_memory, 1),
    Row("memory-worker", "memory of its worker", "MB", _worker_memory, 1),
    Row("memory-trainer", "memory of the trainer", "MB", _trainer_memory, 1),
)


# --- Running it -------------------------------------------------------------------------------


class Result:
    """The values of a row, of each round."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.readings: list[Reading] = []
        self.faults: list[str] = []

    @property
    def value(self) -> float:
        return median([reading.value for reading in self.readings])

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


def median(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return statistics.median(known) if known else math.nan


class Step(NamedTuple):
    """The next measurement, and about how many seconds remain."""

    row: Row
    seconds_left: float


def run_rows(
    bench: Bench, rows: Sequence[Row], rounds: int, results: dict[str, Result],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Step]:  # fmt: skip
    """Measure all rows in turns; yields before each measurement.

    `results` has what was measured so far whenever this is interrupted. What fails is a fault of
    its row.
    """
    total = rounds * sum(row.seconds for row in rows)
    done, begin = 0.0, clock()
    for _ in range(rounds):
        bench.start_round()
        for row in rows:
            result = results.setdefault(row.name, Result(row))
            pace = (clock() - begin) / done if done else 1.0
            yield Step(row, (total - done) * pace)
            try:
                result.readings.append(row.measure(bench))
            except (GenuiError, AssertionError, OSError) as error:
                if str(error) not in result.faults:
                    result.faults.append(str(error))
                result.readings.append(Reading(math.nan))
            done += row.seconds


def last_line(errors: str, code: int) -> str:
    """The last line of the errors that a program printed, or its exit code."""
    return (errors.strip().splitlines() or [f"ended with exit code {code}"])[-1]


# --- The machine ------------------------------------------------------------------------------


def describe_machine() -> dict[str, str]:
    """Processor, cores, load and versions. Does not import torch."""
    from genui.runs.system import processor_name, usable_cores

    return {
        "processor": processor_name(),
        "cores": str(usable_cores()),
        "load": f"{os.getloadavg()[0]:.1f}",  # of others, before anything is measured
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that `percent` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
