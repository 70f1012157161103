"""How fast a training is with one core less or all, and what it leaves to others.

    python tests/bench/bench_threads.py            (8 minutes)
    python tests/bench/bench_threads.py --quick    (3 minutes)

Two recipes, a small text network of tiny matrices and icons, are each trained by three
trainers started from the shell: (a) all cores but one; (b) all cores, whose threads spin
for a while as they wait for each other, as OpenMP has them by default; (c) all cores, whose
threads sleep as they wait (OMP_WAIT_POLICY=passive, KMP_BLOCKTIME=0). One of the three runs
at a time, the others are stopped by a signal, and each has its turn in every situation:

- alone: the app is open, in a real terminal of 120×40, and nothing else runs;
- beside a process that is busy without end, in a session of its own;
- beside a generation of the app's worker, by the shipped `shakespeare`.

Then keys are pressed in the app while the trainer goes on, as bench_keys.py does. The mean of
the ratios is the geometric one, over the three situations.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import bench_keys
import msgspec
from harness import Figure, Terminal, home, machine, percentile, report, tiny

from genui.runs.layout import RunDir, read_info, read_status

LIMIT = bench_keys.LIMIT  # ms, 95th percentile
FEWEST = 3  # records of a turn, however long it takes
LONGEST = 30.0  # seconds of a turn
WARM = 3  # steps before anything is measured
WRITER = "shakespeare"  # what the app's worker generates by

TEXT = "layers=2 width=64 heads=2 context=64 batch=8 eval_batches=1 sample_tokens=8"
ICONS = "batch=16 canvas_batch=48 eval_batches=1 sample_captions=cat"  # the network as it is


class Way(NamedTuple):
    """How many threads train, and how they wait for each other."""

    name: str
    threads: int
    environment: dict[str, str]


class Trained(NamedTuple):
    """One trainer in one situation."""

    rate: float  # steps a second
    tokens: float  # a second, of the generation beside it
    keys: list[float]  # ms until each was answered


class Sizes(NamedTuple):
    """How much is measured of each."""

    seconds: float
    presses: int


def ways() -> tuple[Way, ...]:
    """The first is what the others are compared with."""
    cores = int(machine()["cores"])
    # What libgomp and libomp do where nothing is said: 300,000 turns, 200 ms.
    spinning = {"GOMP_SPINCOUNT": "300000", "KMP_BLOCKTIME": "200"}
    passive = {"OMP_WAIT_POLICY": "passive", "KMP_BLOCKTIME": "0"}
    return (
        Way("a: a core less", max(1, cores - 1), spinning),
        Way("b: all, spinning", cores, spinning),
        Way("c: all, passive", cores, passive),
    )


def start(folder: Path, recipe: str, way: Way) -> RunDir:
    """A trainer in the background that goes on until it is ended."""
    changes = f"{tiny.ENDLESS} threads={way.threads} device=cpu"
    with patch.dict(os.environ, way.environment):
        if recipe == "text":
            return tiny.start_training(folder, f"{TEXT} {changes}")
        words = tiny.settings(f"{ICONS} {changes}")
        printed = tiny.genui(folder, "train", "icons", "--name", "live", *words)
        return RunDir(folder / "data" / "runs" / printed.strip())


def let(run: RunDir, number: signal.Signals) -> None:
    """Stop or continue all of the run's trainer."""
    os.kill(read_status(run).pid, number)


@contextmanager
def going(run: RunDir) -> Iterator[None]:
    """The trainer's turn."""
    let(run, signal.SIGCONT)
    try:
        yield
    finally:
        let(run, signal.SIGSTOP)


def step_times(run: RunDir, since: float) -> list[float]:
    """When each step was done, in unix time; the first began before `since`, and is left out."""
    found = []
    for line in run.metrics.read_bytes().splitlines():
        record = msgspec.json.decode(line) if line.endswith(b"}") else {}
        if "step_seconds" in record and record["time"] > since:
            found.append(record["time"])
    return found[1:]


def rate(run: RunDir, seconds: float) -> float:
    """Steps a second of the trainer, which is going, over `seconds` or FEWEST steps."""
    begin = time.time()
    time.sleep(seconds)
    while len(times := step_times(run, begin)) < FEWEST and time.time() < begin + LONGEST:
        time.sleep(0.2)
    return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0


