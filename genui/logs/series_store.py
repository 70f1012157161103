"""The points that a reader has read: series by name, and the steps that were written again."""

from collections.abc import Iterable, Mapping

import numpy as np

from genui.runs.series import Floats, Series, Steps, is_rising

MOST_SERIES = 20_000
"""Metrics kept; a log of a training has fewer names."""

MOST_OVERLAPS = 100
"""Spans kept; a log that goes back more often is out of order, not resumed."""

Column = tuple[str, Steps, Floats, Floats]
"""A metric's name and its points in the order of writing: steps, values, unix times."""


class SeriesStore:
    """The series of a log as far as it was read, each with a point at least.

    `series` is replaced, never changed, when a metric appears or goes, and so is `overlaps`: the
    spans, first and last step, that were written again after going back, of all metrics together.
    `dropped` counts the values left out because there were more than MOST_SERIES metrics.
    """

    def __init__(self) -> None:
        self.series: Mapping[str, Series] = {}
        self.overlaps: tuple[tuple[int, int], ...] = ()
        self.dropped = 0
        self._every: dict[str, Series] = {}  # also those without a point, as a resume leaves them

    def add(self, columns: Iterable[Column]) -> None:
        """Adds points, of which later ones win over earlier ones. Steps are 0 or more."""
        filled = [column for column in columns if len(column[1])]
        known = self._every
        new = dict.fromkeys(name for name, *_ in filled if name not in known)
        if new:
            room = max(0, MOST_SERIES - len(known))
            known.update((name, Series()) for name in list(new)[:room])
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

    def forget_after(self, step: int) -> None:
        """Drops the points of steps later than `step`, and the metrics that have no other: what
        follows replaces them."""
        for series in self._every.values():
            series.forget_after(step)
        self._show()

    def _show(self) -> None:
        self.series = {name: series for name, series in self._every.items() if len(series)}

    def _compare(self, written: int, steps: Steps) -> None:
        """Notes where the steps go back."""
        before = np.concatenate((np.array([written], np.int64), steps[:-1]))
        back = steps < before
        if back.any():
            # Between two places where it goes back the steps ascend, so what is before such a
            # place is the last step written until then.
            self.overlaps = merge_spans(
                [*self.overlaps, *zip(steps[back].tolist(), before[back].tolist(), strict=True)]
            )


def merge_spans(spans: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The same steps as ascending spans that do not touch; one single span where there would be
    more than MOST_OVERLAPS."""
    result: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(result[-1][1], last))
        else:
            result.append((first, last))
    if len(result) > MOST_OVERLAPS:
        return ((result[0][0], result[-1][1]),)
    return tuple(result)
