"""The parent of several trainers; small programs stand in for them."""

import signal
import sys
from collections.abc import Iterator

import psutil
import pytest

from genui.recipes import find_recipe
from genui.runs import processes
from genui.runs.launch import create
from genui.runs.layout import RunDir, is_locked, read_status
from genui.runs.processes import LOST, watch

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
    return create(find_recipe("shakespeare"), {}, "mine", processes=2)


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
            "rank 1 on HOST failed: f.jsonl: cannot be written; there is no checkpoint yet",
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
    monkeypatch.setattr(processes, "GRACE", 0.2)
    assert watch(run, 2) == code
    status = read_status(run)
    assert status.state == state
    expected = error.replace("HOST", status.host)
    assert status.error.startswith(expected) if expected else not status.error
    assert not is_locked(run)
    assert not [each for each in psutil.Process().children() if run.id in " ".join(each.cmdline())]
