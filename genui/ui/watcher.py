"""Runs on disk: their state, samples and newest view, and the thread that reads them."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from textual.message_pump import MessagePump

from genui.base import numbers
from genui.base.errors import GenuiError, MisuseError
from genui.base.text import clean_line
from genui.logs import open_tail
from genui.logs.find import LogList, find_logs, summarise_log
from genui.runs.layout import RunDir
from genui.runs.listing import RunSummary, list_runs, summarise
from genui.ui import messages

if TYPE_CHECKING:
    import numpy as np

    from genui.runs.models import ModelInfo

MARKS = {
    "starting": ("◌", "warn"),
    "running": ("●", "good"),
    "paused": ("‖", "warn"),
    "stopped": ("○", "dim"),
    "finished": ("✓", "good"),
    "writing": ("●", "good"),
    "quiet": ("○", "dim"),
    "failed": ("✗", "bad"),
    "dead": ("✗", "bad"),
}
COLOURS = {
    "good": "$text-success", "warn": "$text-warning", "bad": "$text-error", "dim": "$text-muted",
}  # fmt: skip

Part = str | tuple[str, str]
"""A part of `Content.assemble`: text, or text and its style."""


def mark(state: str) -> tuple[str, str]:
    """The sign of a state and its colour, as a part of `Content.assemble`."""
    sign, kind = MARKS.get(state, ("?", "dim"))
    return sign, COLOURS[kind]


def percent(run: RunSummary) -> str:
    """How far the run is, in whole percent."""
    steps = run.status.steps
    return f"{100 * run.status.step // steps} %" if steps else ""


def progress(run: RunSummary) -> str:
    """The state and progress of a run: `training 31 %`."""
    step = numbers.short(run.status.step)
    match run.state:
        case "running":
            return f"training {percent(run) or step}"
        case "starting":
            return "starting"
        case "paused":
            return f"paused {percent(run) or step}"
        case "failed":
            return "damaged" if run.fault else f"failed at {step}"
        case "dead":
            return f"died at {step}"
        case _:
            return f"{run.state} {step}"


# --- Samples: made at each evaluation, from the same seed -------------------------------------

LARGEST = 1 << 20  # bytes


@dataclass(frozen=True)
class Sample:
    """A text, an image (often a grid of images), or both."""

    step: int
    text: str = ""
    image: "np.ndarray | None" = None  # uint8 [H, W, 3]


def sample_files(run: RunDir) -> Mapping[int, Path]:
    """Step to file, in ascending order; of a text and an image the text. Raises OSError."""
    files = (path for path in run.samples.iterdir() if path.suffix in {".txt", ".png"})
    return dict(sorted((step, path) for path in files if (step := _step_of(path)) >= 0))


def load_sample(path: Path, step: int) -> Sample | None:
    """The sample of a step, with the other of text and image where both are there.

    None where the file is no sample. Raises OSError.
    """
    sample = _load(path, step)
    beside = path.with_suffix(".png" if path.suffix == ".txt" else ".txt")
    if sample is None or not beside.exists():
        return sample
    other = _load(beside, step)
    if other is None:
        return sample
    image = sample.image if sample.image is not None else other.image
    return Sample(step, sample.text or other.text, image)


def _load(path: Path, step: int) -> Sample | None:
    if path.stat().st_size > LARGEST:
        return None
    if path.suffix == ".txt":
        return Sample(step, text=path.read_text(encoding="utf-8", errors="replace"))
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return Sample(step, image=np.asarray(image.convert("RGB")))
    except (UnidentifiedImageError, ValueError, Image.DecompressionBombError):
        return None


def _step_of(path: Path) -> int:
    """1200 for `step-00001200.png`; -1 for other names."""
    _, _, digits = path.stem.rpartition("-")
    return int(digits) if digits.isdecimal() else -1


# --- What `genui watch` shows -----------------------------------------------------------------


class WatchTarget(NamedTuple):
    """The runs at the start, and `find`, which lists them again."""

    key: str  # of the saved view
    runs: Sequence[RunSummary]
    find: Callable[[], list[RunSummary]]
    listing: bool  # whether the list of runs is opened
    note: str = ""  # what was left out


def watch_target(paths: Sequence[Path] | None, run: RunDir | None) -> WatchTarget:
    """One run of genui, or the logs in `paths`, or all runs of genui.

    Raises GenuiError where a path may not be read, MisuseError where there is no log in it.
    """
    if run is not None:
        return WatchTarget(run.id, [summarise(run)], list_runs, listing=False)
    if paths:
        key = "\n".join(str(path.absolute()) for path in paths)
        find = partial(_logs_in, tuple(paths))
        logs = find()
        return WatchTarget(key, logs, find, len(logs) > 1, logs.note)
    runs = list_runs()
    return WatchTarget("", runs, list_runs, len(runs) > 1)


def _logs_in(paths: Sequence[Path]) -> LogList:
    """Every log in those files and folders, the newest first.

    A folder without logs is searched again: it may get one later.
    """
    logs, notes = LogList(), []
    for path in paths:
        try:
            here = find_logs(path)
        except MisuseError:
            if not path.is_dir():
                raise
            continue
        logs += here
        if here.note:
            notes.append(f"{clean_line(str(path))}: {here.note}")
    logs.sort(key=lambda one: one.age)
    logs.note = "; ".join(notes)
    return logs


# --- Reading one run --------------------------------------------------------------------------

if TYPE_CHECKING:
    import numpy as np

    from genui.logs.base import Tail
    from genui.logs.native import MetricsTail

    Points = tuple[np.ndarray, np.ndarray, np.ndarray]
    """Steps int64 [N], ascending; values float64 [N]; unix times float64 [N]."""

CHUNK = 1024 * 1024  # bytes of a log that are read between two views: some 50 ms of work
CONSOLE_BYTES = 16_384
CONSOLE_LINES = 200


@dataclass(frozen=True)
class RunView:
    """A run as it was read at one time: everything that is shown of it."""

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
    read_at: float = 0.0  # time.time()

    def age(self, now: float) -> float:
        """Seconds since the run was last written to."""
        return max(0.0, now - self.read_at + self.summary.age)


class RunLook:
    """Reads one run of genui or one log of another tool, a part of it at each `read`."""

    def __init__(self, summary: RunSummary) -> None:
        self.run: RunDir = summary.run
        self.live = False  # it may change soon
        self.behind = False  # there is more to read
        self._format = summary.format
        self._own = summary.native
        self._info = summary.info  # of another tool's log: the name in the list
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
        """A new view; None where nothing has changed."""
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
        summary = summarise_log(self.run.path, self._format, self._tail.ended)
        return replace(summary, info=self._info)

    def _read_series(self) -> bool:
        """Whether there are new points. After an error the points that were read stay."""
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
        """Why the log cannot be read; "" where it can."""
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
            return  # removed meanwhile; the next summary reports it

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
    from genui.logs.native import MetricsTail  # late: it imports numpy

    return MetricsTail(run.system)


# --- The thread that reads runs and models, so that the app never waits for the disk -----------
# It posts only changes, so that an idle app repaints nothing.

LIVE_POLL = 0.26  # seconds between reads of a run that is training
IDLE_POLL = 1.0
PATIENCE = 1.0  # seconds for which a screen may delay the reading
MODELS_POLL = 5.0  # new checkpoints of running trainings


class Watcher:
    """Reads the lists and some runs, on its own thread, and posts changes to `host`.

    `runs` lists the runs, newest first; `models` the models.
    """

    def __init__(
        self,
        host: MessagePump,
        runs: Callable[[], list[RunSummary]] = list_runs,
        models: "Callable[[], list[ModelInfo]]" = list,
    ) -> None:
        self._host = host
        self._lists = _Lists(runs, models)
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._hurry = threading.Event()
        self._targets: tuple[RunSummary | RunDir, ...] = ()
        self._stale = True  # read the lists at once
        self._lists_fault = ""  # the last error in reading the lists
        self._thread = threading.Thread(target=self._loop, name="genui-watch", daemon=True)

    def start(self, hurry: bool = True) -> None:
        """Start the thread. Without `hurry` it waits after the first part of each log."""
        if hurry:
            self._hurry.set()
        self._thread.start()

    def hurry(self) -> None:
        """Continue to read: the first curves are drawn, which reading would have delayed."""
        self._hurry.set()

    def stop(self) -> None:
        """End the thread, without waiting for it."""
        self._stop.set()
        self._wake.set()

    def watch(self, *runs: RunSummary | RunDir) -> None:
        """Read these runs and no others, the first one first."""
        self._targets = runs
        self._wake.set()

    @property
    def watched(self) -> tuple[RunDir, ...]:
        """The runs that are read."""
        return tuple(one.run if isinstance(one, RunSummary) else one for one in self._targets)

    def refresh(self) -> None:
        """Read the lists at once: a run was just started."""
        self._stale = True
        self._wake.set()

    def _loop(self) -> None:
        looks: dict[RunDir, RunLook] = {}
        faults: dict[RunDir, str] = {}
        while not self._stop.is_set():
            self._wake.clear()
            targets = {
                one.run if isinstance(one, RunSummary) else one: one for one in self._targets
            }
            looks = {run: looks.get(run) or _look_at(one) for run, one in targets.items()}
            for look in looks.values():
                view = look.read()
                if view is not None and not self._stop.is_set():
                    self._host.post_message(messages.RunChanged(view))
                if look.fault != faults.get(look.run, ""):
                    faults[look.run] = look.fault
                    if look.fault:
                        self._host.post_message(messages.Say(look.fault))
            self._read_lists()
            if any(look.behind for look in looks.values()):
                self._hurry.wait(PATIENCE)
            else:
                live = any(look.live for look in looks.values())
                self._wake.wait(LIVE_POLL if live else IDLE_POLL)

    def _read_lists(self) -> None:
        stale, self._stale = self._stale, False
        try:
            changed = self._lists.read(fresh=stale)
        except GenuiError as error:
            fault = str(error)
            if fault != self._lists_fault:  # once: Esc clears it
                self._host.post_message(messages.Say(fault))
        else:
            fault = ""
            if changed is not None:
                self._host.post_message(changed)
        self._lists_fault = fault


def _look_at(run: RunSummary | RunDir) -> RunLook:
    return RunLook(summarise(run) if isinstance(run, RunDir) else run)


class _Lists:
    """The lists of models and runs, and when they were last read."""

    def __init__(
        self, runs: Callable[[], list[RunSummary]], models: "Callable[[], list[ModelInfo]]"
    ) -> None:
        self._list_runs, self._list_models = runs, models
        self._models: list[ModelInfo] = []
        self._runs: list[RunSummary] = []
        self._runs_at = 0.0
        self._models_at = 0.0
        self._due = IDLE_POLL  # seconds; more where reading many runs takes long

    def read(self, fresh: bool) -> messages.ListsChanged | None:
        """The lists, if they are due and have changed."""
        now = time.monotonic()
        if not fresh and now - self._runs_at < self._due:
            return None
        runs = self._list_runs()
        self._runs_at = time.monotonic()
        self._due = max(IDLE_POLL, 200 * (self._runs_at - now))  # half a percent of a core
        models = self._models
        if fresh or now - self._models_at >= MODELS_POLL:
            self._models_at = now
            models = self._list_models()
        if not fresh and models == self._models and _shown(runs) == _shown(self._runs):
            return None
        self._models, self._runs = models, runs
        return messages.ListsChanged(models, runs)


def _shown(runs: Sequence[RunSummary]) -> list[tuple[object, ...]]:
    """What a list shows of the runs: without the heartbeats, which change every second."""
    return [
        (s.run.id, s.state, s.status.step, s.status.steps, s.status.error, s.fault) for s in runs
    ]
