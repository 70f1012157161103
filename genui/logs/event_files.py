"""`genui.init(sync_tensorboard=True)`: a script's event files of TensorBoard become metrics of its
run.

The interpreter reports each file that is opened (the audit event "open" of PEP 578), so no library
is patched, and it does not matter which one writes: torch's SummaryWriter, tensorboard,
tensorboardX. New data in the files are read once a second on the thread of the run's heartbeat.
"""

import os
import sys
import threading
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from genui.base.errors import GenuiError
from genui.logs.base import HPARAMS_FOLDER
from genui.logs.tensorboard import EventsTail, Point
from genui.runs.api import Run

_A_BEAT = 1024 * 1024  # bytes of a file that are read a second; a writer in Python writes less
_PATIENCE = 10.0  # seconds


def follow(run: Run) -> Callable[[bool], None]:
    """Begins to follow the event files that this process writes from now on. The result adds new
    data in them to the run; with True everything up to the end. It may raise GenuiError."""
    return _EventFiles(run).read


@cache
def _opened_files() -> dict[str, None]:
    """The event files that this process has opened for writing since the first call, in order; it
    grows."""
    found: dict[str, None] = {}
    seen: set[str | bytes] = set()

    def hook(event: str, args: tuple[object, ...]) -> None:
        if event != "open":
            return
        path, _, flags = args
        if not isinstance(path, str | bytes) or path in seen or not isinstance(flags, int):
            return  # a writer may open its file again for each record
        name = os.fsdecode(path)
        if "tfevents" in name and flags & (os.O_WRONLY | os.O_RDWR):
            seen.add(path)
            found[os.path.abspath(name)] = None

    sys.addaudithook(hook)  # for the life of the process: there is no way to remove one
    return found


class _EventFiles:
    """The event files of one run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._earlier = frozenset(_opened_files())
        self._tails: dict[str, _Scalars] = {}
        self._root: Path | None = None  # the folder of the first file
        self._reading = threading.Lock()

    def read(self, whole: bool) -> None:
        if not self._reading.acquire(timeout=_PATIENCE):
            return  # a signal handler that ends the run while it is read
        try:
            for path in list(_opened_files()):
                if path not in self._earlier and path not in self._tails:
                    self._tails[path] = _Scalars(Path(path), self._run, self._prefix(Path(path)))
            fault: GenuiError | None = None
            for tail in self._tails.values():
                try:
                    while tail.read(_A_BEAT) and whole:
                        pass
                except GenuiError as error:
                    fault = error
        finally:
            self._reading.release()
        if fault is not None:
            raise fault

    def _prefix(self, path: Path) -> str:
        """The prefix of the metrics of a file, before their tags: "" in the first folder and in
        those of add_hparams, else its path below the first, or its name, as in W&B."""
        folder = path.parent
        self._root = self._root or folder
        if folder == self._root or HPARAMS_FOLDER.fullmatch(folder.name):
            return ""
        below = folder.is_relative_to(self._root)
        return f"{folder.relative_to(self._root) if below else folder.name}/"


class _Scalars(EventsTail):
    """Adds the scalars of an event file to a run, and keeps none."""

    def __init__(self, path: Path, run: Run, prefix: str) -> None:
        super().__init__(path)
        self._run, self._prefix = run, prefix

    def add(self, points: list[Point]) -> None:
        """Scalars of one step become one record; if a step is written again, the later value
        counts."""
        records: dict[int, tuple[float, dict[str, float]]] = {}
        for name, step, number, when in points:
            if step >= 0:
                records.setdefault(step, (when, {}))[1][self._prefix + name] = number
        for step in sorted(records):
            self._run.add_record(step, *records[step])

    def learn(self, config: Mapping[str, Any]) -> None:
        """The values that add_hparams writes; the script's arguments of `init` take precedence."""
        self._run.config.setdefaults(config)

    def add_media(self, media: object) -> None:
        """Images, texts and histograms stay in the event file."""
