"""CSV files with a header, such as Lightning's metrics.csv and those of Keras's CSVLogger.

Rows may be sparse: Lightning writes one for training and one for validation at the same step.
It also rewrites the file with a longer header when a metric appears; it is then read again.
"""

import csv

import numpy as np

from genui.base.errors import GenuiError
from genui.base.files import sanitize, show
from genui.logs.records import STEP_KEYS
from genui.logs.text import LineReader, numbers_of, parse_step, step_key, time_key, times_of


class CsvTail(LineReader):
    """The metrics of a CSV file; `read` raises GenuiError if it has no column for the step."""

    def _forget(self) -> None:
        super()._forget()
        self._names: list[str] = []
        self._delimiter = ","
        self._step: str | None = None
        self._time: str | None = None

    def _add_lines(self, lines: bytes) -> None:
        self._add(_text(lines).split("\n"))

    def _add_rest(self) -> bool:
        """Adds a last row without a newline if it has all columns."""
        line = _text(self.lines.rest())
        if not line or [len(row) for row in _rows([line], self._delimiter)] != [len(self._names)]:
            return False
        self.lines.take_rest()
        self._add([line])
        return True

    def _add(self, lines: list[str]) -> None:
        if lines and not self._names:
            self._names, self._delimiter = header(lines.pop(0))
            if not any(name.lower() in STEP_KEYS for name in self._names):
                raise GenuiError(
                    f"{show(self.path)} has no column for the step "
                    f"({sanitize(', '.join(self._names), 80)}): name one of them 'step'"
                )
        rows = [row for row in _rows(lines, self._delimiter) if row]
        good = [row for row in rows if len(row) == len(self._names)]
        if self._step is None:
            for row in good:
                record = dict(zip(self._names, row, strict=True))
                self._step = step_key(record)
                if self._step is not None:
                    self._time = time_key(record)
                    break
            else:
                self._damaged += len(rows)
                return
        at = self._names.index(self._step)
        numbered = [(parse_step(row[at]), row) for row in good]
        steps = np.array([step for step, _ in numbered if step is not None], np.int64)
        good = [row for step, row in numbered if step is not None]
        self._damaged += len(rows) - len(good)
        if not good:
            return
        table = dict(zip(self._names, zip(*good, strict=True), strict=True))
        table.pop(self._step)
        times = times_of(table.pop(self._time)) if self._time else np.full(len(steps), np.nan)
        self._collected.add(
            (name, steps[there], values[there], times[there])
            for name, cells in table.items()
            for values, there in [numbers_of(cells)]
        )


def header(line: str) -> tuple[list[str], str]:
    """The names of the columns, and the delimiter."""
    line = line.lstrip("\ufeff")
    delimiter = max(",;\t", key=line.count)
    names = next(iter(_rows([line], delimiter)), [])
    return [name.strip() or f"column {at}" for at, name in enumerate(names, 1)], delimiter


def _text(data: bytes) -> str:
    return data.decode(errors="replace").replace("\0", "")


def _rows(lines: list[str], delimiter: str) -> list[list[str]]:
    """The cells of each line. A line is a row, even inside quotes."""
    if not any('"' in line for line in lines):
        return [line.rstrip("\r").split(delimiter) for line in lines if line.strip()]
    rows: list[list[str]] = []
    for line in lines:
        try:
            rows += csv.reader([line], delimiter=delimiter)
        except csv.Error:
            rows.append([""])
    return rows
