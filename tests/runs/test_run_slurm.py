"""Runs that Slurm starts, by a real one on this machine."""

import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from slurm_cluster import start_slurm, why_no_slurm
from waiting import wait_for

from genui.base.errors import GenuiError, MisuseError
from genui.recipes import find_recipe
from genui.runs import control, requeue, why
from genui.runs.hosts import Placement
from genui.runs.launch import launch, resume
from genui.runs.layout import RunDir, checkpoint_steps, read_info, read_status
from genui.runs.listing import list_runs, summarise
from genui.runs.slurm import check_options

pytestmark = pytest.mark.skipif(bool(why_no_slurm()), reason=why_no_slurm())

TINY = {
    "layers": "1", "width": "32", "heads": "2", "context": "32", "batch": "4", "eval_batches": "1",
    "sample_tokens": "8", "sample_prompt": "to", "threads": "1", "eval_every": "1000000",
    "sample_every": "1000000", "checkpoint_every": "1000000",
}  # fmt: skip
ENDLESS = "1000000"

Start = Callable[..., RunDir]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with start_slurm(tmp_path_factory.mktemp("slurm")) as env:
        yield env


@pytest.fixture
def start(
    cluster: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Start]:
    """Submits a run to Slurm, and takes its job away at the end."""
    for name, value in cluster.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GENUI_HOME", str(tmp_path / "a 'home' of 100%"))
    runs: list[RunDir] = []

    def submit(options: str, steps: str = ENDLESS) -> RunDir:
        settings = TINY | {"steps": steps}
        runs.append(
            launch(find_recipe("shakespeare"), settings, "mine", where=Placement(slurm=options))
        )
        return runs[-1]

    yield submit
    for run in runs:
        slurm("scancel", job_of(run))
    wait_for(lambda: not any(queue(job_of(run)) for run in runs))


