"""Reads runs on disk, on a thread: their state, samples, metrics and newest lists."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from textual.message_pump import MessagePump

from genui.base import numbers
from genui.base.errors import GenuiError, MisuseError
from genui.base.late import late_imports
from genui.base.text import clean_line
from genui.logs import open_tail
from genui.logs.base import NO_EXTRAS, About, Extras, Media, MediaKind
from genui.logs.find import LogList, find_logs, summarise_log
from genui.logs.queue import JobQueue
from genui.runs.definitions import find_axes
from genui.runs.facts import percent
from genui.runs.layout import RunDir, checkpoint_steps
from genui.runs.listing import RunSummary, describe_sweep, list_runs, summarise
from genui.ui import messages

with late_imports():
    from genui.logs import media as log_media
    from genui.logs import native, results
    from genui.runs import table

if TYPE_CHECKING:
    import numpy as np

    from genui.runs.models import ModelInfo
    from genui.runs.table import TableRow

MARKS = {
    "queued": ("◌", "dim"),
    "starting": ("◌", "warn"),
    "running": ("●", "good"),
    "paused": ("‖", "warn"),
    "stopped": ("○", "dim"),
    "pruned": ("⊘", "dim"),
    "finished": ("✓", "good"),
    "writing": ("●", "good"),
    "quiet": ("○", "dim"),
    "failed": ("✗", "bad"),
    "dead": ("✗", "bad"),
    # of jobs of Slurm
    "pending": ("◌", "dim"),
    "completed": ("✓", "good"),
    "cancelled": ("○", "dim"),
    "timeout": ("✗", "bad"),
    "out_of_memory": ("✗", "bad"),
    "node_fail": ("✗", "bad"),
}
COLOURS = {
    "good": "$text-success", "warn": "$text-warning", "bad": "$text-error", "dim": "$text-muted",
}  # fmt: skip

Part = str | tuple[str, str]
"""A part of `Content.assemble`: text, or text and its style."""


def mark(state: str) -> tuple[str, str]:
    """The sign of a state and its colour."""
    sign, kind = MARKS.get(state, ("?", "dim"))
    return sign, COLOURS[kind]


def progress(run: RunSummary) -> str:
    """The state and progress of a run: `training 31 %`."""
    step = numbers.short(run.status.step)
    share = percent(run.status.step, run.status.steps) or step
    match run.state:
        case "running":
            return f"training {share}"
        case "queued" | "starting":
            return run.state
        case "paused":
            return f"paused {share}"
        case "failed":
            return "damaged" if run.fault else f"failed at {step}"
        case "dead":
            return f"died at {step}"
        case _:
            return f"{run.state} {step}"


# --- Samples, made at each evaluation from the same seed --------------------------------------

_KINDS: dict[str, MediaKind] = {".txt": "text", ".png": "image", ".wav": "audio"}
"""The kind of a sample by the suffix of its file."""


@dataclass(frozen=True)
class Sample:
    """A text, an image (often a grid of images), or both."""

    step: int
    text: str = ""
    image: "np.ndarray | None" = None  # uint8 [H, W, 3]
    is_grid: bool = True  # whether the image may be a grid of small ones
    cell: int = 32  # the side of each in pixels


SampleFiles = Mapping[int, Sequence[Media]]
"""The samples of each step, ascending: files of a run, and what its log itself has."""


def sample_files(run: RunDir) -> SampleFiles:
    """The files of a run's samples: a text, and an image or else a sound; and the batches before
    an alert. Raises OSError."""
    files: dict[int, dict[str, Media]] = {}
    for path in sorted(run.samples.iterdir()):
        kind, step = _KINDS.get(path.suffix), _step_of(path)
        if kind is not None and step >= 0:
            files.setdefault(step, {})[kind] = Media(step, "", kind, path)
    for path in sorted(run.frozen_batches.glob("step-*.*")):
        if (kind := _KINDS.get(path.suffix)) is not None:
            name = f"batch {kind}"
            files.setdefault(_step_of(path), {})[name] = Media(_step_of(path), name, kind, path)
    for kinds in files.values():
        if "image" in kinds:  # which shows the sound too
            kinds.pop("audio", None)
    return {step: tuple(files[step].values()) for step in sorted(files)}


def load_sample(media: Sequence[Media], step: int, cell: int = 32) -> Sample:
    """Load the sample of a step: its texts, and its images or the spectrograms of its sounds."""
    is_grid = not any(one.name for one in media)
    return Sample(step, *log_media.compose(media), is_grid=is_grid, cell=cell)


def _step_of(path: Path) -> int:
    """1200 for `step-00001200.png`; -1 for other names."""
    _, _, digits = path.stem.rpartition("-")
    return int(digits) if digits.isdecimal() else -1


# --- What `genui watch` shows -----------------------------------------------------------------


class WatchTarget(NamedTuple):
    """The runs to watch."""

    key: str  # of the saved view
    runs: Sequence[RunSummary]  # at the start
    find: Callable[[], list[RunSummary]]  # lists the runs again
    listing: bool  # whether to open the list of runs
    note: str = ""  # which files were left out


AddJobs = Callable[[Sequence[RunSummary]], list[RunSummary]]
"""Adds the user's jobs of another host to a list of logs."""


