"""`genui.init`, `log` and `finish`: a run that a training script writes itself."""

import atexit
import dataclasses
import math
import os
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NoReturn, Self, SupportsInt

import msgspec

from genui.base.errors import GenuiError
from genui.base.files import SMALL, atomic_write, last_record, sanitize
from genui.base.secret import mask_settings
from genui.base.text import clean_line
from genui.runs import control, labels, layout
from genui.runs.batches import BatchRing
from genui.runs.compat import RUN_NAMES, AlertLevel, Ignored
from genui.runs.definitions import (
    Aggregate,
    MetricDefinition,
    find_definition,
    parse_definition,
)
from genui.runs.layout import create_script_run, read_info
from genui.runs.media import BEYOND, Names, Notes, Samples, as_step, flatten, json_value, media_in
from genui.runs.norms import append_norms
from genui.runs.ranks import Place, RankWriter, find_place, find_script_run
from genui.runs.stack_signal import answer_requests
from genui.runs.writer import RESERVED, RunWriter, json_number, one_line

_ALONE = Place(0, "")
_DEEPEST = 16
_LONGEST_TEXT = 10_000
_LONGEST_ALERT = 500


def _then_save(change: Callable[..., Any]) -> Any:
    """A method of dict that changes the values, for Config."""

    def change_and_save(self: "Config", *args: Any) -> Any:
        value = change(self, *args)
        self._changed()
        return value

    return change_and_save


class Config(dict[str, Any]):
    """A dict whose keys are attributes too, except names of dict methods.

    `changed` is called after every change by the script; it may not raise.
    """

    def __init__(self, values: Mapping[str, Any], changed: Callable[[], None]) -> None:
        super().__init__(values)
        object.__setattr__(self, "_changed", changed)

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no '{name}' in the run's config") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self:
            raise AttributeError(f"no '{name}' in the run's config")
        del self[name]

    __setitem__ = _then_save(dict.__setitem__)
    __delitem__ = _then_save(dict.__delitem__)
    setdefault = _then_save(dict.setdefault)
    pop = _then_save(dict.pop)
    popitem = _then_save(dict.popitem)
    clear = _then_save(dict.clear)

    def __ior__(self, other: Any) -> "Config":
        self.update(other)
        return self

    def __reduce__(self) -> tuple[type, tuple[dict[str, Any]]]:
        return dict, (dict(self),)  # a copy in another process changes no run

    def update(self, values: Any = (), /, allow_val_change: Any = None, **more: Any) -> None:
        """Adds the fields of a dict, a Namespace or a dataclass.

        `allow_val_change` is for scripts written for wandb: here every value may change.
        """
        super().update(fields_of(values), **more)
        self._changed()

    def as_dict(self) -> dict[str, Any]:
        """A plain dict of the values."""
        return dict(self)

    def setdefaults(self, values: Any) -> None:
        """Adds the fields of a dict, a Namespace or a dataclass that are not there yet."""
        self.update({key: value for key, value in fields_of(values).items() if key not in self})


def fields_of(values: Any) -> dict[str, Any]:
    """The hyperparameters of a mapping, pairs, a dataclass, a pydantic model or a Namespace.

    Raises TypeError or ValueError for anything else, as `dict` does.
    """
    if values is None:
        return {}
    if _is_dataclass(values):
        # Not asdict, which copies every value deeply and fails if one cannot be copied.
        return {field.name: getattr(values, field.name) for field in dataclasses.fields(values)}
    if hasattr(values, "model_dump"):
        return dict(values.model_dump())
    if not isinstance(values, Mapping) and hasattr(values, "__dict__"):
        return dict(vars(values))
    return dict(values)


def small_data(values: Mapping[str, Any], say: Callable[[str, str], None]) -> dict[str, Any]:
    """The values as JSON data without secrets; empty if the file would be too large for a reader.

    `say` is then called with (about, line). Never raises.
    """
    data = mask_settings(plain_data(dict(values)))
    written = msgspec.json.format(msgspec.json.encode({"config": data}), indent=2)
    if len(written) < SMALL // 2:
        return data
    say("size", f"a config or summary over {SMALL // 2048} KiB is left out")
    return {}


