"""What the safety net knows of genui: a command line, a terminal, and a folder.

Of genui it imports the table of kinds, to leave out what is of a kind that has been removed.
Nothing elsewhere in the tests is imported here.
"""

import atexit
import fcntl
import hashlib
import json
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyte

from genui.protocol.kinds import KINDS

ROOT = Path(__file__).resolve().parents[2]
OLD = Path(__file__).resolve().parent / "old"
GENUI = (sys.executable, "-m", "genui")
OLD_PLACE = "/old"
"""Where the old files were made: their recipes name data in this folder."""

TIMEOUT = 240.0  # seconds, for one command on a busy machine
_DROPPED = (
    *("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "COLUMNS", "LINES", "TMUX", "SSH_CONNECTION"),
    "PYTHONDONTWRITEBYTECODE",  # with which every command would compile genui again
)


MUSIC, LAB = ("transformer", "music"), ("gan", "points")
"""Kinds, which are families and media, that some of the old files are of."""


def has(kind: tuple[str, str]) -> bool:
    """Whether that kind of models is there."""
    return kind in KINDS


def environment(home: Path, root: Path = ROOT, **changes: str) -> dict[str, str]:
    """The environment of a user whose files are all under `home`, with the genui of `root`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _DROPPED and not name.startswith(("TEXTUAL", "GENUI", "PYTEST"))
    }
    return kept | {"GENUI_HOME": str(home), "PYTHONPATH": str(root), "LC_ALL": "C.UTF-8"} | changes


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it printed."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What was printed on stdout, as JSON."""
        return json.loads(self.out)

    def ok(self) -> Self:
        """Itself. Raises AssertionError, with what was printed, where the exit code is not 0."""
        assert self.code == 0, f"genui {' '.join(self.argv)}: exit {self.code}\n{self.err}"
        return self


def genui_anew(home: Path, *argv: str, cwd: Path | None = None) -> Done:
    """One command, in a process of its own that has imported nothing before."""
    done = subprocess.run(
        [*GENUI, *argv],
        cwd=cwd or home,
        env=environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    return Done(argv, done.returncode, done.stdout, done.stderr)


def genui(home: Path, *argv: str, cwd: Path | None = None) -> Done:
    """One command, in a fork of a process that all tests share."""
    return _shared()(*argv, cwd=cwd or home, home=home)


@cache
def _shared() -> "Warm":
    warm = Warm(Path(tempfile.gettempdir()))
    atexit.register(warm.close)
    return warm


class Warm:
    """Runs `python -m genui …` in forks of one process that has imported torch already.

    A command that generates takes two seconds, of which importing torch is more than one.
    See `warm.py`, which knows no more of genui than its name and two commands.
    """

    def __init__(self, home: Path, root: Path = ROOT) -> None:
        self.home = home
        self._folder = Path(tempfile.mkdtemp(prefix="genui-net-"))
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("warm.py")), "replay", "show"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=home,
            # NumPy starts threads as it is imported, and a process with threads must not fork.
            env=environment(home, root) | {"OPENBLAS_NUM_THREADS": "1", "SHARED_BY_TESTS": "1"},
        )

    def __call__(self, *argv: str, cwd: Path | None = None, home: Path | None = None) -> Done:
        """One command to its end; `home` is another GENUI_HOME."""
        out, err = self._folder / "out", self._folder / "err"
        request = {"argv": argv, "cwd": str(cwd or self.home), "home": str(home or self.home)}
        request |= {"out": str(out), "err": str(err)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        if not select.select([self._process.stdout], [], [], TIMEOUT)[0]:
            raise AssertionError(f"genui {' '.join(argv)}: not done after {TIMEOUT:g} s")
        code = int(self._process.stdout.readline())
        return Done(argv, code, out.read_text(), err.read_text())

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(TIMEOUT)
        shutil.rmtree(self._folder)


class Terminal:
    """A process in a terminal of its own, drawn by pyte."""

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], size: tuple[int, int] = (120, 40)
    ) -> None:
        columns, lines = size
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self._fd, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        try:
            self.process = subprocess.Popen(
                ["sh", "-c", 'exec "$@" 0<>"$0"', os.ttyname(child), *argv],
                stdin=child,
                stdout=child,
                stderr=child,
                cwd=env["GENUI_HOME"],
                env={**env, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
                start_new_session=True,  # and what the shell opens is its controlling terminal
            )
        finally:
            os.close(child)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hangs up, as a lost connection does, and ends the process if it is still there."""
        with suppress(OSError):
            os.close(self._fd)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def text(self) -> str:
        """The screen as drawn so far."""
        return "\n".join(self.screen.display)

    def press(self, keys: str) -> None:
        """Types `keys`."""
        os.write(self._fd, keys.encode())

    def until(self, true: Callable[[str], bool], what: str, seconds: float = TIMEOUT) -> str:
        """Draws until the screen's text makes `true` true, and returns it.

        Raises AssertionError, with the screen, where it does not.
        """
        end = time.monotonic() + seconds
        while not true(self.text):
            if not self._draw(end - time.monotonic()):
                raise AssertionError(f"waited in vain for {what}; the screen:\n{self.text}")
        return self.text

    def settle(self, quiet: float = 0.3, most: float = 5.0) -> str:
        """Draws until nothing has come for `quiet` seconds; returns the screen's text."""
        end = time.monotonic() + most
        while self._draw(min(quiet, end - time.monotonic())):
            pass
        return self.text

    def wait(self, seconds: float = TIMEOUT) -> int:
        """Draws until the process ends; returns its exit code."""
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < end, f"still there; the screen:\n{self.text}"
            self._draw(0.1)
        self.settle(0.05)
        return self.process.returncode

    def _draw(self, seconds: float) -> bool:
        """Draws what comes within so long; False where nothing does."""
        if seconds <= 0 or not select.select([self._fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # EIO: the last process has closed the terminal
            return False
        with suppress(TypeError):  # pyte's, of a sequence that quitting cut off
            self._stream.feed(data.replace(b"\x1b[<u", b""))  # which pyte prints
        return bool(data)


def app(home: Path, *argv: str, size: tuple[int, int] = (120, 40)) -> Terminal:
    """The app in a terminal."""
    return Terminal([*GENUI, *argv], environment(home), size)


def machine() -> dict[str, str]:
    """What decides how sums are rounded: where it is the same, bits must be too."""
    cpu = ""
    with suppress(OSError):
        info = Path("/proc/cpuinfo").read_text()
        wanted = r"^(vendor_id|cpu family|model|stepping|flags)\s*: (.*)$"
        cpu = "\n".join(dict.fromkeys(map("".join, re.findall(wanted, info, re.MULTILINE))))
    from importlib.metadata import version

    return {
        "cpu": hashlib.sha256(cpu.encode()).hexdigest()[:16] if cpu else "",
        "torch": version("torch"),
        "numpy": version("numpy"),
        "pillow": version("pillow"),
    }