def watch_target(
    paths: Sequence[Path] | None, run: RunDir | None, queues: Sequence[AddJobs] = ()
) -> WatchTarget:
    """The target for one run of genui, for the logs in `paths` and the jobs of `queues`, or else
    for all runs of genui.

    Raises GenuiError if a path cannot be read, MisuseError if it is a file without a log.
    """
    if run is not None:
        return WatchTarget(run.id, [summarise(run)], JobQueue(list_runs), listing=False)
    if paths:
        key = "\n".join(str(path.absolute()) for path in paths)
        find = partial(_list_logs, tuple(paths), tuple(queues))
        logs = find()
        return WatchTarget(key, logs, find, len(logs) > 1, logs.note)
    runs = list_runs()
    return WatchTarget("", runs, JobQueue(list_runs), len(runs) > 1)


def _list_logs(paths: Sequence[Path], queues: Sequence[AddJobs]) -> LogList:
    """The logs in these files and folders, newest first, and the jobs of the queues. A folder
    without logs may get one later, so it is not an error."""
    logs, notes = LogList(), []
    for path in paths:
        try:
            matches = find_logs(path)
        except MisuseError:
            if not path.is_dir():
                raise
            continue
        logs += matches
        if matches.note:
            notes.append(f"{clean_line(str(path))}: {matches.note}")
    logs.sort(key=lambda one: one.age)
    for add_jobs in queues:
        logs[:] = add_jobs(logs)
    logs.note = "; ".join(notes)
    return logs


# --- Reading one run --------------------------------------------------------------------------

if TYPE_CHECKING:
    import numpy as np

    from genui.logs.base import Tail
    from genui.logs.native import MetricsTail

    Points = tuple[np.ndarray, np.ndarray, np.ndarray]
    """Steps int64 [N], ascending; values float64 [N]; unix times float64 [N]."""

CHUNK = 1024 * 1024  # bytes of a log that are read for each view: some 50 ms of work
CONSOLE_BYTES = 16_384
CONSOLE_LINES = 200


@dataclass(frozen=True)
class RunView:
    """All that is shown of a run, as read at one time."""

    summary: RunSummary
    series: "Mapping[str, Points]" = field(default_factory=dict)
    system: "Mapping[str, Points]" = field(default_factory=dict)  # with ten steps per second
    norms: "Mapping[str, Points]" = field(default_factory=dict)  # by layer: `genui.runs.norms`
    overlaps: Sequence[tuple[int, int]] = ()  # first and last of steps that were logged twice
    config: Mapping[str, Any] = field(default_factory=dict)
    progress: float = 1.0  # share of the log that has been read
    bad_lines: int = 0
    dropped: int = 0  # values of metrics beyond the largest number that is held
    sample_files: SampleFiles = field(default_factory=dict)
    console: tuple[str, ...] = ()  # the last lines
    extras: Extras = NO_EXTRAS  # contents of another tool's log beside metrics
    has_checkpoint: bool = False  # from which genui can resume, generate or start another run
    read_at: float = 0.0  # unix time

    def age(self, now: float) -> float:
        """Seconds since the run was last written to."""
        return max(0.0, now - self.read_at + self.summary.age)