def plain_data(value: Any, depth: int = 0) -> Any:
    """`value` as JSON data; other types become text. Never raises."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**63 else _text(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, str) or depth >= _DEEPEST:
        return _text(value)
    try:
        if isinstance(value, Mapping):
            return {_text(k): plain_data(v, depth + 1) for k, v in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [plain_data(v, depth + 1) for v in value]
        if _is_dataclass(value):
            return plain_data(fields_of(value), depth + 1)
        if hasattr(value, "item"):  # a numpy scalar, a tensor of one number
            return plain_data(value.item(), depth + 1)
    except Exception:
        return _text(value)
    return _text(value)


def _is_dataclass(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _text(value: Any) -> str:
    try:
        text = str(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    return text[:_LONGEST_TEXT].encode(errors="replace").decode()


# --- The step, speed and losses of a script's run, for the list of runs ------------------------

_LOSSES = ("loss", "train_loss", "train/loss")
_VAL_LOSSES = ("val_loss", "val/loss", "eval_loss", "eval/loss", "valid_loss", "valid/loss")
_BEATS = 10
"""Heartbeats, each about a second, over which the speed is measured."""


class StatusFields:
    """Fields of Status from the newest records."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, int]] = deque(maxlen=_BEATS)  # (monotonic time, step)

    def fields(self, step: int, values: Mapping[str, Any]) -> dict[str, Any]:
        """`values` are the newest of every metric, as in metrics.jsonl."""
        now = time.monotonic()
        if self._recent and step < self._recent[-1][1]:
            self._recent.clear()  # went back
        self._recent.append((now, step))
        then, before = self._recent[0]
        speed = (step - before) / (now - then) if now > then else 0.0
        loss, val = _first(_LOSSES, values), _first(_VAL_LOSSES, values)
        return {"step": step, "steps_per_s": speed, "loss": loss, "val": val}


def _first(names: tuple[str, ...], values: Mapping[str, Any]) -> float | None:
    value = next((values[name] for name in names if name in values), None)
    try:
        return None if value is None else float(value)  # also "NaN"
    except (TypeError, ValueError):  # a summary may hold anything
        return None


# --- A run that a training script writes itself: the result of `genui.init` -------------------
# Nothing here raises into the training. A failure is one line on stderr, once, and the next call is
# tried again. When `log` returns, its line is in the file, so `kill -9` loses nothing.

Ending = Literal["finished", "failed", "stopped"]

Source = Callable[[bool], None]
"""Adds records to a run; with True all that there are."""

LONGEST_LINE = 1024 * 1024
"""Bytes; readers skip longer lines, so a longer record is written in parts."""


