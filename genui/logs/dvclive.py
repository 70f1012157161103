"""DVCLive's folders: a table in plots/metrics for each metric, its path the name of the metric.

Source: dvclive 3.49, plots/metric.py. The settings are in params.yaml, the last values, which are
not read, in metrics.json.
"""

from collections.abc import Iterator, Mapping, Set
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from genui.base.errors import GenuiError
from genui.base.files import SMALL, read_regular
from genui.logs.base import CHUNK, Format, Reader, files_below
from genui.logs.records import decode_settings

if TYPE_CHECKING:
    from genui.logs.tables import CsvTail
    from genui.runs.series import Series

_LAST, _PARAMS = "metrics.json", "params.yaml"


def _tables(path: Path) -> Iterator[tuple[str, Path]]:
    """The names of the metrics of a run and their tables, in order."""
    for name, file in files_below(path / "plots" / "metrics"):
        if file.suffix in (".tsv", ".csv"):
            yield name.removesuffix(file.suffix), file


class DvcLive(Format):
    """Runs of DVCLive: a folder each."""

    def owns(self, folder: Path, names: Set[str]) -> bool:
        said = not names.isdisjoint((_LAST, _PARAMS))
        return "plots" in names and said and (folder / "plots" / "metrics").is_dir()

    def times(self, path: Path) -> Iterator[float]:
        for _, table in _tables(path):
            with suppress(FileNotFoundError):
                yield table.stat().st_mtime


class DvcLiveTail(Reader):
    """The metrics of a folder."""

    def _forget(self) -> None:
        super()._forget()
        self._tails: dict[str, CsvTail] = {}
        self._refused: dict[str, GenuiError] = {}

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
        return sum(tail.bad_lines for tail in self._tails.values()) + len(self._refused)

    def read(self, limit_bytes: int = CHUNK) -> bool:
        from genui.logs.tables import CsvTail  # numpy

        changed = False
        for name, path in _tables(self.path):
            tail = self._tails.setdefault(name, CsvTail(path))
            try:
                while limit_bytes > 0 and tail.read(min(limit_bytes, CHUNK)):
                    changed = True
                    self._refused.pop(name, None)
                    limit_bytes -= CHUNK // 16  # tables are small: a table counts at least so much
            except GenuiError as error:
                self._refused[name] = error
        if self._tails and len(self._refused) == len(self._tails):
            raise next(iter(self._refused.values()))
        if changed and not self.config:
            with suppress(GenuiError):
                text = read_regular(self.path / _PARAMS, SMALL).decode(errors="replace")
                self.config = decode_settings(text)
        shares = [tail.progress for tail in self._tails.values()]
        self.progress = sum(shares) / len(shares) if shares else 1.0
        return changed
