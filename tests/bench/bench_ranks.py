"""How much faster two processes train than one, at equal batches, on one thread each.

    python tests/bench/bench_ranks.py            (3 minutes)
    python tests/bench/bench_ranks.py --turns 3  (1 minute)
    python tests/bench/bench_ranks.py --memory   (1 minute)

The recipes `shakespeare` and `icons` are each trained by one process of one thread and by two,
which add their gradients by gloo. They take turns of a few seconds, while the other one is stopped
by a signal, so that both see the same other load. The two processes need two idle cores: where
other programs use them, the wall clock says less than the processor time, which is printed too. It
is that of a step in each process; of the speed-up that it allows, waiting for each other takes a
part.

With `--memory` it is instead measured how much memory each process takes that trains a larger text
model, of 85 million parameters: one, two that each have all weights, and two that share them out
(`--shard`). Rank 0 has drawn a sample, so it has had the whole average of the weights, too.
"""

import argparse
import os
import signal
import statistics
import sys
import time
from contextlib import ExitStack
from typing import NamedTuple

import psutil
from harness import Figure, home, machine, report

from genui.recipes import find_recipe
from genui.runs import launch
from genui.runs.hosts import Placement
from genui.runs.layout import RunDir, read_status

RECIPES = {"shakespeare": {}, "icons": {"one_word": "0"}}
ENDLESS = {
    "steps": "1000000", "eval_every": "1000000", "sample_every": "1000000",
    "checkpoint_every": "1000000", "threads": "1", "device": "cpu",
}  # fmt: skip
LARGE = {
    "width": "768", "layers": "12", "heads": "12", "context": "64", "batch": "2",
    "sample_tokens": "8", "eval_batches": "1", "precision": "fp32", "muon_rate": "0",
}  # fmt: skip
WARM = 3
LIMIT = 1.6


class Turn(NamedTuple):
    rate: float  # steps a second
    processor: float  # seconds of a step, in each process


class Training:
    """A training that is stopped between its turns."""

    def __init__(self, recipe: str, settings: dict[str, str], where: Placement) -> None:
        settings = settings | ENDLESS
        processes = where.processes
        before = {each.pid for each in psutil.Process().children()}
        self.run = launch.launch(find_recipe(recipe), settings, where=where)
        (started,) = (each for each in psutil.Process().children() if each.pid not in before)
        self._all, self._trainers = [started], [started]
        try:
            while self._steps() < WARM:
                if read_status(self.run).state == "failed":
                    raise SystemExit(read_status(self.run).error)
                time.sleep(0.1)
        except BaseException:
            self.end()
            raise
        if processes > 1:
            self._trainers = started.children()
            self._all = [*self._trainers, started]
        self._signal(signal.SIGSTOP)

    def _steps(self) -> int:
        return _steps(self.run)[0]

    def _signal(self, number: signal.Signals) -> None:
        for process in self._all:
            os.kill(process.pid, number)

    def turn(self, seconds: float) -> Turn:
        self._signal(signal.SIGCONT)
        time.sleep(0.3)
        first, begin = self._next_step()
        processor = self._processor()
        time.sleep(seconds)
        last, end = self._next_step()
        processor = self._processor() - processor
        self._signal(signal.SIGSTOP)
        return Turn((last - first) / (end - begin), processor / (last - first))

    def _next_step(self) -> tuple[int, float]:
        """The number of the next step that is done, and its time."""
        step = now = self._steps()
        while now == step:
            time.sleep(0.002)
            now = self._steps()
        return _steps(self.run)

    def _processor(self) -> float:
        used = [process.cpu_times() for process in self._trainers]
        return sum(each.user + each.system for each in used) / len(used)

    def memory(self) -> list[int]:
        """The bytes of each trainer."""
        return [process.memory_info().rss for process in self._trainers]

    def end(self) -> None:
        for process in self._all:  # trainers end with their parent
            process.kill()


def _steps(run: RunDir) -> tuple[int, float]:
    """The last step in the metrics, and its time."""
    if not run.metrics.exists():
        return 0, 0.0
    with run.metrics.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
        read = file.read().split(b"\n")
    lines = [line for line in read if b'"step_seconds"' in line and line.endswith(b"}")]
    if not lines:
        return 0, 0.0
    fields = dict(part.split(b":", 1) for part in lines[-1].strip(b"{}").split(b","))
    return int(fields[b'"step"']), float(fields[b'"time"'])


def compare(recipe: str, turns: int, seconds: float) -> list[Figure]:
    with ExitStack() as stack:
        trainings = []
        for processes in (1, 2):
            training = Training(recipe, RECIPES[recipe], Placement(processes))
            trainings.append(training)
            stack.callback(training.end)
        found = [[each.turn(seconds) for each in trainings] for _ in range(turns)]
    one, two = (
        Turn(*(statistics.median(turn[i] for turn in side) for i in (0, 1)))
        for side in zip(*found, strict=True)
    )
    ratio = statistics.median(b.rate / a.rate for a, b in found)
    return [
        Figure(f"{recipe}, two processes", two.rate, "st/s", one.rate, "one process"),
        Figure("  the median ratio of turns", ratio, f"× (aim {LIMIT})"),
        Figure("  processor, of a step in each", 1000 * two.processor, "ms",
               1000 * one.processor, "one process"),
    ]  # fmt: skip


def measure_memory() -> list[Figure]:
    rows = []
    for title, where in (
        ("one process", Placement()),
        ("two processes", Placement(2)),
        ("two that share the weights", Placement(2, shard=True)),
    ):
        with home():
            training = Training("shakespeare", LARGE, where)
            try:
                taken = training.memory()
            finally:
                training.end()
        rows += [
            Figure(f"{title}, rank {rank}", number / 1e9, "GB") for rank, number in enumerate(taken)
        ]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="two processes that train, beside one")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--turns", type=int, default=9, metavar="N", help="of each (9)")
    parser.add_argument("--seconds", type=float, default=5, metavar="N", help="of a turn (5)")
    parser.add_argument("--memory", action="store_true", help="measure memory, not time")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends the trainers
    before = machine()
    rows = measure_memory() if args.memory else []
    for recipe in () if args.memory else RECIPES:
        with home():
            rows += compare(recipe, args.turns, args.seconds)
    report(before, rows, args.json)


if __name__ == "__main__":
    main()