@contextmanager
def trainers(folder: Path, recipe: str) -> Iterator[list[RunDir]]:
    """One for each way, all stopped."""
    runs: list[RunDir] = []
    try:
        for way in ways():
            runs.append(run := start(folder, recipe, way))
            bench_keys.wait_for(lambda run=run: read_status(run).step >= WARM)
            let(run, signal.SIGSTOP)
            if read_info(run).machine["threads"] != way.threads:
                raise SystemExit("bench_threads: the trainer has another number of threads")
        yield runs
    finally:
        for run in runs:
            tiny.end_training(run)


@contextmanager
def busy() -> Iterator[None]:
    """One process that never rests, as one of another terminal would be."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def write(terminal: Terminal) -> None:
    """Let the app's worker write by the shipped WRITER without end."""
    line = bench_keys.chosen(terminal)
    while line is None or f" {WRITER} " not in terminal.screen.display[line]:
        terminal.press(bench_keys.DOWN)
        terminal.until_drawn(lambda old=line: bench_keys.chosen(terminal) not in (None, old))
        line = bench_keys.chosen(terminal)
    bench_keys.start_writing(terminal)


def tell_of(run: RunDir, terminal: Terminal, sizes: Sizes) -> Trained:
    """The trainer's turn in this situation."""
    with going(run):
        time.sleep(1)  # what the stop held up
        terminal.settle()
        begin, written = time.perf_counter(), bench_keys.written(terminal)
        steps = rate(run, sizes.seconds)
        terminal.settle()
        tokens = (bench_keys.written(terminal) - written) / (time.perf_counter() - begin)
        keys = bench_keys.answer_times(terminal, bench_keys.moves(), sizes.presses)
        return Trained(steps, tokens, keys)


def of_recipe(folder: Path, recipe: str, sizes: Sizes) -> dict[str, list[Trained]]:
    """Each situation's trainings, in the order of `ways`."""
    found: dict[str, list[Trained]] = {}
    with trainers(folder, recipe) as runs, Terminal(env={"GENUI_HOME": str(folder)}) as terminal:
        terminal.until(lambda text: "fp32" in text and WRITER in text)
        time.sleep(1)
        for situation in ("alone", "beside a busy process", "beside a generation"):
            with ExitStack() as stack:
                if situation == "beside a busy process":
                    stack.enter_context(busy())
                if situation == "beside a generation":
                    write(terminal)
                found[situation] = []
                for way, run in zip(ways(), runs, strict=True):
                    found[situation].append(one := tell_of(run, terminal, sizes))
                    print(f"{recipe} {situation}, {way.name}: {one.rate:.2f}", file=sys.stderr)
    return found


def figures(recipe: str, found: dict[str, list[Trained]]) -> list[Figure]:
    """Rows of the table: steps and tokens a second with their ratio to (a), then the keys."""
    rows = []
    for situation, trained in found.items():
        first = trained[0]
        for way, one in zip(ways(), trained, strict=True):
            name = f"{recipe} {situation}, {way.name}"
            rows.append(Figure(name, one.rate, "st/s", first.rate, "a"))
            if first.tokens:
                rows.append(Figure("  generation", one.tokens, "tk/s", first.tokens, "a"))
            keys = percentile(one.keys, 95)
            rows.append(Figure("  key answered, 95th percentile", keys, "ms", limit=LIMIT))
    for index, way in enumerate(ways()):
        rates = [(trained[index].rate, trained[0].rate) for trained in found.values()]
        if all(first for _, first in rates):
            mean = statistics.geometric_mean([max(one / first, 1e-3) for one, first in rates])
            rows.append(Figure(f"{recipe} {way.name}, mean of the ratios", mean, "× a"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="threads of a training, beside what else runs")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="about 3 minutes instead of 8")
    parser.add_argument("--seconds", type=float, metavar="N", help="measured of each (10)")
    parser.add_argument("--presses", type=int, metavar="N", help="keys for each (40)")
    args = parser.parse_args()
    usual = Sizes(4, 16) if args.quick else Sizes(10, 40)
    sizes = Sizes(args.seconds or usual.seconds, args.presses or usual.presses)
    before = machine()
    rows = []
    for recipe in ("text", "icons"):
        with home() as folder:
            rows += figures(recipe, of_recipe(folder, recipe, sizes))
    report(before, rows, args.json)


if __name__ == "__main__":
    main()