class RunReader:
    """Reads a run of genui or a log of another tool, up to CHUNK bytes at each `read`."""

    def __init__(self, summary: RunSummary) -> None:
        self.run: RunDir = summary.run
        self.live = False  # whether it may change soon
        self.behind = False  # whether more can be read at once
        self.fault = ""  # why the log cannot be read
        self._format = summary.format
        self._native = summary.native
        self._info = summary.info  # of another tool's log: the name in the list
        self._labels = summary.labels
        self._tool_name = ""  # of the run, as its log says
        self._tail: Tail = open_tail(summary)
        self._beside: dict[Path, MetricsTail] = {}
        for path in (self.run.system, self.run.norms) if self._native else ():
            self._beside[path] = native.MetricsTail(path)
        self._last: tuple[object, ...] = ()
        self._sample_files: SampleFiles = {}
        self._samples_at = -1.0
        self._has_checkpoint = False
        self._console_size = -1
        self._console: tuple[str, ...] = ()

    def read(self) -> RunView | None:
        summary = self._summarise()
        self.live = summary.state in {"starting", "running", "paused", "writing"}
        grown = self._read_series()
        if not self._native and self._tail.ended not in ("", summary.state):
            summary = self._summarise()  # its end was read just now
        if self._native:
            self._list_samples()
            self._read_console()
            self._find_checkpoint()
        key = (
            *(summary.state, summary.status, summary.labels, summary.fault, self.fault),
            *(self._samples_at, self._console_size, self._has_checkpoint),
        )
        if key == self._last and not grown:
            return None
        self._last = key
        extras, defined = self._tail.extras, summary.info.metrics
        if defined:
            extras = extras._replace(axes=find_axes(defined, self._tail.series))
        self._tool_name = extras.about.name
        config = self._tail.config or summary.info.config or summary.info.recipe
        system, norms = map(self._beside.get, (self.run.system, self.run.norms))
        measured = system.series if system else extras.system
        return RunView(
            summary,
            {name: one.points for name, one in self._tail.series.items()},
            {name: one.points for name, one in measured.items()},
            {name: one.points for name, one in norms.series.items()} if norms else {},
            self._tail.overlaps,
            _settings(config, extras.about),
            self._tail.progress,
            self._tail.bad_lines,
            self._tail.dropped,
            self._sample_sources(extras),
            self._console,
            extras,
            self._has_checkpoint,
            time.time(),
        )

    def _summarise(self) -> RunSummary:
        if self._native:
            return summarise(self.run)
        summary = summarise_log(self.run.path, self._format, self._tail.ended)
        name = clean_line(self._tool_name)
        if name and not self._info.name.startswith(name):  # it was not written at first
            self._info = msgspec.structs.replace(self._info, name=name)
        return replace(summary, info=self._info, labels=self._labels)

    def _read_series(self) -> bool:
        """Read the metrics; after an error, the points read so far stay. Returns whether there are
        new points."""
        try:
            grown = self._tail.read(CHUNK)
            self.fault = ""
        except GenuiError as error:
            grown, self.fault = False, str(error)
        self.behind = self._tail.progress < 1.0 and grown
        for path, tail in [*self._beside.items()]:
            try:
                grown |= tail.read()
            except GenuiError:
                del self._beside[path]
        return grown

    def _list_samples(self) -> None:
        with suppress(OSError):  # the run was removed; the next summary reports it
            changed = self.run.samples.stat().st_mtime
            with suppress(OSError):  # there are none
                changed += self.run.frozen_batches.stat().st_mtime
            if changed != self._samples_at:
                self._sample_files, self._samples_at = sample_files(self.run), changed

    def _sample_sources(self, extras: Extras) -> SampleFiles:
        """The samples of each step: a run's files, and what the log itself has."""
        if not self._native or not extras.media:
            return self._sample_files if self._native else extras.media
        sources = dict(self._sample_files)
        for step, media in extras.media.items():
            sources[step] = [*sources.get(step, ()), *media]
        return dict(sorted(sources.items()))

    def _find_checkpoint(self) -> None:
        """Look for a checkpoint until there is one."""
        if not self._has_checkpoint:
            with suppress(GenuiError):
                self._has_checkpoint = bool(checkpoint_steps(self.run))

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
            lines = lines[1:]  # the first line is incomplete
        self._console = tuple(lines[-CONSOLE_LINES:])


def _settings(config: Mapping[str, Any], about: About) -> dict[str, Any]:
    """The config, and a tool's other facts about the run under names that are not in the config."""
    fields = {
        "id": about.id,
        "project": about.project,
        "tags": ", ".join(about.tags),
        "note": about.note,
        "summary": about.summary,
        "environment": about.environment,
    }
    more = {name: value for name, value in fields.items() if value and name not in config}
    return {**config, **more}


# --- The thread ---------------------------------------------------------------------------------
# The app never waits for the disk. Only changes are posted, so that an idle app repaints nothing.

