"""The signal at which a training writes its Python stack into its run's folder.

The process records the signal, itself and its start in a file beside the stack. A signal is sent
only to a process for which that record is true.
"""

import errno
import faulthandler
import os
import re
import shlex
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct, json

from genui.base.errors import GenuiError
from genui.base.files import atomic_write, read_json
from genui.runs.layout import RunDir

STOPPED = "stopped (SIGSTOP)"
_RECORD = re.compile(r"stack-rank(\d{1,6})\.json")


class Answerer(Struct, frozen=True):
    """A process that writes its stack when it gets a signal."""

    pid: int
    started: float  # as `observe_process` gives it
    signal: int
    host: str

    @property
    def is_here(self) -> bool:
        """Whether it is a process of this machine."""
        return self.host == socket.gethostname()


def answer_requests(run: RunDir, rank: int = 0) -> Callable[[], None]:
    """Let this process write its stack at a signal, and record that. Returns a function that undoes
    it. Only the main thread can do this; elsewhere nothing happens. Never raises.

    The handler does not chain to an earlier one: there is none, and with `chain=True` faulthandler
    lets system calls of other libraries fail with EINTR.
    """
    path = run.path / f"stack-rank{rank}.json"
    try:
        number, seen = _unused_signal(), observe_process(os.getpid())
        if not number or seen is None:
            return lambda: None
        # Without faulthandler a late signal does nothing; the default would end the process.
        signal.signal(number, signal.SIG_IGN)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        file = os.open(stack_file(run, rank), flags, 0o600)
    except (OSError, ValueError):
        return lambda: None
    faulthandler.register(number, file=file, all_threads=False)

    def undo() -> None:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        faulthandler.unregister(number)
        os.close(file)

    record = Answerer(os.getpid(), seen.started, number, socket.gethostname())
    with suppress(GenuiError):  # a full disk: nobody asks then
        atomic_write(path, json.encode(record), durable=False, mode=0o600)
    return undo


def stack_file(run: RunDir, rank: int) -> Path:
    """The file with the stacks that a rank has written, oldest first."""
    return run.path / f"stack-rank{rank}.txt"


def _unused_signal() -> int:
    """A signal that nobody uses in this process; 0 if there is none. Each run of a process has one
    of its own. One that is ignored was that of an earlier run."""
    taken = _caught(os.getpid())
    for number in _usable_signals():
        is_free = signal.getsignal(number) in (signal.SIG_DFL, signal.SIG_IGN)
        if is_free and not taken >> (number - 1) & 1:
            return number
    return 0


def _usable_signals() -> Sequence[int]:
    """Real-time signals, the least used first; glibc and others take those at the start."""
    if not hasattr(signal, "SIGRTMAX"):
        return ()
    return range(signal.SIGRTMAX - 3, signal.SIGRTMIN + 8, -1)


def _caught(pid: int) -> int:
    """The signals for which a process has a handler, bit n-1 for signal n. Raises OSError."""
    match = re.search(r"^SigCgt:\s*([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.M)
    if match is None:  # as in gVisor
        raise OSError(errno.ENOSYS, "the system does not tell its signals")
    return int(match[1], 16)


class Seen(NamedTuple):
    """A process as the system describes it."""

    started: float  # in ticks since the system started
    state: str  # "S" sleeps, "R" runs, "T" is stopped by a signal, …


def observe_process(pid: int) -> Seen | None:
    """The start and the state of a process of this machine; None if there is none, or the system
    has no /proc."""
    with suppress(OSError, ValueError, IndexError):
        # The name, in parentheses, may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return Seen(float(fields[19]), fields[0])
    return None


def answerers(run: RunDir) -> Iterator[tuple[int, Answerer, float]]:
    """The recorded processes of a run: rank, process, and the unix time of the record."""
    for path in run.path.glob("stack-rank*.json"):
        with suppress(OSError, GenuiError):
            one, match = read_json(path, Answerer, "remove it"), _RECORD.fullmatch(path.name)
            if match is not None and one.signal in _usable_signals():
                yield int(match[1]), one, path.stat().st_mtime


def stopped_ranks(run: RunDir) -> str:
    """`rank 1 is stopped (SIGSTOP): kill -CONT 123 continues it`, of the ranks on this machine; ""
    if none is."""
    stopped = {}
    for rank, one, _ in answerers(run):
        seen = observe_process(one.pid) if one.is_here else None
        if seen is not None and seen == (one.started, "T"):
            stopped[rank] = one.pid
    if not stopped:
        return ""
    ranks = ", ".join(map(str, sorted(stopped)))
    who = f"ranks {ranks} are" if len(stopped) > 1 else f"rank {ranks} is"
    continues = shlex.join(["kill", "-CONT", *map(str, stopped.values())])
    return f"{who} {STOPPED}: {continues} continues {'them' if len(stopped) > 1 else 'it'}"


def request_stack(run: RunDir, rank: int, one: Answerer) -> int | str:
    """Ask a process of this machine for its stack.

    Returns the size of its file before, in bytes, or why it is not asked, as words after "is".
    """
    try:
        size = stack_file(run, rank).stat().st_size
        handles = _caught(one.pid) >> (one.signal - 1) & 1  # else it has become another program
        seen = observe_process(one.pid)
        if seen is None or seen.started != one.started or seen.state == "Z":
            return "gone"
        if seen.state == "T":
            return STOPPED
        if not handles:
            return "running another program"
        os.kill(one.pid, one.signal)
    except FileNotFoundError:
        return "gone"
    except OSError as error:
        return f"out of reach ({error.strerror})"
    return size
