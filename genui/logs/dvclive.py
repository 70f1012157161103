"""DVCLive's folders: a table in plots/metrics for each metric, its path the name of the metric.

Source: dvclive 3.49, plots/metric.py. The settings are in params.yaml, the last values, which are
not read, in metrics.json.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from genui.base.errors import GenuiError
from genui.base.files import SMALL, files_below, read_regular
from genui.base.growing import CHUNK
from genui.base.late import late_imports
from genui.logs.base import MAX_FILES, Format, LogReader
from genui.logs.records import decode_settings

if TYPE_CHECKING:
    from genui.runs.series import Series

with late_imports():  # numpy
    from genui.logs import tables

_LAST, _PARAMS = "metrics.json", "params.yaml"


def _tables(path: Path) -> Iterator[tuple[str, Path]]:
    """The names of the metrics of a run and their tables, in order."""
    folder = path / "plots" / "metrics"
    for file in files_below(folder, (".tsv", ".csv"), MAX_FILES):
        yield str(file.relative_to(folder).with_suffix("")), file


class DvcLive(Format):
    """Runs of DVCLive: a folder each."""

    def owns(self, folder: Path, names: Set[str]) -> bool:
        said = not names.isdisjoint((_LAST, _PARAMS))
        return "plots" in names and said and (folder / "plots" / "metrics").is_dir()

    def files(self, path: Path) -> Iterable[Path]:
        return [table for _, table in _tables(path)]


class DvcLiveTail(LogReader):
    """The metrics of a folder."""

    def forget(self) -> None:
        super().forget()
        self._tails: dict[str, tables.CsvTail] = {}

    @property
    def series(self) -> "Mapping[str, Series]":
        """A table has one column beside the step and the time: the last part of the name."""
        return {
            name if len(tail.series) == 1 else f"{name}/{column}": series
            for name, tail in self._tails.items()
            for column, series in tail.series.items()
        }

    @property
    def bad_lines(self) -> int:
        return sum(tail.bad_lines for tail in self._tails.values())

    def read(self, limit_bytes: int = CHUNK) -> bool:
        changed = False
        faults: list[GenuiError] = []
        for name, path in _tables(self.path):
            tail = self._tails.setdefault(name, tables.CsvTail(path))
            try:
                while limit_bytes > 0 and tail.read(min(limit_bytes, CHUNK)):
                    changed = True
                    limit_bytes -= CHUNK // 16  # tables are small: a table counts at least so much
            except GenuiError as error:
                faults.append(error)
        if faults and len(faults) == len(self._tails):
            raise faults[0]
        if changed and not self.config:
            with suppress(GenuiError):
                text = read_regular(self.path / _PARAMS, SMALL).decode(errors="replace")
                self.config = decode_settings(text)
        shares = [tail.progress for tail in self._tails.values()]
        self.progress = sum(shares) / len(shares) if shares else 1.0
        return changed
