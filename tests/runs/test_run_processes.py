"""The parent of several trainers, here and on other hosts, and jobs of Slurm; small programs stand
in for them."""

import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from genui.base.errors import MisuseError
from genui.recipes import find_recipe
from genui.runs import processes
from genui.runs.hosts import HERE, Placement, parse_hosts, passed_on
from genui.runs.launch import create
from genui.runs.layout import RunDir, is_locked, read_status
from genui.runs.processes import LOST, rank_in_job, watch

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