LIVE_POLL = 0.26  # seconds between reads of a run that is training
IDLE_POLL = 1.0  # seconds
MAX_PAUSE = 1.0  # seconds for which a screen may delay the reading
MODELS_POLL = 5.0  # seconds; running trainings write new checkpoints


class Watcher:
    """Reads the lists and the watched runs on its own thread, and posts changes to `host`.

    `runs` returns the runs, newest first; `models` returns the models.
    """

    def __init__(
        self,
        host: MessagePump,
        runs: Callable[[], list[RunSummary]] = list_runs,
        models: "Callable[[], list[ModelInfo]]" = list,
        glances: bool = False,
    ) -> None:
        """With `glances` also the results of those that `list_newest` lists are read."""
        self._host = host
        self._lists = _Lists(runs, models)
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._hurry = threading.Event()
        self._targets: tuple[RunSummary | RunDir, ...] = ()
        self._table = False  # whether the results of all runs are read, and not of the listed
        self._glances = glances
        self._results: _Results | None = None
        self._stale = True  # whether to read the lists at once
        self._lists_fault = ""  # the last error of reading the lists
        self._thread = threading.Thread(target=self._loop, name="genui-watch", daemon=True)

    def start(self, hurry: bool = True) -> None:
        """Start the thread. Without `hurry` it pauses after each part of a log until `hurry` is
        called, at most MAX_PAUSE seconds."""
        if hurry:
            self._hurry.set()
        self._thread.start()

    def hurry(self) -> None:
        """Read without pauses from now on: the first curves are painted."""
        self._hurry.set()

    def stop(self) -> None:
        """End the thread, without waiting for it."""
        self._stop.set()
        self._wake.set()

    def watch(self, *runs: RunSummary | RunDir) -> None:
        """Read these runs, in this order, and no others."""
        self._targets = runs
        self._wake.set()

    def measure(self, on: bool) -> None:
        """Read the last and best values of all runs in the list, for their table, or no longer."""
        self._table = on
        self._wake.set()

    @property
    def watched(self) -> tuple[RunDir, ...]:
        return tuple(map(_run_of, self._targets))

    def refresh(self) -> None:
        """Read the lists at once, as after a run was started."""
        self._stale = True
        self._wake.set()

    def _loop(self) -> None:
        # On this thread: when the app's own needs it, its import would delay keys.
        import numpy  # noqa: F401

        readers: dict[RunDir, RunReader] = {}
        faults: dict[RunDir, str] = {}
        while not self._stop.is_set():
            self._wake.clear()
            targets = {_run_of(target): target for target in self._targets}
            readers = {run: readers.get(run) or _open(one) for run, one in targets.items()}
            for reader in readers.values():
                view = reader.read()
                if view is not None and not self._stop.is_set():
                    self._host.post_message(messages.RunChanged(view))
                if reader.fault != faults.get(reader.run, ""):
                    faults[reader.run] = reader.fault
                    if reader.fault:
                        self._host.post_message(messages.ShowStatus(reader.fault))
            self._read_lists()
            measuring = self._measure()
            if any(reader.behind for reader in readers.values()):
                self._hurry.wait(MAX_PAUSE)
            elif measuring:
                self._wake.wait(TABLE_PAUSE)
            else:
                live = any(reader.live for reader in readers.values())
                self._wake.wait(LIVE_POLL if live else IDLE_POLL)

    def _measure(self) -> bool:
        """Read some of the results for the table; True if more can be read at once."""
        if not (self._table or (self._glances and self._hurry.is_set())):
            return False
        if self._results is None:
            self._results = _Results()
        runs = self._lists.runs if self._table else self._lists.newest
        changed = self._results.read(runs, self._table)
        if changed is not None and not self._stop.is_set():
            self._host.post_message(changed)
        return self._results.behind

    def _read_lists(self) -> None:
        stale, self._stale = self._stale, False
        try:
            changed = self._lists.read(fresh=stale)
        except GenuiError as error:
            fault = str(error)
            if fault != self._lists_fault:  # shown once: Esc clears it
                self._host.post_message(messages.ShowStatus(fault))
        else:
            fault = ""
            if changed is not None:
                self._host.post_message(changed)
        self._lists_fault = fault


def _run_of(target: RunSummary | RunDir) -> RunDir:
    return target.run if isinstance(target, RunSummary) else target


def _open(run: RunSummary | RunDir) -> RunReader:
    return RunReader(summarise(run) if isinstance(run, RunDir) else run)


