"""The run directory: its files, and the two small records that describe a run.

run.json holds what was requested (written once, and once more when the trainer has chosen its
device); status.json how the run goes (replaced every second while the trainer lives).
"""

import dataclasses
import fcntl
import math
import os
import platform
import re
import shutil
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Self

import msgspec
from msgspec import Struct

import genui
from genui.base import paths
from genui.base.energy import Energy
from genui.base.errors import GenuiError, MisuseError
from genui.base.files import (
    atomic_write,
    list_names,
    open_unblocked,
    read_json,
    sanitize,
    write_all,
    writing,
)
from genui.base.late import late_imports
from genui.base.text import clean_line
from genui.runs.definitions import MetricDefinition

with late_imports():  # not needed to watch runs
    from genui import recipes

State = Literal["queued", "starting", "running", "paused", "stopped", "finished", "failed"]
"""The states that a trainer writes. Seen from outside it may also be "dead"."""

LIVE: frozenset[str] = frozenset({"starting", "running", "paused"})
"""The states in which a trainer holds the lock and reads commands."""

SIGNALLED = "signalled"
"""The event of a training that a signal has stopped, or asked to stop; its text is the signal."""

_WEIGHTS = re.compile(r"step-(\d{8,18})\.safetensors")

LONGEST_NAME = 48
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST_NAME - 1}}}")

_STATUS_KEYS = {"steps_per_s": "rate", "units_per_s": "unit_rate"}
"""Fields of Status to their keys in status.json, and in the JSON of `genui runs` and `inspect`."""

_REMEDY = "restore it or remove the run's folder"


class _Child:
    """The path of a file or folder in a run directory."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, run: "RunDir", owner: type) -> Path:
        return run.path / self._name


@dataclass(frozen=True)
class RunDir:
    """The paths of one run. Making one touches no file."""

    path: Path

    run_json = _Child("run.json")
    status = _Child("status.json")
    metrics = _Child("metrics.jsonl")
    system = _Child("system.jsonl")
    """The load of the machine; records as in metrics.jsonl."""
    histograms = _Child("histograms.jsonl")
    """Histograms that a script logs: step, time, name, bins and counts; a JSON line each."""
    batches = _Child("batches")
    """The last batches of a script (`genui.runs.batches`)."""
    frozen_batches = _Child("batches-frozen")
    """Those before the last alert."""
    norms = _Child("norms.jsonl")
    """Norms by layer (`genui.runs.norms`); records as in metrics.jsonl."""
    summary = _Child("summary.json")
    """The last value of every metric and a script's own results, written when the script ends."""
    events = _Child("events.jsonl")
    """Control commands that were carried out, starts and resumes; a JSON line each."""
    console = _Child("console.log")
    labels = _Child("labels.json")
    """The name, tags and note given to the run later (`genui.runs.labels`)."""
    samples = _Child("samples")
    checkpoints = _Child("checkpoints")
    control = _Child("control")
    lock = _Child("lock")
    exit = _Child("exit.json")
    """The exit status of the processes started last (`genui.runs.processes`)."""

    @property
    def id(self) -> str:
        return self.path.name

    def sample(self, step: int, suffix: str) -> Path:
        """The sample of that step; `suffix` is ".txt", ".png", ".wav" …"""
        return self.samples / f"step-{step:08d}{suffix}"

    def checkpoint(self, step: int) -> Path:
        """The weights used to generate, at that step."""
        return self.checkpoints / f"step-{step:08d}.safetensors"

    def checkpoint_state(self, step: int) -> Path:
        """The rest of the state that training needs to continue from that step: optimiser, raw
        weights, RNG."""
        return self.checkpoints / f"step-{step:08d}.state.safetensors"


