"""The last and the best value of every metric of many runs, read in small slices and remembered.

A log is read to its end once. It is read again only if it was written to since; one that is being
written is kept open, so that only new data are read. The results are saved in the state folder, for
the next program.
"""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from genui.base import paths
from genui.base.errors import GenuiError
from genui.base.files import atomic_write
from genui.base.late import late_imports
from genui.logs import open_tail
from genui.runs.listing import RunSummary
from genui.runs.table import Metric, TableRow, Value, better, flatten

with late_imports():
    from genui.render import shades

if TYPE_CHECKING:
    from genui.logs.base import Tail
    from genui.runs.series import Series

SLICE = 128 * 1024
"""Bytes that are read without a look at the clock: about 10 ms."""

MAX_BYTES = 256 * 1024 * 1024
"""A larger log is not read for the table: its points would fill the memory."""

POLL = 1.0  # seconds between reads of a log that is being written
MOST_OPEN = 256  # logs that are kept open
SAVE_EVERY = 30.0  # seconds
MOST_SAVED = 20_000  # runs
CURVE = 8  # bars of a sparkline

_LIVE = frozenset({"starting", "running", "paused", "writing"})
_FILE = "results.msgpack"
_VERSION = 2

Stamp = tuple[int, int]
"""When a log was last written, in nanoseconds, and its size; a size of -1 is not known."""


class LogResult(Struct, frozen=True, array_like=True):
    """The results of a log."""

    stamp: Stamp
    metrics: dict[str, Metric] = {}
    config: dict[str, Value] = {}  # of another tool's log; a run of genui has its own beside it
    step: int = 0  # the last of all metrics


class _Saved(Struct, array_like=True):
    version: int
    results: dict[str, LogResult]


class _Open:
    """A log that is read, or kept open because it grows."""

    def __init__(self, run: RunSummary) -> None:
        self.tail: Tail = open_tail(run)
        self.read_at = 0.0
        self.metrics: dict[str, Metric] = {}
        self._known: dict[str, object] = {}  # the points of each metric that were measured

    def measure(self) -> bool:
        """Measure the metrics that have new points; True if there are any."""
        changed = False
        for name, series in self.tail.series.items():
            points = series.points
            if self._known.get(name) is not points and len(points[0]):
                self._known[name] = points
                self.metrics[name] = measure(name, series)
                changed = True
        gone = self.metrics.keys() - self.tail.series.keys()
        for name in gone:
            del self.metrics[name]
        return changed or bool(gone)

    @property
    def step(self) -> int:
        steps = [one.points[0] for one in self.tail.series.values()]
        return max((int(one[-1]) for one in steps if len(one)), default=0)


def measure(name: str, series: "Series") -> Metric:
    """The last and best value of a metric that has points; the best of those that are finite. With
    a sparkline if it can be compared by its best value."""
    import numpy as np  # late: the list of logs does not wait for it

    steps, values, _ = series.points
    last, sense = float(values[-1]), better(name)
    finite = np.isfinite(values)
    if not sense or not finite.any():
        return Metric(last, math.nan, int(steps[-1]))
    if sense < 0:
        at = int(np.argmin(np.where(finite, values, np.inf)))
    else:
        at = int(np.argmax(np.where(finite, values, -np.inf)))
    curve = shades.draw_levels(shades.find_levels(values, CURVE)) if len(values) > 1 else ""
    return Metric(last, float(values[at]), int(steps[at]), curve)


