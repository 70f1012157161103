"""Several processes of one job as one run: rank 0 writes it, the others add their own series.

The trainers of a run know its folder and write there with `RankFile`. The processes of a script's
job share a key from the variables that torchrun, Slurm and Open MPI set. Rank 0
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
from typing import Any, NamedTuple, SupportsFloat

import msgspec

from genui.base import paths
from genui.base.errors import GenuiError
from genui.base.files import append_whole, open_append, writing
from genui.runs.layout import LIVE, RunDir, RunInfo, read_info, read_status
from genui.runs.listing import observe_state
from genui.runs.stack_signal import answer_requests
from genui.runs.writer import json_number

_FILE = re.compile(r"metrics-rank(\d{1,6})\.jsonl")
_MAX_WAITING = 10_000  # records that wait for rank 0 to make the run
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 30.0  # seconds between two searches: twice as many each time
_SLACK = 120.0  # seconds that a run which is still written may have begun before this one's init
_SKEW = 5.0  # seconds that the process of rank 0 may have started before this process
_LAST_WAIT = 20.0  # seconds that a rank which has ended waits for rank 0 to begin


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


def script_runs(since: float = 0.0) -> Iterator[tuple[RunDir, RunInfo]]:
    """The runs of scripts that have an id or a job, the newest first.

    Runs whose folder has not changed since that unix time, or that cannot be read, are left out.
    """
    runs: list[tuple[RunDir, RunInfo]] = []
    with suppress(OSError), os.scandir(paths.runs_dir()) as entries:
        for entry in entries:
            with suppress(GenuiError, OSError):  # damaged, or removed just now
                if not entry.name.startswith(".") and entry.stat().st_mtime >= since:
                    run = RunDir(Path(entry.path))
                    info = read_info(run)
                    if info.kind == "script" and (info.script_id or info.job):
                        runs.append((run, info))
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


def rank_file(run: RunDir, rank: int) -> Path:
    return run.path / f"metrics-rank{rank}.jsonl"


class RankFile:
    """The own metrics of a trainer, of rank 0 too: `rank1/loss` beside the run's `loss`."""

    def __init__(self, run: RunDir, rank: int) -> None:
        self._path = rank_file(run, rank)
        self._fd = -1

    def log(self, step: int, **values: SupportsFloat) -> None:
        """Append a record. Raises GenuiError naming the file if it cannot be written."""
        self._append(step, {name: json_number(float(value)) for name, value in values.items()})

    def truncate_after(self, step: int) -> None:
        """As RunWriter.truncate_after."""
        self._append(step, {"rewind": True})

    def _append(self, step: int, fields: dict[str, Any]) -> None:
        record = {"step": step, "time": round(time.time(), 3), **fields}
        with writing(self._path):
            if self._fd < 0:
                self._fd = open_append(self._path)
            append_whole(self._fd, msgspec.json.encode(record) + b"\n")


class QuietWriter:
    """In place of a RunWriter for a trainer that is not to write the run."""

    def log(self, step: int, **values: SupportsFloat) -> None: ...

    def update(self, **fields: Any) -> None: ...

    def write_line(self, line: str) -> None: ...

    def save_sample(self, step: int, suffix: str, data: bytes) -> None: ...

    def truncate_after(self, step: int) -> None: ...


class RankWriter(QuietWriter):
    """Writes the records of a rank other than 0, with the methods of RunWriter that a script needs:
    rank 0 writes the console, the status and the load.

    Records wait in memory until rank 0 has made the run.
    """

    def __init__(self, place: Place) -> None:
        import psutil  # late: only ranks other than 0 need it

        self._place = place
        self._launched = psutil.Process().create_time() - _SKEW
        self._since = min(time.time() - _SLACK, self._launched)
        self._waiting: deque[bytes] = deque(maxlen=_MAX_WAITING)
        self._fd = -1
        self._wait = _FIRST_WAIT
        self._due = 0.0  # of the next search, on the monotonic clock
        self._end_answers = lambda: None

    def append(self, line: bytes) -> None:
        """As RunWriter.append. Raises OSError."""
        self._waiting.append(line)
        now = time.monotonic()
        if self._fd < 0 and now >= self._due:
            self._due, self._wait = now + self._wait, min(2 * self._wait, _LONGEST_WAIT)
            self._find()
        self._flush()

    def _find(self, ended: bool = False) -> None:
        """Opens this rank's file in the folder of the run, if that is there.

        The job before may have had the same key: torchrun's is the same each time. So the run must
        be alive, unless `ended`, when this process ends too and rank 0 may have ended first; it has
        begun since the job was launched then.
        """
        since = self._launched if ended else self._since
        starts: dict[float, RunDir] = {}
        for run, info in script_runs(since):
            if info.job == self._place.job:
                with suppress(GenuiError):
                    status = read_status(run)
                    if ended or observe_state(run, status) in LIVE:
                        starts[status.started] = run
        newest = max(starts, default=0.0)
        if newest >= since:
            self._fd = open_append(rank_file(starts[newest], self._place.rank))
            self._end_answers = answer_requests(starts[newest], self._place.rank)

    def _flush(self) -> None:
        while self._waiting and self._fd >= 0:
            append_whole(self._fd, self._waiting[0])
            self._waiting.popleft()

    def measure(self, pid: int | None) -> None: ...

    def abandon(self) -> None:
        """In a child after a fork."""
        if self._fd >= 0:
            with suppress(OSError):
                os.close(self._fd)

    def __exit__(self, *error: object) -> None:
        """Writes what still waits. Raises OSError, and GenuiError if there is no run for it."""
        deadline = time.monotonic() + _LAST_WAIT
        while self._fd < 0 and self._waiting:
            self._find(ended=True)
            if self._fd >= 0 or time.monotonic() > deadline:
                break
            time.sleep(0.2)  # a short script: rank 0 may begin after this rank has ended
        self._flush()
        self._end_answers()
        self.abandon()
        if self._waiting:
            raise GenuiError(
                f"what rank {self._place.rank} logged is lost, because rank 0 has made no run "
                f"since the job began, nor {_LAST_WAIT:g} s after this rank has ended: call "
                "genui.init in all ranks, or only in rank 0"
            )
