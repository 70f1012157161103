"""The launcher of several trainers: small programs take their place, and the real ones over a real
sshd."""

import getpass
import os
import re
import shlex
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import sshd
import torch
from waiting import wait_for

from genui.engine import launcher
from genui.recipes import find_recipe, recipe_from_dict
from genui.runs import launch
from genui.runs.hosts import HERE, Placement
from genui.runs.launch import create
from genui.runs.layout import HANDED_OVER, RunDir, is_locked, read_info, read_status
from genui.runs.listing import summarise
from genui.runs.processes import WATCHED
from genui.runs.stack_signal import answerers, stopped_ranks
from genui.runs.stacks import explain_standstill

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="torch without distributed"
)

TRAINER = """
import os, sys, time
from pathlib import Path
from genui.runs import control
from genui.runs.layout import RunDir
from genui.runs.processes import LOST
from genui.runs.processes import write_failure
from genui.runs.writer import RunWriter
run, rank = RunDir(Path(sys.argv[1])), int(os.environ["RANK"])
def wait_for_stop():
    while [each.command for each in control.poll(run)] != ["stop"]:
        time.sleep(0.01)
def leave(code):
    (run.path / f"left{rank}").touch()
    os._exit(code)
def lose(other):  # as one that waits for another notices that it has gone
    while not (run.path / f"left{other}").exists():
        time.sleep(0.01)
    os._exit(LOST)
def others():
    (run.path / f"here{rank}").touch()
    for each in range(int(os.environ["WORLD_SIZE"])):
        while not (run.path / f"here{each}").exists():
            time.sleep(0.01)
"""


def trainer(rank_0: str, rank_1: str) -> tuple[str, ...]:
    """The command of a trainer; on rank 0 with the run's `writer`."""
    text = TRAINER + "if rank == 0:\n    with RunWriter(run) as writer:\n"
    text += "        others()\n        writer.update(state='running')\n"
    text += "".join(f"        {line}\n" for line in rank_0.split("; "))
    text += "else:\n    others()\n" + "".join(f"    {line}\n" for line in rank_1.split("; "))
    return sys.executable, "-c", text


@pytest.fixture
def run() -> RunDir:
    return create(find_recipe("shakespeare"), {}, "mine", where=Placement(2))


