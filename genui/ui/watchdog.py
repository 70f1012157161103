"""A record of the app's work while it did not answer, to be sent with a report.

Two silences are written to `stalls.txt` in the data folder with the stacks of all threads and of
what waits in the event loop: the loop does not run, since one call takes long; and a key is not
handled though the loop runs, since a handler waits. While all is well this takes one timer a
second. Textual is not imported here: `genui doctor` names the file too.
"""

import asyncio
import faulthandler
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from genui.base import paths

if TYPE_CHECKING:
    from textual.app import App

FILE = "stalls.txt"
BEAT = 1.0  # seconds between two signs of life of the event loop
PATIENCE = 5.0  # seconds after which it, or a key, has waited too long
_MAX_BYTES = 1_000_000  # of records of earlier starts; more are dropped


def stalls_file() -> Path:
    """The path of the records, which need not exist."""
    return paths.data_dir() / FILE


class Watchdog:
    """Records silences of an app. `beat`, `handled`, `start` and `stop` are called in its event
    loop, the other functions on the thread that reads the keys."""

    def __init__(self, app: "App[Any]", idle: tuple[str, ...]) -> None:
        """`idle` are the coroutines of tasks that wait for nothing in particular."""
        self._app = app
        self._idle = idle
        self._file: IO[str] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._beat_at = 0.0  # these are in monotonic seconds
        self._lock = threading.Lock()
        self._waiting = 0  # keys that are read and not handled
        self._waiting_since = 0.0
        self._is_recorded = False

    def start(self) -> None:
        """Open the file; if it cannot be written, nothing is recorded."""
        path = stalls_file()
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            is_long = path.exists() and path.stat().st_size > _MAX_BYTES
            self._file = path.open("w" if is_long else "a")
            self._loop = asyncio.get_running_loop()
            self.beat()

    def stop(self) -> None:
        """Close the file, and remove it if it is empty."""
        if self._file is None:
            return
        faulthandler.cancel_dump_traceback_later()
        with self._lock, suppress(OSError):
            file, self._file = self._file, None
            file.close()
            if not stalls_file().stat().st_size:
                stalls_file().unlink()

    def beat(self) -> None:
        """Say that the loop runs. The stacks are written where it does not again in time, by a
        thread that needs no lock of the interpreter."""
        now = time.monotonic()
        if self._file is None:
            return
        if self._beat_at and now - self._beat_at > PATIENCE:
            seconds = now - self._beat_at
            self._write(f"the event loop did not run for {seconds:.0f} s: the stacks above")
        self._beat_at = now
        faulthandler.dump_traceback_later(PATIENCE, file=self._file)

    def forget(self) -> None:
        """Forget for how long the loop and keys have waited: another program has the terminal."""
        faulthandler.cancel_dump_traceback_later()
        self._beat_at = 0.0
        with self._lock:
            self._waiting_since = time.monotonic()

    # --- keys -----------------------------------------------------------------------------

    def receive(self) -> None:
        """A key has been read."""
        with self._lock:
            if not self._waiting:
                self._waiting_since = time.monotonic()
            self._waiting += 1

    def handled(self) -> None:
        """A key has been handled."""
        with self._lock:
            self._waiting = max(0, self._waiting - 1)
            self._waiting_since = time.monotonic()
            self._is_recorded = False

    def look(self) -> None:
        """Record once if a key has waited too long."""
        with self._lock:
            seconds = time.monotonic() - self._waiting_since
            if not self._waiting or self._is_recorded or seconds < PATIENCE:
                return
            self._is_recorded = True
        if self._file is None or self._loop is None:
            return
        screens = ", ".join(type(screen).__name__ for screen in self._app.screen_stack)
        tasks = "\n".join(describe_tasks(self._idle, self._loop))
        keys = "1 key has" if self._waiting == 1 else f"{self._waiting} keys have"
        self._write(f"{keys} waited for {seconds:.0f} s\n{screens}\n{tasks}")
        with suppress(ValueError):  # closed meanwhile
            faulthandler.dump_traceback(self._file)

    def _write(self, text: str) -> None:
        with self._lock, suppress(OSError):
            if self._file is not None:
                now = time.strftime("%Y-%m-%d %H:%M:%S")
                self._file.write(f"=== {now}, process {os.getpid()}: {text}\n")
                self._file.flush()


def describe_tasks(
    idle: tuple[str, ...], loop: asyncio.AbstractEventLoop | None = None
) -> Iterator[str]:
    """What each task of a loop waits for, a line each, but for those in a coroutine `idle`."""
    for task in asyncio.all_tasks(loop):
        names: list[str] = []
        coroutine: Any = task.get_coro()
        while (frame := getattr(coroutine, "cr_frame", None)) is not None:
            names.append(f"{frame.f_code.co_qualname}:{frame.f_lineno}")
            coroutine = getattr(coroutine, "cr_await", None)
        if not any(part in name for name in names for part in idle):
            yield f"  {task.get_name()}: {' > '.join(names)}"


def describe_stalls() -> str:
    """Whether silences were recorded, when, and where, for `genui doctor`."""
    path = stalls_file()
    with suppress(OSError):
        if path.stat().st_size:
            when = time.strftime("%d %B %H:%M", time.localtime(path.stat().st_mtime))
            return f"stacks of waits over {PATIENCE:g} s in {path}, last on {when}"
    return f"no wait over {PATIENCE:g} s recorded"
