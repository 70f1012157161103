"""The list of runs, and the state of each."""

import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from genui.base import paths
from genui.base.errors import GenuiError, MisuseError, did_you_mean
from genui.base.files import list_names, sanitize, show
from genui.base.late import late_imports
from genui.runs.labels import Labels, read_labels
from genui.runs.layout import LIVE, RunDir, RunInfo, Status, is_locked, read_info, read_status

with late_imports():  # only for runs that have ended
    from genui.runs import why

if TYPE_CHECKING:
    from genui.runs.endings import Ending

STALE = 10.0
"""Seconds without a heartbeat after which a trainer on another host counts as dead."""


@dataclass(frozen=True)
class RunSummary:
    """One line of the list of runs.

    `state` is the state in status.json, "dead" if its trainer ended without writing one, or
    "pruned" if its sweep stopped it because others are better. A folder that cannot be read is
    "failed", with the reason in `fault` and the known parts of `info` and `status` (`info.recipe`
    may be empty).
    """

    run: RunDir
    info: RunInfo
    status: Status
    state: str
    age: float  # seconds since anything was written
    fault: str = ""
    format: str = "genui"  # else the format of another tool's log at `run.path`
    labels: Labels = field(default=Labels())  # its name is also in `info`
    ending: "Ending | None" = None  # why a run is dead, failed or stopped

    @property
    def native(self) -> bool:
        """Whether it is a run of genui, with status, samples and a trainer."""
        return self.format == "genui"

    @property
    def alive(self) -> bool:
        """Whether a trainer is running and reads commands."""
        return self.state in LIVE

    @property
    def error(self) -> str:
        """Why the folder cannot be read, or why the run has failed or is dead, if that is known."""
        ending, cause = self.ending, ""
        if self.state == "dead" and ending is not None and ending.name != "unknown":
            cause = ending.cause
        return self.fault or self.status.error or cause

    @property
    def eta(self) -> float:
        """The seconds that a running trainer still takes; negative if that is not known."""
        return self.status.eta if self.state == "running" else -1.0

    @property
    def host(self) -> str:
        """The host of the trainer, or the one that the run was made on."""
        return self.status.host or self.info.host


def observe_state(run: RunDir, status: Status) -> str:
    """The state that the trainer wrote, or "dead"."""
    if status.state not in LIVE:
        return status.state
    fresh = time.time() - status.heartbeat <= STALE
    if status.host == socket.gethostname():
        # Just created, and its trainer (in the foreground, say) is still importing torch.
        awaited = status.pid == 0 and fresh
        return status.state if awaited or is_locked(run) else "dead"
    return status.state if fresh else "dead"


def summarise(run: RunDir) -> RunSummary:
    """The current state of a run. Never raises: an error is in `fault`."""
    fault = ""
    try:
        info = read_info(run)
    except GenuiError as error:
        fault = str(error)
        info = RunInfo(id=run.id, name=run.id, recipe={}, created=_modified(run.path))
    try:
        status = read_status(run)
        state = "failed" if fault else observe_state(run, status)
        if state == "stopped" and info.sweep.get("pruned") == status.step:
            state = "pruned"
    except GenuiError as error:
        fault = fault or str(error)
        status = Status(state="failed", error=fault)
        state = "failed"
    try:
        labels = read_labels(run)
    except GenuiError as error:
        labels = Labels(note=str(error))
    over = state in ("dead", "failed", "stopped") and not fault
    ending = why.recall_ending(run, state) if over else None
    if labels.name:
        info = msgspec.structs.replace(info, name=labels.name)
    written = max(_modified(p) for p in (run.path, run.status, run.metrics, run.console))
    age = max(0.0, time.time() - written)
    return RunSummary(run, info, status, state, age, fault, labels=labels, ending=ending)


def find_sweep(name: str) -> RunDir | None:
    """The folder of the sweep of that name: it has the lock, status and console of a run."""
    folder = RunDir(paths.sweeps_dir() / name)
    is_name = bool(name) and name == os.path.basename(name) and not name.startswith(".")
    return folder if is_name and (folder.path / "sweep.json").is_file() else None


def describe_sweep(name: str) -> str:
    """`running, 5 of 12 trials have ended`; "" if there is no such sweep. Never raises."""
    folder = find_sweep(name)
    with suppress(GenuiError):
        if folder is not None:
            status = read_status(folder)
            state = observe_state(folder, status)
            return f"{state}, {status.step} of {status.steps} trials have ended"
    return ""


def list_runs() -> list[RunSummary]:
    """Every run, newest first; damaged folders are listed with their fault.

    Raises GenuiError only if the folder of all runs exists and cannot be read.
    """
    folder = paths.runs_dir()
    folders = [folder / name for name in list_names(folder) if not name.startswith(".")]
    summaries = [summarise(RunDir(path)) for path in folders if path.is_dir()]
    return sorted(summaries, key=lambda s: (s.info.created, s.run.id), reverse=True)


def find_run(ref: str, what: str = "run") -> RunDir:
    """The run that `ref` names: an id, a name (its newest run), the start of either, or "last".

    Raises MisuseError with the nearest name, or with the candidates if there are several; `what` is
    the word for the missing thing.
    """
    runs = list_runs()
    fits = match_runs(ref, runs)
    if len(fits) == 1:
        return fits[0].run
    word = sanitize(ref, 80)
    if fits:
        some = ", ".join(sanitize(s.run.id) for s in fits[:3]) + (", …" if len(fits) > 3 else "")
        raise MisuseError(f"run '{word}' could be {some}: give more of the id")
    if not runs:
        raise MisuseError(
            f"no {what} '{word}': there are no runs in {show(paths.runs_dir())}; "
            "start one with genui train RECIPE"
        )
    names = did_you_mean(ref, {s.info.name for s in runs}, lists="genui runs")
    near = did_you_mean(ref, names_of(runs), otherwise=names)
    raise MisuseError(f"no {what} '{word}': {sanitize(near, 1000)}")


def match_runs(ref: str, runs: Sequence[RunSummary]) -> list[RunSummary]:
    """The runs, newest first as in `runs`, that `ref` may mean; more than one only for a prefix."""
    if ref == "last":
        return list(runs[:1])
    for exact in (
        [s for s in runs if s.run.id == ref],
        [s for s in runs if s.info.name == ref][:1],
    ):
        if exact:
            return exact
    return [s for s in runs if ref and (s.run.id.startswith(ref) or s.info.name.startswith(ref))]


def names_of(runs: Sequence[RunSummary]) -> set[str]:
    """The ids and names of the runs."""
    return {s.run.id for s in runs} | {s.info.name for s in runs}


def _modified(path: Path) -> float:
    """Unix time of the last write; 0 if the file is missing."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
