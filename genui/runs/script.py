"""A run that a training script writes itself: what `genui.init` returns.

Nothing here raises into the training. What cannot be done is said on stderr in one line, once,
and the next call is tried afresh. What `log` has returned for is in the file as a whole line, so
`kill -9` costs nothing.
"""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, SupportsInt

import msgspec

from genui.runs import control, layout
from genui.runs.config import Config, plain_data, small_data
from genui.runs.disk import atomic_write, plain
from genui.runs.ignored import FUNCTIONS, Ignored
from genui.runs.media import Samples, media_in
from genui.runs.notes import Notes
from genui.runs.pulse import Pulse
from genui.runs.values import BEYOND, Names, as_step, flat, number
from genui.runs.writer import RunWriter, one_line

Ending = Literal["finished", "failed", "stopped"]

LONGEST_LINE = 1024 * 1024
"""Bytes; a reader skips a longer line, so such a record is written in parts."""


class Run:
    """One run of a training script; every method may be called from any thread.

    `config` is a dict whose changes go into run.json; `summary` holds the newest value of every
    metric and what the script adds to it, and goes into summary.json.
    """

    def __init__(
        self,
        folder: layout.RunDir | None,
        name: str = "",
        project: str = "",
        config: Mapping[str, Any] | None = None,
    ) -> None:
        """`folder` is a run just created, or None for a run that is written nowhere. Raises
        GenuiError where the folder cannot be written."""
        self.name = name
        self.project = project
        self.config = Config(config or {}, self._save_config)
        self.summary = Config({}, self._save_summary)
        self._notes = Notes()
        self._folder = folder
        self._names = Names(self._notes.say)
        self._encode = msgspec.json.Encoder().encode
        # Taken again by a signal handler that logs or finishes in the middle of a log.
        self._guard = threading.RLock()
        self._ended = False
        self._next = 0  # step of a log that does not say one
        self._newest = 0
        self._logs = 0
        self._samples: Samples | None = None
        self._stop_requested = False
        self._pulse = Pulse()
        self._writer: RunWriter | None = None
        if folder is not None:
            self._info = layout.read_info(folder)
            self._samples = Samples(folder, self._notes.say)
            self._writer = RunWriter(folder, self._beat).__enter__()
            self._safely("status", lambda writer: writer.update(state="running"))

    @property
    def id(self) -> str:
        """What `genui inspect` and `genui stop` call it; empty for a run written nowhere."""
        return self._folder.id if self._folder else ""

    @property
    def dir(self) -> str:
        """Its folder; empty for a run written nowhere."""
        return str(self._folder.path) if self._folder else ""

    @property
    def url(self) -> str:
        """Its folder as a file:// address: there is no server."""
        return Path(self.dir).as_uri() if self.dir else ""

    @property
    def step(self) -> int:
        """The step that a log without one gets next."""
        return self._next

    @property
    def stop_requested(self) -> bool:
        """Whether someone pressed stop in the app or said `genui stop`: known within a second.

        The script decides what to do about it; a run asked to stop ends as "stopped".
        """
        return self._stop_requested

    def log(
        self,
        data: Mapping[str, Any],
        step: SupportsInt | None = None,
        commit: bool | None = None,
        **ignored: Any,
    ) -> None:
        """Writes the metrics, pictures (`Image`) and texts (`Text` or strings) of one step.

        Nested dicts become names with "/". Without `step` the run counts by itself: each log is
        the next step, unless `commit=False` says that more of this one follows. With `step` the
        next log without one belongs to it too, unless `commit=True`: as wandb has it, but for
        that everything is written at once.
        """
        if self._ended or self._writer is None:
            self._refuse()
            return
        try:
            with self._guard:
                if not self._ended:  # by another thread
                    self._log(self._writer, data, step, commit)
        except OSError as error:
            self._notes.say("write", f"cannot write the metrics of {self.id}: {error.strerror}; "
                            "later ones are tried again")  # fmt: skip
        except Exception as error:
            line = one_line(error)
            self._notes.say(line, f"a record is lost, log({type(data).__name__}) met {line}")

    def say(self, line: str) -> None:
        """Appends a line to the run's console log, with the time."""
        self._safely("console", lambda writer: writer.say(line))

    def finish(self, exit_code: int | None = None, **ignored: Any) -> None:
        """Ends the run: "failed" for an exit code other than 0, "stopped" where that was asked
        for, else "finished". Again is harmless."""
        if number(exit_code):  # not its truth, which an array has not
            self.end("failed", f"exit code {exit_code}")
        else:
            self.end("stopped" if self._stop_requested else "finished")

    def fail(self, error: BaseException) -> None:
        """Ends the run as the exception says that is leaving the script."""
        if isinstance(error, SystemExit):
            self.finish_with(error.code)
        elif isinstance(error, KeyboardInterrupt):
            self.end("stopped")
        else:
            self.end("failed", one_line(error))

    def finish_with(self, code: object) -> None:
        """`finish`, by what was given to sys.exit: nothing, a number or a message."""
        if isinstance(code, str):
            self.end("failed", " ".join(code.split()))
        else:
            self.finish(code if isinstance(code, int) else None)

    def end(self, state: Ending, error: str = "") -> None:
        """Ends the run in that state, with the line that says why it failed."""
        if self._ended:  # perhaps by a fork, which leaves the guard to a thread that is gone
            return
        with self._guard:
            first, self._ended = not self._ended, True
        if first:
            self._safely("end", self._tell)
            if self.summary:
                self._save_summary()
            self._safely("end", lambda w: w.update(state=state, error=plain(error, 1000)))
            self._safely("end", lambda w: w.__exit__(None, None, None))

    def forked(self) -> None:
        """In a child after a fork: the run is the parent's, and here it is over."""
        # The descriptors of a run that has ended are closed, and may be another file's by now.
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.finish()
        else:
            self.fail(error)

    def __getattr__(self, name: str) -> Ignored:
        if name not in FUNCTIONS:
            raise AttributeError(f"a run has no '{name}'")
        self._notes.say(name, f"run.{name} does nothing here")
        return Ignored()

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[Callable[..., "Run"], tuple[None, str, str, dict[str, Any]]]:
        """What is sent to another process logs nowhere: the run is this one's."""
        return Run, (None, self.name, self.project, plain_data(dict(self.config)))

    def _log(
        self, writer: RunWriter, data: Mapping[str, Any], step: object, commit: bool | None
    ) -> None:
        at = step if type(step) is int and 0 <= step < BEYOND else self._step_of(step)
        record: dict[str, Any] = {"step": at, "time": round(time.time(), 3)}
        known = self._names.known
        rest: dict[Any, Any] = {}
        for key, value in data.items():
            # Nearly always; x - x is 0 for a finite float alone.
            if type(value) is float and value - value == 0.0 and key in known:
                record[known[key]] = value
            else:
                rest[key] = value
        shown = bool(rest) and self._sort(rest, record)
        self._next = at + 1 if commit or (commit is None and step is None) else at
        if len(record) > 2:
            self._write(writer, record)
        if shown and self._samples is not None:
            self._samples.write()

    def _step_of(self, step: object) -> int:
        if step is None:
            return self._next
        found = as_step(step)
        if found is None:
            self._notes.say("step", f"step {step!r} is no step: counting on from {self._next}")
            return self._next
        return found

    def _sort(self, values: Mapping[Any, Any], record: dict[str, Any]) -> bool:
        """Puts numbers into the record and media aside; True if there was any of the latter."""
        shown = False
        for key, value in flat(values):
            name = self._names[key]
            if (found := number(value)) is not None:
                record[name] = found
            elif self._samples is not None and (media := media_in(value)):
                self._samples.add(record["step"], name, media)
                shown = True
            elif not isinstance(value, Ignored):
                kind = type(value).__name__
                self._notes.say(f"value {name}", f"'{name}' is left out: {kind} is no number")
        return shown

    def _write(self, writer: RunWriter, record: dict[str, Any]) -> None:
        line = self._encode(record) + b"\n"
        if len(line) > LONGEST_LINE and len(record) > 3:
            names = [name for name in record if name not in ("step", "time")]
            base = {"step": record["step"], "time": record["time"]}
            for part in (names[::2], names[1::2]):
                self._write(writer, base | {name: record[name] for name in part})
            return
        writer.append(line)
        self._newest = record["step"]
        self._logs += 1
        dict.update(self.summary, record)

    def _beat(self) -> None:
        """On the heartbeat's thread, once a second."""
        self._safely("beat", self._obey)
        self._safely("beat", self._tell)

    def _obey(self, writer: RunWriter) -> None:
        if not self._there():
            return
        for order in control.poll(writer.run, self.say):
            if order.command == "stop":
                self._stop_requested = True
            else:
                self.say(f"ignored {order}: a script of its own can only be asked to stop")

    def _tell(self, writer: RunWriter) -> None:
        """Brings status.json up to date, at the next heartbeat."""
        writer.update(**self._pulse.fields(self._newest, self.summary))

    def _save_config(self) -> None:
        if not self._ended:
            self._safely("config", self._write_config)

    def _write_config(self, writer: RunWriter) -> None:
        with self._guard:
            config = small_data(self.config, self._notes.say)
            self._info = msgspec.structs.replace(self._info, config=config)
            layout.write_info(writer.run, self._info, durable=False)

    def _save_summary(self) -> None:
        self._safely("summary", self._write_summary)

    def _write_summary(self, writer: RunWriter) -> None:
        with self._guard:
            data = self._encode(small_data(self.summary, self._notes.say)) + b"\n"
            atomic_write(writer.run.summary, data, durable=False)

    def _refuse(self) -> None:
        """Says why nothing is logged, where that is news."""
        if self._ended and self._writer is not None:
            self._notes.say("over", f"run {self.id} is over: what is logged now is lost")

    def _safely(self, about: str, act: Callable[[RunWriter], object]) -> None:
        if self._writer is not None:
            try:
                act(self._writer)
            except Exception as error:
                if self._there():  # or that has been said
                    self._notes.say(about, one_line(error))

    def _there(self) -> bool:
        """Whether the run's folder is; says so once where it is not."""
        there = self._folder is None or self._folder.path.is_dir()
        if not there:
            self._notes.say("gone", f"{self.dir} is gone: nothing more is kept of this run")
        return there
