"""The user's jobs in Slurm as rows beside the runs, by a real one on this machine."""

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from slurm_cluster import start_slurm, why_no_slurm
from waiting import wait_for

from genui.base.errors import MisuseError
from genui.cli.main import main
from genui.logs import queue
from genui.logs.queue import JobQueue, join_jobs
from genui.logs.remote import Follower, Place
from genui.runs.hosts import SSH
from genui.runs.labels import Labels
from genui.runs.layout import RunDir, RunInfo, Status
from genui.runs.listing import RunSummary
from genui.runs.slurm import Job
from genui.ui.watcher import watch_target

Submit = Callable[..., str]


def test_a_run_that_waits_says_why_and_other_jobs_follow_it(tmp_path: Path) -> None:
    info = RunInfo(id="a", name="a", recipe={}, slurm={"job": "7"})
    run = RunSummary(RunDir(tmp_path), info, Status(state="queued"), "queued", 0.0)
    log = tmp_path / "slurm-8.out"
    log.write_text("step 1 loss 2.0\n")
    jobs = [
        Job("7", "pending", "Resources", "2026-12-01T14:30:00", "genui-a"),
        Job("8", "running", "", "2026-12-01T14:00:00", "llama"),
        Job("9_[1-3]", "pending", "Priority", "", "array"),
    ]
    own, other, array = join_jobs([run], jobs, {"8": str(log)})
    doing = "waits in Slurm's queue: Resources, starts 12-01 14:30, job 7"
    assert (own.run, own.status.doing) == (run.run, doing)
    assert (other.run.path, other.state, other.info.name) == (log, "running", "llama")
    assert (other.labels, other.fault) == (Labels(note="job 8"), "")
    assert (array.state, array.labels.note, array.fault) == ("pending", "Priority, job 9_[1-3]", "")


def test_a_run_whose_job_is_over_does_not_wait(tmp_path: Path) -> None:
    info = RunInfo(id="a", name="a", recipe={}, slurm={"job": "7"})
    run = RunSummary(RunDir(tmp_path), info, Status(state="queued"), "queued", 0.0)
    (row,) = join_jobs([run], [Job("7", "cancelled", "", "", "genui-a")], {})
    assert row.status.doing == "Slurm's job 7 is cancelled"


def test_without_slurm_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue.slurm, "has_slurm", lambda: False)
    monkeypatch.setattr(queue.slurm, "list_jobs", lambda: pytest.fail("Slurm was asked"))
    jobs = JobQueue(list)
    jobs.ask()
    assert jobs() == []


# --- a real Slurm --------------------------------------------------------------------

real = pytest.mark.skipif(bool(why_no_slurm()), reason=why_no_slurm())


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with start_slurm(tmp_path_factory.mktemp("slurm")) as env:
        yield env


@pytest.fixture
def submit(
    cluster: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Submit]:
    """Submits a job that runs a command, and ends it at the end."""
    for name, value in cluster.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    jobs: list[str] = []

    def sbatch(command: str, *options: str) -> str:
        jobs.append(slurm("sbatch", "--parsable", *options, "--wrap", command))
        return jobs[-1]

    yield sbatch
    for job in jobs:
        slurm("scancel", job)


def slurm(*command: str, check: bool = True) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=check).stdout.strip()


def row_of(job: str) -> RunSummary | None:
    jobs = JobQueue(list)
    jobs.ask()
    return next((row for row in jobs.list_all() if row.info.id == job), None)


def wait_for_row(job: str, *states: str) -> RunSummary:
    wait_for(lambda: (row := row_of(job)) is not None and row.state in states)
    row = row_of(job)
    assert row is not None
    return row


@real
def test_jobs_are_rows_with_their_logs_and_are_stopped(
    submit: Submit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--job-name", "a|b", "--output", str(tmp_path / "out-%j.log"))
    running = submit("echo step 1 loss 2.0; echo step 2 loss 1.5; sleep 600", *options)
    held = submit("sleep 600", "--hold", "--job-name", "later")
    row = wait_for_row(running, "running")
    assert (row.info.name, row.run.path) == ("a|b", tmp_path / f"out-{running}.log")
    waiting = row_of(held)
    assert waiting is not None
    assert (waiting.state, waiting.labels.note) == ("pending", f"JobHeldUser, job {held}")
    wait_for(lambda: row.run.path.exists() and "loss 1.5" in row.run.path.read_text())
    assert main(["runs"]) == 0
    out = capsys.readouterr().out
    assert "later" in out
    assert f"JobHeldUser, job {held}" in out
    assert main(["stop", held]) == 2  # nobody can answer
    assert "give --yes if nobody can answer" in capsys.readouterr().err
    assert main(["stop", held, "--yes"]) == 0
    assert f"job {held}: ended by scancel" in capsys.readouterr().out
    wait_for_row(held, "cancelled")


@real
def test_the_jobs_of_another_host_are_rows_beside_its_logs(
    submit: Submit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell of the other host is one of this machine. The link: test_tty_remote."""
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\nexec sh\n")
    ssh.chmod(0o755)
    monkeypatch.setenv(SSH, str(ssh))
    there = tmp_path / "there"
    there.mkdir()
    out = ("--job-name", "llama", "--output", str(there / "out-%j.log"))
    running = submit("echo step 1 loss 2.0; echo step 2 loss 1.5; sleep 600", *out)
    held = submit("sleep 600", "--hold", "--job-name", "later", "--output", "/elsewhere/out.log")
    wait_for(lambda: "loss 1.5" in "".join(log.read_text() for log in there.glob("out-*")))
    follower = Follower(Place("host", str(there)))
    try:
        find = watch_target([follower.root], None, [follower.add_jobs]).find
        wait_for(lambda: {running, held} <= {row.info.id for row in find()})
        rows = {row.info.id: row for row in find()}
    finally:
        follower.stop()
    log = follower.root / f"out-{running}.log"
    assert (rows[running].run.path, rows[running].info.name) == (log, "llama")
    assert (rows[running].state, rows[held].state) == ("running", "pending")
    assert not rows[held].run.path.exists()
    assert rows[held].labels.note == f"JobHeldUser, job {held}"


@real
def test_a_step_that_is_killed_and_a_node_that_is_down_are_told(
    submit: Submit, tmp_path: Path
) -> None:
    killed = submit("srun sh -c 'kill -9 $$'")
    assert wait_for_row(killed, "failed").labels.note == f"NonZeroExitCode, job {killed}"
    lost = submit("echo $$ > pid; exec sleep 600", "--no-requeue")
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
    node = socket.gethostname().partition(".")[0]
    slurm("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    try:
        assert wait_for_row(lost, "node_fail").labels.note.endswith(f"job {lost}")
    finally:
        with suppress(ProcessLookupError):  # Slurm may have lost it
            os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
        # Slurm may have taken the node back itself: its daemon is alive.
        slurm("scontrol", "update", f"nodename={node}", "state=resume", check=False)


def test_a_job_of_a_run_is_stopped_as_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from genui.cli import control

    info = RunInfo(id="mine", name="mine", recipe={}, slurm={"job": "7"})
    run = RunSummary(RunDir(tmp_path), info, Status(state="queued"), "queued", 0.0)
    monkeypatch.setattr(control.listing, "list_runs", lambda: [run])
    with pytest.raises(MisuseError, match="stop it with genui stop"):
        control._named_job("7")
