"""The parent of several trainers, here and on other hosts, and jobs of Slurm; small programs stand
in for them."""

import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from msgspec import structs
from waiting import wait_for

from genui.base.errors import GenuiError, MisuseError
from genui.recipes import find_recipe
from genui.runs import control, processes, slurm
from genui.runs.hosts import HERE, Placement, parse_hosts, passed_on
from genui.runs.launch import create, launch, resume
from genui.runs.layout import RunDir, is_locked, read_status, write_status
from genui.runs.listing import list_runs, summarise
from genui.runs.processes import LOST, rank_in_job, watch
from genui.runs.slurm import check_options

TRAINER = """
import os, socket, sys, time
from pathlib import Path
from genui.runs import control
from genui.runs.layout import RunDir
from genui.runs.writer import RunWriter
run, rank = RunDir(Path(sys.argv[1])), int(os.environ["RANK"])
socket.create_connection((os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))).close()
def wait(name):
    while not (run.path / name).exists():
        time.sleep(0.01)
def wait_for_stop():
    while [each.command for each in control.poll(run)] != ["stop"]:
        time.sleep(0.01)
def others():
    (run.path / f"here{rank}").touch()
    for each in range(int(os.environ["WORLD_SIZE"])):
        wait(f"here{each}")
"""


def trainer(rank_0: str, rank_1: str) -> list[str]:
    """The command of a trainer; on rank 0 with the run's `writer`."""
    text = TRAINER + "if rank == 0:\n    with RunWriter(run) as writer:\n"
    text += "        others()\n        writer.update(state='running')\n"
    text += "".join(f"        {line}\n" for line in rank_0.split("; "))
    text += "else:\n    others()\n" + "".join(f"    {line}\n" for line in rank_1.split("; "))
    return [sys.executable, "-c", text]


@pytest.fixture
def run() -> RunDir:
    return create(find_recipe("shakespeare"), {}, "mine", where=Placement(2))


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    before = [(s, signal.getsignal(s)) for s in (signal.SIGTERM, signal.SIGINT)]
    yield
    for number, handler in before:
        signal.signal(number, handler)


SLEEP = "time.sleep(60)"


@pytest.mark.parametrize(
    ("rank_0", "rank_1", "code", "state", "error"),
    [
        ("writer.update(state='finished')", "pass", 0, "finished", ""),
        # Rank 1 may end before rank 0, which still evaluates.
        ("time.sleep(0.3); writer.update(state='finished')", "pass", 0, "finished", ""),
        (SLEEP, "os.kill(os.getpid(), 9)", 1, "failed", "rank 1 on HOST was killed by SIGKILL; "),
        ("os.kill(os.getpid(), 9)", SLEEP, 1, "failed", "rank 0 on HOST was killed by SIGKILL; "),
        (
            f"sys.stdout.flush(); os._exit({LOST})",
            "print('Traceback'); print('genui: f.jsonl: cannot be written'); sys.exit(1)",
            1,
            "failed",
            "rank 1 on HOST failed: f.jsonl: cannot be written; there is no checkpoint yet: ",
        ),
        (
            "writer.update(state='failed', error='the loss became nan'); os._exit(3)",
            f"os._exit({LOST})",
            3,
            "failed",
            "the loss became nan",
        ),
        (  # asked to stop by a signal, it asks rank 0 by a command
            "os.kill(os.getppid(), 15); wait_for_stop(); writer.update(state='stopped')",
            "pass",
            0,
            "stopped",
            "",
        ),
        (SLEEP, "sys.exit(4)", 1, "failed", "rank 1 on HOST ended with exit code 4; "),
    ],
)
def test_the_end_of_a_rank_ends_all_with_one_line(
    run: RunDir,
    monkeypatch: pytest.MonkeyPatch,
    rank_0: str,
    rank_1: str,
    code: int,
    state: str,
    error: str,
) -> None:
    monkeypatch.setattr(processes, "TRAINER", trainer(rank_0, rank_1))
    monkeypatch.setattr(processes, "GRACE_AFTER_DEATH", 0.2)
    assert watch(run, (HERE, HERE)) == code
    status = read_status(run)
    assert status.state == state
    expected = error.replace("HOST", status.host)
    assert status.error.startswith(expected) if expected else not status.error
    assert not is_locked(run)
    assert not [each for each in psutil.Process().children() if run.id in " ".join(each.cmdline())]


# --- other hosts ------------------------------------------------------------------------------

SSH = """#!/bin/sh
# Takes the place of ssh: node2 is this machine, other hosts are out of reach.
for word; do before=$host host=$last last=$word; done
test "$2" = -G && exit 1
case "$host $last" in
*node2*) exec sh -c "$last" ;;
*) echo "ssh: connect to host $host: No route to host" >&2; exit 255 ;;
esac
"""


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ssh"
    path.write_text(SSH)
    path.chmod(0o755)
    monkeypatch.setenv("GENUI_SSH", str(path))
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")


