"""The measurements of `genui bench`: one table of rows, each with its peers.

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
from genui.cli import bench_peers
from genui.runs import launch

LIBRARIES = ("textual", "torch", "numpy")

TEXT, FIRST, IMAGES = "shakespeare", "shakespeare-quick", "icons"  # recipes, and shipped models
PROMPT, CAPTION = "ROMEO:", "red heart on black"
UP, DOWN = "\x1b[A", "\x1b[B"


class Reading(NamedTuple):
    """One measured value, in the unit of its row; NaN if it was not reached."""

    value: float
    note: str = ""


class Peer(NamedTuple):
    """Another program that does the same; `measure` gives a value in the unit of the row."""

    name: str
    needs: tuple[str, ...]  # modules of the interpreter
    measure: Callable[["Bench"], float]
    is_quick: bool = True  # whether `--quick` runs it
    needs_nanogpt: bool = False


class Row(NamedTuple):
    """A measurement. `seconds` is about how long it takes, for the time left."""

    name: str  # as --only takes it
    title: str
    unit: str
    measure: Callable[["Bench"], Reading]
    seconds: float
    higher_is_better: bool = False
    peers: tuple[Peer, ...] = ()
    is_quick: bool = True  # whether `--quick` measures it


class Bench:
    """A call of `genui bench`: its options, and the results that several rows take values from.

    `home` is an empty GENUI_HOME for the app and the training that is watched.
    """

    def __init__(self, home: Path, quick: bool, python: str = "", nanogpt: str = "") -> None:
        self.home, self.quick, self.python, self.nanogpt = home, quick, python, nanogpt
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
                raise GenuiError(bench_peers.last_line(done.stderr, done.returncode))
            return json.loads(done.stdout.strip().splitlines()[-1])

        return self.once(f"{name} {job}", measure)

    def training(self, recipe: str) -> dict[str, Any]:
        return self.engine("training", recipe=recipe, seconds=self.seconds, settings={})

    def writing(self) -> dict[str, Any]:
        return self.engine("writing", model=TEXT, prompt=PROMPT, tokens=self.tokens)

    def ask(self, script: str, **job: Any) -> float:
        return float(bench_peers.ask(self.python, script, job)["value"])

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


def _nanogpt_training(bench: Bench) -> float:
    from genui.recipes import TransformerRecipe, find_recipe

    result, recipe = bench.training(TEXT), find_recipe(TEXT)
    assert isinstance(recipe, TransformerRecipe)
    names = ("layers", "heads", "width", "context", "batch", "dropout")
    sizes = {name: getattr(recipe, name) for name in names}
    machine = {name: result[name] for name in ("threads", "precision", "device", "vocabulary")}
    return bench.ask(bench_peers.NANOGPT, folder=bench.nanogpt, seconds=bench.seconds,
                     **sizes, **machine)  # fmt: skip


def _diffusers_training(bench: Bench) -> float:
    from genui.recipes import find_recipe

    result = bench.training(IMAGES)
    names = ("parameters", "threads", "precision", "device")
    machine = {name: result[name] for name in names}
    batch = find_recipe(IMAGES).batch
    return bench.ask(bench_peers.DIFFUSERS, batch=batch, seconds=bench.seconds, **machine)


def _writing(bench: Bench) -> Reading:
    seconds = bench.writing()["seconds"]
    return Reading(1000 * seconds, f"{1 / seconds:,.0f} tokens/s with odds")


def _transformers_writing(bench: Bench) -> float:
    sizes = {k: v for k, v in bench.writing().items() if k not in ("seconds", "context")}
    return 1000 * bench.ask(bench_peers.TRANSFORMERS, tokens=bench.tokens, **sizes)


def _denoising(bench: Bench) -> Reading:
    steps = 20 if bench.quick else 50
    result = bench.engine("denoising", model=IMAGES, prompt=CAPTION, steps=steps)
    return Reading(1000 * result["seconds"], "32×32, with guidance")


# --- Time to a loss: whole processes, from their launch ---------------------------------------

LOSSES = (2.0, 1.886, 1.6)
"""Nats a character on held-out plays; the second is what nanoGPT's training on a CPU ends at."""

LONGEST = 400.0
"""Seconds for which a loss is waited for."""


