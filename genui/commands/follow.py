"""New metric records of a run as they are written."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genui.render.numbers import count, value
from genui.runs.layout import RunDir
from genui.runs.listing import summarise

Record = dict[str, Any]

POLL_SECONDS = 0.25
_NOT_SHOWN = frozenset({"step", "time", "rewind"})


class RecordTail:
    """Reads whole records of a growing metrics.jsonl, each once.

    A torn last line waits until it is whole; a file that shrank is read from its start;
    a line that is no record is passed over.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> list[Record]:
        """The records completed since the last call."""
        try:
            with self._path.open("rb") as file:
                if file.seek(0, 2) < self._offset:
                    self._offset = 0
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [record for line in whole.splitlines() if (record := _parse(line)) is not None]


def follow(run: RunDir) -> Iterator[Record]:
    """Every record of the run from its first, ending when the run is over."""
    tail = RecordTail(run.metrics)
    while True:
        over = not summarise(run).alive  # asked before reading, so the last record is seen
        yield from tail.read()
        if over:
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


def _parse(text: bytes) -> Record | None:
    try:
        record = json.loads(text)  # takes NaN and Infinity, which trainings do write
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