def slurm(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def job_of(run: RunDir) -> str:
    return read_info(run).slurm["job"]


def queue(job: str) -> str:
    """The state of a job, "" if it is not in Slurm's queue."""
    return slurm("squeue", "--noheader", "--format=%T", "--jobs", job)


def wait_for_state(run: RunDir, state: str) -> None:
    wait_for(lambda: summarise(run).state == state)


def wait_for_steps(run: RunDir, after: int = 0) -> None:
    wait_for(lambda: summarise(run).state == "running" and read_status(run).step > after)


def wait_for_end(run: RunDir, state: str) -> None:
    """Wait until the job has ended and the run is in this state."""
    wait_for(lambda: not queue(job_of(run)))
    assert summarise(run).state == state, (run.path / "slurm.log").read_text()


def check_that_it_goes_on(run: RunDir) -> None:
    """A job that was queued again, which has written a checkpoint, resumes from it and trains."""
    wait_for_state(run, "queued")
    saved = checkpoint_steps(run)[-1]
    assert saved > 0
    assert read_status(run).doing == f"waits in Slurm's queue as job {job_of(run)}"
    with pytest.raises(GenuiError, match=r"waits in Slurm's queue as job .*: stop it first"):
        resume(run)
    wait_for_steps(run, saved)
    assert f"resumed from the checkpoint at step {saved:,}" in run.console.read_text()


def stop(run: RunDir) -> None:
    control.send_live(run, "stop")
    wait_for_end(run, "stopped")


def test_a_run_that_waits_can_be_stopped_and_submitted_again(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start("--hold", steps="2")
    first = job_of(run)
    assert summarise(run).state == "queued"
    with pytest.raises(GenuiError, match=f"waits in Slurm's queue as job {first}: stop it first"):
        resume(run)
    with monkeypatch.context() as context:
        context.setenv("SLURM_CONF", "/no/such/slurm.conf")
        with pytest.raises(GenuiError, match=r"^squeue: .*configuration"):
            resume(run)
    control.send_live(run, "stop")
    assert not queue(first)
    assert summarise(run).state == "stopped"
    resume(run, where=Placement(slurm=""))
    assert job_of(run) != first
    requeue.requeue(run, first)  # the end of the job before
    assert summarise(run).state != "failed"
    wait_for_end(run, "finished")


def test_a_job_that_is_preempted_goes_on_and_one_that_is_cancelled_can_be_resumed(
    start: Start,
) -> None:
    run = start("--ntasks=2")
    log = (run.path / "job.sh").read_text().partition("--output=")[2].partition("\n")[0]
    assert shlex.split(log) == [str(run.path / "slurm.log").replace("%", "%%")]
    wait_for_steps(run)
    assert read_info(run).machine["processes"] == 2
    slurm("scontrol", "requeue", job_of(run))
    check_that_it_goes_on(run)
    slurm("scancel", job_of(run))
    wait_for_end(run, "stopped")
    summary = summarise(run)
    ending = why.find_ending(run, summary.info, summary.status, "stopped", ask=True)
    assert ending.name == "scancel", ending
    saved = checkpoint_steps(run)[-1]
    assert saved == read_status(run).step > 0
    resume(run, where=Placement(slurm="--ntasks=1"))
    wait_for_steps(run, saved)
    stop(run)


def test_a_job_that_gives_way_to_another_or_is_told_to_end_is_queued_again_and_goes_on(
    start: Start,
) -> None:
    run = start("--partition=low")
    wait_for_steps(run)
    slurm("sbatch", "--partition=high", "--exclusive", "--wrap=true", "--output=/dev/null")
    check_that_it_goes_on(run)
    slurm("scancel", "--signal=TERM", job_of(run))  # the same as at the end of its time
    check_that_it_goes_on(run)
    stop(run)


@pytest.mark.skipif("LONG_TESTS" not in os.environ, reason="takes two minutes: LONG_TESTS=1")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("tasks", [1, 2])
def test_a_job_whose_time_is_over_is_queued_again_and_goes_on(start: Start, tasks: int) -> None:
    run = start(f"--ntasks={tasks} --time=00:04:00")
    wait_for_steps(run)
    wait_for(lambda: summarise(run).state != "running")
    check_that_it_goes_on(run)
    stop(run)


def submit_sleep(folder: Path, *options: str) -> tuple[str, Path]:
    """A job of nobody's tool, which runs: its number and its output."""
    job = slurm(
        "sbatch", "--parsable", *options, f"--output={folder}/slurm-%j.out", "--no-requeue",
        "--wrap=echo step 1; srun --overlap sleep 600",
    )  # fmt: skip
    output = folder / f"slurm-{job}.out"
    wait_for(lambda: output.exists() and "step 1" in output.read_text())
    wait_for(lambda: f"{job}.0" in slurm("squeue", "--noheader", "--steps", f"{job}.0"))
    return job, output


def test_slurm_says_why_a_job_of_another_tool_has_ended(
    cluster: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cluster.items():
        monkeypatch.setenv(name, value)
    job, output = submit_sleep(tmp_path)
    slurm("scancel", job)
    wait_for(lambda: not queue(job))
    assert why.find_ending_of(output).name == "scancel"
    job, output = submit_sleep(tmp_path)
    node = socket.gethostname().partition(".")[0]
    slurm("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    wait_for(lambda: not queue(job))
    slurm("scontrol", "update", f"nodename={node}", "state=resume")
    found = why.find_ending_of(output)
    assert found.name == "node-failure", found
    assert dict(found.evidence)[f"job {job}"].startswith("JobState=NODE_FAIL")
    wait_for(lambda: "idle" in slurm("sinfo", "--noheader", "--format=%T"))


@pytest.mark.skipif("LONG_TESTS" not in os.environ, reason="takes two minutes: LONG_TESTS=1")
@pytest.mark.timeout(900)
def test_slurm_says_that_the_time_of_a_job_was_over_or_that_it_was_preempted(
    cluster: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cluster.items():
        monkeypatch.setenv(name, value)
    late, late_output = submit_sleep(tmp_path, "--time=00:01:00")
    low, low_output = submit_sleep(tmp_path, "--partition=low")
    slurm("sbatch", "--partition=high", "--ntasks=64", "--wrap=true", "--output=/dev/null")
    wait_for(lambda: not queue(late) and not queue(low))
    assert why.find_ending_of(late_output).name == "time-limit"
    assert why.find_ending_of(low_output).name == "preemption"


def test_a_job_that_ends_before_its_training_begins_has_failed(start: Start) -> None:
    run = start("")
    step = f"{job_of(run)}.0"
    wait_for(lambda: step in slurm("squeue", "--noheader", "--steps", step))
    slurm("scancel", job_of(run))
    wait_for_end(run, "failed")
    assert "before the training began" in read_status(run).error


def test_a_job_that_slurm_alone_has_queued_again_is_not_submitted_twice(start: Start) -> None:
    run = start("--hold")
    control.send_live(run, "stop")
    slurm("scontrol", "requeuehold", job_of(run))  # as after a node has failed
    with pytest.raises(GenuiError, match="waits in Slurm's queue"):
        resume(run)
    assert summarise(run).state == "queued"


def test_what_slurm_does_not_take_leaves_no_run(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(GenuiError, match=r"sbatch: error: .*Invalid partition"):
        start("--partition=none")
    monkeypatch.setenv("PATH", str(Path(shutil.which("true") or "").with_name("none")))
    with pytest.raises(GenuiError, match="sbatch: not found"):
        start("")
    assert list_runs() == []
    for options in ("--nodes '2", "--a\n--b", "nodes=2"):
        with pytest.raises(MisuseError, match="--slurm"):
            check_options(options)


def test_the_end_of_a_job_needs_a_job(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setattr(sys, "argv", ["requeue", "/run"])
    assert requeue.main() == 2
    assert "python -m genui.runs.requeue RUN_FOLDER" in capsys.readouterr().err
