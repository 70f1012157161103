"""After `kill -9` of a trainer: how soon it is seen as dead, and what resuming gives.

    python tests/bench/bench_resume.py

A run is killed in the middle, resumed and finished; every loss must equal, to the last
bit, that of the same run never interrupted. Done for text and for images, on the CPU.
"""

import os
import signal
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from harness import PATIENCE, Figure, Terminal, arguments, home, machine, report, tiny

from genui.logs.native import MetricsTail
from genui.recipes import find_recipe
from genui.runs.launch import launch, resume
from genui.runs.layout import RunDir, read_status
from genui.runs.listing import summarise

STEPS = 120
COMMON = f"steps={STEPS} checkpoint_every=25 eval_every=30 sample_every=60 device=cpu threads=1"
LIMIT = 2.0  # seconds
LONGEST = 300.0  # seconds a training may take on a machine busy with others

Losses = dict[tuple[str, int], float]


def until(true: Callable[[], bool], what: str, seconds: float = PATIENCE) -> float:
    """Waits for `true`, looking every 2 ms; returns when."""
    end = time.perf_counter() + seconds
    while not true():
        if time.perf_counter() > end:
            raise SystemExit(f"bench_resume: waited in vain until {what}")
        time.sleep(0.002)
    return time.perf_counter()


def gone(pid: int) -> bool:
    """Whether the kernel knows the process no more."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def start(recipe: str, text: str, name: str) -> RunDir:
    overrides = dict(pair.split("=", 1) for pair in text.split())
    return launch(find_recipe(recipe), overrides, name)


def finish(run: RunDir) -> None:
    ended = "finished", "failed", "stopped", "dead"
    until(lambda: summarise(run).state in ended, f"{run.id} ends", LONGEST)
    summary = summarise(run)
    if summary.state != "finished":
        raise SystemExit(f"bench_resume: {run.id} is {summary.state}: {summary.status.error}")


def lines(run: RunDir) -> int:
    """How many records there are."""
    return run.metrics.read_bytes().count(b"\n") if run.metrics.exists() else 0


def kill(run: RunDir, step: int) -> tuple[float, float]:
    """Kill the trainer after that step; seconds until it is gone, and until it is seen dead."""
    # The metrics are written at every step, the status only every second.
    until(lambda: lines(run) >= step, f"{run.id} takes {step} steps", LONGEST)
    pid = read_status(run).pid
    killed = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    dead = until(lambda: summarise(run).state == "dead", "it is seen as dead")
    return until(lambda: gone(pid), "it is gone") - killed, dead - killed


def losses(run: RunDir) -> Losses:
    """Every loss as the curve shows it."""
    tail = MetricsTail(run.metrics)
    while tail.read():
        pass
    return {
        (name, int(step)): float(value)
        for name in ("loss", "val_loss")
        for step, value in zip(*tail.series[name].points[:2], strict=True)
    }


def compare(recipe: str, text: str) -> tuple[int, int, float, float]:
    """Identical values, all values, and the two times of `kill`."""
    runs = [whole := start(recipe, text, "whole")]
    try:
        finish(whole)
        runs.append(cut := start(recipe, text, "cut"))
        vanished, dead = kill(cut, STEPS // 2)
        resume(cut)
        finish(cut)
    finally:
        for run in runs:
            tiny.end_training(run)
    expected, found = losses(whole), losses(cut)
    same = sum(found.get(key) == value for key, value in expected.items())
    return same, len(expected.keys() | found.keys()), vanished, dead


def dead_on_screen(folder: Path) -> float:
    """Seconds from the kill until an open app says so."""
    run = tiny.start_training(folder, "threads=1")
    try:
        with Terminal(env={"GENUI_HOME": str(folder)}) as terminal:
            terminal.until(lambda text: "1 training" in text)
            until(lambda: read_status(run).step > 0, "the training runs", LONGEST)
            terminal.settle()
            killed = time.perf_counter()
            tiny.end_training(run)
            return terminal.until(lambda text: "dead" in text) - killed
    finally:
        tiny.end_training(run)


def main() -> None:
    args = arguments("death and resumption of a trainer", repeats=3)
    before = machine()
    with home() as folder:
        on_screen = [dead_on_screen(folder) for _ in range(args.repeats)]
        plays = folder / "plays.txt"
        text = compare("shakespeare", f"{tiny.TEXT} {COMMON} data={plays}".replace("\n", " "))
        icons = compare("icons", f"{tiny.ICONS} {COMMON}")
    kernel, seen = statistics.median([text[2], icons[2]]), statistics.median([text[3], icons[3]])
    figures = [
        Figure("seen as dead by runs.listing.summarise", seen, "s", kernel, "the kernel", LIMIT),
        Figure("seen as dead on the app's screen", statistics.median(on_screen), "s",
               kernel, "the kernel", LIMIT),
        Figure("identical losses, text", text[0], "", text[1], "all"),
        Figure("identical losses, images", icons[0], "", icons[1], "all"),
    ]  # fmt: skip
    report(before, figures, args.json)
    if not args.json:
        for name, (same, total, _, _) in (("text", text), ("images", icons)):
            print(f"{name}: identical: {same} of {total} values")
    if text[:1] != text[1:2] or icons[:1] != icons[1:2]:
        sys.exit(1)


if __name__ == "__main__":
    main()
