"""The process that carries out a sweep: `python -m genui.runs.coordinator SWEEP_FOLDER`.

It starts the trials, at most so many at once, and writes down how each ended. It has a session of
its own, so it goes on when the terminal is closed; its trials are trainers that go on without it.
After a kill, `genui resume` starts another, which takes over the trials that are still training and
resumes those that were cut short. While it waits, it only looks at a few small files.
"""

import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import free_space, remove_partial_files, sanitize
from genui.recipes import recipe_from_dict
from genui.runs import control, launch
from genui.runs.facts import at_step
from genui.runs.layout import (
    RunDir,
    RunLock,
    Status,
    last_status,
    read_info,
    read_status,
    starting,
    write_info,
    write_status,
)
from genui.runs.listing import list_runs, summarise
from genui.runs.metric import MetricReader, best, metric_names
from genui.runs.search import Search
from genui.runs.sweep import (
    SEED,
    UNSETTLED,
    Trial,
    describe,
    origin_of,
    read_sweep,
    run_of,
    write_sweep,
)

POLL = 0.5  # seconds between two looks at the trials
_BEAT = 3.0  # seconds between two heartbeats
_MOST_STARTS = 3  # for a trial whose process is killed again and again
_FULL = 50 << 20  # bytes: with less free space, a trial failed because the disk was full
_HOPELESS = 3  # trials that fail before their first step, before any other has made one