class _Lists:
    """Reads the lists of models and runs when they are due."""

    def __init__(
        self, runs: Callable[[], list[RunSummary]], models: "Callable[[], list[ModelInfo]]"
    ) -> None:
        self._list_runs, self._list_models = runs, models
        self._models: list[ModelInfo] = []
        self._runs: list[RunSummary] = []
        self.newest: list[RunSummary] = []
        """The runs that the main screen lists at first: another list if the runs have changed."""
        self._runs_at = 0.0
        self._models_at = 0.0
        self._interval = IDLE_POLL  # seconds; longer if reading many runs takes long

    @property
    def runs(self) -> list[RunSummary]:
        """The runs, newest first, as last read: another list if they have changed."""
        return self._runs

    def read(self, fresh: bool) -> messages.ListsChanged | None:
        """Return the lists if they have changed; read them only if due or `fresh`."""
        now = time.monotonic()
        if not fresh and now - self._runs_at < self._interval:
            return None
        runs = self._list_runs()
        self._runs_at = time.monotonic()
        self._interval = max(IDLE_POLL, 200 * (self._runs_at - now))  # half a percent of a core
        models = self._models
        if fresh or now - self._models_at >= MODELS_POLL:
            self._models_at = now
            models = self._list_models()
        if not fresh and models == self._models and _visible(runs) == _visible(self._runs):
            return None
        self._models, self._runs, self.newest = models, runs, list_newest(runs)
        return messages.ListsChanged(models, runs)


TABLE_SLICE = 0.03  # seconds of reading between two looks at the watched runs
TABLE_PAUSE = 0.004  # seconds in which the app can answer a key
TABLE_INTERVAL = 0.5  # seconds between two paints of the table


class _Results:
    """Reads the results of the listed runs, and makes the rows of their table."""

    def __init__(self) -> None:
        self.behind = False
        self._reader = results.ResultReader()
        self._runs: Sequence[RunSummary] | None = None
        self._rows: dict[str, TableRow] = {}
        self._sweeps: dict[str, str] = {}  # their states by name
        self._stale = True  # rows have changed since the last message
        self._told_at = 0.0

    def read(self, runs: Sequence[RunSummary], with_sweeps: bool) -> messages.TableChanged | None:
        """Read for TABLE_SLICE; the rows, if they have changed and were not sent just now."""
        if runs is not self._runs:
            self._reader.set_runs(runs)
            self._runs, self._stale = runs, True
            self._rows.clear()
        self.behind = self._reader.read(TABLE_SLICE)
        for key in self._reader.take_changed():
            self._rows.pop(key, None)
            self._stale = True
        now = time.monotonic()
        if now - self._told_at < TABLE_INTERVAL:
            return None
        sweeps = self._read_sweeps(runs) if with_sweeps else {}
        if not self._stale and sweeps == self._sweeps:
            return None
        self._told_at, self._stale, self._sweeps = now, False, sweeps
        rows: list[TableRow] = []
        for run in runs:
            key = str(run.run.path)
            row = self._rows.get(key)
            if row is None:
                row = self._rows[key] = results.make_row(run, self._reader.results.get(key))
            rows.append(row)
        return messages.TableChanged(rows, table.survey(rows), self._reader.progress, sweeps)

    def _read_sweeps(self, runs: Sequence[RunSummary]) -> dict[str, str]:
        """The states of the sweeps of these runs; one that has finished is read once."""
        names = {str(run.info.sweep["name"]) for run in runs if "name" in run.info.sweep}
        known = {name: self._sweeps.get(name, "") for name in sorted(names)}
        return {
            name: state if state.startswith("finished") else describe_sweep(name)
            for name, state in known.items()
        }


NEWEST = 5  # finished runs that are listed
MOST_LIVE = 8  # runs that train and are listed


def list_newest(runs: Sequence[RunSummary]) -> list[RunSummary]:
    """The runs that train and the newest others, few enough for a list."""
    live = [run for run in runs if run.alive]
    return [*live[:MOST_LIVE], *[run for run in runs if not run.alive][:NEWEST]]


def _visible(runs: Sequence[RunSummary]) -> list[tuple[object, ...]]:
    """The parts of the runs that a list shows: not the heartbeats, which change every second. Of a
    run in the queue also the reason for which it waits."""
    return [
        (s.run.id, s.labels, s.state, s.status.step, s.status.steps, s.status.error, s.fault)
        + ((s.status.doing,) if s.state == "queued" else ())
        for s in runs
    ]
