"""All metrics of a run as rows, one a step."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from genui.runs.series import Floats, Series, Steps

_ROWS = 4096  # joined at once, so that memory does not grow with the run


@dataclass(frozen=True)
class Row:
    """One step."""

    step: int
    time: float  # unix time; NaN where none was logged
    values: list[float | None]  # in the order of `Table.names`; None where nothing was logged


class Table:
    """The join of series over their steps; `names` are in the order of the mapping."""

    def __init__(self, series: Mapping[str, Series]) -> None:
        self.names = list(series)
        self._points = [one.points for one in series.values()]
        every = [steps for steps, _, _ in self._points]
        self._steps: Steps = np.unique(np.concatenate(every)) if every else np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._steps)

    def rows(self) -> Iterator[Row]:
        """The rows in ascending order of step."""
        for start in range(0, len(self), _ROWS):
            yield from self._piece(self._steps[start : start + _ROWS])

    def _piece(self, steps: Steps) -> Iterator[Row]:
        times: Floats = np.full(len(steps), np.nan)
        columns: list[list[float | None]] = []
        for points in self._points:
            first = np.searchsorted(points[0], steps[0])
            last = np.searchsorted(points[0], steps[-1], side="right")
            own, values, when = (array[first:last] for array in points)
            at = np.searchsorted(steps, own)
            times[at] = np.where(np.isnan(times[at]), when, times[at])
            column: list[float | None] = [None] * len(steps)
            for row, value in zip(at.tolist(), values.tolist(), strict=True):
                column[row] = value
            columns.append(column)
        rows = zip(*columns, strict=True)
        for step, time, row in zip(steps.tolist(), times.tolist(), rows, strict=True):
            yield Row(step, time, list(row))
