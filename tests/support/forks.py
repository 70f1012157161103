"""The real trainer in forks of one process that has imported torch: a second start takes seconds.

That process, this module as a program, has no threads, so that a fork of it is whole; pytest's own
has some. What a fork is to do beside the training is a function of a test module, with its
arguments by `functools.partial`: it is pickled.
"""

import os
import pickle
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable
from functools import cache, partial
from itertools import count
from typing import Any

import leftovers
import psutil

from genui.engine import device, trainer
from genui.engine.train.world import join_world
from genui.runs import control
from genui.runs.control import Control
from genui.runs.layout import RunDir

BeforePoll = Callable[[int], None]
"""Called before each poll for commands, which a trainer does once a step, with its number."""

Act = Callable[[int], BeforePoll | None]
"""Called in each rank with its number, before the training."""


def start(run: RunDir, act: Act | None = None) -> int:
    """Train the run in a process; its process id."""
    (pid,) = start_ranks(run, 1, act)
    return pid


def start_ranks(run: RunDir, size: int, act: Act | None = None) -> list[int]:
    """Train the run in `size` processes; their process ids. They print to `output_of(run)`."""
    return _server().ask("fork_ranks", run, size, act, dict(os.environ))


def wait(pid: int) -> int:
    """The exit code of a process, once it has ended; of one that was killed, minus the signal."""
    return _server().ask("wait", pid)


def train_ranks(run: RunDir, size: int, act: Act | None = None) -> None:
    """Train the run in `size` processes to its end."""
    pids = start_ranks(run, size, act)
    assert [wait(pid) for pid in pids] == [0] * size, run.console.read_text() + output_of(run)


def train_until_killed(run: RunDir, kill_at: int, before: BeforePoll | None = None) -> None:
    """Train in a process that kills itself, as `kill -9` does, before poll number `kill_at`."""
    assert wait(start(run, partial(_dies, kill_at, before))) == -signal.SIGKILL


def output_of(run: RunDir) -> str:
    """What the processes of a run have printed."""
    return (run.path / "printed").read_text()


def end_left() -> list[int]:
    """Kill the processes that still train; their process ids."""
    if not _server.cache_info().currsize:
        return []
    left = psutil.Process(_server().process.pid).children(recursive=True)
    if left:
        end()
    return [each.pid for each in left]


def end() -> None:
    """End the process that forks, with all of its forks."""
    if _server.cache_info().currsize:
        process = _server().process
        for each in (*psutil.Process(process.pid).children(recursive=True), process):
            each.kill()
        process.wait()
        _server.cache_clear()


def _dies(kill_at: int, before: BeforePoll | None, rank: int) -> BeforePoll:
    def before_poll(number: int) -> None:
        if before is not None:
            before(number)
        if number == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    return before_poll


class _Server:
    """The process that forks."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join(sys.path), leftovers.SHARED: "1"}
            | {"OPENBLAS_NUM_THREADS": "1"},  # NumPy starts threads as it is imported
        )

    def ask(self, *request: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        pickle.dump(request, self.process.stdin)
        self.process.stdin.flush()
        return pickle.load(self.process.stdout)


@cache
def _server() -> _Server:
    return _Server()


# --- In the process that forks ----------------------------------------------------------------


def _serve() -> None:
    device.MEASURE_S = 0.0  # as in pytest's process
    actions = {"fork_ranks": _fork_ranks, "wait": _wait}
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)
        while True:
            try:
                name, *values = pickle.load(sys.stdin.buffer)
            except EOFError:
                return
            pickle.dump(actions[name](*values), answers)
            answers.flush()


def _wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _fork_ranks(run: RunDir, size: int, act: Act | None, env: dict[str, str]) -> list[int]:
    assert psutil.Process().num_threads() == 1, "a process that forks must have no threads"
    pids = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for rank in range(size):
        pid = os.fork()
        if not pid:
            code = 1
            try:
                os.environ |= env
                if size > 1:
                    os.environ |= {
                        "RANK": str(rank),
                        "WORLD_SIZE": str(size),
                        "MASTER_ADDR": "127.0.0.1",
                        "MASTER_PORT": str(port),
                        "GLOO_SOCKET_IFNAME": "lo",
                    }
                code = _train(run, rank, act)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        pids.append(pid)
    return pids


def _train(run: RunDir, rank: int, act: Act | None) -> int:
    output = os.open(run.path / "printed", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for number in (1, 2):
        os.dup2(output, number)
    before = act(rank) if act else None
    if before is not None:
        poll, numbers = control.poll, count()

        def polls(run: RunDir, note: Callable[[str], None] | None = None) -> list[Control]:
            before(next(numbers))
            return poll(run, note)

        control.poll = polls
    return trainer.train(run, join_world())


if __name__ == "__main__":
    _serve()