class Coordinator:
    """Carries out a sweep. The caller holds the lock of its folder."""

    def __init__(self, folder: RunDir, sleep: Callable[[float], object] = time.sleep) -> None:
        """Raises GenuiError if the sweep cannot be read, or needs Optuna, which is not here."""
        self._folder, self._sleep = folder, sleep
        self._sweep = read_sweep(folder)
        self._recipe = recipe_from_dict(self._sweep.recipe)
        self._trials = {trial.number: trial for trial in self._sweep.trials}
        self._readers: dict[int, MetricReader] = {}
        self._search = Search(folder.path, self._sweep) if self._sweep.search else None
        self._is_stopping = False
        self._fault = ""  # why no more trials are started
        self._status = _first_status(folder, self._sweep.total)
        self._beaten = 0.0

    def run(self) -> str:
        """Carry the sweep out and return how it ended: "finished", "stopped" or "failed"."""
        remove_partial_files(self._folder.path)
        self._take_over()
        self._write_status(state="running")
        while self._folder.path.is_dir():
            for request in control.poll(self._folder, _print_line):
                if request.command == "stop":
                    self.stop()
            if self._is_stopping:
                self._cut()
            for trial in self._all("running", "pruning", "cut"):
                self._look(self._trials[trial.number])  # another may have pruned it just now
            if not (self._is_stopping or self._fault):
                self._fill()
            ends = self._is_stopping or self._fault or not self._has_more()
            if ends and not self._training():
                break
            self._beat()
            self._sleep(POLL)
        else:
            return "failed"  # the folder was removed: the trials go on as ordinary runs
        state = "failed" if self._fault else "stopped" if self._has_more() else "finished"
        self._write_status(state=state, error=self._fault)
        _print_line(f"{state}{': ' if self._fault else ''}{self._fault}")
        return state

    def stop(self) -> None:
        """Start no more trials, and stop those that train after a checkpoint."""
        self._is_stopping = True

    # --- the trials -------------------------------------------------------------------

    def _all(self, *states: str) -> list[Trial]:
        return [trial for trial in self._trials.values() if trial.state in states]

    def _training(self) -> int:
        """How many trials are training, also those that are still writing their checkpoint."""
        cut = (trial for trial in self._all("cut") if trial.run)
        alive = sum(summarise(run_of(trial)).alive for trial in cut)
        return alive + len(self._all("running", "pruning"))

    def _has_more(self) -> bool:
        """Whether trials are left that have not ended."""
        return len(self._trials) < self._sweep.total or bool(self._all(*UNSETTLED))

    def _set(self, trial: Trial, **fields: Any) -> Trial:
        """Change a trial, and write it down."""
        trial = self._trials[trial.number] = msgspec.structs.replace(trial, **fields)
        self._save()
        return trial

    def _save(self) -> None:
        self._sweep = msgspec.structs.replace(self._sweep, trials=list(self._trials.values()))
        write_sweep(self._folder, self._sweep)

    def _take_over(self) -> None:
        """Find the trials that an earlier coordinator has started, also unknown to sweep.json."""
        runs: dict[int, str] = {}
        for summary in list_runs():
            sweep = summary.info.sweep
            is_newer = summary.info.created >= self._sweep.created
            if sweep.get("name") == self._sweep.name and is_newer:
                trial = sweep.get("trial")
                if isinstance(trial, int):  # run.json may say anything
                    runs.setdefault(trial, summary.run.id)
        for trial in self._all(*UNSETTLED):
            run, state = trial.run or runs.get(trial.number, ""), trial.state
            trial = msgspec.structs.replace(trial, run=run)
            if state == "running" or (run and state == "waiting"):
                state = "running" if run and summarise(run_of(trial)).alive else "cut"
            self._trials[trial.number] = msgspec.structs.replace(trial, state=state)
        self._save()
        if self._search is not None:
            self._search.forget_others({trial.point for trial in self._trials.values()})
            self._tell_points()

    def _look(self, trial: Trial) -> None:
        """Read the state of a trial that was started."""
        if not trial.run:
            return
        run = run_of(trial)
        if not run.path.is_dir():
            if trial.state != "cut":  # else it is started anew
                self._settle(trial, "removed", 0, "its run was removed")
            return
        summary = summarise(run)
        if summary.alive:
            if trial.state == "running":
                self._report(trial)
            return
        step, error = summary.status.step, summary.error
        if summary.state == "finished":
            self._settle(trial, "finished", step)
        elif trial.state == "cut":
            return
        elif trial.state == "pruning":
            _mark_pruned(run, step, trial.note)
            self._settle(trial, "pruned", step, trial.note)
        elif summary.state == "stopped":
            self._settle(trial, "stopped", step, "stopped by hand")
        elif summary.state == "dead" and trial.starts < _MOST_STARTS:
            name = sanitize(summary.info.name)
            _print_line(f"{name}: its process was killed; it goes on from its checkpoint")
            self._set(trial, state="cut")
        elif summary.state == "failed" and free_space(run.path) < _FULL:
            self._fault = f"the disk is full: free some space, then genui resume {self._sweep.name}"
            self._set(trial, state="cut")
        else:
            error = error or "its process was killed"
            self._settle(trial, "failed", step, sanitize(error, 200))

    def _settle(self, trial: Trial, state: str, step: int, note: str = "") -> None:
        """Write down how a trial ended."""
        value, sweep = None, self._sweep
        if trial.run and state != "removed":
            reader = self._reader(trial)
            reader.read()
            value = best(reader.values, sweep.goal)
            if value is None and state == "finished":
                note = f"{sweep.metric} was never a finite number"
                if not reader.values:
                    names = ", ".join(metric_names(run_of(trial))[:12]) or "nothing"
                    note = f"it does not log {sweep.metric}; it logs {sanitize(names)}"
                    if self._search is not None:
                        self._fault = f"a search needs the metric of --metric: {note}"
        self._readers.pop(trial.number, None)
        trial = self._set(trial, state=state, step=step, value=value, note=note)
        shown = "" if value is None else f", {sweep.metric} {value:.5g}"
        ended = at_step(f"{self._label(trial)}: {state}", step)
        _print_line(f"{ended}{shown}{f' ({note})' if note else ''}")
        if state == "pruned":  # its setting is not better with another seed
            for other in self._all("waiting", "running"):
                if other.point == trial.point:
                    self._prune(other, trial.note)
        failed = self._all("failed")
        has_trained = any(one.step or one.state == "running" for one in self._trials.values())
        if len(failed) >= _HOPELESS and not has_trained:
            self._fault = f"{len(failed)} trials failed before their first step: {failed[-1].note}"
        self._tell_points()

    def _reader(self, trial: Trial) -> MetricReader:
        reader = self._readers.get(trial.number)
        if reader is None:
            reader = MetricReader(run_of(trial).metrics, self._sweep.metric)
            self._readers[trial.number] = reader
        return reader

    def _label(self, trial: Trial) -> str:
        return f"{self._sweep.name}.{trial.number}"

    # --- starting ---------------------------------------------------------------------

    def _fill(self) -> None:
        """Start trials while fewer than so many are training: first those that were cut short."""
        while True:
            for trial in [*self._all("cut"), *self._all("waiting")]:
                if self._has_no_room():
                    return
                if self._trials[trial.number] is trial:  # not pruned with another seed
                    self._start(trial)
            if self._has_no_room() or not self._ask():
                return

    def _has_no_room(self) -> bool:
        return bool(self._fault) or self._training() >= self._sweep.jobs

    def _ask(self) -> list[Trial]:
        """The trials of the next setting of a search, which wait from now on; [] after the last."""
        if self._search is None or len(self._trials) >= self._sweep.total:
            return []
        point, settings = self._search.ask()
        first = len(self._trials) + 1
        seeds = [{SEED: seed} for seed in self._sweep.seeds] or [{}]
        trials = [
            Trial(number=number, point=point, settings={**settings, **seed})
            for number, seed in enumerate(seeds, first)
        ]
        self._trials |= {trial.number: trial for trial in trials}
        self._save()
        return trials

    def _start(self, trial: Trial) -> None:
        """Start a trial, or resume one that was cut short."""
        sweep = self._sweep
        try:
            if trial.run and run_of(trial).path.is_dir():
                run = run_of(trial)
                summary = summarise(run)
                if summary.alive:  # it still writes its checkpoint, or the user has resumed it
                    return
                if summary.fault:
                    self._settle(trial, "failed", 0, sanitize(summary.fault, 300))
                    return
                launch.resume(run)
            else:
                setting = {key: text for key, text in trial.settings.items() if key != SEED}
                about = {"name": sweep.name, "trial": trial.number, "setting": describe(setting)}
                about |= {"metric": sweep.metric, "goal": sweep.goal}
                settings = {**sweep.settings, **trial.settings}
                origin = origin_of(self._folder, sweep) or ""
                run = launch.launch(self._recipe, settings, self._label(trial), origin, sweep=about)
        except MisuseError as error:  # settings that do not fit each other, or the weights
            self._settle(trial, "failed", 0, str(error))
        except GenuiError as error:  # the disk is full, say: the others would fail too
            self._fault = f"{error}; then genui resume {sweep.name}"
        else:
            how = "resumed" if trial.run == run.id else f"started: {describe(trial.settings)}"
            _print_line(f"{self._label(trial)} {how}")
            self._set(trial, state="running", run=run.id, starts=trial.starts + 1)

    # --- ending early -----------------------------------------------------------------

    def _cut(self) -> None:
        """Stop the trials that train; they go on when the sweep is resumed."""
        for trial in self._all("running"):
            self._set(trial, state="cut")  # first: it may be the last that this process does
            with suppress(GenuiError):
                control.send(run_of(trial), "stop")

    def _prune(self, trial: Trial, note: str) -> None:
        """Stop a trial for good."""
        if trial.state == "waiting":
            self._set(trial, state="pruned", note=note)
            return
        self._set(trial, state="pruning", note=note)
        with suppress(GenuiError):  # its folder is gone; the next look notices it
            control.send(run_of(trial), "stop")

    def _report(self, trial: Trial) -> None:
        """Tell the search the new values of a trial, and prune the trial if others are better."""
        search = self._search
        if search is None or not self._sweep.pruning:
            return
        first = min(n for n, one in self._trials.items() if one.point == trial.point)
        if trial.number != first:  # seeds are not settings of their own
            return
        reader = self._reader(trial)
        reader.read()
        for step, value in sorted(reader.values.items()):
            if step > 0 and search.report(trial.point, step, value):
                note = f"behind the others at step {step}"
                _print_line(f"{self._label(trial)}: {self._sweep.metric} {value:.5g} is {note}")
                self._prune(trial, note)
                return

    def _tell_points(self) -> None:
        """Tell the search the results of settings whose trials have all ended."""
        if self._search is None:
            return
        points: dict[int, list[Trial]] = {}
        for trial in self._trials.values():
            points.setdefault(trial.point, []).append(trial)
        for point, trials in points.items():
            if all(trial.state not in UNSETTLED for trial in trials):
                pruned = any(trial.state == "pruned" for trial in trials)
                done = (one.value for one in trials if one.state == "finished")
                self._search.tell(point, [one for one in done if one is not None], pruned)

    # --- the status -------------------------------------------------------------------

    def _beat(self) -> None:
        """Write the heartbeat, and how many trials have ended."""
        if self._sweep.ended != self._status.step or time.monotonic() - self._beaten > _BEAT:
            with suppress(GenuiError):  # a full disk is reported by the next trial
                self._write_status()

    def _write_status(self, **fields: Any) -> None:
        self._beaten = time.monotonic()
        fields = {"step": self._sweep.ended, "heartbeat": time.time(), **fields}
        self._status = msgspec.structs.replace(self._status, **fields)
        write_status(self._folder, self._status)