def _own_losses(bench: Bench) -> dict[float, float]:
    """Seconds from the launch until each held-out loss, of those that are reached. Raises
    GenuiError if the training fails."""
    from genui.cli.inspect import RecordTail

    wanted = LOSSES[:1] if bench.quick else LOSSES
    reached: dict[float, float] = {}
    runs = bench.home / "data" / "runs"
    before = set(runs.glob("bench-*"))
    begin = time.time()
    argv = [*GENUI, "train", FIRST, "--foreground", "--name", "bench"]
    errors = bench.home / "bench.err"
    with errors.open("wb") as file:
        process = subprocess.Popen(
            argv, env={**os.environ, **bench.env}, stdout=subprocess.DEVNULL, stderr=file,
            start_new_session=True,
        )  # fmt: skip
    try:
        tail: RecordTail | None = None
        is_over = False
        while len(reached) < len(wanted) and not is_over and time.time() < begin + LONGEST:
            time.sleep(0.02)
            is_over = process.poll() is not None
            if tail is None:
                new = set(runs.glob("bench-*/metrics.jsonl"))
                tail = next((RecordTail(path) for path in new if path.parent not in before), None)
            for record in tail.read() if tail is not None else ():
                _record_losses(reached, wanted, record.get("val_loss"), record["time"] - begin)
    finally:
        process.terminate()  # the trainer writes a checkpoint and ends
        process.wait()
    if is_over and process.returncode:
        raise GenuiError(bench_peers.last_line(errors.read_text("utf-8", "replace"),
                                               process.returncode))  # fmt: skip
    return reached


def _record_losses(
    reached: dict[float, float], targets: Sequence[float], loss: object, seconds: float
) -> None:
    """Record the seconds of each target that this held-out loss is the first to reach."""
    for target in targets:
        if isinstance(loss, float) and loss <= target:
            reached.setdefault(target, seconds)


def _time_to(target: float) -> Callable[[Bench], Reading]:
    def measure(bench: Bench) -> Reading:
        reached = bench.once("losses", lambda: _own_losses(bench))
        note = f"{FIRST}, from the launch" if target in reached else f"not reached by {FIRST}"
        return Reading(reached.get(target, math.nan), note)

    return measure