@pytest.mark.parametrize(
    ("host", "rank_1", "state", "error"),
    [
        ("node2", "pass", "finished", ""),
        ("node2", "os.kill(os.getpid(), 9)", "failed", "rank 1 on node2 was killed by SIGKILL; "),
        ("node2", "sys.exit('genui: no such file')", "failed", "rank 1 on node2 failed: no such"),
        ("node3", "pass", "failed", "rank 1 on node3 is out of reach (ssh: connect to host"),
    ],
)
def test_a_rank_on_another_host_is_started_by_ssh_and_watched(
    run: RunDir, ssh: None, monkeypatch: pytest.MonkeyPatch,
    host: str, rank_1: str, state: str, error: str,
) -> None:  # fmt: skip
    end = "pass" if state == "finished" else SLEEP
    monkeypatch.setattr(
        processes, "TRAINER", trainer(f"{end}; writer.update(state='finished')", rank_1)
    )
    monkeypatch.setattr(processes, "GRACE_AFTER_DEATH", 0.2)
    assert watch(run, (HERE, host)) == (state != "finished")
    assert read_status(run).state == state
    assert read_status(run).error.startswith(error)


def test_keys_do_not_stand_in_the_command_line_of_another_host() -> None:
    kept = {
        "HF_HOME": "/hf",
        "PYTHONPATH": "/lib",
        "GENUI_PLUGINS": "a.py",
        "HF_ENDPOINT": "https://hub.example",
    }
    secrets = {
        "GENUI_ALERT_URL": "https://ntfy.sh/topic",
        "GENUI_SSH": "sshpass -p x ssh",
        **dict.fromkeys(
            ("HF_TOKEN", "HF_hub_token", "GENUI_API_KEY", "HF_PAT", "HF_Auth", "NCCL_CRED",
             "CUDA_PASSPHRASE", "OMP_secret"),
            "x",
        ),
        "HF_HUB_URL": "https://me:password@hub.example",
    }  # fmt: skip
    assert passed_on({**kept, **secrets, "HOME": "/home"}) == kept


def test_processes_that_cannot_be_started_fail_the_run_with_the_reason(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENUI_SSH", "/no/such/ssh")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setattr(processes, "TRAINER", [sys.executable, "-c", "import time; " + SLEEP])
    assert watch(run, (HERE, "node2")) == 1
    status = read_status(run)
    assert status.state == "failed"
    assert "cannot be started" in status.error
    assert "/no/such/ssh" in status.error
    assert not is_locked(run)


def test_variables_of_a_job_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    job = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "4"}
    for name, value in job.items():
        monkeypatch.setenv(name, value)
    assert rank_in_job() == 1
    for name, value in (("RANK", "2"), ("MASTER_ADDR", ""), ("MASTER_PORT", "x")):
        with monkeypatch.context() as context:
            context.setenv(name, value)
            with pytest.raises(MisuseError, match="MASTER_PORT"):
                rank_in_job()


def test_a_list_of_hosts_names_the_host_of_each_rank() -> None:
    own = socket.gethostname()
    assert parse_hosts("localhost,node2") == (HERE, "node2")
    assert parse_hosts(f"{own}:2, me@node2:3") == (HERE, HERE, "me@node2", "me@node2", "me@node2")
    assert parse_hosts("localhost,node2", 2) == (HERE, HERE, "node2", "node2")
    for text in (
        "",
        "node2",
        "node2,localhost",
        "localhost,:2",
        "localhost,b:0",
        "localhost,-oX:1",
        "localhost,::1",
        "localhost:999999999",
        "localhost," + "b:4000," * 2,
    ):
        with pytest.raises(MisuseError, match="--hosts"):
            parse_hosts(text)


# --- Slurm ------------------------------------------------------------------------------------

SLURM = {
    "sbatch": """case "$2" in */job.sh) ;; *) exit 1 ;; esac
test -e "$STATE/full" && { echo "sbatch: error: Invalid account" >&2; exit 1; }
cp "$2" "$STATE/script"; touch "$STATE/waits"; echo "77;main" """,
    "squeue": """test -e "$STATE/away" && {
echo "squeue: error: Unable to contact slurm controller" >&2; exit 1; }
test -e "$STATE/waits" && echo 77; exit 0""",
    "scancel": """rm "$STATE/waits" """,
    "scontrol": """case "$1" in show) echo node1; echo node2 ;;
requeue) echo "requeued $2" > "$STATE/requeued" ;; esac""",
    "srun": """shift
trap 'touch "$STATE/over"' TERM
for rank in 0 1; do
    SLURM_PROCID=$rank SLURM_LOCALID=0 SLURM_NTASKS=2 SLURM_JOB_NUM_NODES=2 "$@" &
done
wait; wait; exit 0""",
}


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which commands that take the place of Slurm's leave what they did."""
    folder, tools = tmp_path / "state", tmp_path / "bin"
    for each in (folder, tools):
        each.mkdir()
    for name, text in SLURM.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("STATE", str(folder))
    yield folder
    (folder / "over").touch()  # whatever a test that failed has left


