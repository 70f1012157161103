"""The parent of the processes that train one run: `python -m genui.engine.launcher RUN_FOLDER`.

The trainers that run.json lists are started and watched by torchrun's agent: by one in this process
those on this machine, and by one on each other host those there, which is started over ssh. When
one of them dies the others end, and status.json says which one it was, and why.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

import psutil
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from genui.base.errors import GenuiError
from genui.base.files import sanitize
from genui.runs import control
from genui.runs.hosts import (
    HERE,
    address_for,
    describe_kill,
    explain_exit,
    passed_on,
    remote_command,
)
from genui.runs.layout import BY_PARENT, HANDED_OVER, RunDir, RunLock, read_info, read_status
from genui.runs.processes import (
    LAUNCHER,
    LOST,
    TRAINER,
    WATCHED,
    clear_failures,
    describe_failure,
    read_failures,
    write_failure,
)
from genui.runs.writer import RunWriter

GRACE = 3.0
"""Seconds that processes have to end by themselves after another one has died."""

RENDEZVOUS_S = 600
"""The time that the hosts wait for each other at the start."""

_POLL = 0.05


class Agent(threading.Thread):
    """torchrun's agent for the trainers of one machine. It has the signals of no other thread."""

    def __init__(self, run: RunDir, hosts: Mapping[str, int], node: int, endpoint: str) -> None:
        """`hosts` has the numbers of their processes, `node` is the place of this one among them,
        and at `endpoint` the first one listens."""
        super().__init__(daemon=True)
        self._run = run
        self._folder = TemporaryDirectory(prefix="genui-torchrun-")  # removed with this object
        self._config = LaunchConfig(
            min_nodes=len(hosts),
            max_nodes=len(hosts),
            nproc_per_node=list(hosts.values())[node],
            run_id=run.id,
            rdzv_backend="static",
            rdzv_endpoint=endpoint,
            rdzv_configs={"rank": node, "timeout": RENDEZVOUS_S},
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=self._folder.name),
            shutdown_timeout=int(GRACE),
        )
        self.error = ""
        self.codes: dict[int, int] = {}  # the exit codes of the ranks that failed, in order

    def run(self) -> None:
        command, *words = *TRAINER, str(self._run.path)
        try:
            elastic_launch(self._config, command)(*words)
        except ChildFailedError as error:
            self.codes = {rank: each.exitcode for rank, each in error.failures.items()}
        except Exception as error:  # the hosts did not find each other
            self.error = " ".join(str(error).split())[:200]

    def record(self) -> None:
        """Write why its ranks have failed, where they have not done so themselves."""
        known = read_failures(self._run)
        failed = [(rank, code) for rank, code in self.codes.items() if code != LOST]
        for rank, code in failed:
            # After the first one the agent has ended the others by signals.
            if rank not in known and (code > 0 or rank == failed[0][0]):
                reason = describe_kill(-code) or f"ended with exit code {code}"
                write_failure(self._run, rank, reason)