@pytest.fixture(autouse=True)
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a launcher changes of its process."""
    for name in (HANDED_OVER, WATCHED):
        monkeypatch.setenv(name, "")
    before = [(s, signal.getsignal(s)) for s in (signal.SIGTERM, signal.SIGINT)]
    yield
    for number, handler in before:
        signal.signal(number, handler)


SLEEP = "time.sleep(60)"


@pytest.mark.parametrize(
    ("rank_0", "rank_1", "code", "state", "error"),
    [
        # Rank 1 may end before rank 0, which still evaluates.
        ("time.sleep(0.3); writer.update(state='finished')", "pass", 0, "finished", ""),
        (SLEEP, "os.kill(os.getpid(), 9)", 1, "failed", "rank 1 on HOST was killed by SIGKILL; "),
        ("os.kill(os.getpid(), 9)", SLEEP, 1, "failed", "rank 0 on HOST was killed by SIGKILL; "),
        (
            "sys.stdout.flush(); lose(1)",
            "write_failure(run, 1, 'failed: f.jsonl: cannot be written'); leave(1)",
            1,
            "failed",
            "rank 1 on HOST failed: f.jsonl: cannot be written; there is no checkpoint yet: ",
        ),
        (
            "writer.update(state='failed', error='the loss became nan'); leave(3)",
            "lose(0)",
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
    monkeypatch.setattr(launcher, "TRAINER", trainer(rank_0, rank_1))
    assert launcher.train(run, (HERE, HERE)) == code
    status = read_status(run)
    assert status.state == state
    expected = error.replace("HOST", status.host)
    assert status.error.startswith(expected) if expected else not status.error
    assert not is_locked(run)
    assert not [each for each in psutil.Process().children() if run.id in " ".join(each.cmdline())]


def test_processes_that_cannot_be_started_fail_the_run_with_the_reason(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENUI_SSH", "/no/such/ssh")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    assert launcher.train(run, (HERE, "node2")) == 1
    status = read_status(run)
    assert status.state == "failed"
    assert "cannot be started" in status.error
    assert "/no/such/ssh" in status.error
    assert not is_locked(run)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
def test_ranks_that_wait_for_a_stopped_one_are_told_and_all_end_with_their_launcher(
    tiny_run: Callable[..., RunDir],
) -> None:
    made = tiny_run(steps="100000", eval_every="100000", checkpoint_every="100000")
    recipe = recipe_from_dict(read_info(made).recipe)
    run = launch.launch(recipe, {}, "two", where=Placement(2))
    wait_for(lambda: read_status(run).step > 2)
    pids = {rank: one.pid for rank, one, _ in answerers(run)}
    assert sorted(pids) == [0, 1]
    assert pids[0] == read_status(run).pid
    try:
        os.kill(pids[1], signal.SIGSTOP)
        wait_for(lambda: stopped_ranks(run))
        # Ranks add their gradients in `backward`, and read commands together between two steps.
        waits = "rank 0 waits in ", "rank 0 is in backward"
        wait_for(lambda: any(each in explain_standstill(summarise(run)) for each in waits))
        assert "rank 1 is stopped (SIGSTOP)" in explain_standstill(summarise(run))
    finally:
        os.kill(pids[1], signal.SIGCONT)
    step = read_status(run).step
    wait_for(lambda: read_status(run).step > step)  # nothing has disturbed it
    parent = psutil.Process(pids[0]).parent()
    assert parent is not None
    trainers = parent.children()
    parent.kill()
    _, alive = psutil.wait_procs(trainers, 30)
    assert not alive
    wait_for(lambda: not summarise(run).alive and run.exit.exists())
    ending = summarise(run).ending
    assert ending is not None
    assert ending.name == "parent", ending


# --- other hosts ------------------------------------------------------------------------------


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """This machine by a real sshd."""
    with sshd.serving(tmp_path) as server, server.link() as link:
        monkeypatch.setenv("GENUI_SSH", shlex.join(server.client(link)))
        yield f"{getpass.getuser()}@127.0.0.1"


def start(made: RunDir, host: str) -> RunDir:
    """Train the recipe of a run on this machine and a host."""
    recipe = recipe_from_dict(read_info(made).recipe)
    return launch.launch(recipe, {}, "two", where=Placement(2, (HERE, host)))


def test_all_end_with_one_line_on_a_rank_of_another_host_that_is_killed(
    tiny_run: Callable[..., RunDir], host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "7")  # of a job that this one is started from
    monkeypatch.setenv("WORLD_SIZE", "9")
    run = start(tiny_run(steps="100000", eval_every="100000", checkpoint_every="2"), host)
    wait_for(lambda: read_status(run).step > 2)
    trainer_pid = read_status(run).pid
    (other,) = (
        each
        for each in psutil.process_iter(["cmdline"])
        if each.pid != trainer_pid
        and {"genui.engine.trainer", str(run.path)} <= set(each.info["cmdline"] or ())
    )
    other.kill()
    wait_for(lambda: not summarise(run).alive)
    assert re.fullmatch(
        f"rank 1 on {host} was killed by SIGKILL; genui resume {run.id} continues from the "
        r"checkpoint at step \d+",
        read_status(run).error,
    )
    assert not psutil.pid_exists(trainer_pid)
    assert (run.path / "console-rank1.log").exists()


def test_a_host_that_is_out_of_reach_fails_the_run(
    tiny_run: Callable[..., RunDir], host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("GENUI_SSH", f"ssh -F none -p {port}")
    run = start(tiny_run(), host)
    wait_for(lambda: not summarise(run).alive)
    error = read_status(run).error
    assert error.startswith(f"rank 1 on {host} is out of reach (ssh: connect to host")