PYTHON = """#!/bin/sh
# Takes the place of python: a trainer says where it is, and ends when there is a file `over`.
case "$*" in
*genui.engine.trainer*)
    echo "$RANK of $WORLD_SIZE, $LOCAL_RANK of $LOCAL_WORLD_SIZE at $MASTER_ADDR:$MASTER_PORT" \
        > "$STATE/rank$RANK"
    while test "$STATE" && ! test -e "$STATE/over"; do sleep 0.02; done ;;
*) exec REAL "$@" ;;
esac
"""


def submitted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> RunDir:
    python = tmp_path / "python"
    python.write_text(PYTHON.replace("REAL", sys.executable))
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    where = Placement(slurm="--nodes=2 --time=1:00")
    monkeypatch.setenv("GENUI_HOME", str(tmp_path / "a 'home' of 100%"))
    return launch(find_recipe("shakespeare"), {}, "mine", where=where)


def start_job(state: Path) -> "subprocess.Popen[bytes]":
    (state / "waits").unlink()
    env = os.environ | {"SLURM_JOB_ID": "77", "SLURM_JOB_NODELIST": "node[1-2]"}
    job = subprocess.Popen(["sh", str(state / "script")], env=env)
    wait_for(lambda: (state / "rank0").exists() and (state / "rank1").exists())
    return job


def test_a_job_of_slurm_waits_trains_and_is_queued_again_when_its_time_is_over(
    state: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = submitted(monkeypatch, tmp_path)
    assert summarise(run).state == "queued"
    assert read_status(run).doing == "waits in Slurm's queue as job 77"
    assert "#SBATCH --nodes=2 --time=1:00\n" in (state / "script").read_text()
    log = (state / "script").read_text().partition("--output=")[2].partition("\n")[0]
    assert shlex.split(log) == [str(run.path / "slurm.log").replace("%", "%%")]
    with pytest.raises(GenuiError, match="waits in Slurm's queue as job 77: stop it first"):
        resume(run)
    (state / "away").touch()
    with pytest.raises(GenuiError, match="squeue: error: Unable to contact slurm controller"):
        resume(run)
    (state / "away").unlink()
    job = start_job(state)
    places = [(state / f"rank{rank}").read_text() for rank in (0, 1)]
    assert places == [f"{rank} of 2, 0 of 1 at node1:20077\n" for rank in (0, 1)]
    write_status(run, structs.replace(read_status(run), state="stopped"))  # as the trainer does
    job.send_signal(signal.SIGUSR1)
    assert job.wait(20) == 0
    assert (state / "requeued").read_text() == "requeued 77\n"
    assert summarise(run).state == "queued"


def test_a_run_that_waits_for_slurm_can_be_stopped_and_submitted_again(
    state: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = submitted(monkeypatch, tmp_path)
    control.send_live(run, "stop")
    assert not (state / "waits").exists()
    assert summarise(run).state == "stopped"
    resume(run)
    assert (state / "waits").exists()
    assert summarise(run).state == "queued"
    job = start_job(state)
    (state / "over").touch()
    assert job.wait(20) == 0
    assert not (state / "requeued").exists()


def test_a_run_that_finished_as_its_time_was_over_is_not_queued_again(
    run: RunDir, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for argv, code in ((["slurm"], 2), (["slurm", str(run.path)], 1)):
        write_status(run, structs.replace(read_status(run), state="finished"))
        monkeypatch.setattr(sys, "argv", argv)
        assert slurm.main() == code
        assert read_status(run).state == "finished"
    assert "usage: python -m genui.runs.slurm RUN_FOLDER" in capsys.readouterr().err


def test_what_slurm_does_not_take_leaves_no_run(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (state / "full").touch()
    with pytest.raises(GenuiError, match=r"sbatch: .*Invalid account"):
        launch(find_recipe("shakespeare"), {}, where=Placement(slurm=""))
    monkeypatch.setenv("PATH", str(state))
    with pytest.raises(GenuiError, match="sbatch: not found"):
        launch(find_recipe("shakespeare"), {}, where=Placement(slurm=""))
    assert list_runs() == []
    for options in ("--nodes '2", "--a\n--b", "nodes=2"):
        with pytest.raises(MisuseError, match="--slurm"):
            check_options(options)
