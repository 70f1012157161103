"""Watching a training: opening a long log, following a live one, and doing nothing.

    python tests/bench/bench_watch.py --peers /path/to/a/venv/bin/python [--logs FOLDER]
    python tests/bench/bench_watch.py --large       # also a log of 2 GB, and one of 50 metrics

`--peers` is an interpreter that has wandb, torch, tensorboard and terminalboard (with
"plotext<6"); each is run on the same training as its own library logged it, in turns with
genui, in real terminals of 120×40. Without it genui is measured alone. The peers' logs take
some minutes to write, and are kept in `--logs`.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import peers
import psutil
from harness import Figure, Terminal, home, machine, report, report_figure, report_machine
from watching import BRAILLE, first_chart, lines, write_run

QUIET = 2.5  # seconds without a change after which all has been drawn
STEPS = 100_000
GENUI = (sys.executable, "-m", "genui")
PEERS = ["wandb", "torch", "tensorboard", "terminalboard"]


def opening(
    argv: Sequence[str], keys: str = "", env: dict[str, str] | None = None
) -> dict[str, float]:
    """Seconds to the first chart and to the last change of the screen; megabytes resident."""
    with Terminal(argv, env=env) as terminal:
        for key in keys:
            time.sleep(0.5)
            terminal.press(key)
        first = first_chart(terminal)
        last = _settled(terminal)
        return {"first": first, "all": last, "memory": _memory(terminal.process.pid)}


def _settled(terminal: Terminal) -> float:
    """When dots came last, before a silence of `QUIET` seconds in which no dots came."""
    end = time.perf_counter() + 90
    while time.perf_counter() < end:
        last = max(
            (c.at for c in terminal.chunks if BRAILLE.search(c.data)),
            default=terminal.started,
        )
        if time.perf_counter() - last > QUIET:
            return last - terminal.started
        time.sleep(0.1)
    return float("nan")


def _memory(pid: int) -> float:
    """Megabytes resident of a process and its children."""
    tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return sum(one.memory_info().rss for one in tree) / 1e6


def _processor(pid: int) -> float:
    """Seconds of processor time of a process and its children so far."""
    tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return sum(sum(one.cpu_times()[:2]) for one in tree)


def resting(path: Path, seconds: float = 20) -> tuple[float, int]:
    """Per cent of a core, and bytes to the terminal, with a finished run on the screen."""
    with Terminal([*GENUI, "watch", str(path)]) as terminal:
        first_chart(terminal)
        _settled(terminal)
        sent, used = len(terminal.output), _processor(terminal.process.pid)
        time.sleep(seconds)
        used = _processor(terminal.process.pid) - used
        return 100 * used / seconds, len(terminal.output) - sent


LIVE = """
import sys, time, genui
run = genui.init(project="bench", name="live")
print(run.dir, flush=True)
for step in range(700_001, 10**9):  # numbers that nothing else on the screen shows
    run.log(dict(loss=(step * 7919 % 1000) / 5e3, marker=step), step=step)
    print(step, time.time(), flush=True)
    time.sleep(float(sys.argv[1]))
"""


@contextmanager
def live_script(pause: float) -> Iterator[tuple[Path, "subprocess.Popen[str]"]]:
    """A script of its own that logs every `pause` seconds through `genui.init`."""
    with subprocess.Popen(
        [sys.executable, "-c", LIVE, str(pause)], stdout=subprocess.PIPE, text=True
    ) as script:
        assert script.stdout is not None
        try:
            yield Path(script.stdout.readline().strip()), script
        finally:
            script.kill()


TRAINING = """
import sys, time
from pathlib import Path
from genui.runs.layout import RunDir
from genui.runs.writer import RunWriter
sys.path[:0] = sys.argv[3:]
from watching import values
start, path = int(sys.argv[2]), Path(sys.argv[1])
with RunWriter(RunDir(path)) as writer:
    writer.update(state="running", step=start, steps=2 * start)
    for step in range(start + 1, 10**9):
        writer.log(step, **values(step))
        writer.update(step=step)
        time.sleep(0.05)
