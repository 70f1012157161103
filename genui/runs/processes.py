"""The parent of the processes that train one run: `python -m genui.runs.processes RUN_FOLDER`.

It starts the trainers that run.json lists, here and on other hosts, with the variables that
torchrun sets, and watches them. When one of them dies it ends the others and writes into
status.json which one it was, and why. Nothing here imports torch.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import sanitize, write_all
from genui.runs import control
from genui.runs.hosts import (
    HERE,
    address_for,
    describe_kill,
    explain_exit,
    passed_on,
    remote_command,
)
from genui.runs.layout import HANDED_OVER, RunDir, RunLock, checkpoint_steps, read_info, read_status
from genui.runs.writer import RunWriter

WATCHED = "GENUI_PARENT_FD"
"""Environment variable with the descriptor of a pipe that closes when the parent ends."""

LISTENER = "GENUI_LISTENER_FD"
"""Environment variable of rank 0 with the descriptor of the socket that listens at MASTER_PORT. The
other ranks have it too, to know that there is one."""

LOST = 75
"""The exit code of a trainer that ends because another one failed, or all did."""

JOB_VARIABLES = (
    "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
    WATCHED, LISTENER,
)  # fmt: skip
"""The variables of a job, which a run that is started from within the job must not inherit."""

GRACE_AFTER_DEATH, GRACE_AFTER_EXIT = 3.0, 30.0
"""Seconds that the other processes have to end by themselves: after one has died, and after rank 0
has ended normally or one has lost contact, when rank 0 may still have to write why."""

TRAINER = (sys.executable, "-m", "genui.engine.trainer")
"""The command of a trainer, before the folder of its run."""

PARENT = (sys.executable, "-m", "genui.runs.processes")
"""The command of this module, before the folder of the run."""

_POLL = 0.05


@dataclass
class _Rank:
    """A trainer. Its output goes to console-rankN.log, that of rank 0 to console.log."""

    rank: int
    host: str
    process: "subprocess.Popen[bytes]"  # ssh, on another host
    killed: bool = False  # by the parent
    is_over: bool = False  # whether its end was noticed
    lines: "deque[str]" = field(default_factory=lambda: deque(maxlen=20))  # its last output
    reader: threading.Thread | None = None

    def copy_output(self, pipe: IO[bytes], path: Path) -> None:
        """Append the output to a file, if that can be written, and keep the last lines."""
        fd = -1
        with suppress(OSError):
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        for line in pipe:
            if text := sanitize(line.decode(errors="replace").strip(), 500):
                self.lines.append(text)
            if fd >= 0:
                with suppress(OSError):
                    write_all(fd, line)
        if fd >= 0:
            os.close(fd)

    def reason(self) -> str:
        """Why it has ended, as the end of a sentence: `was killed by SIGKILL`."""
        code = self.process.returncode
        if code < 0:
            return describe_kill(-code) or f"was killed by signal {-code}"
        if self.reader is not None:
            self.reader.join(1.0)
        # Not the warnings of torch, which begin with a bracket.
        last = next((line for line in reversed(self.lines) if line[0] != "["), "")
        own = [line for line in self.lines if line.startswith("genui: ")]
        if self.host != HERE and not own and (reason := explain_exit(code, last)):
            return reason
        if lines := own or list(self.lines):
            return f"failed: {lines[-1].removeprefix('genui: ')}"
        return f"ended with exit code {code}"


def watch(run: RunDir, hosts: Sequence[str]) -> int:
    """Train the run in a process on each of the hosts; returns the exit code of rank 0.

    Raises GenuiError if another process trains the run.
    """
    with RunLock(run) as lock, ExitStack() as stack:
        ranks: list[_Rank] = []
        try:
            address = address_for(hosts)
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listener = stack.enter_context(socket.create_server((address, 0), family=family))
            for rank in range(len(hosts)):
                ranks.append(_start(run, rank, hosts, lock, listener))
        except (GenuiError, OSError) as error:  # no ssh here, or an address of another machine
            _kill(ranks)
            for each in ranks:
                each.process.wait()  # rank 0 holds the lock, too
            return _fail(run, lock, f"its processes cannot be started: {error}")
        signals = 0

        def stop(number: int, frame: FrameType | None) -> None:
            nonlocal signals
            signals += 1

        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, stop)
        handled, deadlines = 0, [float("inf")]
        while any(each.process.poll() is None for each in ranks):
            time.sleep(_POLL)
            if signals > handled:
                handled = signals
                if handled == 1:  # by a file: a trainer that imports torch would die of a signal
                    with suppress(GenuiError):
                        control.send(run, "stop")
                else:
                    _kill(ranks)
            for each in ranks:
                if not each.is_over and each.process.poll() is not None:
                    each.is_over = True
                    if each.rank == 0 or each.process.returncode:  # the training is over
                        died = each.process.returncode not in (0, LOST)
                        grace = GRACE_AFTER_DEATH if died else GRACE_AFTER_EXIT
                        deadlines.append(time.monotonic() + grace)
            if time.monotonic() > min(deadlines):
                _kill(ranks)
        return _report(run, ranks, lock)


def _start(
    run: RunDir, rank: int, hosts: Sequence[str], lock: RunLock, listener: socket.socket
) -> _Rank:
    """Start a trainer."""
    host, (address, port) = hosts[rank], listener.getsockname()[:2]
    job = {
        "RANK": str(rank),
        "WORLD_SIZE": str(len(hosts)),
        "LOCAL_RANK": str(hosts[:rank].count(host)),
        "LOCAL_WORLD_SIZE": str(hosts.count(host)),
        "MASTER_ADDR": address,
        "MASTER_PORT": str(port),
        LISTENER: str(listener.fileno()),
    }
    command = [*TRAINER, str(run.path)]
    output = None if rank == 0 else subprocess.PIPE
    if host == HERE:
        # The pipe's write end stays open as long as this process lives.
        read_end, _ = os.pipe()
        passed = [read_end]
        env = {**os.environ, **job, WATCHED: str(read_end)}
        if rank == 0:
            env[HANDED_OVER] = str(lock.fd)
            passed += [lock.fd, listener.fileno()]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output and subprocess.STDOUT,
            env=env,
            pass_fds=passed,
        )
        os.close(read_end)
    else:
        # Its standard input closes when this process ends.
        env = {**passed_on(os.environ), **job, WATCHED: "0"}
        process = subprocess.Popen(
            remote_command(host, command, env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    started = _Rank(rank, host, process)
    if process.stdout is not None:
        path = run.path / f"console-rank{rank}.log"
        started.reader = threading.Thread(
            target=started.copy_output, args=(process.stdout, path), daemon=True
        )
        started.reader.start()
    return started


def _kill(ranks: list[_Rank]) -> None:
    for each in ranks:
        if each.process.poll() is None:
            each.killed = True
            each.process.kill()


def _report(run: RunDir, ranks: list[_Rank], lock: RunLock) -> int:
    """Write why the training failed, unless rank 0 has done so. Returns the exit code."""
    first = ranks[0].process.returncode
    state = ""
    with suppress(GenuiError):
        state = read_status(run).state
    if first > 0 and first != LOST and state == "failed":
        return first  # rank 0 has written its own error
    failed = [
        each for each in ranks if not each.killed and each.process.returncode not in (0, LOST)
    ]
    if first == 0 and (not failed or state in ("finished", "stopped")):
        return 0  # all is on the disk
    return _fail(
        run, lock, describe_failure(run, [(each.rank, each.host, each.reason()) for each in failed])
    )


def _fail(run: RunDir, lock: RunLock, line: str) -> int:
    """Write why the training failed. Returns the exit code."""
    os.environ[HANDED_OVER] = str(os.dup(lock.fd))
    with RunWriter(run) as writer:
        writer.say(f"failed: {line}")
        writer.update(state="failed", doing="", error=line)
    print(f"genui: {line}", file=sys.stderr)
    return 1


def describe_failure(run: RunDir, failed: list[tuple[int, str, str]]) -> str:
    """One line that names the ranks that failed, their hosts, the reasons and the remedy.

    `failed` has the rank, the host and the reason of each.
    """
    own = socket.gethostname()
    what = "; ".join(
        f"rank {rank} on {own if host == HERE else host} {reason}" for rank, host, reason in failed
    )
    return with_remedy(run, what or "its processes lost contact with each other")


def with_remedy(run: RunDir, what: str) -> str:
    """A fault with the command that continues the run, and the step it continues from."""
    steps = [step for step in checkpoint_steps(run) if run.checkpoint_state(step).exists()]
    if not steps:
        return f"{what}; there is no checkpoint yet: genui resume {run.id} starts again"
    return f"{what}; genui resume {run.id} continues from the checkpoint at step {steps[-1]:,}"


def rank_in_job() -> int | None:
    """The rank of this process, if torchrun or a parent has started it with others.

    Raises MisuseError if the variables do not say where they find each other.
    """
    rank, size = os.environ.get("RANK", ""), os.environ.get("WORLD_SIZE", "")
    if not (rank.isdecimal() and size.isdecimal() and int(size) > 1):
        return None
    port = os.environ.get("MASTER_PORT", "")
    if int(rank) >= int(size) or not os.environ.get("MASTER_ADDR") or not port.isdecimal():
        raise MisuseError(
            f"RANK={rank} and WORLD_SIZE={size} are set, so this is one of several processes, but "
            "RANK is too large, or MASTER_ADDR or MASTER_PORT is not set: set them as torchrun "
            "does, or unset all to train in one process"
        )
    return int(rank)


def without_job(env: Mapping[str, str]) -> dict[str, str]:
    """An environment without the variables of a job."""
    return {name: value for name, value in env.items() if name not in JOB_VARIABLES}


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python -m genui.runs.processes RUN_FOLDER", file=sys.stderr)
        return 2
    run = RunDir(Path(sys.argv[1]))
    try:
        info = read_info(run)
        return watch(run, info.hosts or (HERE,) * info.processes)
    except GenuiError as error:
        print(f"genui: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
