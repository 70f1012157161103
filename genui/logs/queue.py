"""The user's jobs in Slurm as rows of the table of runs.

A job of a run of genui is that run; another one is the log that it prints to. Without Slurm nothing
is asked.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import msgspec

from genui.base.errors import GenuiError
from genui.logs.find import summarise_log
from genui.runs import slurm
from genui.runs.labels import Labels
from genui.runs.layout import RunDir, RunInfo, Status
from genui.runs.listing import RunSummary
from genui.runs.slurm import Job

EVERY = 30.0
"""Seconds between two questions to Slurm, whose controller serves all its users."""

_WAITING = ("pending", "configuring", "requeued", "requeue_hold", "suspended")
_FIRST_WAIT = 1.0  # seconds: the first list has the jobs, where Slurm answers as fast


class Jobs:
    """The user's jobs as Slurm has described them last, and the files that they print to."""

    def __init__(self) -> None:
        self.known: Sequence[Job] = ()
        self.outputs: dict[str, str] = {}

    def ask(self, ask: slurm.Ask = slurm.ask_slurm, most: int = slurm.MOST_JOBS) -> None:
        """Ask Slurm now, for the files of at most so many jobs. What it does not answer stays as it
        was."""
        with suppress(GenuiError):
            jobs = slurm.list_jobs(ask)
            # A task that waits has the file of its array.
            new = [job.id for job in jobs if job.id not in self.outputs and "[" not in job.id]
            for job in new[:most]:
                with suppress(GenuiError):
                    self.outputs[job] = slurm.find_output(job, ask)
            self.known = jobs


class JobQueue:
    """Lists runs, and after them the user's jobs."""

    def __init__(self, list_runs: Callable[[], list[RunSummary]]) -> None:
        self._list_runs = list_runs
        self._exists = slurm.has_slurm()
        self._jobs = Jobs()
        self._asking: threading.Thread | None = None
        self._due = 0.0  # on the monotonic clock

    def __call__(self) -> list[RunSummary]:
        """The runs and the jobs as Slurm has described them last; it is asked on a thread."""
        is_asked = self._asking is not None and self._asking.is_alive()
        if self._exists and not is_asked and time.monotonic() >= self._due:
            self._due = time.monotonic() + EVERY
            is_first = self._asking is None
            self._asking = threading.Thread(target=self.ask, name="slurm", daemon=True)
            self._asking.start()
            self._asking.join(_FIRST_WAIT if is_first else 0.0)
        return self.list_all()

    def ask(self) -> None:
        """Ask Slurm now."""
        if self._exists:
            self._jobs.ask()

    def list_all(self) -> list[RunSummary]:
        """The runs, and the jobs that are known."""
        return join_jobs(self._list_runs(), self._jobs.known, self._jobs.outputs)


def join_jobs(
    runs: Sequence[RunSummary], jobs: Sequence[Job], outputs: Mapping[str, str]
) -> list[RunSummary]:
    """The runs, those that wait with the reason, and after them a row for each other job, also in
    place of the log that it prints to."""
    by_id = {job.id: job for job in jobs}
    printed = {Path(outputs[job.id]) for job in jobs if outputs.get(job.id)}
    rows: list[RunSummary] = []
    for run in runs:
        if not run.native and run.run.path in printed:
            continue
        job = by_id.pop(run.info.slurm.get("job", ""), None)
        if job is not None and run.state == "queued":
            doing = f"waits in Slurm's queue: {job.note}"
            if job.state not in _WAITING:
                doing = f"Slurm's job {job.id} is {job.state}"
            run = replace(run, status=msgspec.structs.replace(run.status, doing=doing))
        rows.append(run)
    return rows + [_row_of(job, outputs.get(job.id, "")) for job in by_id.values()]


def _row_of(job: Job, output: str) -> RunSummary:
    """A job that genui has not submitted."""
    path = Path(output or f"slurm-{job.id}.out")
    row = summarise_log(path, "text")
    if row.fault:  # it has printed nothing yet, or on a disk that is not here
        status = Status(state="queued", doing=job.note)
        info = RunInfo(id=job.id, name="", recipe={}, kind="script", created=time.time())
        row = RunSummary(RunDir(path), info, status, "", 0.0, format="text")
    info = msgspec.structs.replace(row.info, id=job.id, name=job.name or f"job {job.id}")
    return replace(row, info=info, state=job.state, labels=Labels(note=job.note))