"""


@contextmanager
def training_on(path: Path, start: int) -> Iterator[None]:
    """A process that goes on with that run at 20 steps a second, five metrics each."""
    argv = [sys.executable, "-c", TRAINING, str(path), str(start), *sys.path]
    with subprocess.Popen(argv) as trainer:
        try:
            yield
        finally:
            trainer.kill()


def load(path: Path, seconds: float = 20) -> float:
    """Per cent of a core of the app that watches that run."""
    with Terminal([*GENUI, "watch", str(path)]) as terminal:
        first_chart(terminal)
        time.sleep(4)
        used = _processor(terminal.process.pid)
        time.sleep(seconds)
        return 100 * (_processor(terminal.process.pid) - used) / seconds


def following_young() -> float:
    """The load of a script that has just begun, at 20 steps a second: its axes still grow."""
    with live_script(0.05) as (path, _):
        return load(path)


def following(path: Path) -> float:
    """The load of a run of many steps that goes on at 20 a second."""
    with training_on(path, STEPS):
        return load(path)


def delays(count: int) -> list[float]:
    """Seconds from the return of a `log` call until its step is on the screen."""
    found: list[float] = []
    with live_script(1.37) as (path, script), Terminal([*GENUI, "watch", str(path)]) as terminal:
        assert script.stdout is not None
        terminal.until(lambda text: re.search(r"\b70\d,\d{3}\b", text) is not None)
        opened = time.time()
        while len(found) < count:
            step, at = script.stdout.readline().split()
            if float(at) < opened:
                continue
            logged = time.perf_counter() - (time.time() - float(at))
            pattern = re.compile(rf"\b{int(step):,}\b")
            seen = terminal.until(lambda text, p=pattern: p.search(text) is not None, 5)
            found.append(seen - logged)
    return found


def many_runs(count: int) -> float:
    """Seconds until a folder of that many runs is listed."""
    from genui.base import paths

    for number in range(count):
        write_run(f"many{number:04d}", 20)
    argv = [*GENUI, "watch", str(paths.runs_dir())]
    with Terminal(argv) as terminal:
        terminal.until_sent(rb"many\d{4}")
        return terminal.until(lambda text: "many0" in text) - terminal.started


def inspecting(path: Path) -> float:
    """Seconds of `genui inspect`."""
    begin = time.perf_counter()
    subprocess.run([*GENUI, "inspect", str(path), "--json"], check=True, capture_output=True)
    return time.perf_counter() - begin


def measure_peers(python: str, logs: Path, repeats: int) -> dict[str, dict[str, list[float]]]:
    """The peers on the same training: name to the lists of what `opening` measures."""
    with_wandb = peers.peer_log(python, peers.WANDB, logs / f"wandb-{STEPS}", STEPS)
    events = peers.peer_log(python, peers.TENSORBOARD, logs / f"tb-{STEPS}", STEPS)
    run = next((with_wandb / "wandb").glob("offline-run-*"))
    bin = Path(python).parent
    settings = {"WANDB_CONFIG_DIR": str(logs / "leet"), "WANDB_ERROR_REPORTING": "false"}
    calls: dict[str, Callable[[], dict[str, float]]] = {
        "wandb leet": lambda: opening([str(bin / "wandb"), "leet", str(run)], env=settings),
        "terminalboard": lambda: opening(
            [str(bin / "terminalboard"), "--reset-view", str(events)],
            env={"XDG_STATE_HOME": str(logs)},
        ),
        "tensorboard": lambda: {"first": peers.tensorboard(python, events)},
        "genui, W&B log": lambda: opening([*GENUI, "watch", str(run)]),
        "genui, TensorBoard log": lambda: opening([*GENUI, "watch", str(events)]),
    }
    return {name: _gathered(call, repeats) for name, call in calls.items()}


def _gathered(call: Callable[[], dict[str, float]], repeats: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for _ in range(repeats):
        for key, value in call().items():
            found.setdefault(key, []).append(value)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="watching, measured beside other tools")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--repeats", type=int, default=3, metavar="N")
    parser.add_argument("--peers", metavar="PYTHON", help="an interpreter that has the peers")
    parser.add_argument("--logs", type=Path, metavar="FOLDER", help="where their logs are kept")
    parser.add_argument(
        "--large",
        type=float,
        nargs="?",
        const=1.0,
        metavar="SCALE",
        help="also logs of 2 GB, and of 1,000,000 steps × 50 metrics; times SCALE to try it",
    )
    args = parser.parse_args()
    if args.peers and (missing := peers.missing_modules(args.peers, PEERS)):
        parser.exit(2, f"--peers: {args.peers} has no {' and no '.join(missing)}\n")
    before = machine()
    figures: list[Figure] = []

    def add(name: str, values: Sequence[float], unit: str, limit: float | None = None) -> None:
        figures.append(Figure(name, statistics.median(values), unit, limit=limit))
        if not args.json:
            report_figure(figures[-1])

    if not args.json:
        report_machine(before)

    with home():
        run = write_run("long", STEPS)
        _gathered(lambda: opening([*GENUI, "watch", str(run)]), 1)  # compiled, and in the cache
        ours = _gathered(lambda: opening([*GENUI, "watch", str(run)]), args.repeats)
        add(f"first chart of {STEPS:,} steps × 5", ours["first"], "s", 0.4)
        add("all 500,000 points drawn", ours["all"], "s", 1.0)
        add("memory", ours["memory"], "MB", 120)
        used, sent = resting(run)
        add("idle, of a core", [used], "%", 0.5)
        add("idle, to the terminal in 20 s", [sent], "B", 0)
        add("live at 20 steps/s after 100,000, of a core", [following(run)], "%", 5)
        add("the same in a run's first half minute", [following_young()], "%")
        late = delays(12)
        add(f"a logged step on the screen, median of {len(late)}", late, "s", 0.3)
        add("the slowest of them", [max(late)], "s", 0.3)
        big = write_run("longer", 10 * STEPS)
        huge = opening([*GENUI, "watch", str(big)])
        add("1,000,000 steps × 5: first chart", [huge["first"]], "s")
        add("all 5,000,000 points drawn", [huge["all"]], "s", 6)
        add("memory", [huge["memory"]], "MB")
    with home():
        add("1,000 runs listed", [many_runs(1000)], "s", 1)
    if args.large:
        with home():
            steps = int(args.large * 2e9 / len(next(lines(10**7, 1))))
            run = write_run("two-gigabytes", steps)
            huge = opening([*GENUI, "watch", str(run)])
            size = (run / "metrics.jsonl").stat().st_size / 1e9
            add(f"{size:.2g} GB: first chart", [huge["first"]], "s", 1)
            add("all of it", [huge["all"]], "s", 25)
            add("memory", [huge["memory"]], "MB")
        with home():
            steps = int(args.large * 1e6)
            run = write_run("wide", steps, metrics=50)
            add(f"{steps:,} steps × 50: genui inspect", [inspecting(run)], "s", 20)
            wide = opening([*GENUI, "watch", str(run)])
            add("first chart", [wide["first"]], "s")
            add("all of it", [wide["all"]], "s")
            add("memory", [wide["memory"]], "MB", 600)
    if args.peers:
        os.environ.pop("GENUI_HOME", None)
        logs = args.logs or Path(tempfile.mkdtemp(prefix="genui-peers-"))
        with home():
            for name, found in measure_peers(args.peers, logs, args.repeats).items():
                for key, unit in (("first", "s"), ("all", "s"), ("memory", "MB")):
                    if key in found:
                        add(f"{name}: {key}", found[key], unit)
    if args.json:
        report(before, figures, True)


if __name__ == "__main__":
    main()
