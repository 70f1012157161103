"""Sweeps: trainings of one recipe with different settings, started, stopped and resumed as one.

A sweep is a folder beside the runs. Its sweep.json has the recipe, the settings that differ and the
list of trials; each trial is an ordinary run. The process of `genui.runs.coordinator` starts them
and is the only writer of sweep.json while it lives. The folder also has the lock, the status.json,
the control folder and the console.log of a run, which are read and written by the code for runs.

Nothing here imports torch.
"""

import dataclasses
import itertools
import math
import os
import re
import shutil
import socket
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Struct

from genui.base import paths
from genui.base.errors import GenuiError, MisuseError
from genui.base.files import atomic_write, list_names, read_json, sanitize, writing
from genui.base.schema import Setting
from genui.recipes import Recipe, find_setting
from genui.runs import control, launch, models
from genui.runs.layout import (
    LIVE,
    LONGEST_NAME,
    RunDir,
    RunLock,
    Status,
    change_status,
    check_name,
    is_locked,
    read_status,
    starting,
    write_status,
)
from genui.runs.listing import find_sweep, list_runs, observe_state, summarise
from genui.runs.metric import MetricReader, best, metric_names

SEED = "seed"
"""Trials that differ only in this setting count as one setting; their mean is shown."""

MOST_TRIALS = 1000  # so that sweep.json stays below the size that is read
DEFAULT_POINTS = 20
"""The number of settings that a search tries by default."""

TrialState = Literal[
    "waiting", "running", "pruning", "cut", "finished", "pruned", "stopped", "failed", "removed"
]
"""The state of a trial. "pruning": it was told to stop because others are better. "cut": it was
interrupted by the end of the sweep, and goes on from its checkpoint with the sweep. "stopped": the
user stopped it. "removed": the folder of its run is gone."""

UNSETTLED: frozenset[str] = frozenset({"waiting", "running", "pruning", "cut"})
_REPEATABLE: frozenset[str] = frozenset({"stopped", "failed", "removed"})


class Trial(Struct, frozen=True, kw_only=True):
    """One training of a sweep."""

    number: int  # from 1
    point: int  # the number of its setting; trials with other seeds share it
    settings: dict[str, str]  # what differs between trials, as `--set` takes it
    state: TrialState = "waiting"
    run: str = ""  # the id of its run, once it has been started
    starts: int = 0  # how often a trainer was started for it
    step: int = 0  # the last, once it has ended
    value: float | None = None  # the best of the metric, once it has ended; None if it has none
    note: str = ""  # why it failed or was pruned


class Range(Struct, frozen=True, kw_only=True):
    """The range of a setting in a search; both ends are included."""

    low: float
    high: float
    log: bool = False
    step: float = 0  # 0: any value
    whole: bool = False  # whole numbers only


class Sweep(Struct, frozen=True, kw_only=True):
    """The content of sweep.json."""

    name: str
    recipe: dict[str, Any]
    settings: dict[str, str] = {}  # of all trials, besides the settings in which they differ
    start_from: str = ""  # the model whose weights all trials start from
    start_run: str = ""  # the id of the run that it is a checkpoint of, if it is
    lists: dict[str, list[str]] = {}  # values of the settings that differ
    ranges: dict[str, Range] = {}
    metric: str = "val_loss"
    goal: Literal["min", "max"] = "min"
    jobs: int = 1  # trainings at once
    points: int = 0  # settings that are tried, each with all seeds
    search: bool = False  # whether Optuna chooses them; else they are all combinations
    pruning: bool = True  # whether a search stops bad trials early
    seed: int = 1  # the seed of the sampler of a search
    created: float = 0.0  # unix time
    trials: list[Trial] = []

    @property
    def seeds(self) -> list[str]:
        """The seeds of each setting; empty if they do not differ."""
        return self.lists.get(SEED, [])

    @property
    def total(self) -> int:
        """The number of trials that there will be."""
        return self.points * max(1, len(self.seeds))

    @property
    def ended(self) -> int:
        """The number of trials that have ended."""
        return sum(trial.state not in UNSETTLED for trial in self.trials)

    @property
    def axes(self) -> list[str]:
        """The settings that differ, in the order given."""
        return [*self.lists, *self.ranges]


def describe(settings: Mapping[str, str]) -> str:
    """Settings as text: `learning_rate=0.003 width=256`."""
    return " ".join(f"{key}={value}" for key, value in settings.items())


# --- The settings that differ -----------------------------------------------------------------


