"""A process in a pseudo-terminal of its own, and the time of every byte that it sends."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

GENUI = (sys.executable, "-m", "genui")

PATIENCE = 240.0
"""Seconds that something may take on a machine that is busy with others."""

_OURS = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "COLUMNS", "LINES", "TMUX", "SSH_CONNECTION")


class Chunk(NamedTuple):
    """What one read returned, and when (`time.perf_counter`)."""

    at: float
    data: bytes


def environment(changes: Mapping[str, str]) -> dict[str, str]:
    """The environment of a truecolour terminal, whatever terminal this process is in."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _OURS and not name.startswith("TEXTUAL")
    }
    return kept | {"TERM": "xterm-256color", "COLORTERM": "truecolor"} | dict(changes)


def start_in_terminal(
    argv: Sequence[str],
    size: tuple[int, int],
    env: Mapping[str, str],
    cwd: Path | None = None,
    pixels: tuple[int, int] = (0, 0),
) -> tuple["subprocess.Popen[bytes]", int]:
    """Start a process with a new terminal as its controlling one: the process, and the descriptor
    of the terminal's other end. `size` is in columns and lines, `pixels` the width and height."""
    fd, child = pty.openpty()
    columns, lines = size
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, *pixels))
    # A shell opens the terminal, which makes it the controlling one of the new session. With
    # `preexec_fn` Python would run in a fork of this process, which may have threads.
    script = 'exec "$@" 0<>"$0" 1>&0 2>&0'
    try:
        process = subprocess.Popen(
            ["sh", "-c", script, os.ttyname(child), *argv],
            stdin=child,
            stdout=child,
            stderr=child,
            cwd=cwd,
            env=env,
            start_new_session=True,
        )
    finally:
        os.close(child)
    return process, fd


class PseudoTerminal:
    """Starts `argv` in a terminal of `size` columns and lines; a context manager that ends it.

    A thread takes the output as it comes, at most `bytes_a_second` of it. What the bytes draw is
    not computed.
    """

    def __init__(
        self,
        argv: Sequence[str] = GENUI,
        *,
        size: tuple[int, int] = (120, 40),
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        bytes_a_second: float = 0,  # 0: as fast as they come
    ) -> None:
        self._chunks: list[Chunk] = []
        self._ended = False  # no more will come
        self._news = threading.Condition()
        self._rate = bytes_a_second
        self.started = time.perf_counter()
        self.process, self._fd = start_in_terminal(argv, size, environment(env or {}), cwd)
        self._stop, self._stopper = os.pipe()
        self._reader = threading.Thread(target=self._read, name="terminal", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends the process, however it is."""
        self.hang_up()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def press(self, keys: str) -> float:
        """Type `keys`, surrogates as the bytes they stand for; returns when they were sent."""
        at = time.perf_counter()
        os.write(self._fd, keys.encode(errors="surrogateescape"))
        return at

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        self.process.send_signal(number)

    def hang_up(self) -> None:
        """Close the terminal, as a lost connection does; the kernel sends SIGHUP."""
        if self._fd < 0:
            return
        os.write(self._stopper, b"x")
        self._reader.join()
        for fd in (self._fd, self._stop, self._stopper):
            os.close(fd)
        self._fd = -1

    @property
    def chunks(self) -> list[Chunk]:
        """Everything sent so far, as it came."""
        with self._news:
            return list(self._chunks)

    @property
    def output(self) -> bytes:
        """Everything sent so far."""
        return b"".join(chunk.data for chunk in self.chunks)

    def until_sent(self, pattern: bytes, seconds: float = PATIENCE) -> float:
        """Waits until the output matches; returns when the bytes arrived.

        Raises AssertionError if it does not within `seconds`.
        """
        end = time.perf_counter() + seconds
        wanted = re.compile(pattern)
        output, looked_at = b"", 0
        while True:
            with self._news:
                for chunk in self._chunks[looked_at:]:
                    output += chunk.data
                    if wanted.search(output):
                        return chunk.at
                looked_at = len(self._chunks)
                left = end - time.perf_counter()
                if self._ended or left <= 0:
                    raise AssertionError(f"{pattern!r} was not sent; last: {output[-300:]!r}")
                self._news.wait(left)

    def answer(self, keys: str, quiet: float = 0.2, seconds: float = PATIENCE) -> float:
        """Type `keys` once nothing came for `quiet` seconds. Returns the seconds until the first
        bytes after it. Raises AssertionError if none come within `seconds`."""
        with self._news:
            while not self._ended and self._news.wait(quiet):
                continue
            count = len(self._chunks)
            pressed = self.press(keys)
            if not self._news.wait_for(lambda: len(self._chunks) > count, seconds):
                raise AssertionError(f"{keys!r} was not answered within {seconds:g} s")
            return self._chunks[count].at - pressed

    def _read(self) -> None:
        most = max(1, min(65536, int(self._rate / 50))) if self._rate else 65536
        with suppress(OSError):  # EIO: the last process has closed the terminal
            while self._stop not in select.select([self._fd, self._stop], [], [])[0]:
                data = os.read(self._fd, most)
                if not data:
                    break
                with self._news:
                    self._chunks.append(Chunk(time.perf_counter(), data))
                    self._news.notify_all()
                if self._rate:
                    time.sleep(len(data) / self._rate)
        with self._news:
            self._ended = True
            self._news.notify_all()
