"""The thread that reads runs and models from disk, so that the app never waits for one.

Every look compares with the last and posts only what changed: an idle app repaints nothing.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message_pump import MessagePump

from genui.errors import GenuiError
from genui.runs.catalog import ModelInfo, list_models
from genui.runs.layout import RunDir
from genui.runs.listing import RunSummary, list_runs, summarise
from genui.ui import messages
from genui.ui.samples import Sample, load_sample, sample_files

if TYPE_CHECKING:
    import numpy as np

    from genui.runs.tail import MetricsTail

LIVE_POLL = 0.2  # seconds between looks at a run that trains
IDLE_POLL = 1.0
MODELS_POLL = 5.0  # new checkpoints of running trainings
CONSOLE_BYTES = 16_384
CONSOLE_LINES = 200


@dataclass(frozen=True)
class RunView:
    """One look at a run: all that the Training pane shows."""

    summary: RunSummary
    series: "Mapping[str, tuple[np.ndarray, np.ndarray]]" = field(default_factory=dict)
    sample: Sample | None = None  # the newest
    sample_files: Mapping[int, Path] = field(default_factory=dict)  # step to file, ascending
    console: tuple[str, ...] = ()
    seen: float = 0.0  # time.time() at the look

    def age(self, now: float) -> float:
        """Seconds since the trainer last wrote anything."""
        return max(0.0, now - self.seen + self.summary.age)


class Watcher:
    """Looks at the lists and at one run, on its own thread, and posts what changed to `host`."""

    def __init__(self, host: MessagePump) -> None:
        self._host = host
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._run: RunDir | None = None
        self._stale = True  # the lists are to be read again at once
        self._thread = threading.Thread(target=self._loop, name="genui-watch", daemon=True)

    def start(self) -> None:
        """Begin looking."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the look it is at; does not wait for it."""
        self._stop.set()
        self._wake.set()

    def watch(self, run: RunDir | None) -> None:
        """Look at this run from now on."""
        self._run = run
        self._wake.set()

    def refresh(self) -> None:
        """Read the lists again at once: a run was just started."""
        self._stale = True
        self._wake.set()

    def _loop(self) -> None:
        lists = _Lists()
        look: _RunLook | None = None
        while not self._stop.is_set():
            self._wake.clear()
            try:
                changed = lists.read(fresh=self._take_stale())
            except GenuiError as error:
                self._host.post_message(messages.Say(str(error)))
                changed = None
            if changed is not None:
                self._host.post_message(changed)
            run = self._run
            if run is None:
                look = None
            else:
                if look is None or look.run != run:
                    look = _RunLook(run)
                view = look.read()
                if view is not None and not self._stop.is_set():
                    self._host.post_message(messages.RunChanged(view))
            self._wake.wait(LIVE_POLL if look is not None and look.live else IDLE_POLL)

    def _take_stale(self) -> bool:
        stale, self._stale = self._stale, False
        return stale


class _Lists:
    """The lists of models and runs, and when they were read."""

    def __init__(self) -> None:
        self._models: list[ModelInfo] = []
        self._runs: list[RunSummary] = []
        self._runs_at = 0.0
        self._models_at = 0.0

    def read(self, fresh: bool) -> messages.ListsChanged | None:
        """The lists if they are due and changed since last time."""
        now = time.monotonic()
        if not fresh and now - self._runs_at < IDLE_POLL:
            return None
        self._runs_at = now
        runs = list_runs()
        models = self._models
        if fresh or now - self._models_at >= MODELS_POLL:
            self._models_at = now
            models = list_models()
        if not fresh and models == self._models and _shown(runs) == _shown(self._runs):
            return None
        self._models, self._runs = models, runs
        return messages.ListsChanged(models, runs)


def _shown(runs: list[RunSummary]) -> list[tuple[object, ...]]:
    """What of the runs can be seen in a list; heartbeats change every second and cannot."""
    return [
        (s.run.id, s.state, s.status.step, s.status.steps, s.status.error, s.fault) for s in runs
    ]


class _RunLook:
    """What was last seen of one run."""

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self.live = False
        self._tail = _tail_of(run)
        self._last: tuple[object, ...] = ()
        self._sample_key: tuple[Path, float] | None = None
        self._sample: Sample | None = None
        self._sample_files: Mapping[int, Path] = {}
        self._console_size = -1
        self._console: tuple[str, ...] = ()

    def read(self) -> RunView | None:
        """A new view, or None where nothing changed."""
        summary = summarise(self.run)
        self.live = summary.alive
        grown = self._tail.read()
        self._read_sample()
        self._read_console()
        key = (
            summary.state, summary.status, summary.fault, self._sample_key, self._console_size
        )  # fmt: skip
        if key == self._last and not grown:
            return None
        self._last = key
        series = {name: s.points[:2] for name, s in self._tail.series.items()}
        return RunView(
            summary, series, self._sample, self._sample_files, self._console, time.time()
        )

    def _read_sample(self) -> None:
        try:
            self._sample_files = sample_files(self.run)
            if not self._sample_files:
                return
            step, path = list(self._sample_files.items())[-1]
            key = (path, path.stat().st_mtime)
            if key != self._sample_key:
                self._sample_key = key
                self._sample = load_sample(path, step)
        except OSError:
            return  # removed while we looked; the next look tells

    def _read_console(self) -> None:
        try:
            size = self.run.console.stat().st_size
            if size == self._console_size:
                return
            with self.run.console.open("rb") as file:
                file.seek(max(0, size - CONSOLE_BYTES))
                text = file.read(CONSOLE_BYTES).decode(errors="replace")
        except OSError:
            return
        self._console_size = size
        lines = text.splitlines()
        if size > CONSOLE_BYTES:
            lines = lines[1:]  # the first is cut
        self._console = tuple(lines[-CONSOLE_LINES:])


def _tail_of(run: RunDir) -> "MetricsTail":
    from genui.runs.tail import MetricsTail  # brings numpy, which no first frame waits for

    return MetricsTail(run.metrics)
