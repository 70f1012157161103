"""What happened to a run beside plain training: orders obeyed, and where it started or resumed.

`events.jsonl` has one line each, so that a curve can mark the steps at which somebody changed
its course. There are as many as somebody asked for, so the file stays small.
"""

import os
import re
import time
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from genui.errors import GenuiError
from genui.runs.disk import SMALL, cannot_write, open_regular, shown, write_all
from genui.runs.layout import RunDir

RESUMED = "resumed"
"""The event of a training that goes on from a checkpoint: what came after that step is undone."""

_RATE = re.compile(r"→ (\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?:,|$)")  # as the trainer words it


class Event(Struct, frozen=True):
    """One line of events.jsonl. `event` is a command of `runs.control`, "resumed" or "started"."""

    step: int
    time: float  # unix time
    event: str
    text: str  # for a person, without the step


def record(run: RunDir, step: int, event: str, text: str) -> None:
    """Appends an event that happened now. Raises GenuiError naming the file."""
    line = msgspec.json.encode(Event(step, round(time.time(), 3), event, text)) + b"\n"
    try:
        fd = os.open(run.events, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            size = os.fstat(fd).st_size
            if size and os.pread(fd, 1, size - 1) != b"\n":  # torn by a trainer that was killed
                line = b"\n" + line
            write_all(fd, line)
        finally:
            os.close(fd)
    except OSError as error:
        raise cannot_write(run.events, error) from None


def read_events(run: RunDir) -> list[Event]:
    """Every event in the order it happened; lines that are no event are passed over.

    Of a file over a megabyte only the newest part. Raises GenuiError where it is there and
    cannot be read.
    """
    if not os.path.lexists(run.events):
        return []
    strange = GenuiError(f"{shown(run.events)} is not a regular file: remove it")
    with open_regular(run.events, strange) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - SMALL))
        lines = file.read(SMALL).split(b"\n")
    events = []
    for line in lines:
        try:
            events.append(msgspec.json.decode(line, type=Event))
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            continue
    return events


def changed_rate(run: RunDir) -> float | None:
    """The base learning rate that somebody changed it to and that is in force; None where
    nobody did. Raises GenuiError as `read_events` does."""
    for event in reversed(in_force(read_events(run))):
        if event.event == "rate" and (said := _RATE.search(event.text)):
            return float(said[1])
    return None


def in_force(events: Iterable[Event]) -> list[Event]:
    """The events that shaped the training as it stands.

    Resuming from a checkpoint undoes what came after its step, as it does for the metrics.
    """
    kept: list[Event] = []
    for event in events:
        if event.event == RESUMED:
            kept = [earlier for earlier in kept if earlier.step <= event.step]
        kept.append(event)
    return kept
