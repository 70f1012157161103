"""The series that a reader has read, the steps that were logged again, and records as columns."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genui.logs.records import Record, flatten, number, number_of_text, unix_time
from genui.runs.series import Axis, Floats, Series, Steps, is_rising

MAX_SERIES = 20_000
"""The number of metrics that are kept."""

MAX_OVERLAPS = 100
"""The number of spans that are kept; a log with more is out of order, not resumed."""

Column = tuple[str, Steps, Floats, Floats]
"""A metric's name and its points in the order of the log: steps, values, unix times."""


class SeriesStore:
    """The series of a log, each with at least one point.

    `series` is replaced, never changed, when a metric appears or is removed. So is `overlaps`: the
    ranges of steps, (first, last), that were logged again, of all metrics together. `dropped`
    counts the values of metrics beyond MAX_SERIES.
    """

    def __init__(self) -> None:
        self.series: Mapping[str, Series] = {}
        self.overlaps: tuple[tuple[int, int], ...] = ()
        self.dropped = 0
        self._every: dict[str, Series] = {}  # also those that lost all points in a resume

    def add(self, columns: Iterable[Column]) -> None:
        """Adds points; the later value of a step counts. Steps are 0 or more."""
        filled = [column for column in columns if len(column[1])]
        known = self._every
        new = dict.fromkeys(name for name, *_ in filled if name not in known)
        if new:
            room = max(0, MAX_SERIES - len(known))
            axes: dict[int, Axis] = {}  # of the metrics that begin with the same steps
            for name, steps, _, _ in filled:
                if name in new and name not in known and room > 0:
                    known[name] = Series(axes.setdefault(id(steps), Axis()))
                    room -= 1
        same: Steps | None = None
        rising, first = True, 0
        for name, steps, values, times in filled:
            series = known.get(name)
            if series is None:
                self.dropped += len(steps)
                continue
            if steps is not same:  # most columns of a batch have the same
                same, rising, first = steps, is_rising(steps), int(steps[0])
            if not rising or first < series.written:
                self._compare(series.written, steps)
            series.extend(steps, values, times, rising=rising)
        if len(self.series) < len(known):
            self._show()

    def add_points(self, points: Iterable[tuple[str, int, float, float]]) -> None:
        """The same of single points: name, step, value, unix time."""
        cells: dict[str, tuple[list[int], list[float], list[float]]] = {}
        for name, step, value, time in points:
            steps, values, times = cells.setdefault(name, ([], [], []))
            steps.append(step)
            values.append(value)
            times.append(time)
        self.add(
            (name, np.array(steps, np.int64), np.array(values), np.array(times))
            for name, (steps, values, times) in cells.items()
        )

    def forget_after(self, step: int) -> None:
        """Drops the points of steps later than `step`, and the metrics that have no other."""
        cuts: dict[Axis, Axis] = {}
        for series in self._every.values():
            series.forget_after(step, cuts)
        self._show()

    def _show(self) -> None:
        self.series = {name: series for name, series in self._every.items() if len(series)}

    def _compare(self, written: int, steps: Steps) -> None:
        """Adds the ranges in which the steps go back to `overlaps`."""
        before = np.concatenate((np.array([written], np.int64), steps[:-1]))
        back = steps < before
        if back.any():
            # Between two such places the steps ascend, so the step before one is the last.
            self.overlaps = merge_spans(
                [*self.overlaps, *zip(steps[back].tolist(), before[back].tolist(), strict=True)]
            )


def merge_spans(spans: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The spans merged and in ascending order; a single span if there would be more than
    MAX_OVERLAPS."""
    result: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(result[-1][1], last))
        else:
            result.append((first, last))
    if len(result) > MAX_OVERLAPS:
        return ((result[0][0], result[-1][1]),)
    return tuple(result)


# --- Records into columns of numbers ----------------------------------------------------------


def times_of(cells: Iterable[object]) -> Floats:
    """The unix times [cells] of a column, NaN for other values."""
    return np.array([unix_time(cell) for cell in cells], np.float64)


def numbers_of(cells: Sequence[Any]) -> tuple[Floats, NDArray[np.bool_]]:
    """The numbers [cells] of texts, bytes or None, NaN for other values, and a mask of numbers."""
    numbers = list(map(number_of_text, cells))
    return np.array(numbers, np.float64), np.array([n is not None for n in numbers], bool)


def columns(
    records: Sequence[Record],
    steps: Steps,
    times: Floats,
    skip: Collection[str],
    number: Callable[[object], float | None] = number,
) -> list[Column]:
    """The metrics of records with the given `steps` and `times` [records].

    Metrics are numbers and the words "NaN", "Infinity" and "-Infinity", or what else `number`
    reads; nested ones are named with slashes, "train/loss". They are in the order in which they
    first appear.
    """
    names = [name for name in dict.fromkeys(chain.from_iterable(records)) if name not in skip]
    if 2 * sum(map(len, records)) < len(names) * len(records):
        return _sparse(records, steps, times, skip, number)
    metrics: list[Column] = []
    for name in names:
        cells = [record.get(name) for record in records]
        types = set(map(type, cells))
        if types <= {int, float}:
            try:
                metrics.append((name, steps, np.array(cells, np.float64), times))
                continue
            except OverflowError:  # an integer too large for a float
                pass
        if dict in types:
            return columns([flatten(r) for r in records], steps, times, skip, number)
        numbers = [number(cell) for cell in cells]
        there = np.array([value is not None for value in numbers], bool)
        values = np.array(numbers, np.float64)[there]  # None became NaN
        metrics.append((name, steps[there], values, times[there]))
    return metrics


def _sparse(
    records: Sequence[Record],
    steps: Steps,
    times: Floats,
    skip: Collection[str],
    number: Callable[[object], float | None],
) -> list[Column]:
    """The same cell by cell, for many names of which each record has few."""
    cells: dict[str, tuple[list[int], list[float]]] = {}
    for index, record in enumerate(records):
        for name, cell in flatten(record).items():
            value = number(cell)
            if value is not None and name not in skip:
                where, values = cells.setdefault(name, ([], []))
                where.append(index)
                values.append(value)
    return [
        (name, steps[where], np.array(values, np.float64), times[where])
        for name, (where, values) in cells.items()
    ]