def _first_status(folder: RunDir, total: int) -> Status:
    status = msgspec.structs.replace(last_status(folder), **starting())
    return msgspec.structs.replace(status, state="running", steps=total, started=status.heartbeat)


def _mark_pruned(run: RunDir, step: int, note: str) -> None:
    """Record in the run that its sweep has pruned it: its state is then "pruned"."""
    with suppress(GenuiError), RunLock(run):
        info = read_info(run)
        sweep = {**info.sweep, "pruned": step}
        write_info(run, msgspec.structs.replace(info, sweep=sweep))
        control.record(run, step, "pruned", f"pruned: {note}")


def _print_line(line: str) -> None:
    """Print a line into the console of the sweep."""
    with suppress(OSError):  # a full disk
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}", flush=True)


def _describe(error: Exception, folder: RunDir) -> GenuiError:
    """The reason why the sweep ended, as one line; the traceback of an unexpected error is
    printed."""
    if isinstance(error, GenuiError):
        return error
    traceback.print_exc()  # into the console of the sweep
    what = sanitize(f"{type(error).__name__}: {error}", 200)
    return GenuiError(
        f"{what}; its traceback is in {folder.console}, for a bug report; trials that train go on, "
        f"and genui resume {folder.id} takes them over"
    )


def main(argv: Iterable[str] | None = None) -> int:
    paths = list(sys.argv[1:] if argv is None else argv)
    if len(paths) != 1:
        print("usage: python -m genui.runs.coordinator SWEEP_FOLDER", file=sys.stderr)
        return 2
    folder = RunDir(Path(paths[0]))
    try:
        with RunLock(folder):
            try:
                coordinator = Coordinator(folder)
                signal.signal(signal.SIGTERM, lambda *_: coordinator.stop())
                return 1 if coordinator.run() == "failed" else 0
            except Exception as error:
                fault = _describe(error, folder)
                with suppress(GenuiError):
                    status = _first_status(folder, read_status(folder).steps)
                    write_status(
                        folder, msgspec.structs.replace(status, state="failed", error=str(fault))
                    )
                raise fault from None
    except GenuiError as error:
        _print_line(str(error))
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
