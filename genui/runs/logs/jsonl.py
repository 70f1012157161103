"""Any file of JSON records, one a line, of which some numbers are metrics.

The step is the first of the usual names that a record has (keys.py); in a file without one it
is the number of the record. Records before the first with a step, settings perhaps, and those
without it later on are counted as bad.
"""

from pathlib import Path

import numpy as np

from genui.runs.logs.base import CHUNK, PIECE, Reader
from genui.runs.logs.collect import Collected
from genui.runs.logs.growing import LineFile
from genui.runs.logs.keys import step_key, time_key, times_of, whole
from genui.runs.logs.records import Record, columns, decode_lines, flat


class JsonlTail(Reader):
    """The numbers in a JSONL file."""

    def __init__(self, path: Path) -> None:
        self._lines = LineFile(path)
        super().__init__(path)

    def _forget(self) -> None:
        super()._forget()
        self._count = 0  # records so far
        self._step: str | None = None
        self._time: str | None = None

    @property
    def bad_lines(self) -> int:
        return self._damaged + self._lines.too_long

    def read(self, limit_bytes: int = CHUNK) -> bool:
        """Takes in about `limit_bytes`; True if anything changed: call again until False.

        Raises GenuiError where it may not be read.
        """
        changed = False
        while limit_bytes > 0:
            before = self._lines.offset
            lines = self._lines.read_lines(min(limit_bytes, PIECE))
            if self._lines.restarted:
                self._forget()
                before, changed = 0, True
            if self._lines.offset == before:
                break
            changed = True
            limit_bytes -= self._lines.offset - before
            records, damaged = decode_lines(lines)
            self._damaged += damaged
            self._add(records)
        self.progress = 1.0 if limit_bytes > 0 else self._lines.progress
        return changed

    def _add(self, records: list[Record]) -> None:
        if self._step is None:
            for index, record in enumerate(records):
                # Nested or not, "step" is looked for in the same place.
                record = records[index] = flat(record)
                self._step = step_key(record)
                if self._step is not None:
                    self._damaged += self._count + index
                    self._found = Collected()
                    records = records[index:]
                    break
        if self._time is None:
            self._time = next((key for r in records for key in [time_key(r)] if key), None)
        if not records:
            return
        first, self._count = self._count, self._count + len(records)
        if self._step is None:
            steps = [*range(first, self._count)]
        else:
            found = [(whole(r.get(self._step)), r) for r in map(flat, records)]
            steps = [step for step, _ in found if step is not None]
            records = [record for step, record in found if step is not None]
            self._damaged += len(found) - len(records)
        if records:
            times = (
                np.full(len(records), np.nan)
                if self._time is None
                else times_of([record.get(self._time) for record in records])
            )
            skip = {key for key in (self._step, self._time) if key}
            self._found.add(columns(records, np.array(steps, np.int64), times, skip))
