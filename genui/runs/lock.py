"""One trainer a run: a `flock` held for the trainer's whole life.

The kernel frees it the moment its holder dies, however it dies, so a free lock on this host
means no trainer. A launcher takes the lock first and hands its descriptor to the trainer it
starts, so there is no moment in between when the run looks dead or a second trainer fits in.
"""

import errno
import fcntl
import os
import socket
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from genui.errors import GenuiError
from genui.runs.disk import cannot_write, write_all
from genui.runs.layout import RunDir

HANDED_OVER = "GENUI_LOCK_FD"
"""Environment variable by which a launcher names the descriptor it hands over."""

_PATIENCE = 0.3  # seconds; `is_locked` elsewhere holds the lock for microseconds


class RunLock:
    """The exclusive right to write a run, as a context manager.

    Raises GenuiError naming the process that holds it, if one does.
    """

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self._fd = -1

    @property
    def fd(self) -> int:
        """The descriptor that holds the lock; -1 outside the `with` block."""
        return self._fd

    def __enter__(self) -> Self:
        fd = self._handed_over()
        self._fd = self._take() if fd is None else fd
        with suppress(OSError):  # only for the message another trainer gets
            os.ftruncate(self._fd, 0)
            write_all(self._fd, f"{os.getpid()} {socket.gethostname()}\n".encode())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Closed, never unlocked: LOCK_UN would free it for a process it was handed to as well.
        os.close(self._fd)
        self._fd = -1

    def _handed_over(self) -> int | None:
        """The descriptor the launcher locked for us, if it is of this run."""
        value = os.environ.pop(HANDED_OVER, "")
        if not value.isdecimal():
            return None
        fd = int(value)
        try:
            if not os.path.samestat(os.fstat(fd), os.stat(self._run.lock)):
                return None
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return None
        os.set_inheritable(fd, False)  # our own children must not keep the run alive after us
        os.lseek(fd, 0, os.SEEK_SET)
        return fd

    def _take(self) -> int:
        path = self._run.lock
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise cannot_write(path, error) from None
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return fd
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    os.close(fd)
                    raise cannot_write(path, error) from None
                if time.monotonic() > deadline:
                    holder = _holder(fd)
                    os.close(fd)
                    raise GenuiError(
                        f"run {self._run.id} is already being trained by {holder}: "
                        f"stop that one first (genui stop {self._run.id})"
                    ) from None
            time.sleep(0.01)


def is_locked(run: RunDir) -> bool:
    """Whether a process holds the run's lock. Leaves no trace, and works on a read-only disk."""
    try:
        fd = os.open(run.lock, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EWOULDBLOCK, errno.EACCES)
    finally:
        os.close(fd)
    return False


def _holder(fd: int) -> str:
    """`process 123 on host`, from what the holder wrote into the lock file."""
    pid, _, host = os.pread(fd, 200, 0).decode(errors="replace").partition(" ")
    if not pid.isdecimal():
        return "another process"
    host = "".join(c for c in host if c.isprintable())
    return f"process {pid} on {host}" if host else f"process {pid}"
