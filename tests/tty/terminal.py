"""A real terminal for a process: a pty, a screen drawn by pyte, and the time of every byte."""

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
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import pyte

ROOT = Path(__file__).resolve().parents[2]
GENUI = (sys.executable, "-m", "genui")

PATIENCE = 60.0  # seconds; how long a thing may take on a machine that is busy with others

# What pyte prints instead of obeying: the keyboard protocol, given back at the end.
_UNKNOWN_TO_PYTE = b"\x1b[<u"
_MODE = re.compile(rb"\x1b\[\?([\d;]+)([hl])")
_OURS = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "COLUMNS", "LINES", "TMUX", "SSH_CONNECTION")


class Chunk(NamedTuple):
    """What one read returned, and when (`time.perf_counter`)."""

    at: float
    data: bytes


def environment(changes: Mapping[str, str]) -> dict[str, str]:
    """The environment of a truecolour terminal, whatever terminal we are in ourselves."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _OURS and not name.startswith("TEXTUAL")
    }
    return kept | {"TERM": "xterm-256color", "COLORTERM": "truecolor"} | dict(changes)


class Terminal:
    """A process in a terminal of its own.

    A thread takes the output as it comes, at most `bytes_a_second` of it; it is drawn only
    when the screen is asked for, so that drawing takes no time from what is measured.
    """

    def __init__(
        self,
        argv: Sequence[str] = GENUI,
        *,
        size: tuple[int, int] = (120, 40),
        env: Mapping[str, str] | None = None,
        bytes_a_second: float = 0,  # 0: as fast as they come
    ) -> None:
        columns, lines = size
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self._chunks: list[Chunk] = []
        self._drawn = 0  # chunks on the screen
        self._ended = False  # no more will come
        self._news = threading.Condition()
        self._rate = bytes_a_second
        self._fd, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.started = time.perf_counter()
        try:
            self.process = subprocess.Popen(
                list(argv),
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                cwd=ROOT,
                env=environment(env or {}),
                start_new_session=True,
                preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            )
        finally:
            os.close(theirs)
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

    # --- what a person does -------------------------------------------------------------

    def press(self, keys: str) -> float:
        """Type `keys`, surrogates as the bytes they stand for; returns when they were sent."""
        at = time.perf_counter()
        os.write(self._fd, keys.encode(errors="surrogateescape"))
        return at

    def resize(self, columns: int, lines: int) -> None:
        """Change the size, and forget what came before: the process draws everything again."""
        with self._news:
            self._chunks.clear()
            self._drawn = 0
        self.screen.resize(lines, columns)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

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

    # --- what a person sees -------------------------------------------------------------

    @property
    def text(self) -> str:
        """The screen as drawn so far."""
        return "\n".join(self.screen.display)

    @property
    def output(self) -> bytes:
        """Everything sent so far."""
        with self._news:
            return b"".join(chunk.data for chunk in self._chunks)

    @property
    def modes(self) -> set[int]:
        """The private modes that are on: 25 cursor, 1049 alternate screen, 1000–1006 mouse."""
        on = {25}
        for match in _MODE.finditer(self.output):
            change = on.update if match[2] == b"h" else on.difference_update
            change(int(number) for number in match[1].split(b";"))
        return on

    @property
    def cooked(self) -> bool:
        """Whether what is typed is echoed and edited by line, as in a shell."""
        flags = termios.tcgetattr(self._fd)[3]
        return bool(flags & termios.ECHO) and bool(flags & termios.ICANON)

    def settle(self) -> None:
        """Draws what has come so far."""
        with self._news:
            come = self._chunks[self._drawn :]
        for chunk in come:
            self._draw(chunk)

    def until(self, true: Callable[[str], bool], seconds: float = PATIENCE) -> float:
        """Draws until the screen's text makes `true` true; returns when the bytes arrived.

        Raises AssertionError, with the screen, where it does not within `seconds`.
        """
        return self.until_drawn(lambda: true(self.text), seconds)

    def until_drawn(self, true: Callable[[], bool], seconds: float = PATIENCE) -> float:
        """The same for anything that can be seen of `screen`."""
        end = time.perf_counter() + seconds
        at = self._chunks[self._drawn - 1].at if self._drawn else self.started
        while not true():
            chunk = self._next(end)
            if chunk is None:
                raise AssertionError(f"waited {seconds:g} s in vain; the screen:\n{self.text}")
            self._draw(chunk)
            at = chunk.at
        return at

    def until_sent(self, pattern: bytes, seconds: float = PATIENCE) -> float:
        """Waits, without drawing, until the output matches; returns when the bytes arrived.

        Raises AssertionError where it does not within `seconds`.
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

    def wait(self, seconds: float = PATIENCE) -> int:
        """Waits for the process to end and its output to be taken; returns its exit code.

        Raises AssertionError where it does not end.
        """
        end = time.perf_counter() + seconds
        while self.process.poll() is None:
            if time.perf_counter() > end:
                raise AssertionError(f"still there after {seconds:g} s; the screen:\n{self.text}")
            time.sleep(0.002)
        self._reader.join(max(0.0, end - time.perf_counter()))
        return self.process.returncode

    # --- the reader ---------------------------------------------------------------------

    def _next(self, end: float) -> Chunk | None:
        """The next chunk that is not drawn yet; None when none has come by `end`."""
        with self._news:
            while self._drawn == len(self._chunks):
                left = end - time.perf_counter()
                if self._ended or left <= 0:
                    return None
                self._news.wait(left)
            return self._chunks[self._drawn]

    def _draw(self, chunk: Chunk) -> None:
        self._stream.feed(chunk.data.replace(_UNKNOWN_TO_PYTE, b""))
        self._drawn += 1

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
