"""One metric as numpy arrays that grow at the end and stay sorted by step."""

import numpy as np
from numpy.typing import NDArray

Steps = NDArray[np.int64]
Floats = NDArray[np.float64]

_SMALLEST = 16  # points: ten thousand metrics of a few points each stay small


class Series:
    """The points of one metric, one for each step, in ascending order of step.

    If a step is logged again, the newer value counts. Returned arrays are read-only views that do
    not change while the series grows, so another thread may keep them; use `points`, and not
    `steps` and then `values`, to get arrays of one length.
    """

    def __init__(self) -> None:
        self._length = 0
        self._written = -1
        self._adopt(np.empty(_SMALLEST, np.int64), np.empty(_SMALLEST), np.empty(_SMALLEST))
        self._points = self._view()

    @property
    def points(self) -> tuple[Steps, Floats, Floats]:
        """(steps, values, unix times) of equal length; an unknown time is NaN."""
        return self._points

    @property
    def steps(self) -> Steps:
        return self._points[0]

    @property
    def values(self) -> Floats:
        return self._points[1]

    @property
    def times(self) -> Floats:
        return self._points[2]

    @property
    def written(self) -> int:
        """The step that was logged last; -1 before the first."""
        return self._written

    def __len__(self) -> int:
        return len(self._points[0])

    def extend(
        self, steps: Steps, values: Floats, times: Floats, *, rising: bool | None = None
    ) -> None:
        """Adds points in the order in which they were logged; the later value of a step counts.

        `rising` is whether each step is larger than the one before, if known.
        """
        if not len(steps):
            return
        self._written = int(steps[-1])
        if not (is_rising(steps) if rising is None else rising):
            steps, values, times = _newest_of_each(steps, values, times)
        if self._length and steps[0] <= self._steps[self._length - 1]:
            self._merge(steps, values, times)
        else:
            self._append(steps, values, times)
        self._points = self._view()

    def forget_after(self, step: int) -> None:
        """Drops the points of steps later than `step`."""
        length = int(np.searchsorted(self._steps[: self._length], step, side="right"))
        if length < self._length:
            self._cut(length)
            self._points = self._view()

    def joined_with(self, later: "Series", forget: int | None) -> "Series":
        """A new series: this one without the steps after `forget`, then `later`."""
        both = Series()
        for part in (self, later):
            both._reserve(len(self) + len(later))
            both.extend(*part.points)
            if part is self and forget is not None:
                both.forget_after(forget)
        return both

    def _append(self, steps: Steps, values: Floats, times: Floats) -> None:
        start, end = self._length, self._length + len(steps)
        if end > len(self._steps):
            self._reserve(max(end, 2 * len(self._steps)))
        self._steps[start:end] = steps
        self._values[start:end] = values
        self._times[start:end] = times
        self._length = end

    def _merge(self, steps: Steps, values: Floats, times: Floats) -> None:
        """Adds ascending points of which some are at or before the last one here."""
        at = int(np.searchsorted(self._steps[: self._length], steps[0]))
        end = self._length
        merged = _newest_of_each(
            np.concatenate((self._steps[at:end], steps)),
            np.concatenate((self._values[at:end], values)),
            np.concatenate((self._times[at:end], times)),
        )
        self._cut(at)
        self._append(*merged)

    def _cut(self, length: int) -> None:
        """Keeps the first `length` points, in new arrays: later points would otherwise overwrite
        views that were returned."""
        self._length = length
        self._move(len(self._steps))

    def _reserve(self, room: int) -> None:
        if room > len(self._steps):
            self._move(room)

    def _move(self, room: int) -> None:
        """Moves the points into new arrays of that size."""
        n = self._length
        self._adopt(*(_grow(a, n, room) for a in (self._steps, self._values, self._times)))

    def _adopt(self, steps: Steps, values: Floats, times: Floats) -> None:
        self._steps, self._values, self._times = steps, values, times
        self._shown = (steps.view(), values.view(), times.view())
        for array in self._shown:
            array.flags.writeable = False  # and so are its slices

    def _view(self) -> tuple[Steps, Floats, Floats]:
        steps, values, times = self._shown
        n = self._length
        return steps[:n], values[:n], times[:n]


def is_rising(steps: Steps) -> bool:
    """Whether each step is larger than the one before."""
    return len(steps) == 1 or bool((steps[1:] > steps[:-1]).all())


def _newest_of_each(steps: Steps, values: Floats, times: Floats) -> tuple[Steps, Floats, Floats]:
    """The points in ascending order, the last one of each step."""
    order = np.argsort(steps, kind="stable")
    ordered = steps[order]
    newest = order[np.append(ordered[1:] != ordered[:-1], True)]
    return steps[newest], values[newest], times[newest]


def _grow(array: np.ndarray, length: int, room: int) -> np.ndarray:
    larger = np.empty(room, array.dtype)
    larger[:length] = array[:length]
    return larger