class ResultReader:
    """Reads the results of the runs that it was given. Used by one thread."""

    def __init__(self, saved: Path | None = None) -> None:
        """`saved` is the file of results; by default that in the state folder."""
        self._file = saved or paths.state_dir() / _FILE
        self._results: dict[str, LogResult] = {}
        self._loaded = False
        self._runs: dict[str, RunSummary] = {}
        self._waiting: list[str] = []  # in reverse order
        self._open: dict[str, _Open] = {}
        self._changed: dict[str, LogResult] = {}
        self._unsaved = False
        self._saved_at = 0.0

    def set_runs(self, runs: Iterable[RunSummary]) -> None:
        """Read these runs, in this order, as far as they have changed since they were read."""
        if not self._loaded:
            self._load()
        self._runs = {str(run.run.path): run for run in runs}
        for key in self._open.keys() - self._runs.keys():
            del self._open[key]
        waiting: list[str] = []
        for key, run in self._runs.items():
            if run.state == "pending":  # a job of Slurm, which has printed nothing yet
                continue
            known = self._results.get(key)
            if known is None or known.stamp != _stamp(run):
                waiting.append(key)
        self._waiting = waiting[::-1]

    @property
    def progress(self) -> tuple[int, int]:
        """The number of runs that have been read, and of all."""
        return len(self._runs) - len(self._waiting), len(self._runs)

    @property
    def results(self) -> Mapping[str, LogResult]:
        """The known results, by the path of the run. It changes."""
        return self._results

    def take_changed(self) -> dict[str, LogResult]:
        """The results since the last call."""
        changed, self._changed = self._changed, {}
        return changed

    def read(self, seconds: float) -> bool:
        """Read for about so long; True if more can be read at once. Never raises."""
        end = time.monotonic() + seconds
        while self._waiting and time.monotonic() < end:
            key = self._waiting[-1]
            if self._read(key):
                self._waiting.pop()
        if not self._waiting:
            self._poll(end)
        if self._unsaved and not self._waiting:
            self._save()
        return bool(self._waiting)

    def _read(self, key: str) -> bool:
        """Read a slice of a log; True at its end."""
        run = self._runs[key]
        stamp = _stamp(run)
        if stamp[1] > MAX_BYTES:
            self._take(key, LogResult(stamp))
            return True
        log = self._open.get(key)
        if log is None:
            log = self._open[key] = _Open(run)
        log.read_at = time.monotonic()
        try:
            if log.tail.read(SLICE):
                return False
            log.measure()
        except GenuiError:  # the run has no metrics; the Training screen says why
            del self._open[key]
            self._take(key, LogResult(stamp))
            return True
        self._take_open(key, run, log, stamp)
        if run.state not in _LIVE or len(self._open) > MOST_OPEN:
            del self._open[key]
        return True

    def _poll(self, end: float) -> None:
        """Read new data in the logs that are being written, those that waited longest first."""
        now = time.monotonic()
        due = [(log.read_at, key) for key, log in self._open.items() if now - log.read_at >= POLL]
        for _, key in sorted(due):
            if time.monotonic() > end:
                break
            log, run = self._open[key], self._runs[key]
            log.read_at = now
            try:
                if log.tail.read(SLICE) and log.measure():
                    self._take_open(key, run, log, _stamp(run))
            except GenuiError:
                del self._open[key]

    def _take_open(self, key: str, run: RunSummary, log: _Open, stamp: Stamp) -> None:
        config = {} if run.native else flatten(log.tail.config)
        self._take(key, LogResult(stamp, dict(log.metrics), config, log.step))

    def _take(self, key: str, result: LogResult) -> None:
        self._results[key] = self._changed[key] = result
        self._unsaved = True

    # --- the file of results ----------------------------------------------------------

    def _load(self) -> None:
        self._loaded = True
        with suppress(OSError, msgspec.MsgspecError, UnicodeError, RecursionError, ValueError):
            saved = msgspec.msgpack.decode(self._file.read_bytes(), type=_Saved)
            if saved.version == _VERSION:
                self._results = saved.results

    def _save(self) -> None:
        now = time.monotonic()
        if self._saved_at and now - self._saved_at < SAVE_EVERY:
            return
        self._saved_at, self._unsaved = now, False
        others = [key for key in self._results if key not in self._runs]
        for key in others[: max(0, len(self._results) - MOST_SAVED)]:
            del self._results[key]
        with suppress(OSError, GenuiError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            data = msgspec.msgpack.encode(_Saved(_VERSION, self._results))
            atomic_write(self._file, data, durable=False)


def _stamp(run: RunSummary) -> Stamp:
    path = run.run.metrics if run.native else run.run.path
    if not run.native and path.is_dir():
        return int(run.status.heartbeat * 1e9), -1
    try:
        about = path.stat()
    except OSError:
        return int(run.status.heartbeat * 1e9), -1
    if time.time() - about.st_mtime < _RACY and run.state not in _LIVE:
        return about.st_mtime_ns, -1  # it may be written again within the clock's resolution
    return about.st_mtime_ns, about.st_size


_RACY = 0.05  # seconds


def make_rows(runs: Sequence[RunSummary], results: Mapping[str, LogResult]) -> list[TableRow]:
    """The rows of a table of these runs, in this order."""
    return [make_row(run, results.get(str(run.run.path))) for run in runs]


def make_row(run: RunSummary, result: LogResult | None) -> TableRow:
    """The row of a run; without a result, what its status says of the loss."""
    info = run.info
    config = flatten(info.config or info.recipe) if run.native else {}
    if result is None:
        status = run.status
        last = {"val_loss": status.val, "loss": status.loss}
        metrics = {name: Metric(value) for name, value in last.items() if value is not None}
        return TableRow(run, metrics, config)
    return TableRow(run, result.metrics, config or result.config, result.step)