class Axes(NamedTuple):
    """The parsed `--set` options of a sweep."""

    fixed: dict[str, str]
    lists: dict[str, list[str]]
    ranges: dict[str, Range]


_MOST_STEPS = 1e9  # of a range
_RANGE = re.compile(r"(?P<low>[^:]*[^.:])\.\.(?P<high>[^.:][^:]*)(?::(?P<how>.*))?")


def parse_axes(recipe: Recipe, pairs: Iterable[tuple[str, str]]) -> Axes:
    """The settings that are fixed, listed and searched in a range.

    `a,b` lists values and `low..high` is a range, to which `:log`, `:linear` or `:STEP` may be
    added. A setting that is given again has one value more. Text and lists of numbers are not
    split at commas. Raises MisuseError, one line that names the setting.
    """
    lists: dict[str, dict[Any, str]] = {}  # texts by value, so that none occurs twice
    ranges: dict[str, Range] = {}
    for key, text in pairs:
        setting = find_setting(recipe, key)
        if ".." in text and setting.type in ("int", "float"):
            if key in lists or key in ranges:
                raise MisuseError(f"--set {key}: give one range, or values")
            ranges[key] = _parse_range(setting, text)
            continue
        if key in ranges:
            raise MisuseError(f"--set {key}: give one range, or values")
        values = text.split(",") if _takes_one_word(setting) else [text]
        for value in map(str.strip, values):
            parsed = setting.parse(value, f"--set {key}={value}")
            lists.setdefault(key, {}).setdefault(parsed, value)
    fixed = {key: next(iter(values.values())) for key, values in lists.items() if len(values) == 1}
    several = {key: [*values.values()] for key, values in lists.items() if len(values) > 1}
    return Axes(fixed, several, ranges)


def _takes_one_word(setting: Setting) -> bool:
    """Whether a comma separates values of the setting and is no part of one."""
    is_number = setting.type in ("int", "float", "bool")
    return is_number or setting.choices is not None or setting.name == "dataset"


def _parse_range(setting: Setting, text: str) -> Range:
    label = f"--set {setting.name}={text}"
    if setting.name == SEED:
        raise MisuseError(f"{label}: list the seeds with commas, as in --set seed=1,2,3")
    match = _RANGE.fullmatch(text)
    if match is None:
        raise MisuseError(f"{label}: expected LOW..HIGH, as in 1e-4..1e-2 or 64..256:64")
    low, high = (float(setting.parse(match[end].strip(), label)) for end in ("low", "high"))
    if low >= high:
        raise MisuseError(f"{label}: the first number must be the smaller one")
    how, whole = (match["how"] or "").strip(), setting.type == "int"
    if how in ("log", "linear", ""):
        # A rate, or a number of several sizes: 1e-4..1e-2, 16..512.
        is_rate = setting.name.endswith("rate") or high >= 10 * low
        log = how == "log" or (not how and low > 0 and is_rate)
        if log and low <= 0:
            raise MisuseError(f"{label}: a logarithmic range begins above 0")
        return Range(low=low, high=high, log=log, whole=whole)
    try:
        step = float(how)
    except ValueError:
        step = math.nan
    span = high - low
    if not span / _MOST_STEPS < step <= span or (whole and step != int(step)):
        raise MisuseError(f"{label}: after ':' comes log, linear or a step, as in 64..256:64")
    high = low + step * math.floor(round(span / step, 6))
    return Range(low=low, high=high, step=step, whole=whole)


def combinations(lists: Mapping[str, Sequence[str]]) -> list[Trial]:
    """The trials of a grid: all combinations, the last setting changing fastest.

    Raises MisuseError if there are more than MOST_TRIALS.
    """
    total = math.prod(map(len, lists.values()))
    check_total(total)
    points: dict[tuple[tuple[str, str], ...], int] = {}
    trials = []
    for number, values in enumerate(itertools.product(*lists.values()), 1):
        settings = dict(zip(lists, values, strict=True))
        setting = tuple((key, value) for key, value in settings.items() if key != SEED)
        point = points.setdefault(setting, len(points))
        trials.append(Trial(number=number, point=point, settings=settings))
    return trials


def check_total(trials: int) -> None:
    """Raise MisuseError if a sweep would have too many trials."""
    if trials > MOST_TRIALS:
        raise MisuseError(
            f"{trials:,} trials: a sweep has at most {MOST_TRIALS:,}; give fewer values, "
            "or ranges with --trials N"
        )


