"""CSV files with a header, such as Lightning's metrics.csv and the files of Keras's CSVLogger.

Rows may be sparse: Lightning writes one for training and one for validation at the same step.
It also rewrites the file with a longer header when a metric appears; it is then read again. The
settings beside it, in Lightning's hparams.yaml and ultralytics' args.yaml, are its config.
"""

import csv
from contextlib import suppress
from itertools import dropwhile
from pathlib import Path

from genui.base.errors import GenuiError
from genui.base.files import SMALL, read_regular, sanitize, show
from genui.base.growing import CHUNK, LineFile
from genui.logs.json_lines import StepsReader
from genui.logs.records import (
    STEP_KEYS,
    Record,
    decode_settings,
    is_row_of_numbers,
    number_of_text,
)

_SETTINGS = ("hparams.yaml", "args.yaml")


class CsvTail(StepsReader):
    """The metrics of a CSV file. Without a column for the step the rows are counted."""

    _number = staticmethod(number_of_text)

    def forget(self) -> None:
        super().forget()
        self._names: list[str] = []
        self._delimiter = ","

    def read(self, limit_bytes: int = CHUNK) -> bool:
        changed = super().read(limit_bytes)
        if changed and self._names and not self.config:
            self.config = _settings_beside(self.path)
        return changed

    def add_lines(self, file: LineFile, lines: bytes) -> None:
        self._add_table(_text(lines).split("\n"))

    def add_rest(self, file: LineFile) -> bool:
        """Adds a last row without a newline if it has all columns."""
        line = _text(file.rest())
        if not line or [len(row) for row in _rows([line], self._delimiter)] != [len(self._names)]:
            return False
        file.take_rest()
        self._add_table([line])
        return True

    def _add_table(self, lines: list[str]) -> None:
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
        self.damaged += len(rows) - len(good)
        records = [dict(zip(self._names, row, strict=True)) for row in good]
        for name in (name for name in self._names if name.startswith(_UNNAMED)):
            for record in records:
                del record[name]
        self._add(records)


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