class RunInfo(Struct, frozen=True, kw_only=True):
    """The request: enough to train the same model again."""

    id: str
    name: str
    recipe: dict[str, Any]
    overrides: dict[str, str] = {}
    data: str = ""
    seed: int = 0
    versions: dict[str, str] = {}
    host: str = ""
    created: float = 0.0  # unix time
    machine: dict[str, Any] = {}  # device, precision, threads: as the trainer chose them
    processes: int = 1  # that train together, as they were launched last
    hosts: tuple[str, ...] = ()  # the host of each process, if not all are on one machine
    slurm: dict[str, str] = {}  # the "options" of sbatch, and the "job" submitted last
    shard: bool = False  # whether several processes share out the weights
    kind: Literal["recipe", "script"] = "recipe"  # by genui's trainer, or by `genui.init`
    project: str = ""  # as the script named it
    script_id: str = ""  # given by the script: a restarted job continues the run with the same id
    job: str = ""  # the key that the ranks of a job share (`genui.runs.ranks`)
    config: dict[str, Any] = {}  # the script's own hyperparameters
    metrics: tuple[MetricDefinition, ...] = ()  # what the script defined about its metrics
    controls: tuple[str, ...] = ("stop",)  # the commands that the script takes
    scale: dict[str, Any] = {}  # unit, units_per_step, units_per_epoch, if known
    # ref, run, step, path, fingerprint of the first weights; of a fork also their "age", the steps
    # that they were trained for before its run.
    start_from: dict[str, Any] = {}
    # Of a trial of a sweep: name, trial, setting, metric, goal; and the step it was "pruned" at.
    sweep: dict[str, Any] = {}


def format_origin(start_from: Mapping[str, Any]) -> str:
    """`RunInfo.start_from` as `genui train --from` takes it; "" if it is empty."""
    if start_from.get("run"):
        return f"{start_from['run']}@{start_from.get('step', 0)}"
    return str(start_from.get("ref", ""))


def fork_step(start_from: Mapping[str, Any]) -> int:
    """The step from whose state a fork continues its run; 0 if the run is no fork."""
    return int(start_from["step"]) if "age" in start_from else 0


class Status(Struct, frozen=True, kw_only=True, rename=_STATUS_KEYS):
    """The progress of a run, as its trainer last wrote it."""

    state: State
    step: int = 0
    steps: int = 0
    pid: int = 0  # 0: no trainer has taken the run yet
    host: str = ""
    heartbeat: float = 0.0  # unix time
    error: str = ""
    started: float = 0.0  # unix time
    steps_per_s: float = 0.0
    units_per_s: float = 0.0  # in `unit`
    unit: str = ""  # "tok/s" or "img/s"
    mfu: float | None = None  # FLOPs, as a share of what matrix products alone do, 0 to 1
    eta: float = -1.0  # seconds; -1 unknown
    val: float | None = None
    loss: float | None = None
    energy: Energy = Energy()  # of all its starts
    samples: int = 0  # that it has drawn
    sample_joules: float = 0.0  # of these, part of its energy
    spent: Mapping[str, float] = {}
    """Seconds of all its starts by part: "steps", "data" (until the first layer of each step),
    "evaluation", "sample" and "checkpoint"."""
    doing: str = ""  # the task that a starting run waits for: "downloading images.zip, 8 of 16 MB"


KEEP_STATES, KEEP_WEIGHTS = 2, 8
"""The number of newest checkpoints that a run keeps: with and without the state to resume from."""

PARTS_KEPT = 8
"""States before the newest are kept so that the run has one in each so large a part of it."""


def choose_states(steps: Sequence[int], alerts: Iterable[int], last: int, most: int) -> set[int]:
    """The steps, of those ascending ones that have a state, whose states a run of `last` steps
    keeps: the newest, the one before each alert, and others, so that at most an eighth of the run
    lies between two, the start included.

    If these are more than `most`, twice as much lies between them, and so on; then those before
    the oldest alerts are left out.
    """
    newest = set(steps[-KEEP_STATES:])
    before = sorted({max((s for s in steps if s < alert), default=-1) for alert in alerts} - {-1})
    gap = last / PARTS_KEPT
    while True:
        spread, place = set[int](), 0
        for step, following in pairwise(steps):
            if following - place > gap:
                spread.add(step)
                place = step
        kept = newest | set(before) | spread
        if len(kept) <= most or not (before or spread - newest):
            return kept
        if spread - newest:
            gap *= 2
        else:
            del before[0]


def checkpoint_steps(run: RunDir) -> list[int]:
    """The steps with weights, ascending; whether these are complete is not checked."""
    matches = (_WEIGHTS.fullmatch(name) for name in list_names(run.checkpoints))
    return sorted(int(match[1]) for match in matches if match)


def state_steps(run: RunDir) -> list[int]:
    """The steps with weights and the state to continue from, ascending."""
    return [step for step in checkpoint_steps(run) if run.checkpoint_state(step).exists()]


def check_name(name: str) -> None:
    """Raises MisuseError for an invalid name of a run."""
    if not _NAME.fullmatch(name):
        raise MisuseError(
            f"run name {sanitize(name, 60)!r}: use up to {LONGEST_NAME} letters, digits, "
            "'-', '_' and '.', starting with a letter or digit"
        )


