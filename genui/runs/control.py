"""Commands to a trainer: one small file each, renamed into control/, removed when it is read.

A file needs no port and no signal, works from any host with the same file system, and waits for a
trainer that is still importing torch. It holds one word, and for a learning rate a number. A
trainer removes a file with an unknown word and logs that.
"""

import os
import re
import signal
import stat
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import msgspec
from msgspec import Struct

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import (
    SMALL,
    append_line,
    atomic_write,
    cannot_write,
    list_names,
    open_regular,
    sanitize,
    show,
    writing,
)
from genui.runs import slurm
from genui.runs.facts import at_step
from genui.runs.layout import SIGNALLED, RunDir, last_status
from genui.runs.listing import summarise

Command = Literal["pause", "resume", "stop", "checkpoint", "evaluate", "set_lr"]

HIGHEST_LR = 10.0
"""The largest learning rate, as in a recipe."""

_COMMANDS: dict[str, Command] = {command: command for command in get_args(Command)}
_LONGEST = 64  # bytes


@dataclass(frozen=True)
class Control:
    """A command with its value: the new base learning rate for "set_lr", else None.

    Raises MisuseError if the value is missing, not needed or out of range.
    """

    command: Command
    value: float | None = None

    def __post_init__(self) -> None:
        if self.command == "set_lr":
            # NaN compares false with everything, so this refuses it too.
            if self.value is None or not 0 < self.value <= HIGHEST_LR:
                given = "" if self.value is None else f" {self.value:g}"
                raise MisuseError(
                    f"learning rate{given}: give a number above 0 and at most {HIGHEST_LR:g}, "
                    "as in 3e-4"
                )
        elif self.value is not None:
            raise MisuseError(f"{self.command} takes no value: leave {self.value:g} out")

    def __str__(self) -> str:
        """The content of its file, from which the same float is read."""
        return self.command if self.value is None else f"{self.command} {float(self.value)!r}"


def parse_learning_rate(text: str) -> Control:
    """The command for a learning rate that was typed. Raises MisuseError, one line."""
    try:
        value = float(text.strip())
    except ValueError:
        raise MisuseError(
            f"'{text.strip()[:40]}' is not a number: above 0 and at most {HIGHEST_LR:g}, as in 3e-4"
        ) from None
    return Control("set_lr", value)


def send(run: RunDir, command: Command, value: float | None = None) -> None:
    """Write a command for the run's trainer, which may not have started yet.

    Raises MisuseError for a wrong value, GenuiError if it cannot be written.
    """
    control = Control(command, value)
    with writing(run.control):
        run.control.mkdir(exist_ok=True)
    # Names sort by time, so commands are read in the order they were sent.
    name = f"{time.time_ns():020d}-{os.urandom(3).hex()}"
    atomic_write(run.control / name, str(control).encode())


def send_live(run: RunDir, command: Command, value: float | None = None) -> None:
    """`send`, if the run has a trainer. Raises GenuiError with the reason if it has none."""
    control = Control(command, value)
    summary = summarise(run)
    if summary.fault:
        raise GenuiError(summary.fault)
    if summary.state == "queued" and command == "stop":
        slurm.cancel(run)
        return
    if not summary.alive:
        verb, goes_on = command, f"genui resume {run.id}"
        if command == "set_lr":
            verb, goes_on = "change", f"{goes_on} --set learning_rate={control.value:g}"
        over = summary.state in ("finished", "queued") or summary.info.kind == "script"
        remedy = "" if over else f" ({goes_on} continues it)"
        raise GenuiError(f"run {run.id} is {summary.state}: nothing to {verb}{remedy}")
    if summary.info.kind == "script" and command not in summary.info.controls:
        raise GenuiError(
            f"run {run.id} belongs to a script, which does not take {command}: "
            f"genui stop {run.id} asks it to stop"
        )
    send(run, command, value)


def check_ended(run: RunDir) -> None:
    """Raise GenuiError if the run has a trainer, or waits for one in Slurm's queue."""
    summary = summarise(run)
    if summary.alive or (summary.state == "queued" and slurm.is_queued(run)):
        raise GenuiError(f"run {run.id} is {summary.state}: stop it first (genui stop {run.id})")


def poll(run: RunDir, note: Callable[[str], None] | None = None) -> list[Control]:
    """The commands that arrived since the last poll, oldest first; each is removed.

    Other files in the folder are removed too; `note` is called with a line about each. Raises
    GenuiError if the folder cannot be read, or a command cannot be removed and so would be
    repeated.
    """
    controls: list[Control] = []
    for name in list_names(run.control):
        if name.startswith("."):  # being written
            continue
        path = run.control / name
        text = _take(path)
        if text is None:
            continue
        try:
            controls.append(_read(text))
        except MisuseError as fault:
            if note is not None:
                note(f"ignored {fault}")
    return controls


def is_waiting(run: RunDir, command: Command) -> bool:
    """Whether such a command has arrived; it is not removed."""
    with suppress(GenuiError):
        names = [name for name in list_names(run.control) if not name.startswith(".")]
        texts = [_take(run.control / name, remove=False) for name in names]
        return any((text or "").partition(" ")[0] == command for text in texts)
    return False


def clear(run: RunDir, set_lr: Control | None = None) -> None:
    """Remove commands for a trainer that has ended, but for the learning rate that the next one
    takes: `set_lr`, or else the last one that nobody took. Raises GenuiError."""
    waiting = [each for each in poll(run) if each.command == "set_lr"]
    set_lr = set_lr or (waiting[-1] if waiting else None)
    if set_lr is not None:
        send(run, set_lr.command, set_lr.value)


