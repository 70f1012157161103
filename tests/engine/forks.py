"""The real trainer in a fork of the test, which may be killed: no second start of torch."""

import os
import signal
import socket
from collections.abc import Callable
from itertools import count

from genui.engine import trainer
from genui.engine.train.world import join_world
from genui.runs import control
from genui.runs.control import Control
from genui.runs.layout import RunDir
from genui.runs.processes import LISTENER


def before_polls(act: Callable[[int], None]) -> Callable[..., list[Control]]:
    """`control.poll`, with `act` called before each with its number; a trainer polls once a step.

    >>> control.poll = before_polls(lambda number: None)
    """
    poll, numbers = control.poll, count()

    def polled(run: RunDir, note: Callable[[str], None] | None = None) -> list[Control]:
        act(next(numbers))
        return poll(run, note)

    return polled


def start(run: RunDir, act: Callable[[int], None] | None = None) -> int:
    """Train the run in a fork; its process id. `act` is called there before each poll."""
    pid = os.fork()
    if not pid:
        try:
            if act is not None:
                control.poll = before_polls(act)
            os._exit(trainer.train(run))
        finally:
            os._exit(1)
    return pid


def wait(pid: int) -> int:
    """The exit code of a fork, once it has ended; of one that was killed, minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def train_until_killed(
    run: RunDir, kill_at: int, act: Callable[[int], None] = lambda number: None
) -> None:
    """Train in a fork that kills itself, as `kill -9` does, before poll number `kill_at`."""

    def dies(number: int) -> None:
        act(number)
        if number == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    assert wait(start(run, dies)) == -signal.SIGKILL


def start_ranks(
    run: RunDir, size: int, act: Callable[[int], Callable[[int], None] | None] = lambda rank: None
) -> list[int]:
    """Train the run in `size` forks; their process ids.

    `act` is called in each with its rank, and what it returns on rank 0 before each poll there.
    """
    pids = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for rank in range(size):
            pid = os.fork()
            if not pid:
                code = 1
                try:
                    os.environ |= {
                        "RANK": str(rank),
                        "WORLD_SIZE": str(size),
                        "MASTER_ADDR": "127.0.0.1",
                        "MASTER_PORT": str(listener.getsockname()[1]),
                        LISTENER: str(listener.fileno()),
                        "GLOO_SOCKET_IFNAME": "lo",
                    }
                    before = act(rank)
                    if before is not None:
                        control.poll = before_polls(before)
                    code = trainer.train(run, join_world())
                finally:
                    os._exit(code)
            pids.append(pid)
    return pids


def train_ranks(run: RunDir, size: int) -> None:
    """Train the run in `size` forks to its end."""
    assert [wait(pid) for pid in start_ranks(run, size)] == [0] * size, run.console.read_text()