def create_run(
    recipe: "recipes.Recipe",
    overrides: Mapping[str, str],
    name: str = "",
    sweep: Mapping[str, Any] | None = None,
) -> RunDir:
    """Makes the directory of a new run of `recipe` with `overrides` applied; nothing is started.

    `sweep` names the sweep if it is a trial, as in RunInfo. Raises MisuseError for an invalid name
    or override, before anything is written, and GenuiError if it cannot be written.
    """
    name = name or recipe.name
    check_name(name)
    recipe = recipes.override(recipe, overrides)
    # The trainer runs in another working directory, perhaps on another day.
    given = {name: path for name in recipes.PATH_FIELDS if (path := getattr(recipe, name, ""))}
    absolute = {name: os.path.abspath(os.path.expanduser(path)) for name, path in given.items()}
    recipe = recipes.override(recipe, absolute)
    overrides = {**overrides, **absolute}

    return _make_run(
        name,
        steps=recipe.steps,
        recipe=dataclasses.asdict(recipe),
        overrides=overrides,
        data=recipe.data,
        seed=recipe.seed,
        sweep=dict(sweep or {}),
    )


def create_script_run(
    name: str, project: str, config: Mapping[str, Any], script_id: str = "", job: str = ""
) -> RunDir:
    """Makes the directory of a run that a training script writes itself (`genui.init`).

    In `name`, which may be any text, characters that a run may not have become "-". `config` is
    plain JSON data. Raises GenuiError if it cannot be written.
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:LONGEST_NAME] or "run"
    return _make_run(
        name,
        recipe={},
        kind="script",
        project=project,
        config=dict(config),
        script_id=script_id,
        job=job,
    )


def read_info(run: RunDir) -> RunInfo:
    """Raises GenuiError naming run.json if it is missing or damaged."""
    return read_json(run.run_json, RunInfo, _REMEDY)


def write_info(run: RunDir, info: RunInfo, *, durable: bool = True) -> None:
    """Replaces run.json, synced to the disk if `durable`. Raises GenuiError naming it."""
    try:
        data = msgspec.json.format(msgspec.json.encode(info), indent=2)
    except UnicodeEncodeError as error:
        name = clean_line(error.object, 80)
        raise MisuseError(f"{name}: its name is not UTF-8; rename it") from None
    atomic_write(run.run_json, data + b"\n", durable=durable)


def read_status(run: RunDir) -> Status:
    """Raises GenuiError naming status.json if it is missing or damaged."""
    return read_json(run.status, Status, _REMEDY)


def write_status(run: RunDir, status: Status) -> None:
    """Replaces status.json. Raises GenuiError naming it.

    Not synced to the disk: it is written every second and is worth nothing after a power cut.
    """
    # JSON has neither NaN nor infinity: an unknown speed is 0, an unknown ETA -1.
    unknown = {
        name: -1.0 if name == "eta" else 0.0
        for name in ("steps_per_s", "units_per_s", "eta")
        if not math.isfinite(getattr(status, name))
    }
    status = msgspec.structs.replace(status, **unknown)
    atomic_write(run.status, msgspec.json.encode(status, enc_hook=float), durable=False)


def last_status(run: RunDir) -> Status:
    """The content of status.json; a new one if it is damaged, as by a power cut."""
    try:
        return read_status(run)
    except GenuiError:
        return Status(state="starting")


def change_status(run: RunDir, **fields: Any) -> None:
    """Writes fields of status.json. Raises GenuiError as `read_status` and `write_status` do."""
    write_status(run, msgspec.structs.replace(read_status(run), **fields))


def starting() -> dict[str, Any]:
    """The fields of Status of a run that this process starts."""
    where = {"pid": os.getpid(), "host": socket.gethostname()}
    return {"state": "starting", "heartbeat": time.time(), "error": "", **where}


def _make_run(name: str, *, steps: int = 0, **fields: Any) -> RunDir:
    """The folder of a new run, with its two records; `fields` are some of RunInfo.

    It has a hidden name until both are there, so that no list shows half a run as a failed one. If
    one of them cannot be written, the folder is removed."""
    now, host = time.time(), socket.gethostname()
    run = _choose_folder(name, now)
    made = RunDir(run.path.with_name(f".{run.id}"))
    with writing(made.path):
        made.path.mkdir(parents=True)
    try:
        with writing(made.path):
            for folder in (made.samples, made.checkpoints, made.control):
                folder.mkdir()
        info = RunInfo(id=run.id, name=name, versions=_versions(), host=host, created=now, **fields)
        write_info(made, info)
        write_status(made, Status(state="starting", steps=steps, host=host, heartbeat=now))
        with writing(run.path):
            made.path.rename(run.path)
    except BaseException:
        shutil.rmtree(made.path, ignore_errors=True)  # a full disk, say: half a run is a broken one
        raise
    return run


def _choose_folder(name: str, now: float) -> RunDir:
    """A run directory with an unused name, which is not made."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    while True:
        run = RunDir(paths.runs_dir() / f"{name}-{stamp}-{os.urandom(2).hex()}")
        if not (run.path.exists() or run.path.with_name(f".{run.id}").exists()):
            return run