def _read(text: str) -> Control:
    """The command in the text of a file. Raises MisuseError, one line."""
    word, _, number = text.partition(" ")
    if word not in _COMMANDS:
        known = ", ".join(_COMMANDS)
        raise MisuseError(f"an unknown command {sanitize(text, 20)!r} (known: {known})")
    try:
        value = float(number) if number else None
    except ValueError:
        raise MisuseError(
            f"a command with a value that is not a number: {sanitize(text, 40)!r}"
        ) from None
    return Control(_COMMANDS[word], value)


def _take(path: Path, remove: bool = True) -> str | None:
    """The text of the file, which is removed; None if it is missing or a folder."""
    try:
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            return None
        text = ""
        if stat.S_ISREG(mode):  # a pipe would block, a link could lead anywhere
            with path.open("rb") as file, suppress(UnicodeDecodeError):
                text = file.read(_LONGEST).decode().strip()
        if remove:
            path.unlink()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise cannot_write(path, error) from None
    return text


# --- Events of a run: commands that were carried out, starts and resumes -----------------------
# `events.jsonl` has one line for each, so that curves can mark their steps. They are few, so the
# file stays small.

RESUMED = "resumed"
"""The event of a training that resumes from a checkpoint, which undoes all later steps."""

PLANNED = "plan"
"""The event of a number of steps that changed, to keep to a budget of time."""

ALERTS = {level: f"alert {level}" for level in ("info", "warn", "error")}
"""The events of a script's own alerts, by their level."""

_NEW_STEPS = re.compile(r"→ (\d[\d,]*) steps")
_NEW_VALUE = re.compile(r"→ (\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?:,|$)")  # in the trainer's text


class Event(Struct, frozen=True):
    """One line of events.jsonl. `event` is a command of `runs.control`, "resumed", "started",
    "plan", "signalled", or one of ALERTS."""

    step: int
    time: float  # unix time
    event: str
    text: str  # for a person, without the step


def record(run: RunDir, step: int, event: str, text: str) -> None:
    """Append an event that happened now. Raises GenuiError naming the file."""
    append_line(run.events, Event(step, round(time.time(), 3), event, text))


def record_signal(run: RunDir, number: int) -> None:
    """Append that a signal asks the run to stop. Raises GenuiError naming the file."""
    record(run, last_status(run).step, SIGNALLED, signal.Signals(number).name)


def read_events(run: RunDir) -> list[Event]:
    """The events in order; other lines are skipped.

    Only the end of a file over a megabyte is read. Raises GenuiError if the file exists and cannot
    be read.
    """
    if not os.path.lexists(run.events):
        return []
    strange = GenuiError(f"{show(run.events)} is not a regular file: remove it")
    with open_regular(run.events, strange) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - SMALL))
        lines = file.read(SMALL).split(b"\n")
    events = []
    for line in lines:
        with suppress(msgspec.DecodeError, RecursionError, UnicodeError):
            events.append(msgspec.json.decode(line, type=Event))
    return events


_STATES = {"pause": "paused", "resume": "running"}
_VERBS = {"set_lr": "change its learning rate", "checkpoint": "write the checkpoint"}


class Outcome:
    """The outcome of a command. Create it before the command is sent."""

    def __init__(self, run: RunDir, command: Command) -> None:
        self._run, self._command = run, command
        self._earlier = len(self._events())

    def _events(self) -> list[Event]:
        with suppress(GenuiError):
            return [event for event in read_events(self._run) if event.event == self._command]
        return []

    def look(self) -> str:
        """Return what the run did and at which step, or how it ended before; "" until then. Reads
        the disk. Never raises."""
        if new := self._events()[self._earlier :]:
            return at_step(new[-1].text, new[-1].step)
        summary = summarise(self._run)
        line = at_step(summary.state, summary.status.step)
        if summary.alive:  # status.json has the new state at once, also for a script
            return line if summary.state == _STATES.get(self._command) else ""
        if self._command == "stop" and summary.state in ("stopped", "finished"):
            return line
        line += f" before it could {_VERBS.get(self._command, self._command)}"
        reason = summary.status.error or summary.fault
        return f"{line}: {reason}" if reason else line


def changed_learning_rate(run: RunDir) -> float | None:
    """The base learning rate that a command has set and that still applies, else None.

    Raises GenuiError as `read_events` does.
    """
    rates = learning_rates(run)
    return rates[-1][1] if rates else None


def learning_rates(run: RunDir) -> list[tuple[int, float]]:
    """The base learning rates that commands have set and that still apply, (step, rate) in order:
    the rate holds from the step after. Raises GenuiError as `read_events` does."""
    return [
        (event.step, float(match[1]))
        for event in effective_events(read_events(run))
        if event.event == "set_lr" and (match := _NEW_VALUE.search(event.text))
    ]


def planned_steps(run: RunDir) -> list[tuple[int, int]]:
    """The changes of the number of steps, (step, new number), in order, also those after a
    checkpoint that the run was resumed from. Raises GenuiError as `read_events` does."""
    changes = {
        event.step: int(match[1].replace(",", ""))
        for event in read_events(run)
        if event.event == PLANNED and (match := _NEW_STEPS.search(event.text))
    }
    return [(step, steps) for step, steps in sorted(changes.items()) if steps > step]


def effective_events(events: Iterable[Event]) -> list[Event]:
    """The events that still apply.

    Resuming from a checkpoint undoes all that came after its step, as for the metrics.
    """
    result: list[Event] = []
    for event in events:
        if event.event == RESUMED:
            result = [earlier for earlier in result if earlier.step <= event.step]
        result.append(event)
    return result
