"""CSV files with a header, such as Lightning's metrics.csv and those of Keras's CSVLogger.

Rows may be sparse: Lightning writes one for training and one for validation at the same step.
It also rewrites the file with a longer header when a metric appears; it is then read again. The
settings beside it, in Lightning's hparams.yaml and ultralytics' args.yaml, are its config.
"""

import csv
from contextlib import suppress
from itertools import dropwhile
from pathlib import Path

import numpy as np

from genui.base.errors import GenuiError
from genui.base.files import SMALL, read_regular, sanitize, show
from genui.logs.base import CHUNK, LineFile
from genui.logs.records import STEP_KEYS, Record, decode_settings, is_row_of_numbers
from genui.logs.text import StepsReader, numbers_of, parse_step, time_key, times_of

_SETTINGS = ("hparams.yaml", "args.yaml")


class CsvTail(StepsReader):
    """The metrics of a CSV file. Without a column for the step the rows are counted."""

    def _forget(self) -> None:
        super()._forget()
        self._names: list[str] = []
        self._delimiter = ","

    def read(self, limit_bytes: int = CHUNK) -> bool:
        changed = super().read(limit_bytes)
        if changed and self._names and not self.config:
            self.config = _settings_beside(self.path)
        return changed

    def _add_lines(self, file: LineFile, lines: bytes) -> None:
        self._add(_text(lines).split("\n"))

    def _add_rest(self, file: LineFile) -> bool:
        """Adds a last row without a newline if it has all columns."""
        line = _text(file.rest())
        if not line or [len(row) for row in _rows([line], self._delimiter)] != [len(self._names)]:
            return False
        file.take_rest()
        self._add([line])
        return True

    def _add(self, lines: list[str]) -> None:
        if not self._names:
            lines = [*dropwhile(lambda line: line.startswith("#") or not line.strip(), lines)]
            if not lines:
                return
            self._names, self._delimiter = header(lines.pop(0))
        rows = [row for row in _rows(lines, self._delimiter) if row]
        good = [row for row in rows if len(row) == len(self._names)]
        named = any(name.lower() in STEP_KEYS for name in self._names)
        if rows and not named and not self._count and not is_row_of_numbers((good or rows)[0]):
            raise GenuiError(
                f"{show(self.path)} has no column for the step "
                f"({sanitize(', '.join(self._names), 80)}): name one of them 'step'"
            )
        if self._delimiter == ";" and any("," in cell for row in good for cell in row):
            good = [[cell.replace(",", ".") for cell in row] for row in good]  # decimal commas
        if not self._add_rows(good):
            self._damaged += len(rows)
            return
        self._damaged += len(rows) - len(good)

    def _add_rows(self, rows: list[list[str]]) -> bool:
        """Adds the rows that have a step; False if none of them says what a step is."""
        if self._step is None and not self._count:
            records = [dict(zip(self._names, row, strict=True)) for row in rows]
            self._step, record = next(
                ((step, one) for one in records if (step := self._find_step(one))), (None, {})
            )
            named = any(name.lower() in STEP_KEYS for name in self._names)
            if self._step is None and named and not self._fractions:
                return False
            known = [record] if self._step else records
            self._time = next(map(time_key, known), None)
        first, self._count = self._count, self._count + len(rows)
        steps = [*range(first, self._count)]
        if self._step is not None:
            cells = [row[self._names.index(self._step)] for row in rows]
            numbered = [parse_step(cell) for cell in cells]
            if None in numbered:
                if self._is_fraction(cells, numbered):
                    return True
                rows = [row for row, step in zip(rows, numbered, strict=True) if step is not None]
                self._damaged += len(numbered) - len(rows)
            steps = [step for step in numbered if step is not None]
            epoch = next((at for at, name in enumerate(self._names) if name.lower() == "epoch"), -1)
            if rows and epoch >= 0 and self._names[epoch] != self._step:
                steps = self._place(steps, lambda at: parse_step(rows[at][epoch]), [""] * len(rows))
        if not rows or not steps:
            return True
        where = np.array(steps, np.int64)
        table = dict(zip(self._names, zip(*rows, strict=True), strict=True))
        table.pop(self._step or "", None)
        times = times_of(table.pop(self._time)) if self._time else np.full(len(steps), np.nan)
        self._collected.add(
            (name, where[there], values[there], times[there])
            for name, cells in table.items()
            if not name.startswith(_UNNAMED)
            for values, there in [numbers_of(cells)]
        )
        return True


def _settings_beside(path: Path) -> Record:
    """The settings in a file of _SETTINGS in the folder; empty if there is none."""
    for name in _SETTINGS:
        with suppress(GenuiError, OSError):
            if (file := path.parent / name).is_file():
                return decode_settings(read_regular(file, SMALL).decode(errors="replace"))
    return {}


_UNNAMED = "column "  # of a column without a name, as of an index


def header(line: str) -> tuple[list[str], str]:
    """The names of the columns, and the delimiter."""
    line = line.lstrip("\ufeff")
    delimiter = max(",;\t", key=line.count)
    names = next(iter(_rows([line], delimiter)), [])
    return [name.strip() or f"{_UNNAMED}{at}" for at, name in enumerate(names, 1)], delimiter


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