def _versions() -> dict[str, str]:
    from importlib import metadata  # 20 ms, and not needed to list runs

    versions = {"genui": genui.__version__, "python": platform.python_version()}
    for package in ("torch", "numpy", "tokenizers"):
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


# --- One trainer a run: a `flock` held for the trainer's whole life ---------------------------
# The kernel frees it when its holder dies in any way, so a free lock on this host means that there
# is no trainer. A launcher takes the lock and hands its descriptor to the trainer that it starts,
# so the run never looks dead in between and no second trainer can start.

HANDED_OVER = "GENUI_LOCK_FD"
"""Environment variable with the descriptor that a launcher hands over."""

BY_PARENT = "parent"
"""Its value if the parent of a process keeps the lock, as torchrun passes no descriptors on."""

_PATIENCE = 0.3  # seconds; `is_locked` elsewhere holds the lock for microseconds


class RunLock:
    """The exclusive right to write a run, as a context manager.

    Raises GenuiError naming the process that holds it, if one does.
    """

    def __init__(self, run: RunDir, patience: float = _PATIENCE) -> None:
        """It is waited for `patience` seconds, if a process holds it."""
        self._run, self._patience = run, patience
        self._fd = -1

    @property
    def fd(self) -> int:
        """The descriptor that holds the lock; -1 outside the `with` block."""
        return self._fd

    def __enter__(self) -> Self:
        fd = self._handed_over()
        self._fd = self._take() if fd is None else fd
        with suppress(OSError):  # only for the message another trainer gets
            os.ftruncate(self._fd, 0)
            write_all(self._fd, f"{os.getpid()} {socket.gethostname()}\n".encode())
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        # Closed and not unlocked: LOCK_UN would also free it for a process that it was handed to.
        os.close(self._fd)
        self._fd = -1

    def _handed_over(self) -> int | None:
        """The descriptor that the launcher locked, if it is of this run."""
        value = os.environ.pop(HANDED_OVER, "")
        if value == BY_PARENT:
            return self._held_by_parent()
        if not value.isdecimal():
            return None
        fd = int(value)
        try:
            if not os.path.samestat(os.fstat(fd), os.stat(self._run.lock)):
                return None
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return None
        os.set_inheritable(fd, False)  # our own children must not keep the run alive after us
        os.lseek(fd, 0, os.SEEK_SET)
        return fd

    def _held_by_parent(self) -> int | None:
        """A descriptor of the lock, if the parent of this process holds it."""
        with suppress(OSError):
            fd = os.open(self._run.lock, os.O_RDWR | os.O_CLOEXEC)
            if os.pread(fd, 200, 0).partition(b" ")[0] == str(os.getppid()).encode():
                return fd
            os.close(fd)
        return None

    def _take(self) -> int:
        path = self._run.lock
        with writing(path):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        deadline = time.monotonic() + self._patience
        try:
            while time.monotonic() <= deadline:
                with writing(path), suppress(BlockingIOError):
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return fd
                time.sleep(0.01)
            raise GenuiError(
                f"run {self._run.id} is already being trained by {_holder(fd)}: "
                f"stop that one first (genui stop {self._run.id})"
            )
        except GenuiError:
            os.close(fd)
            raise


def is_locked(run: RunDir) -> bool:
    """Whether a process holds the run's lock. Leaves no trace, and works on a read-only disk."""
    with suppress(OSError), open_unblocked(run.lock) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _holder(fd: int) -> str:
    """`process 123 on host`, as the holder wrote it into the lock file."""
    pid, _, host = os.pread(fd, 200, 0).decode(errors="replace").partition(" ")
    if not pid.isdecimal():
        return "another process"
    host = "".join(c for c in host if c.isprintable())
    return f"process {pid} on {host}" if host else f"process {pid}"