def example_settings(sweep: Sweep) -> Iterator[dict[str, str]]:
    """The settings by which a sweep is checked before it starts: the settings of all its trials;
    for a search the ends of its ranges, with the first and last values of its lists."""
    for trial in sweep.trials:
        yield {**sweep.settings, **trial.settings}
    if sweep.search:
        for at, end in ((0, "low"), (-1, "high")):
            listed = {key: values[at] for key, values in sweep.lists.items()}
            ranged = {key: f"{getattr(one, end):.10g}" for key, one in sweep.ranges.items()}
            yield {**sweep.settings, **listed, **ranged}


# --- The folder of a sweep --------------------------------------------------------------------

_LONGEST = LONGEST_NAME - 5  # characters of a name, so that a trial may be NAME.1234


def read_sweep(folder: RunDir) -> Sweep:
    """The content of sweep.json. Raises GenuiError naming it if it is missing or damaged."""
    remedy = "remove the sweep's folder; its runs stay"
    return read_json(folder.path / "sweep.json", Sweep, remedy)


def write_sweep(folder: RunDir, sweep: Sweep) -> None:
    """Replace sweep.json. Raises GenuiError naming it."""
    data = msgspec.json.format(msgspec.json.encode(sweep), indent=1)
    atomic_write(folder.path / "sweep.json", data + b"\n")


def list_sweeps() -> list[RunDir]:
    """The folders of all sweeps, the newest first. Raises GenuiError if they cannot be read."""
    names = list_names(paths.sweeps_dir())
    folders = [folder for name in names if (folder := find_sweep(name)) is not None]
    return sorted(folders, key=lambda one: (_created(one), one.id), reverse=True)


def _created(folder: RunDir) -> float:
    with suppress(GenuiError):
        return read_sweep(folder).created
    return 0.0


def choose_name(name: str, recipe: str) -> str:
    """The name of a new sweep: the given one, or one from the recipe that is free.

    Raises MisuseError if it is not a name, or a run or another sweep has it.
    """
    summaries = list_runs()
    runs = {one.info.name for one in summaries} | {one.run.id for one in summaries}
    taken = runs | {str(one.info.sweep.get("name", "")) for one in summaries}
    if name:
        check_name(name)
        if len(name) > _LONGEST:
            raise MisuseError(f"--name {name}: a sweep's name has at most {_LONGEST} characters")
        if find_sweep(name) is not None:
            raise MisuseError(
                f"there is a sweep '{name}' already: genui resume {name} continues it; "
                "or choose another --name"
            )
        if name in taken:
            raise MisuseError(f"a run has the name '{name}' already: choose another --name")
        return name
    stem = f"{recipe}-sweep"[: _LONGEST - 5]
    names = (f"{stem}-{number}" if number > 1 else stem for number in itertools.count(1))
    folder = paths.sweeps_dir()
    return next(one for one in names if one not in taken and not (folder / one).exists())


def create(sweep: Sweep, origin: models.Origin | None = None) -> RunDir:
    """Make the folder of a sweep; nothing is started. Raises MisuseError if there is one of that
    name, and GenuiError if it cannot be made.

    It keeps the weights of `origin`, from which all trials start: by then a run may have pruned
    that checkpoint, and "last" is another run.
    """
    if origin is not None:
        ref = origin.ref
        with suppress(OSError):  # a path that depends on the folder of the shell
            if os.path.samefile(os.path.expanduser(ref), origin.weights):
                ref = str(origin.weights.absolute())
        sweep = msgspec.structs.replace(sweep, start_from=ref, start_run=origin.run)
    folder = RunDir(paths.sweeps_dir() / sweep.name)
    with writing(folder.path):
        try:
            folder.path.mkdir(parents=True)
        except FileExistsError:
            raise MisuseError(
                f"there is a sweep '{sweep.name}' already: choose another --name"
            ) from None
    try:
        with writing(folder.path):
            folder.control.mkdir()
        if origin is not None:
            models.link_weights(folder, origin)
        now = time.time()
        write_sweep(folder, msgspec.structs.replace(sweep, created=now))
        host = socket.gethostname()
        status = Status(state="starting", steps=sweep.total, host=host, heartbeat=now)
        write_status(folder, status)
    except BaseException:
        shutil.rmtree(folder.path, ignore_errors=True)  # half a sweep is a broken one
        raise
    return folder