def _nanogpt_losses(bench: Bench) -> dict[float, float]:
    """The same of nanoGPT's own training, on genui's text. Raises GenuiError if it fails."""
    folder = bench.home / "nanogpt"
    data = folder / "data" / "shakespeare_char"
    data.mkdir(parents=True, exist_ok=True)
    bench.engine("text", dataset=TEXT, folder=str(data))
    for name in ("configurator.py", "config"):
        if not (folder / name).exists():
            (folder / name).symlink_to(Path(bench.nanogpt, name).resolve())
    script = str(Path(bench.nanogpt, "train.py").resolve())
    reached: dict[float, float] = {}
    threads = str(bench.training(TEXT)["threads"])
    env = {**bench_peers.own_environment(), "OMP_NUM_THREADS": threads}
    argv = [bench.python, "-u", script, *bench_peers.NANOGPT_ON_CPU]
    errors = folder / "nanogpt.err"
    is_cut = False  # whether it is ended here
    begin = time.time()
    with errors.open("wb") as file, subprocess.Popen(
        argv, cwd=folder, env=env, text=True, stdout=subprocess.PIPE, stderr=file
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if match := re.search(r"val loss ([\d.]+)", line):
                    _record_losses(reached, LOSSES, float(match[1]), time.time() - begin)
                if len(reached) == len(LOSSES) or time.time() > begin + LONGEST:
                    is_cut = True
                    break
            is_cut = is_cut or process.wait() == 0
        finally:
            process.kill()
    if not is_cut:
        raise GenuiError(bench_peers.last_line(errors.read_text("utf-8", "replace"),
                                               process.returncode))  # fmt: skip
    return reached


def _nanogpt_time_to(target: float) -> Callable[[Bench], float]:
    def measure(bench: Bench) -> float:
        reached = bench.once("nanoGPT's losses", lambda: _nanogpt_losses(bench))
        return reached.get(target, math.nan)

    return measure


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


def _open_log(argv: Sequence[str], env: dict[str, str]) -> float:
    with PseudoTerminal(argv, env=env) as terminal:
        return first_chart(terminal)


def _long_run(bench: Bench) -> Path:
    """A run of `points` steps in the bench's home."""
    if path := next((bench.home / "data" / "runs").glob("long-*"), None):
        return path
    code = f"from genui.cli.bench_peers import own_run; print(own_run('long', {bench.points}))"
    env = {**os.environ, **bench.env}
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GenuiError(bench_peers.last_line(done.stderr, done.returncode))
    return Path(done.stdout.strip())


def _watching(bench: Bench) -> Reading:
    run = _long_run(bench)
    seconds = _open_log([*GENUI, "watch", str(run)], bench.env)
    return Reading(seconds, f"{bench.points:,} steps × {len(bench_peers.METRICS)}")


def _tensorboard(bench: Bench) -> float:
    folder = bench.home / "tensorboard"
    bench_peers.peer_log(bench.python, bench_peers.TENSORBOARD, folder, bench.points)
    return bench_peers.tensorboard(bench.python, folder)


def _leet(bench: Bench) -> float:
    folder = bench.home / "wandb"
    log = bench_peers.peer_log(bench.python, bench_peers.WANDB, folder, bench.points)
    run = next((log / "wandb").glob("offline-run-*"), None)
    if run is None:
        raise GenuiError("wandb has written no offline run")
    command = str(Path(bench.python).parent / "wandb")
    env = {"WANDB_CONFIG_DIR": str(bench.home / "leet"), "WANDB_ERROR_REPORTING": "false"}
    return _open_log([command, "beta", "leet", str(run)], env)


# --- The table --------------------------------------------------------------------------------

_TRANSFORMERS = Peer("transformers", ("torch", "transformers"), _transformers_writing)
_DIFFUSERS = Peer("diffusers", ("torch", "diffusers"), _diffusers_training)
_NANOGPT = Peer("nanoGPT", ("torch",), _nanogpt_training, needs_nanogpt=True)
_TENSORBOARD = Peer("TensorBoard", ("torch", "tensorboard"), _tensorboard)
_LEET = Peer("W&B LEET", ("wandb",), _leet)


def _loss_row(target: float, is_quick: bool) -> Row:
    peer = Peer("nanoGPT", ("torch",), _nanogpt_time_to(target), False, needs_nanogpt=True)
    return Row(f"loss-{target:g}", f"time to {target:g} nats, plays", "s", _time_to(target), 12,
               peers=(peer,), is_quick=is_quick)  # fmt: skip


ROWS: tuple[Row, ...] = (
    Row("products", "matrix products, fp32", "GFLOP/s", _products, 3, higher_is_better=True),
    Row("train-text", f"training {TEXT}", "tok/s", _training(TEXT), 7, True, (_NANOGPT,)),
    Row("train-images", f"training {IMAGES}", "img/s", _training(IMAGES), 8, True, (_DIFFUSERS,)),
    *(_loss_row(target, target == LOSSES[0]) for target in LOSSES),
    Row("write", f"a token of {TEXT}", "ms", _writing, 5, peers=(_TRANSFORMERS,)),
    Row("denoise", f"a denoising step of {IMAGES}", "ms", _denoising, 5),
    Row("first-paint", "first paint of the app", "s", _first_paint, 5),
    Row("key", "a key answered", "ms", _key, 1),
    Row("watch", "first chart of a long log", "s", _watching, 2, peers=(_TENSORBOARD, _LEET)),
    Row("memory-app", "memory of the app", "MB", _app_memory, 1),
    Row("memory-worker", "memory of its worker", "MB", _worker_memory, 1),
    Row("memory-trainer", "memory of the trainer", "MB", _trainer_memory, 1),
)


# --- Running it -------------------------------------------------------------------------------


class Result:
    """The values of a row, of each round, and those of its peers."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.readings: list[Reading] = []
        self.peers: dict[str, list[float]] = {}
        self.faults: list[str] = []

    @property
    def value(self) -> float:
        return median([reading.value for reading in self.readings])

    def ratios(self, peer: str) -> list[float]:
        """How many times better genui is than a peer, in each round that has both."""
        pairs = zip([reading.value for reading in self.readings], self.peers[peer], strict=False)
        better = [(own, peer) if self.row.higher_is_better else (peer, own) for own, peer in pairs]
        return [one / other for one, other in better if other and math.isfinite(one / other)]

    def to_dict(self) -> dict[str, Any]:
        """The result for JSON."""
        row = self.row
        peers = [
            {"name": name, "value": median(values), "values": values, "ratio": median(ratios),
             "ratios": ratios}
            for name, values in self.peers.items()
            for ratios in (self.ratios(name),)
        ]  # fmt: skip
        return {
            "name": row.name,
            "title": row.title,
            "unit": row.unit,
            "better": "higher" if row.higher_is_better else "lower",
            "value": self.value,
            "values": [reading.value for reading in self.readings],
            "note": self.readings[-1].note if self.readings else "",
            "peers": peers,
            "faults": self.faults,
        }


def median(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return statistics.median(known) if known else math.nan


class Step(NamedTuple):
    """The next measurement: whose it is, of which row, and about how many seconds remain."""

    name: str
    row: Row
    seconds_left: float


def run_rows(
    bench: Bench, rows: Sequence[Row], rounds: int, peers: Callable[[Row], Sequence[Peer]],
    results: dict[str, Result], clock: Callable[[], float] = time.monotonic,
) -> Iterator[Step]:  # fmt: skip
    """Measure all rows in turns with their peers; yields before each measurement.

    `results` has what was measured so far whenever this is interrupted. What fails is a fault of
    its row.
    """
    total = rounds * sum(row.seconds * (1 + len(peers(row))) for row in rows)
    done, begin = 0.0, clock()
    for _ in range(rounds):
        bench.start_round()
        for row in rows:
            result = results.setdefault(row.name, Result(row))
            for peer in (None, *peers(row)):
                pace = (clock() - begin) / done if done else 1.0
                name = peer.name if peer else "genui"
                yield Step(name, row, (total - done) * pace)
                try:
                    if peer is None:
                        result.readings.append(row.measure(bench))
                    else:
                        result.peers.setdefault(name, []).append(peer.measure(bench))
                except (GenuiError, AssertionError, OSError) as error:
                    fault = f"{name}: {error}"
                    if fault not in result.faults:
                        result.faults.append(fault)
                    if peer is None:
                        result.readings.append(Reading(math.nan))
                    else:
                        result.peers.setdefault(name, []).append(math.nan)
                done += row.seconds


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
