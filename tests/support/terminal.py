"""A real terminal for a process: a pty, a screen drawn by pyte, and the time of every byte."""

import fcntl
import re
import struct
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyte
from pseudo_terminal import GENUI, PATIENCE, Chunk, PseudoTerminal, environment

__all__ = ["ALONE", "GENUI", "PATIENCE", "ROOT", "Chunk", "Terminal", "environment"]

ROOT = Path(__file__).resolve().parents[2]

WITHOUT_WORKER = """
import sys
from functools import partial
from genui.cli.main import main
from genui.ui import app, session

silent = partial(session.launch_process, "sh", "-c", "cat > /dev/null")
app.GenuiApp.__init__.__defaults__ = silent, False
"""
ALONE = (sys.executable, "-c", f"{WITHOUT_WORKER}sys.exit(main())")
"""genui with a worker that says nothing, where nothing is generated: torch and the models take two
thirds of the time of an app that is only opened."""

# What pyte prints instead of obeying: the keyboard protocol, given back at the end.
_UNKNOWN_TO_PYTE = b"\x1b[<u"
_MODE = re.compile(rb"\x1b\[\?([\d;]+)([hl])")


class Terminal(PseudoTerminal):
    """A pseudo-terminal with a screen.

    It is drawn only when the screen is asked for, so that drawing takes no time from what is
    measured.
    """

    def __init__(
        self,
        argv: Sequence[str] = GENUI,
        *,
        size: tuple[int, int] = (120, 40),
        env: Mapping[str, str] | None = None,
        bytes_a_second: float = 0,  # 0: as fast as they come
    ) -> None:
        self.screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self.screen)
        self._drawn = 0  # chunks on the screen
        super().__init__(argv, size=size, env=env, cwd=ROOT, bytes_a_second=bytes_a_second)

    # --- what a person does -------------------------------------------------------------

    def resize(self, columns: int, lines: int) -> None:
        """Change the size, and forget what came before: the process draws everything again."""
        with self._news:
            self._chunks.clear()
            self._drawn = 0
        self.screen.resize(lines, columns)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    # --- what a person sees -------------------------------------------------------------

    @property
    def text(self) -> str:
        """The screen as drawn so far."""
        return "\n".join(self.screen.display)

    @property
    def ended(self) -> bool:
        """Whether all output has come: the process has ended, or will in a moment."""
        return self._ended

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
                why = "it has ended" if self.ended else f"waited {seconds:g} s in vain"
                raise AssertionError(f"{why}; the screen:\n{self.text}")
            self._draw(chunk)
            at = chunk.at
        return at

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