def origin_of(folder: RunDir, sweep: Sweep) -> models.Origin | None:
    """The model that the trials start from. Raises MisuseError if it is gone."""
    if not sweep.start_from:
        return None
    weights = models.start_files(folder)[0]
    if not weights.exists():  # a model of others, which stays where it is
        return models.find_origin(sweep.start_from)
    origin = models.find_origin(str(weights))
    return dataclasses.replace(origin, ref=sweep.start_from, run=sweep.start_run)


# --- Starting, stopping and resuming ----------------------------------------------------------


def command(folder: RunDir) -> list[str]:
    return [sys.executable, "-m", "genui.runs.coordinator", str(folder.path)]


def start(folder: RunDir) -> None:
    """Start the coordinator in the background. Raises GenuiError if the sweep has one."""
    _refuse_running(folder)
    with RunLock(folder) as lock:
        _detach(folder, lock)


def resume(folder: RunDir, again: bool = False) -> int:
    """Resume a sweep that was stopped or killed; returns how many trials are left.

    Trials that were interrupted resume from their checkpoints. With `again`, so do those that
    failed or that the user stopped, and those whose runs were removed start again. Raises
    GenuiError if the sweep is running or has no trial left.
    """
    _refuse_running(folder)
    with RunLock(folder) as lock:
        sweep = read_sweep(folder)
        if again:
            trials = [
                msgspec.structs.replace(one, state="cut", starts=0, value=None, note="")
                if one.state in _REPEATABLE
                else one
                for one in sweep.trials
            ]
            sweep = msgspec.structs.replace(sweep, trials=trials)
            write_sweep(folder, sweep)
        left = sweep.total - sweep.ended
        if not left:
            failed = sum(one.state in _REPEATABLE for one in sweep.trials)
            remedy = f"; genui resume {folder.id} --again repeats {failed}" if failed else ""
            raise GenuiError(f"sweep {folder.id}: all {sweep.total} trials have ended{remedy}")
        _detach(folder, lock)
    return left


def _detach(folder: RunDir, lock: RunLock) -> None:
    control.clear(folder)  # a stop that the coordinator before did not read
    change_status(folder, **starting())  # now a free lock means that the coordinator has ended
    launch.detach(folder, command(folder), lock)


def _refuse_running(folder: RunDir) -> None:
    if _is_running(folder):
        raise GenuiError(f"sweep {folder.id} is running already: genui sweep show {folder.id}")


def _is_running(folder: RunDir) -> bool:
    """Whether a coordinator has the sweep. The lock of one on another host may not be seen here."""
    status = read_status(folder)
    is_elsewhere = status.host != socket.gethostname() and observe_state(folder, status) in LIVE
    return is_elsewhere or is_locked(folder)


def stop(folder: RunDir) -> None:
    """Stop a sweep and its trials: each writes a checkpoint, from which `resume` continues.

    Raises GenuiError if nothing of it is running.
    """
    if _is_running(folder):
        control.send(folder, "stop")
        return
    with RunLock(folder):  # the coordinator was killed: its trials may still be training
        sweep, status = read_sweep(folder), read_status(folder)
        live = [one for one in sweep.trials if one.run and summarise(run_of(one)).alive]
        if not live:
            state = observe_state(folder, status)
            remedy = "" if state == "finished" else f" (genui resume {folder.id} continues it)"
            raise GenuiError(f"sweep {folder.id} is {state}: nothing to stop{remedy}")
        cut = {one.number for one in live if one.state in UNSETTLED}
        trials = [
            msgspec.structs.replace(one, state="cut") if one.number in cut else one
            for one in sweep.trials
        ]
        write_sweep(folder, msgspec.structs.replace(sweep, trials=trials))
        for one in live:
            with suppress(GenuiError):  # its folder is gone
                control.send(run_of(one), "stop")
        write_status(folder, msgspec.structs.replace(status, state="stopped"))


def run_of(trial: Trial) -> RunDir:
    """The run of a trial that has been started."""
    return RunDir(paths.runs_dir() / trial.run)


# --- The results of a sweep -------------------------------------------------------------------


@dataclass(frozen=True)
class TrialResult:
    """A trial as it is now; `state` is the state of its run, or "waiting" or "removed"."""

    trial: Trial
    state: str
    step: int = 0
    steps: int = 0
    value: float | None = None  # the best of the metric so far
    note: str = ""


class SettingResult(NamedTuple):
    """The trials of one setting, which differ only in their seeds."""

    settings: Mapping[str, str]
    results: Sequence[TrialResult]
    counted: int  # how many the mean is over: those that are finished, or else all with a value
    mean: float | None
    spread: float | None  # the standard deviation of the sample; None for fewer than two


