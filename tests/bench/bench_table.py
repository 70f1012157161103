"""How long the table of 2,000 runs takes to open and to answer a key, and what 50 that grow cost.

    python tests/bench/bench_table.py

`genui watch` in a real terminal of 120×40. First 2,000 finished runs of 200 steps: from the start
until the table is painted, until every metric of every run was read, and the same when the results
of before are known. Keys are timed from the write to the terminal until the answer has arrived:
down the table (the peer is a table of 20 runs), sorting by another column, and a letter of the
filter. Then the CSV files of 50
jobs, each of which grows by 5 lines a second: the share of a core that the app takes with the table
open, sorted by the best loss.
"""

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from harness import Figure, Terminal, arguments, home, machine, percentile, report
from watching import write_run

RUNS, STEPS = 2_000, 200
FEW = 20  # runs of the peer
JOBS, LINES_PER_S = 50, 5
WATCHED = 20.0  # seconds
GAP = 0.15  # seconds between two keys
READ = 120.0  # seconds to wait for all runs
KEY_LIMIT, CPU_LIMIT = 50, 15  # ms, per cent of a core
DOWN, UP, RIGHT, LEFT = "\x1b[B", "\x1b[A", "\x1b[C", "\x1b[D"
BACKSPACE = "\x7f"
WATCH = (sys.executable, "-m", "genui", "watch")


def make_runs(count: int) -> None:
    """Finished runs that differ in learning rate and seed."""
    first = write_run("run", STEPS)
    info, status = (json.loads((first / f"{name}.json").read_text()) for name in ("run", "status"))
    lines = (first / "metrics.jsonl").read_text()
    for number in range(count - 1):
        folder = first.parent / f"run-{number:04}"
        folder.mkdir()
        recipe = {**info["recipe"], "learning_rate": 10 ** -(2 + number % 7 / 2), "seed": number}
        mine = {**info, "id": folder.name, "name": f"run-{number:04}", "recipe": recipe}
        (folder / "run.json").write_text(json.dumps(mine))
        (folder / "status.json").write_text(json.dumps(status))
        (folder / "metrics.jsonl").write_text(lines.replace('"loss":', f'"loss":{number % 9 + 1}'))


def title(terminal: Terminal) -> str:
    return next((line for line in terminal.screen.display if "╭─ Runs" in line), "")


def place(terminal: Terminal) -> str:
    """`7/2,000`: where the cursor is."""
    match = re.search(r"[\d,]+/[\d,]+ ·", terminal.text)
    return match[0] if match else ""


def head(terminal: Terminal) -> str:
    """The heads of the columns: the sorted one has an arrow."""
    return next((line for line in terminal.screen.display if " name " in line), "")


def open_table(terminal: Terminal, count: int) -> tuple[float, float]:
    """Seconds until the table is painted, and until all runs were read."""
    painted = terminal.until(lambda text: f"Runs  {count:,}" in text)
    read = terminal.until(lambda text: "min val_loss" in text and "reading" not in text, READ)
    return painted - terminal.started, read - terminal.started


def time_keys(
    terminal: Terminal, keys: Sequence[str], look: Callable[[Terminal], str]
) -> list[float]:
    """Milliseconds from each key to what it changes of `look`."""
    times = []
    for key in keys:
        time.sleep(GAP)
        terminal.settle()
        before = look(terminal)
        pressed = terminal.press(key)
        arrived = terminal.until_drawn(lambda before=before: look(terminal) not in ("", before))
        times.append(1000 * (arrived - pressed))
    return times


def measure_few(repeats: int) -> float:
    """Milliseconds of the key down, 95th percentile, in a table of FEW runs."""
    make_runs(FEW)
    with Terminal(WATCH) as terminal:
        open_table(terminal, FEW)
        return percentile(time_keys(terminal, [DOWN, UP] * (repeats // 2), place), 95)


def measure_many(repeats: int, few: float) -> list[Figure]:
    make_runs(RUNS)
    with Terminal(WATCH) as terminal:
        painted, read = open_table(terminal, RUNS)
        down = time_keys(terminal, [DOWN] * repeats, place)
        sort = time_keys(terminal, [RIGHT, RIGHT, LEFT, LEFT] * (repeats // 4), head)
        terminal.press("/")
        typed = time_keys(terminal, ["0", "7", BACKSPACE, BACKSPACE], title)
    with Terminal(WATCH) as terminal:
        painted_again, read_again = open_table(terminal, RUNS)
    return [
        Figure(f"table of {RUNS:,} runs painted", painted, "s"),
        Figure("  all metrics read", read, "s"),
        Figure("  painted, with the results of before", painted_again, "s"),
        Figure("  all metrics, with the results of before", read_again, "s", read, "first"),
        Figure("key: down, median", percentile(down, 50), "ms"),
        Figure(
            "key: down, 95th percentile", percentile(down, 95), "ms", few, f"{FEW} runs", KEY_LIMIT
        ),
        Figure("key: sort by another column, 95th", percentile(sort, 95), "ms", limit=KEY_LIMIT),
        Figure("key: a letter of the filter, slowest of 4", max(typed), "ms", limit=KEY_LIMIT),
    ]


def grow(folder: Path, stop: threading.Event) -> None:
    """Append 5 lines a second to each of 50 tables."""
    files = []
    for number in range(JOBS):
        place = folder / f"job-{number}"
        place.mkdir(parents=True)
        (place / "hparams.yaml").write_text(f"lr: {10 ** -(2 + number / 20)}\nseed: {number}\n")
        file = (place / "metrics.csv").open("w", buffering=1)
        file.write("step,loss,val_loss,grad_norm,lr\n")
        files.append(file)
    step = 0
    while not stop.wait(1 / LINES_PER_S):
        step += 1
        for number, file in enumerate(files):
            loss = 1 + 3 / step + number / JOBS
            file.write(f"{step},{loss},{loss + 0.1},0.5,0.001\n")


def cpu_seconds(pid: int) -> float:
    """The processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure_growing(folder: Path) -> list[Figure]:
    stop = threading.Event()
    writer = threading.Thread(target=grow, args=(folder, stop), daemon=True)
    writer.start()
    time.sleep(2)
    try:
        with Terminal((*WATCH, str(folder))) as terminal:
            terminal.until(lambda text: "min val_loss" in text and "reading" not in text)
            terminal.press(RIGHT)
            time.sleep(3)
            pid = terminal.process.pid
            before, begin = cpu_seconds(pid), time.perf_counter()
            time.sleep(WATCHED)
            share = 100 * (cpu_seconds(pid) - before) / (time.perf_counter() - begin)
            memory = memory_mb(pid)
    finally:
        stop.set()
        writer.join()
    return [
        Figure(
            f"{JOBS} jobs at {LINES_PER_S} lines/s: share of a core", share, "%", limit=CPU_LIMIT
        ),
        Figure("  memory", memory, "MB"),
    ]


def main() -> None:
    asked = arguments("the table of runs", 40)
    before = machine()
    with home():
        few = measure_few(asked.repeats)
    with home():
        figures = measure_many(asked.repeats, few)
    with home() as folder:
        figures += measure_growing(folder / "jobs")
    report(before, figures, asked.json)


if __name__ == "__main__":
    main()