class Run:
    """One run of a training script; every method may be called from any thread.

    Changes of the dict `config` are saved in run.json. `summary` has the newest value of every
    metric and what the script adds; it is saved in summary.json.
    """

    def __init__(
        self,
        folder: layout.RunDir | None,
        name: str = "",
        project: str = "",
        config: Mapping[str, Any] | None = None,
        place: Place = _ALONE,
    ) -> None:
        """`folder` is a run that no process writes, or None for a run that is not saved; a rank
        other than 0, by its `place`, has no folder of its own. Raises GenuiError if the folder
        cannot be written."""
        self.name = name
        self.project = project
        self.config = Config(config or {}, self._save_config)
        self.summary = Config({}, self._save_summary)
        self._notes = Notes()
        self._folder = folder
        self._names = Names(self._notes.note)
        self._encode = msgspec.json.Encoder().encode
        # Taken again by a signal handler that logs or finishes in the middle of a log.
        self._guard = threading.RLock()
        self._ended = False
        self._next = 0  # step of a log that does not say one
        self._newest = 0
        self._logs = 0
        self.resumed = False  # whether it continues the run of an earlier process
        self.start_time = time.time()
        self._samples: Samples | None = None
        self._stop_requested = False
        self._takes_lr = False  # the script asks for a learning rate
        self._learning_rate: float | None = None  # set from outside, not taken yet
        self._status_fields = StatusFields()
        self._latest: dict[str, Any] = {}  # of every metric
        self._definitions: tuple[MetricDefinition, ...] = ()
        self._defined: dict[str, tuple[MetricDefinition, Aggregate] | None] = {}  # by metric
        self._alerted: dict[str, float] = {}  # by title, on the monotonic clock
        self._sources: list[Source] = []
        self._end_answers = lambda: None
        self._norms: dict[str, float] = {}  # by layer, for the next record
        self._batches: BatchRing | None = None
        self._writer: RunWriter | RankWriter | None = None
        if place.rank:
            self._writer = RankWriter(place)
        elif folder is not None:
            self._info = layout.read_info(folder)
            self._definitions = self._info.metrics
            self._samples = Samples(folder, self._notes.note)
            self._writer = RunWriter(folder, self._beat).__enter__()
            last = last_record(folder.metrics).get("step")
            if isinstance(last, int):  # an earlier process wrote it
                self.resumed = True
                self._safely("summary", lambda _: self._read_summary(folder))
                self._newest, self._next = last, last + 1
            if place.job != self._info.job:  # another job continues it, and its ranks look for it
                self._info = msgspec.structs.replace(self._info, job=place.job)
                self._save_config()
            self._safely("status", lambda writer: writer.update(state="running"))

    @property
    def id(self) -> str:
        """The id for `genui inspect` and `genui stop`; empty for a run that is not saved."""
        return self._folder.id if self._folder else ""

    @property
    def dir(self) -> str:
        """Its folder; empty for a run that is not saved."""
        return str(self._folder.path) if self._folder else ""

    @property
    def url(self) -> str:
        """Its folder as a file:// address: there is no server."""
        return Path(self.dir).as_uri() if self.dir else ""

    @property
    def step(self) -> int:
        """The step of the next log that has none."""
        return self._next

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags, which may be set; `genui tag` changes them too."""
        return self._labels().tags

    @tags.setter
    def tags(self, tags: Any) -> None:
        def change(old: labels.Labels) -> labels.Labels:
            words = map(str, [tags] if isinstance(tags, str) else () if tags is None else tags)
            tidy = (re.sub(r"[\s,]+", "-", clean_line(word, labels.LONGEST_TAG)) for word in words)
            chosen = tuple(dict.fromkeys(filter(None, tidy)))[: labels.MAX_TAGS]
            return msgspec.structs.replace(old, tags=chosen)

        self._label(change)

    @property
    def notes(self) -> str:
        """The note, which may be set; `genui note` changes it too."""
        return self._labels().note

    @notes.setter
    def notes(self, note: Any) -> None:
        text = "" if note is None else clean_line(_text(note), labels.LONGEST_NOTE)
        self._label(lambda old: msgspec.structs.replace(old, note=text))

    def _labels(self) -> labels.Labels:
        try:
            return labels.read_labels(self._folder) if self._folder else labels.Labels()
        except Exception:  # damaged, or removed with the run
            return labels.Labels()

    def _label(self, change: Callable[[labels.Labels], labels.Labels]) -> None:
        folder = self._folder
        if folder is not None:
            self._safely("labels", lambda _: labels.write_labels(folder, change(self._labels())))

    @property
    def stop_requested(self) -> bool:
        """Whether someone pressed stop in the app or ran `genui stop`, at most a second ago.

        The script decides when to stop; the run then ends as "stopped".
        """
        return self._stop_requested

    def take_learning_rate(self) -> float | None:
        """The learning rate that someone set in the app or by `genui lr`, once; else None.

        The first call tells genui that this script takes one.
        """
        if not self._takes_lr:
            self._takes_lr = True
            self._save_config()
        learning_rate, self._learning_rate = self._learning_rate, None
        if learning_rate is not None:
            text, step = f"learning rate → {learning_rate:g}", self._newest
            self._safely("event", lambda w: control.record(w.run, step, "set_lr", text))
        return learning_rate

    def log(
        self,
        data: Mapping[str, Any],
        step: SupportsInt | None = None,
        commit: bool | None = None,
        **ignored: Any,
    ) -> None:
        """Writes the metrics, images (`Image`) and texts (`Text` or strings) of one step.

        Nested dicts become names with "/". Without `step` each log is the next step, unless
        `commit=False`: then the next log belongs to the same step. With `step` the next log
        without one belongs to it too, unless `commit=True`. This is as in wandb, but everything
        is written at once.
        """
        writer = self._writer
        if writer is None:
            return
        if self._ended:
            self._notes.note("over", f"run {self.id} has ended: what is logged now is lost")
            return
        try:
            with self._guard:
                if not self._ended:  # by another thread
                    self._log(writer, data, step, commit)
        except OSError as error:
            self._notes.note("write", f"cannot write the metrics of {self.id}: {error.strerror}; "
                            "later records are tried again")  # fmt: skip
        except Exception as error:
            line = one_line(error)
            self._notes.note(
                line, f"a record is lost: log({type(data).__name__}) failed with {line}"
            )

    def add_record(self, step: int, when: float, values: Mapping[str, float]) -> None:
        """Writes metrics that the script logged elsewhere, at that unix time. Raises OSError."""
        if self._writer is None or step >= BEYOND:
            return
        named = {self._names[name]: json_number(value) for name, value in values.items()}
        with self._guard:
            if not self._ended:
                newest = self._newest
                self._write(self._writer, {"step": step, "time": round(when, 3), **named})
                self._newest = max(newest, step)  # results at the end often have step 0

    def add_source(self, source: "Source") -> None:
        """Calls `source(False)` once a second, on a thread of the run's own, and `source(True)` at
        its end. An exception that it raises is reported once."""
        self._sources.append(source)

    def log_batch(self, examples: Any, losses: Any = None, **ignored: Any) -> None:
        """Keeps the examples of a step on this machine, for when its loss jumps.

        Call it before the `log` of the step. The batches of the last 8 such steps are kept in the
        run's folder, where only its owner may read them; an alert freezes them: `genui.runs.
        batches`. Never raises.

        Args:
            examples: texts, or images as for `Image`, one or several.
            losses: a number for each, if known.
        """
        folder = self._folder
        if folder is None or self._ended:  # a job has the batches of rank 0
            return
        with self._guard:
            self._batches = ring = self._batches or BatchRing(folder)
            self._safely("batch", lambda _: ring.add(examples, losses))

    def watch(self, models: Any, *args: Any, **options: Any) -> None:
        """`genui.watch`, which measures in the run that `init` started last."""
        import genui  # late: this module is a part of it, and the function imports torch

        genui.watch(models, *args, **options)

    def add_norms(self, norms: Mapping[str, float]) -> None:
        """Adds norms by `KIND/LAYER`, which are written with the step of the next record."""
        self._norms.update(norms)

    @property
    def has_norms(self) -> bool:
        """Whether norms wait for the next record."""
        return bool(self._norms)

    def write_line(self, line: str) -> None:
        """Appends a line to the run's console log, with the time."""
        self._safely("console", lambda writer: writer.write_line(line))

    def rotate_console(self, limit: int) -> None:
        """Begins a new console log if it has more than `limit` bytes; one older is kept."""
        self._safely("console", lambda writer: writer.rotate_console(limit))

    def measure(self, pid: int | None) -> None:
        """Measures the load of another process and its children from now on, or of no process."""
        self._safely("system", lambda writer: writer.measure(pid))

    def define_metric(
        self,
        name: str,
        step_metric: Any = None,
        step_sync: bool | None = None,
        hidden: bool | None = None,
        summary: str | None = None,
        goal: str | None = None,
        overwrite: bool | None = None,
        **ignored: Any,
    ) -> MetricDefinition | None:
        """Says how a metric is shown and summed up, as in wandb.

        Args:
            name: of the metric; "val/*" is every one that begins so.
            step_metric: the metric that is the x axis of its curve.
            step_sync: whether a record without the step metric gets its last value; so it is.
            hidden: True draws its curve only for a filter that has its name.
            summary: "min,max,mean,last,first,best,none": what `summary` has of it.
            goal: "minimize" or "maximize": which value is the best.
            overwrite: True forgets earlier calls for this name.

        Never raises; None if the arguments are wrong.
        """
        try:
            fields = parse_definition(
                name=name, step_metric=step_metric, step_sync=step_sync, hidden=hidden,
                summary=summary, goal=goal,
            )  # fmt: skip
        except Exception as error:
            self._notes.note(f"define {_text(name)}", one_line(error))
            return None
        with self._guard:
            definition = MetricDefinition(**fields)
            earlier = next((one for one in self._definitions if one.name == definition.name), None)
            if earlier is not None and overwrite is not True:
                words = dict.fromkeys((*earlier.summary, *definition.summary))
                fields["summary"] = tuple(words)
                definition = msgspec.structs.replace(earlier, **fields)
            others = (one for one in self._definitions if one.name != definition.name)
            self._definitions = (*others, definition)
            self._defined = {}
        self._save_config()
        return definition

    def alert(
        self,
        title: str,
        text: str = "",
        level: AlertLevel | str | None = None,
        wait_duration: Any = None,
        **ignored: Any,
    ) -> None:
        """Reports something of the run: in the app's list of alerts, by the bell, and to the
        user's `alert_url`.

        `level` is INFO, WARN or ERROR. The next alert of that title comes after `wait_duration`,
        seconds or a timedelta; a minute. Never raises.
        """
        if self._folder is not None and not self._ended:  # a job has the alerts of rank 0
            self._safely("alert", lambda w: self._alert(w, title, text, level, wait_duration))

    def _alert(
        self, writer: RunWriter, title: object, text: object, level: object, wait: Any
    ) -> None:
        name, now = _text(title), time.monotonic()
        wait = json_value(wait.total_seconds() if hasattr(wait, "total_seconds") else wait)
        if now - self._alerted.get(name, -math.inf) < (60.0 if wait is None else float(wait)):
            return
        self._alerted[name] = now
        known = control.ALERTS.get(_text(level).lower(), control.ALERTS["info"])
        line = clean_line(": ".join(filter(None, (name, _text(text)))), _LONGEST_ALERT)
        control.record(writer.run, self._newest, known, line)
        if (ring := self._batches) is not None and known != control.ALERTS["info"]:
            with self._guard:
                self._safely("batch", lambda _: ring.freeze())
        from genui.runs import webhook  # late: few runs send alerts

        values = {"name": self._info.name, "alert": line, "step": str(self._newest)}
        webhook.send(values | {"host": self._info.host, "project": self._info.project})

    def finish(self, exit_code: int | None = None, **ignored: Any) -> None:
        """Ends the run: "failed" for an exit code other than 0, "stopped" after a stop request,
        else "finished". A second call does nothing."""
        if json_value(exit_code):  # not `if exit_code`, which fails for an array
            self.end("failed", f"exit code {exit_code}")
        else:
            self.end("stopped" if self._stop_requested else "finished")

    def fail(self, error: BaseException) -> None:
        """Ends the run by the exception that ends the script."""
        if isinstance(error, SystemExit):
            self.finish_with(error.code)
        elif isinstance(error, KeyboardInterrupt):
            self.end("stopped")
        else:
            self.end("failed", one_line(error))

    def finish_with(self, code: object) -> None:
        """`finish` with the argument of sys.exit: nothing, a number or a message."""
        if isinstance(code, str):
            self.end("failed", " ".join(code.split()))
        else:
            self.finish(code if isinstance(code, int) else None)

    def end(self, state: Ending, error: str = "") -> None:
        """Ends the run in that state, with an error of one line."""
        if self._ended:  # perhaps by a fork, which leaves the guard to a thread that is gone
            return
        self._read_sources(whole=True)
        with self._guard:
            first, self._ended = not self._ended, True
        if first:
            self._end_answers()
            if self._folder is not None:
                self._safely("end", self._write_samples)
                self._safely("end", self._update_status)
            if self.summary:
                self._save_summary()
            self._safely("end", lambda w: w.update(state=state, error=sanitize(error, 1000)))
            self._safely("end", lambda w: w.__exit__(None, None, None))

    def answer_requests(self) -> None:
        """Lets this process write its stack when somebody asks why the run stands still."""
        if self._folder is not None:
            self._end_answers = answer_requests(self._folder)

    def detach(self) -> None:
        """In a child after a fork: ends the run here; it belongs to the parent."""
        # The descriptors of a run that has ended are closed, and may now belong to other files.
        if self._writer is not None and not self._ended:
            self._writer.abandon()
        self._ended, self._writer = True, None

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def logs(self) -> int:
        """How many records were written."""
        return self._logs

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self.finish()
        else:
            self.fail(error)

    def __getattr__(self, name: str) -> Any:
        if name not in RUN_NAMES:
            raise AttributeError(f"a run has no '{name}'")
        self._notes.note(name, f"run.{name} does nothing here")
        return Ignored()

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[Callable[..., "Run"], tuple[None, str, str, dict[str, Any]]]:
        """A copy in another process is a run that is not saved."""
        return Run, (None, self.name, self.project, plain_data(dict(self.config)))

    def _log(
        self,
        writer: RunWriter | RankWriter,
        data: Mapping[str, Any],
        step: object,
        commit: bool | None,
    ) -> None:
        at = step if type(step) is int and 0 <= step < BEYOND else self._step_of(step)
        record: dict[str, Any] = {"step": at, "time": round(time.time(), 3)}
        known = self._names
        rest: dict[Any, Any] = {}
        for key, value in data.items():
            # Nearly always; x - x is 0 for a finite float alone.
            if type(value) is float and value - value == 0.0 and key in known:
                record[known[key]] = value
            else:
                rest[key] = value
        shown = bool(rest) and self._sort(rest, record)
        self._next = at + 1 if commit or (commit is None and step is None) else at
        if self._definitions:
            self._add_step_metrics(record)
        if len(record) > 2:
            self._write(writer, record)
        if shown and self._samples is not None:
            self._samples.write()

    def _step_of(self, step: object) -> int:
        if step is None:
            return self._next
        whole = as_step(step)
        if whole is None:
            self._notes.note("step", f"step {step!r} is not a step: using step {self._next}")
            return self._next
        return whole

    def _sort(self, values: Mapping[Any, Any], record: dict[str, Any]) -> bool:
        """Adds numbers to the record and media to the samples; True if there were media."""
        shown = False
        for key, value in flatten(values):
            name = self._names[key]
            if (figure := json_value(value)) is not None:
                record[name] = figure
            elif media := media_in(value):
                if self._samples is not None:  # a job has the samples of rank 0
                    self._samples.add(record["step"], name, media)
                    shown = True
            elif not isinstance(value, Ignored):
                kind = type(value).__name__
                self._notes.note(f"value {name}", f"'{name}' is left out: {kind} is not a number")
        return shown

    def _write(self, writer: RunWriter | RankWriter, record: dict[str, Any]) -> None:
        line = self._encode(record) + b"\n"
        if len(line) > LONGEST_LINE and len(record) > 3:
            names = [name for name in record if name not in ("step", "time")]
            base = {"step": record["step"], "time": record["time"]}
            for part in (names[::2], names[1::2]):
                self._write(writer, base | {name: record[name] for name in part})
            return
        writer.append(line)
        if self._norms:
            norms, self._norms = self._norms, {}
            self._safely("norms", lambda w: append_norms(w.run, record["step"], norms))
        if (ring := self._batches) is not None:
            self._safely("batch", lambda _: ring.end_step(record))
        self._newest = record["step"]
        self._logs += 1
        self._latest.update(record)
        dict.update(self.summary, record)
        if self._definitions:
            self._sum_up(record)

    def _definition(self, metric: str) -> tuple[MetricDefinition, Aggregate] | None:
        if metric not in self._defined:
            found = None if metric in RESERVED else find_definition(self._definitions, metric)
            before = self.summary.get(metric)
            self._defined[metric] = found and (found, Aggregate(found, before))
        return self._defined[metric]

    def _add_step_metrics(self, record: dict[str, Any]) -> None:
        """Adds the last value of each step metric that the record lacks."""
        for metric in list(record):
            found = self._definition(metric)
            if found and found[0].step_sync and found[0].step_metric in self._latest:
                record.setdefault(found[0].step_metric, self._latest[found[0].step_metric])

    def _sum_up(self, record: Mapping[str, Any]) -> None:
        """Replaces last values in the summary by the aggregates that were asked for."""
        for metric, value in record.items():
            found = self._definition(metric)
            if found is None or not (words := found[0].summary):
                continue
            if "none" in words:
                dict.pop(self.summary, metric, None)
            else:
                dict.__setitem__(self.summary, metric, found[1].add(value))

    def _beat(self) -> None:
        """On the heartbeat's thread, once a second."""
        self._read_sources(whole=False)
        self._safely("beat", self._poll_control)
        self._safely("beat", self._update_status)
        self._safely("beat", self._write_samples)

    def _read_sources(self, whole: bool) -> None:
        for source in self._sources:
            self._safely("source", lambda _, source=source: source(whole))

    def _poll_control(self, writer: RunWriter) -> None:
        if not self._has_folder():
            return
        for request in control.poll(writer.run, self.write_line):
            if request.command == "stop":
                self._stop_requested = True
            elif request.command == "set_lr" and self._takes_lr:
                self._learning_rate = request.value
                self.write_line(f"{request} requested")
            else:
                self.write_line(f"ignored {request}: this script does not take it")

    def _update_status(self, writer: RunWriter) -> None:
        """Updates status.json at the next heartbeat."""
        writer.update(**self._status_fields.fields(self._newest, self._latest))

    def _write_samples(self, writer: RunWriter) -> None:
        """Writes batches, and samples that were logged faster than they can be written."""
        with self._guard:
            if self._samples is not None:
                self._samples.write(whole=True)
            if self._batches is not None:
                self._batches.write()

    def _save_config(self) -> None:
        if not self._ended and self._folder is not None:
            self._safely("config", self._write_config)

    def _write_config(self, writer: RunWriter) -> None:
        with self._guard:
            config = small_data(self.config, self._notes.note)
            controls = ("stop", "set_lr") if self._takes_lr else ("stop",)
            self._info = msgspec.structs.replace(
                self._info, config=config, controls=controls, metrics=self._definitions
            )
            layout.write_info(writer.run, self._info, durable=False)

    def _read_summary(self, folder: layout.RunDir) -> None:
        """The summary of the earlier process, which this one adds to."""
        if folder.summary.exists():  # not if it was killed
            known: dict[str, Any] = msgspec.json.decode(folder.summary.read_bytes())
            dict.update(self.summary, known)
            self._latest = {name: one for name, one in known.items() if not isinstance(one, dict)}

    def _save_summary(self) -> None:
        if self._folder is not None:
            self._safely("summary", self._write_summary)

    def _write_summary(self, writer: RunWriter) -> None:
        with self._guard:
            data = self._encode(small_data(self.summary, self._notes.note)) + b"\n"
            atomic_write(writer.run.summary, data, durable=False)

    def _safely(self, about: str, act: Callable[[Any], object]) -> None:
        if self._writer is not None:
            try:
                act(self._writer)
            except Exception as error:
                if self._has_folder():  # else that was noted
                    self._notes.note(about, one_line(error))

    def _has_folder(self) -> bool:
        """Whether the folder of the run exists; prints once if it was removed."""
        exists = self._folder is None or self._folder.path.is_dir()
        if not exists:
            self._notes.note(
                "gone", f"{self.dir} was removed: nothing more is written for this run"
            )
        return exists


# --- `genui.init`, `genui.log` and `genui.finish`: one run a process, ended with the process --
# The calls are those of wandb (https://docs.wandb.ai/models/ref/python) and trackio
# (https://huggingface.co/docs/trackio), so `import genui as wandb` is enough to switch.

_notes = Notes()


class _Process:
    """The runs of this process, and its exit code."""

    def __init__(self) -> None:
        self.current: Run | None = None
        self.open: list[Run] = []
        self.watched = 0  # process id in which the hooks were set
        self.exit: tuple[object, int] | None = None  # given to sys.exit, after so many logs
        self.follower: Callable[[Run], Source] | None = None  # of event files


_process = _Process()


def register_follower(follower: Callable[[Run], Source]) -> None:
    """Sets what follows the event files of TensorBoard that this process writes, for `init`."""
    _process.follower = follower


def init(project: str | None = None, config: Any = None, name: str | None = None, *,
         mode: str | None = None, reinit: Any = None, id: str | None = None, resume: Any = None,
         tags: Any = None, notes: str | None = None, sync_tensorboard: Any = None,
         **ignored: Any) -> Run:  # fmt: skip
    """Starts a run and makes it the one that `log` writes to.

    In a job of several processes (torchrun, srun, mpirun) rank 0 makes the run; the values that the
    others log become series of the same run.

    Args:
        project: the name of a project; any text.
        config: hyperparameters as a dict, a Namespace or a dataclass.
        name: the name of the run; by default the project or the name of the script.
        mode: "disabled" gives a run that is not saved; other modes of wandb do nothing.
        reinit: what to do if a run has not ended: "return_previous" (the default),
            "finish_previous" (or True), or "create_new" for another run.
        id: a restarted script with the same id, or the same WANDB_RUN_ID, continues its run.
        resume: "never" makes a new run; other values of wandb do nothing.
        tags: words for the run, as with `genui tag`.
        notes: a text for the run, as with `genui note`.
        sync_tensorboard: True adds the scalars that this process writes with a SummaryWriter.
        ignored: other arguments of wandb and trackio; those given are printed once.

    Never raises: if no folder can be written, the run is not saved, and stderr says so.
    """
    _note_ignored(ignored)
    previous = current()
    choice = reinit if isinstance(reinit, bool | str) else None  # an array compares to an array
    if previous is not None:
        if choice in (True, "finish_previous"):
            previous.finish()
        elif choice != "create_new":
            name = previous.id or "the run"
            line = (
                f"init() returns {name}, which is still running: finish() it, or give reinit=True"
            )
            _notes.note("twice", line)
            return previous
    disabled = isinstance(mode, str) and mode == "disabled"
    renew = isinstance(resume, str) and resume == "never"
    script_id = id if isinstance(id, str) else os.environ.get("WANDB_RUN_ID", "")
    run = _start(project, config, name, disabled, script_id, renew)
    if tags is not None:
        run.tags = tags
    if notes is not None:
        run.notes = notes
    if json_value(sync_tensorboard):  # an array has no truth
        _follow_event_files(run)
    if not (previous is not None and choice == "create_new"):
        _process.current = run
    return run


def log(data: Mapping[str, Any], step: SupportsInt | None = None, commit: bool | None = None,
        **ignored: Any) -> None:  # fmt: skip
    """`Run.log` of the run that `init` started."""
    run = _process.current
    if run is None:
        _notes.note("early", "log() without init(): nothing is logged")
    else:
        run.log(data, step, commit)


def finish(exit_code: int | None = None, **ignored: Any) -> None:
    """`Run.finish` of the run that `init` started; without one nothing happens."""
    if _process.current is not None:
        _process.current.finish(exit_code)


def define_metric(name: str, *args: Any, **kwargs: Any) -> MetricDefinition | None:
    """`Run.define_metric` of the run that `init` started."""
    if _process.current is not None:
        return _process.current.define_metric(name, *args, **kwargs)
    _notes.note("early definition", "define_metric() without init(): nothing is defined")
    return None


def alert(title: str, *args: Any, **kwargs: Any) -> None:
    """`Run.alert` of the run that `init` started."""
    if _process.current is not None:
        _process.current.alert(title, *args, **kwargs)
    else:
        _notes.note("early alert", "alert() without init(): nobody is told")


def current() -> Run | None:
    """The run that `log` writes to; None before `init` and after `finish`."""
    run = _process.current
    return None if run is None or run.ended else run


def current_config() -> Config:
    """The config of the newest run, or one that is not saved."""
    return _process.current.config if _process.current else Config({}, lambda: None)


def current_summary() -> Config:
    """The summary of the newest run, or one that is not saved."""
    return _process.current.summary if _process.current else Config({}, lambda: None)


def ignored(name: str) -> Any:
    """Replaces a function, class or module of wandb that does nothing here."""
    _notes.note(name, f"{name} does nothing here")
    return Ignored()


def _start(
    project: Any, config: Any, name: Any, disabled: bool, script_id: str, renew: bool
) -> Run:
    """A new run, or the one with that `script_id`, unless `renew`; never raises."""
    title, group, values = "run", "", {}
    try:
        values = _values(config)
        group = sanitize("" if project is None else str(project))
        title = sanitize("" if name is None else str(name)) or group or _script()
        if not disabled:
            place = find_place()
            run = None
            if place.rank:
                run = Run(None, title, group, values, place)
            elif script_id and not renew:
                run = _continue(script_id, values, place)
            if run is None:
                folder = create_script_run(
                    title, group, small_data(values, _notes.note), script_id, place.job
                )
                run = Run(folder, read_info(folder).name, group, values, place)
            _install_hooks()
            _process.open = [each for each in _process.open if not each.ended]
            _process.open.append(run)
            run.answer_requests()
            return run
    except Exception as error:
        _notes.note("start", f"this run is not saved: {one_line(error)}")
    return Run(None, title, group, values)


def _follow_event_files(run: Run) -> None:
    try:
        if run.dir and _process.follower is not None:  # not in ranks other than 0
            run.add_source(_process.follower(run))
    except Exception as error:
        _notes.note("events", f"event files are not followed: {one_line(error)}")


def _continue(script_id: str, values: Mapping[str, Any], place: Place) -> Run | None:
    """The run with that id, for another process of its script; None if there is none.

    The script's present config takes precedence over its earlier one.
    """
    match = find_script_run(script_id)
    if match is None:
        return None
    folder, info = match
    try:
        run = Run(folder, info.name, info.project, info.config, place)
    except GenuiError as error:  # its process lives
        _notes.note("join", f"id {script_id!r} makes a new run: {error}")
        return None
    if values:
        run.config.update(values)
    return run


def _values(config: Any) -> dict[str, Any]:
    try:
        return fields_of(config)
    except Exception:
        kind = type(config).__name__
        _notes.note("config", f"config is left out: {kind} is not a dict or similar")
        return {}


def _script() -> str:
    """The name of the script's file."""
    stem = Path(sys.argv[0]).stem if sys.argv else ""
    return stem if stem and not stem.startswith("-") else "run"  # -c, -m or typed in


def _note_ignored(ignored: Mapping[str, Any]) -> None:
    if given := [name for name, value in ignored.items() if value is not None]:
        _notes.note("ignored", f"init() ignores {', '.join(given)}")


def _install_hooks() -> None:
    """Installs hooks for the end of the process and for forks, once a process."""
    if _process.watched == os.getpid():
        return
    if not _process.watched:  # hooks are inherited by a fork
        atexit.register(_at_exit)
        os.register_at_fork(after_in_child=_after_fork)
        sys.excepthook = _excepthook(sys.excepthook)
        sys.exit = _exit(sys.exit)
    _process.watched = os.getpid()
    # A child of multiprocessing's ends without atexit and excepthook. Its own hook runs while the
    # exception that ends the script is handled.
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None and processes.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, _at_exit, exitpriority=1)


def _at_exit() -> None:
    code, logs = _process.exit or (None, -1)
    error = sys.exc_info()[1]
    total = sum(run.logs for run in _process.open)
    for run in _process.open:
        if error is not None:
            run.fail(error)
        else:
            # A sys.exit that was caught, and the training went on, says nothing of the end.
            run.finish_with(code if total == logs else None)


def _after_fork() -> None:
    for run in _process.open:
        run.detach()
    _process.open = []


Hook = Callable[[type[BaseException], BaseException, TracebackType | None], Any]


def _excepthook(previous: Hook) -> Hook:
    """A sys.excepthook that ends the runs first."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        for run in _process.open:
            run.fail(error)
        previous(kind, error, trace)

    return hook


def _exit(previous: Callable[..., NoReturn]) -> Callable[..., NoReturn]:
    """A sys.exit that stores its code, which is not known at exit otherwise (as in wandb)."""

    def leave(code: Any = None, /) -> NoReturn:
        if threading.current_thread() is threading.main_thread():
            _process.exit = (code, sum(run.logs for run in _process.open))
        previous(code)

    return leave
