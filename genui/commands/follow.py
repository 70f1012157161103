"""New metric records of a run or log as they are written, and what is to be told of it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genui.commands.logs import look_again
from genui.render.numbers import count, value

if TYPE_CHECKING:
    from genui.runs.alerts import Alert
    from genui.runs.listing import RunSummary
    from genui.runs.logs.base import Tail

Record = dict[str, Any]

POLL_SECONDS = 0.25
_NOT_SHOWN = frozenset({"step", "time", "rewind"})
_GOES_ON = frozenset({"writing", "quiet"})
"""States of another tool's log that did not say that it ended."""


class RecordTail:
    """Reads whole records of a growing metrics.jsonl, each once.

    A torn last line waits until it is whole; a file that became another is read from its start;
    a line that is no record is passed over.
    """

    def __init__(self, path: Path) -> None:
        from genui.runs.logs.growing import LineFile

        self._lines = LineFile(path)

    def read(self) -> list[Record]:
        """The records completed since the last call. Raises GenuiError where the file may not
        be read."""
        from genui.runs.logs.base import CHUNK
        from genui.runs.logs.records import decode_lines

        found: list[Record] = []
        while True:
            before = self._lines.offset
            lines = self._lines.read_lines(CHUNK)
            found += decode_lines(lines)[0]
            if not lines and self._lines.offset == before:
                return found


class SeriesRecords:
    """The points of another tool's log as records like ours, each once; what is written of
    steps already read is left out."""

    def __init__(self, tail: "Tail") -> None:
        self._tail = tail
        self._last: dict[str, int] = {}

    def read(self) -> list[Record]:
        """The records of the steps that came since the last call, in order of step."""
        found: dict[int, Record] = {}
        for name, series in self._tail.series.items():
            steps, values, times = series.points
            last = self._last.get(name)
            start = 0 if last is None else int(steps.searchsorted(last, side="right"))
            if start == len(steps):
                continue
            self._last[name] = int(steps[-1])
            new = (steps[start:].tolist(), values[start:].tolist(), times[start:].tolist())
            for step, number, when in zip(*new, strict=True):
                record = found.setdefault(step, {"step": step, "time": when})
                record[name] = number
        return [found[step] for step in sorted(found)]


@dataclass(frozen=True)
class Look:
    """A log at one moment."""

    summary: "RunSummary"
    records: list[Record]  # since the look before
    alerts: "list[Alert]"
    metrics: frozenset[str]  # all that were ever logged
    step: int  # the newest


def follow(summary: "RunSummary") -> Iterator[Look]:
    """Every record of the run from its first, ending when the run is over. Raises GenuiError
    where the log cannot be read."""
    from genui.runs.alerts import Alerts
    from genui.runs.logs import open_tail

    tail, alerts = open_tail(summary), Alerts()
    ours = summary.format == "genui"
    records = RecordTail(summary.run.metrics) if ours else SeriesRecords(tail)
    while True:
        now = look_again(summary, tail.ended)  # before reading, so that the last record is seen
        while tail.read():
            pass
        new = records.read()
        points = {name: series.points for name, series in tail.series.items()}
        step = max([now.status.step, *(int(steps[-1]) for steps, _, _ in points.values())])
        yield Look(now, new, alerts.look(now, points, whole=True), frozenset(points), step)
        if not (now.alive or now.state in _GOES_ON):
            return
        time.sleep(POLL_SECONDS)


def line(record: Record) -> str:
    """A record for a person: step 1,240  loss 1.604  lr 0.0030."""
    step = record.get("step")
    parts = [f"step {count(step) if isinstance(step, int | float) else step}"]
    if record.get("rewind"):
        parts.append("goes on from here: later records above no longer count")
    for key, number in record.items():
        if key not in _NOT_SHOWN:
            parts.append(f"{key} {value(number) if isinstance(number, int | float) else number}")
    return "  ".join(parts)
