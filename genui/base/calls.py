"""Work on a thread of its own, and programs, with a limit to how long a caller waits for them."""

import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Call(Generic[T]):
    """Work on a thread of its own, which goes on when a caller stops waiting for it."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._begun = time.monotonic()
        self._done = threading.Event()
        self._value: list[T] = []
        self._error: BaseException | None = None
        threading.Thread(target=self._run, args=(work,), name="call", daemon=True).start()

    def _run(self, work: Callable[[], T]) -> None:
        try:
            self._value.append(work())
        except BaseException as error:
            self._error = error
        self._done.set()

    def wait(self, seconds: float) -> bool:
        """Whether it is done after at most so many seconds."""
        return self._done.wait(seconds)

    @property
    def seconds(self) -> float:
        """How long ago it began."""
        return time.monotonic() - self._begun

    def result(self) -> T:
        """Return the result of the work; raises what it raised."""
        self._done.wait()
        if self._error is not None:
            raise self._error
        return self._value[0]


def run_program(
    command: Sequence[str],
    seconds: float,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run a program with the text `stdin` as its input. Raises OSError if it cannot be started, and
    subprocess.TimeoutExpired if it has not ended after so many seconds."""
    return subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
        env=env,
    )