class Remote:
    """The launcher on another host."""

    def __init__(self, run: RunDir, host: str, node: int, first_rank: int, endpoint: str) -> None:
        """Raises GenuiError or OSError if ssh cannot be started."""
        self.first_rank = first_rank
        command = [*LAUNCHER, str(run.path), str(node), endpoint]
        self.process = subprocess.Popen(
            remote_command(host, command, passed_on(os.environ)),
            stdin=subprocess.PIPE,  # closes when this process ends
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._lines: deque[str] = deque(maxlen=20)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if text := sanitize(line.decode(errors="replace").strip(), 500):
                self._lines.append(text)
                print(text, flush=True)

    def reason(self) -> str:
        """Why it has ended, as the end of a sentence; "" if its ranks say so."""
        self._reader.join(1.0)
        own = [line for line in self._lines if line.startswith("genui: ")]
        if own:
            return f"failed: {own[-1].removeprefix('genui: ')}"
        return explain_exit(self.process.returncode, self._lines[-1] if self._lines else "")


def train(run: RunDir, hosts: Sequence[str]) -> int:
    """Train the run in a process on each of the hosts; returns the exit code of rank 0.

    Raises GenuiError if another process trains the run.
    """
    with RunLock(run) as lock:
        clear_failures(run)
        counts, others = Counter(hosts), list[Remote]()
        try:
            endpoint = _choose_endpoint(address_for(hosts))
            for node, host in enumerate(counts):
                if node:
                    first = sum(list(counts.values())[:node])
                    others.append(Remote(run, host, node, first, endpoint))
        except (GenuiError, OSError) as error:  # no ssh here, or an address of another machine
            for each in others:
                each.process.kill()
            return _fail(run, lock, f"its processes cannot be started: {error}")
        os.environ |= {HANDED_OVER: BY_PARENT, WATCHED: str(os.getpid())}
        agent = Agent(run, counts, 0, endpoint)
        agent.start()
        _wait(run, agent, others)
        return _report(run, lock, agent, others, list(counts.elements()))


def train_beside(run: RunDir, hosts: Sequence[str], node: int, endpoint: str) -> int:
    """Start the ranks of another host than the first, which has started this process."""
    os.environ[WATCHED] = str(os.getpid())
    threading.Thread(target=_end_with_input, args=(run,), daemon=True).start()
    agent = Agent(run, Counter(hosts), node, endpoint)
    agent.start()
    agent.join()
    agent.record()
    if agent.error:
        print(f"genui: {agent.error}", file=sys.stderr)
    return 1 if agent.codes or agent.error else 0


def _choose_endpoint(address: str) -> str:
    """An address of this machine with a free port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listener:
        port = listener.getsockname()[1]
    return f"[{address}]:{port}" if family == socket.AF_INET6 else f"{address}:{port}"


def _wait(run: RunDir, agent: Agent, others: Sequence[Remote]) -> None:
    """Wait for the end of all. The first signal asks rank 0 to stop, the second ends all."""
    signals: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        if len(signals) > 1:
            _kill_children(run)

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, stop)
    is_asked, deadline = False, float("inf")
    while agent.is_alive() or any(each.process.poll() is None for each in others):
        agent.join(_POLL)
        if signals and not is_asked:  # by a file: a trainer that imports torch would die of it
            is_asked = True
            with suppress(GenuiError):
                control.send(run, "stop")
                control.record_signal(run, signals[0])
        has_failed = agent.codes or agent.error or any(each.process.poll() for each in others)
        if has_failed and deadline == float("inf"):
            deadline = time.monotonic() + 2 * GRACE
        if time.monotonic() > deadline:
            _kill_children(run)
            break
        if not agent.is_alive():
            time.sleep(_POLL)


def _report(
    run: RunDir, lock: RunLock, agent: Agent, others: Sequence[Remote], hosts: Sequence[str]
) -> int:
    """Write why the training failed, unless rank 0 has done so. Returns the exit code. `hosts` has
    the host of each rank."""
    state = ""
    with suppress(GenuiError):
        state = read_status(run).state
    if state in ("finished", "stopped"):
        return 0  # all is on the disk
    if state == "failed":
        return max(1, agent.codes.get(0, 1))
    agent.record()
    failed = read_failures(run)
    for each in others:
        if each.process.poll() and (reason := each.reason()):
            failed.setdefault(each.first_rank, reason)
    return _fail(run, lock, describe_failure(run, failed, hosts, agent.error))


def _fail(run: RunDir, lock: RunLock, line: str) -> int:
    """Write why the training failed. Returns the exit code."""
    os.environ[HANDED_OVER] = str(os.dup(lock.fd))
    with RunWriter(run) as writer:
        writer.write_line(f"failed: {line}")
        writer.update(state="failed", doing="", error=line)
    print(f"genui: {line}", file=sys.stderr)
    return 1


def _kill_children(run: RunDir) -> None:
    """Kill the trainers of the run here, and the ssh of those elsewhere."""
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if str(run.path) in " ".join(child.cmdline()):
                for each in (*child.children(recursive=True), child):
                    each.kill()


def _end_with_input(run: RunDir) -> None:
    """End this process and its trainers when ssh does."""
    os.read(0, 1)
    _kill_children(run)
    os._exit(LOST)


def main() -> int:
    logging.getLogger("torch.distributed.elastic").setLevel(logging.ERROR)
    try:
        run = RunDir(Path(sys.argv[1]))
        info = read_info(run)
        hosts = info.hosts or (HERE,) * info.processes
        if len(sys.argv) == 4:
            return train_beside(run, hosts, int(sys.argv[2]), sys.argv[3])
        return train(run, hosts)
    except GenuiError as error:
        print(f"genui: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
