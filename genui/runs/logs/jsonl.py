"""Any file of JSON records, one a line, of which some numbers are metrics.

The step is the first of the usual names that a record has (keys.py); in a file without one it
is the number of the record. Records before the first with a step, settings perhaps, and those
without it later on are counted as bad.
"""

import numpy as np

from genui.runs.logs.collect import Collected
from genui.runs.logs.keys import step_key, time_key, times_of, whole
from genui.runs.logs.line_reader import LineReader
from genui.runs.logs.records import Record, columns, decode_lines, decode_record, flat


class JsonlTail(LineReader):
    """The numbers in a JSONL file."""

    def _forget(self) -> None:
        super()._forget()
        self._count = 0  # records so far
        self._step: str | None = None
        self._time: str | None = None

    def _add_lines(self, lines: bytes) -> None:
        records, damaged = decode_lines(lines)
        self._damaged += damaged
        self._add(records)

    def _add_rest(self) -> bool:
        """Adds a last record that has no newline: no part of an object is one itself."""
        record = decode_record(self._lines.rest(settled=0))
        if record is None:
            return False
        self._lines.take_rest()
        self._add([record])
        return True

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
