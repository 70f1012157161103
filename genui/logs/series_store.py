"""The series that a reader has read, and the steps that were logged again."""

from collections.abc import Iterable, Mapping

import numpy as np

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
