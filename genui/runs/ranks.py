"""Several processes of one job as one run: rank 0 writes it, the others add their own series.

The processes of a job share a key from the variables that torchrun, Slurm and Open MPI set. Rank 0
writes the key in run.json; the others find the run by it and append to a file of their own, which
readers show as `rank3/loss`.
"""

import os
import re
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from genui.base import paths
from genui.base.errors import GenuiError
from genui.base.files import append_whole
from genui.runs.layout import RunDir, RunInfo, read_info

_FILE = re.compile(r"metrics-rank(\d{1,6})\.jsonl")
_MAX_WAITING = 10_000  # records that wait for rank 0 to make the run
_EVERY = 1.0  # seconds between two searches
_SLACK = 120.0  # seconds that rank 0 may have started before this process


class Place(NamedTuple):
    """The place of this process in its job."""

    rank: int  # 0 also without a job
    job: str  # the same in all processes of the job; "" without one


_LAUNCHERS = (
    # rank, number of processes, and what tells one job from another
    ("RANK", "WORLD_SIZE", ("TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT")),
    ("SLURM_PROCID", "SLURM_NTASKS", ("SLURM_JOB_ID", "SLURM_STEP_ID")),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", ("OMPI_MCA_ess_base_jobid", "PMIX_NAMESPACE")),
)


def find_place() -> Place:
    """The place of this process, by its environment."""
    for rank_name, size_name, names in _LAUNCHERS:
        rank, size = os.environ.get(rank_name, ""), os.environ.get(size_name, "")
        if rank.isdecimal() and size.isdecimal() and int(size) > 1:
            words = [f"{name}={os.environ[name]}" for name in names if name in os.environ]
            return Place(int(rank), " ".join(words) or f"{size_name}={size}")
    return Place(0, "")


def script_runs() -> Iterator[tuple[RunDir, RunInfo]]:
    """The runs of scripts, the newest first; those that cannot be read are left out."""
    try:
        with os.scandir(paths.runs_dir()) as entries:
            folders = [Path(entry.path) for entry in entries if not entry.name.startswith(".")]
    except OSError:
        return
    runs: list[tuple[RunDir, RunInfo]] = []
    for folder in folders:
        with suppress(GenuiError, OSError):
            info = read_info(RunDir(folder))
            if info.kind == "script" and (info.script_id or info.job):
                runs.append((RunDir(folder), info))
    yield from sorted(runs, key=lambda run: run[1].created, reverse=True)


def find_script_run(script_id: str) -> tuple[RunDir, RunInfo] | None:
    """The newest run with the id that a script gave to `genui.init`."""
    return next((run for run in script_runs() if run[1].script_id == script_id), None)


def rank_files(metrics: Path) -> Iterator[tuple[int, Path]]:
    """The files of the other ranks beside the metrics of a run."""
    if metrics.name != "metrics.jsonl":
        return
    with suppress(OSError), os.scandir(metrics.parent) as entries:
        for entry in entries:
            if match := _FILE.fullmatch(entry.name):
                yield int(match[1]), Path(entry.path)


class RankWriter:
    """Writes the records of a rank other than 0, with the methods of RunWriter that a script needs.

    Records wait in memory until rank 0 has made the run.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._since = time.time() - _SLACK
        self._waiting: deque[bytes] = deque(maxlen=_MAX_WAITING)
        self._fd = -1
        self._due = 0.0  # of the next search, on the monotonic clock

    def append(self, line: bytes) -> None:
        """As RunWriter.append. Raises OSError."""
        self._waiting.append(line)
        now = time.monotonic()
        if self._fd < 0 and now >= self._due:
            self._due = now + _EVERY
            self._find()
        self._flush()

    def _find(self) -> None:
        """Opens this rank's file in the folder of the run, if that is there."""
        for run, info in script_runs():
            if info.job == self._place.job and info.created >= self._since:
                path = run.path / f"metrics-rank{self._place.rank}.jsonl"
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                self._fd = os.open(path, flags, 0o644)
                return

    def _flush(self) -> None:
        while self._waiting and self._fd >= 0:
            append_whole(self._fd, self._waiting[0])
            self._waiting.popleft()

    def say(self, line: str) -> None:
        """The console is that of rank 0."""

    def update(self, **fields: Any) -> None:
        """The status is that of rank 0."""

    def measure(self, pid: int) -> None:
        """The load is that of rank 0."""

    def abandon(self) -> None:
        """In a child after a fork."""
        if self._fd >= 0:
            with suppress(OSError):
                os.close(self._fd)

    def __exit__(self, *error: object) -> None:
        if self._fd < 0 and self._waiting:
            self._find()
        self._flush()
        self.abandon()