@dataclass(frozen=True)
class SweepState:
    """A sweep as it is now."""

    sweep: Sweep
    state: str  # of its coordinator, as of a run
    error: str  # why it failed
    results: Sequence[TrialResult]  # the best first

    @property
    def is_live(self) -> bool:
        """Whether trials are being started or trained."""
        return self.state in ("starting", "running")

    def count(self, *states: str) -> int:
        """The number of trials in one of these states."""
        return sum(one.state in states for one in self.results)

    @property
    def settings(self) -> list[SettingResult]:
        """The results by setting, the best mean first."""
        groups: dict[int, list[TrialResult]] = {}
        for one in self.results:
            groups.setdefault(one.trial.point, []).append(one)
        settings = [_combine(results) for results in groups.values()]
        sign = 1 if self.sweep.goal == "min" else -1
        # A stable sort: without a mean, they are in the order of their best trials.
        return sorted(settings, key=lambda one: math.inf if one.mean is None else sign * one.mean)

    def describe(self) -> str:
        """One line: `wide: running, 3 of 12 trials have ended, 1 training`."""
        total = self.sweep.total
        trials = "1 trial has" if total == 1 else f"{total} trials have"
        parts = [f"{self.sweep.name}: {self.state}", f"{self.sweep.ended} of {trials} ended"]
        if training := self.count("running", "starting", "paused"):
            parts.append(f"{training} training")
        parts += [f"{n} {state}" for state in ("pruned", "failed") if (n := self.count(state))]
        return ", ".join(parts)


def _combine(results: list[TrialResult]) -> SettingResult:
    results.sort(key=lambda one: one.trial.number)
    first = results[0].trial.settings
    settings = {key: value for key, value in first.items() if key != SEED}
    values = [one.value for one in results if one.state == "finished" and one.value is not None]
    if not values:
        values = [one.value for one in results if one.value is not None and _counts(one)]
    mean = statistics.fmean(values) if values else None
    spread = statistics.stdev(values) if len(values) > 1 else None
    return SettingResult(settings, results, len(values), mean, spread)


def _counts(result: TrialResult) -> bool:
    """Whether the value of a trial is compared with the values of others: not if it diverged."""
    return result.state not in ("failed", "removed")


class SweepReader:
    """Reads a sweep again and again, each log only as far as it has grown."""

    def __init__(self, folder: RunDir) -> None:
        self.folder = folder
        self._readers: dict[str, MetricReader] = {}

    def read(self) -> SweepState:
        """The sweep now. Raises GenuiError if its folder is damaged or gone."""
        sweep = read_sweep(self.folder)
        status = read_status(self.folder)
        results = [self._result(sweep, trial) for trial in sweep.trials]
        results.sort(key=lambda one: _sort_key(one, sweep.goal))
        state = observe_state(self.folder, status)
        return SweepState(sweep, state, status.error, results)

    def _result(self, sweep: Sweep, trial: Trial) -> TrialResult:
        if not trial.run:
            state = "waiting" if trial.state in UNSETTLED else trial.state
            return TrialResult(trial, state, note=trial.note)
        run = run_of(trial)
        if not run.path.is_dir():
            return TrialResult(trial, "removed", trial.step, 0, trial.value, trial.note)
        summary = summarise(run)
        value, missing = trial.value, ""
        if trial.state in UNSETTLED or summary.alive or summary.status.step != trial.step:
            reader = self._readers.get(trial.run)
            if reader is None:
                reader = self._readers[trial.run] = MetricReader(run.metrics, sweep.metric)
            reader.read()
            value = best(reader.values, sweep.goal)
            if summary.alive and summary.status.step and not reader.values:
                names = ", ".join(metric_names(run)[:12])
                missing = sanitize(f"no {sweep.metric} yet: it logs {names}")
        # The note is of how the coordinator saw it end; the user may have resumed it since.
        is_resumed = summary.state != trial.state and summary.state in (*LIVE, "finished")
        note = missing if is_resumed else trial.note or sanitize(summary.error, 300) or missing
        status = summary.status
        return TrialResult(trial, summary.state, status.step, status.steps, value, note)


def _sort_key(result: TrialResult, goal: str) -> tuple[int, float, int]:
    """The best first, then trials without a value, then those that failed."""
    number = result.trial.number
    if not _counts(result):
        return (3, 0.0, number)
    if result.value is not None:
        return (0, result.value if goal == "min" else -result.value, number)
    return (2 if result.state == "waiting" else 1, 0.0, number)
