"""What was last seen of one run on disk, and what of it is new."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genui.errors import GenuiError
from genui.runs.layout import RunDir
from genui.runs.listing import RunSummary, summarise
from genui.runs.logs import open_tail, summarise_log
from genui.ui.samples import Sample, load_sample, sample_files

if TYPE_CHECKING:
    import numpy as np

    from genui.runs.logs.base import Tail
    from genui.runs.tail import MetricsTail

    Points = tuple[np.ndarray, np.ndarray, np.ndarray]
    """Steps int64 [N], ascending; values float64 [N]; unix times float64 [N]."""

CHUNK = 1024 * 1024  # bytes of a log read before what they hold is shown: some 50 ms of work
CONSOLE_BYTES = 16_384
CONSOLE_LINES = 200


@dataclass(frozen=True)
class RunView:
    """One look at a run: all that is shown of its training."""

    summary: RunSummary
    series: "Mapping[str, Points]" = field(default_factory=dict)
    system: "Mapping[str, Points]" = field(default_factory=dict)  # its step is ten a second
    overlaps: Sequence[tuple[int, int]] = ()  # steps written again, first and last
    config: Mapping[str, Any] = field(default_factory=dict)
    progress: float = 1.0  # share of its log that has been read
    bad_lines: int = 0
    dropped: int = 0  # values left out, of more metrics than are held
    sample: Sample | None = None  # the newest
    sample_files: Mapping[int, Path] = field(default_factory=dict)  # step to file, ascending
    console: tuple[str, ...] = ()
    seen: float = 0.0  # time.time() at the look

    def age(self, now: float) -> float:
        """Seconds since anything was written."""
        return max(0.0, now - self.seen + self.summary.age)


class RunLook:
    """Reads one run, ours or another tool's log, a little at each `read`."""

    def __init__(self, summary: RunSummary) -> None:
        self.run: RunDir = summary.run
        self.live = False  # it may change soon
        self.behind = False  # more is there to be read
        self._format = summary.format
        self._own = summary.format == "genui"
        self._info = summary.info  # of another tool's log: its name as the list has it
        self._tail: Tail = open_tail(summary)
        self._system: MetricsTail | None = _system_tail(self.run) if self._own else None
        self._fault = ""
        self._last: tuple[object, ...] = ()
        self._sample_key: tuple[Path, float] | None = None
        self._sample: Sample | None = None
        self._sample_files: Mapping[int, Path] = {}
        self._samples_at = -1.0
        self._console_size = -1
        self._console: tuple[str, ...] = ()

    def read(self) -> RunView | None:
        """A new view, or None where nothing changed."""
        summary = self._summarise()
        self.live = summary.state in {"starting", "running", "paused", "writing"}
        grown = self._read_series()
        if self._own:
            self._read_sample()
            self._read_console()
        key = (
            *(summary.state, summary.status, summary.fault, self._fault),
            *(self._sample_key, len(self._sample_files), self._console_size),
        )
        if key == self._last and not grown:
            return None
        self._last = key
        return RunView(
            summary,
            {name: one.points for name, one in self._tail.series.items()},
            {name: one.points for name, one in self._system.series.items()} if self._system else {},
            self._tail.overlaps,
            self._config_of(summary),
            self._tail.progress,
            self._tail.bad_lines,
            self._tail.dropped,
            self._sample,
            self._sample_files,
            self._console,
            time.time(),
        )

    def _summarise(self) -> RunSummary:
        if self._own:
            return summarise(self.run)
        seen = summarise_log(self.run.path, self._format, self._tail.ended)
        return replace(seen, info=self._info)

    def _read_series(self) -> bool:
        """Whether there are new points. A log that cannot be read keeps what was read of it."""
        try:
            grown = self._tail.read(CHUNK)
            self._fault = ""
        except GenuiError as error:
            grown, self._fault = False, str(error)
        self.behind = self._tail.progress < 1.0 and grown
        if self._system is not None:
            try:
                grown |= self._system.read()
            except GenuiError:
                self._system = None
        return grown

    @property
    def fault(self) -> str:
        """Why the log cannot be read, in one line; empty where it can."""
        return self._fault

    def _config_of(self, summary: RunSummary) -> Mapping[str, Any]:
        info = summary.info
        return dict(self._tail.config or info.config or info.recipe)

    def _read_sample(self) -> None:
        try:
            changed = self.run.samples.stat().st_mtime
            if changed == self._samples_at:
                return
            self._sample_files = sample_files(self.run)
            self._samples_at = changed
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


def _system_tail(run: RunDir) -> "MetricsTail":
    from genui.runs.tail import MetricsTail  # brings numpy, which no first frame waits for

    return MetricsTail(run.system)
