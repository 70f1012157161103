"""What one call of `run.log` with six metrics costs, beside other loggers, and what a kill costs.

    python tests/bench/bench_log.py --peers PYTHON

PYTHON is an interpreter that has some of wandb, trackio, and torch with tensorboard; what it
has not is left out. Every logger runs in a process of its own, one after the other, writing to
the same disk: wandb offline, trackio locally, SummaryWriter with its own settings.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal, NamedTuple

from harness import ROOT, Figure, home, machine, percentile, report

LIMIT = 15.0  # µs
WARM_UP = 200  # calls that are not timed


class Logger(NamedTuple):
    """Code for a fresh process. `folder` is empty and its own."""

    start: str  # defines log(step, metrics) and close()
    tally: str  # prints how many records of "loss" are found in the folder


GENUI = Logger(
    """
import os
os.environ["GENUI_HOME"] = folder
import genui
run = genui.init(project="bench")
def log(step, metrics): run.log(metrics, step=step)
close = run.finish
""",
    """
(path,) = pathlib.Path(folder).rglob("metrics.jsonl")
print(sum("loss" in json.loads(line) for line in path.read_bytes().splitlines()))
""",
)
PEERS = {
    "wandb offline": Logger(
        """
import os
os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_DIR": folder}
import wandb
run = wandb.init(project="bench", dir=folder)
def log(step, metrics): run.log(metrics, step=step)
close = run.finish
""",
        """
from wandb.proto.wandb_internal_pb2 import Record
(path,) = pathlib.Path(folder).rglob("run-*.wandb")
data, at, whole, count = path.read_bytes(), 7, b"", 0
while at + 7 <= len(data):  # LevelDB's log format, in blocks of 32 KiB
    if (room := 32768 - at % 32768) < 7:
        at += room
        continue
    size, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
    whole += data[at + 7 : at + 7 + size]
    at += 7 + size
    if kind in (1, 4):  # complete, or the last part
        with contextlib.suppress(Exception):  # torn
            count += Record.FromString(whole).HasField("history")
        whole = b""
print(count)
""",
    ),
    "trackio": Logger(
        """
import os
os.environ |= {"TRACKIO_DIR": folder, "HF_HUB_OFFLINE": "1"}
import trackio
run = trackio.init(project="bench", embed=False, auto_log_gpu=False, auto_log_cpu=False)
def log(step, metrics): run.log(metrics, step=step)
def close(): pass  # what is left goes to its own server, which can take minutes
""",
        """
import sqlite3
count = 0
for path in pathlib.Path(folder).rglob("*.db"):
    with contextlib.suppress(sqlite3.Error):
        count += sqlite3.connect(path).execute("SELECT COUNT(*) FROM metrics").fetchone()[0]
print(count)
""",
    ),
    "torch SummaryWriter": Logger(
        """
from torch.utils.tensorboard import SummaryWriter
writer = SummaryWriter(folder)
def log(step, metrics):
    for name, value in metrics.items():
        writer.add_scalar(name, value, step)
close = writer.close
""",
        """
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(folder, size_guidance={"scalars": 0}).Reload()
print(len(events.Scalars("loss")) if "loss" in events.Tags()["scalars"] else 0)
""",
    ),
}

TIMED = """
import contextlib, json, math, os, sys, time
folder, calls, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
with contextlib.redirect_stdout(sys.stderr):
    exec(sys.argv[4])
    times = []
    for step in range(calls):
        metrics = {"loss": 1 / (step + 1), "val/loss": 2 / (step + 1), "lr": 3e-4,
                   "grad norm": math.sin(step), "accuracy": step / calls, "tokens/s": 1e5 + step}
        begin = time.perf_counter_ns()
        log(step, metrics)
        times.append(time.perf_counter_ns() - begin)
        if pause:
            time.sleep(pause)
print(json.dumps(times), flush=True)
if sys.argv[5] == "die":
    os.kill(os.getpid(), 9)
with contextlib.redirect_stdout(sys.stderr):
    close()
os._exit(0)
"""
"""Times every call in nanoseconds, then closes the logger or dies at once."""

COUNTED = """
import contextlib, json, pathlib, sys
folder = sys.argv[1]
with contextlib.redirect_stderr(None):
    exec(sys.argv[2])
"""


def logged(python: str, logger: Logger, folder: Path, calls: int, pause: float,
           end: Literal["close", "die"]) -> list[float]:  # fmt: skip
    """Microseconds of every call; none where that interpreter lacks the logger."""
    folder.mkdir(parents=True)
    command = [python, "-c", TIMED, str(folder), str(calls), str(pause), logger.start, end]
    done = _run(python, logger, command)
    if done.returncode and end == "close":
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        print(f"left out: {reason}", file=sys.stderr)
        return []
    return [nanoseconds / 1000 for nanoseconds in json.loads(done.stdout)]


def left_after_kill(python: str, logger: Logger, folder: Path, calls: int, pause: float) -> int:
    """Records found after `kill -9` at once after so many logs.

    Processes of the logger's own that outlive the training have two seconds to write.
    """
    logged(python, logger, folder, calls, pause, "die")
    time.sleep(2)
    done = _run(python, logger, [python, "-c", COUNTED, str(folder), logger.tally])
    if done.returncode:
        raise SystemExit(f"bench_log: cannot count: {done.stderr.strip().splitlines()[-1]}")
    return int(done.stdout.split()[-1])


def _run(python: str, logger: Logger, command: list[str]) -> "subprocess.CompletedProcess[str]":
    env = os.environ | {"PYTHONPATH": str(ROOT) if logger is GENUI else ""}
    try:
        return subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)
    except OSError as error:
        raise SystemExit(f"bench_log: cannot run {python}: {error.strerror}") from None


def main() -> None:
    parser = argparse.ArgumentParser(description="the cost of logging six metrics")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--calls", type=int, default=5000, metavar="N", help="timed (5000)")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="processes each (3)")
    parser.add_argument("--pause", type=float, default=0.0, metavar="S", help="between calls (0)")
    parser.add_argument("--peers", metavar="PYTHON", help="an interpreter that has the others")
    args = parser.parse_args()
    before = machine()
    loggers = {"genui": GENUI} | (PEERS if args.peers else {})
    best: dict[str, tuple[float, float]] = {}
    left: dict[str, int] = {}
    with home() as folder:
        for name, logger in loggers.items():
            python = sys.executable if logger is GENUI else args.peers
            for turn in range(args.repeats):
                place = folder / f"{name} {turn}"
                calls = logged(python, logger, place, WARM_UP + args.calls, args.pause, "close")
                if not calls:
                    break
                times = calls[WARM_UP:]
                found = (statistics.median(times), percentile(times, 95))
                best[name] = min(found, best.get(name, found))
            if name in best:
                place = folder / f"{name} dies"
                left[name] = left_after_kill(python, logger, place, args.calls, args.pause)
    mine = best.pop("genui")
    figures = [
        Figure("a log of 6 metrics, median", mine[0], "µs", limit=LIMIT),
        Figure("a log of 6 metrics, 95 of 100 within", mine[1], "µs"),
    ]
    for name, (median, most) in best.items():
        figures.append(Figure("  median", mine[0], "µs", median, name))
        figures.append(Figure("  95 of 100 within", mine[1], "µs", most, name))
    for name, count in left.items():
        figures.append(Figure(f"left after kill -9, {name}", count, "", args.calls, "logged"))
    report(before, figures, args.json)
    if left["genui"] != args.calls:
        sys.exit(f"bench_log: {left['genui']} of {args.calls} lines are there")


if __name__ == "__main__":
    main()
