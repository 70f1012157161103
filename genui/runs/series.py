"""One metric as numpy arrays that grow at the end and stay sorted by step."""

import numpy as np
from numpy.typing import NDArray

Steps = NDArray[np.int64]
Floats = NDArray[np.float64]

_SMALLEST = 256


class Series:
    """The points of one metric, one a step, in ascending order of step.

    A step logged again takes the newer value. Arrays handed out are read-only views that stay
    as they are while the series grows, so a reader on another thread may keep them; take
    `points` once rather than `steps` and then `values`, so that they belong together.
    """

    def __init__(self) -> None:
        self._steps: Steps = np.empty(_SMALLEST, np.int64)
        self._values: Floats = np.empty(_SMALLEST, np.float64)
        self._times: Floats = np.empty(_SMALLEST, np.float64)
        self._length = 0
        self._points = self._view()

    @property
    def points(self) -> tuple[Steps, Floats, Floats]:
        """(steps, values, unix times) of equal length; a time that was not logged is NaN."""
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

    def __len__(self) -> int:
        return len(self._points[0])

    def extend(self, steps: Steps, values: Floats, times: Floats) -> None:
        """Adds points in the order they were logged; later ones win over earlier ones."""
        if not len(steps):
            return
        last = self._steps[self._length - 1] if self._length else -1
        if steps[0] <= last or np.any(steps[1:] <= steps[:-1]):
            self._merge(steps, values, times)
        else:
            self._append(steps, values, times)
        self._points = self._view()

    def forget_after(self, step: int) -> None:
        """Drops the points of steps later than `step`."""
        kept = int(np.searchsorted(self._steps[: self._length], step, side="right"))
        if kept < self._length:
            # Copied, since what comes next would overwrite the views handed out.
            self._adopt(
                self._steps[:kept].copy(), self._values[:kept].copy(), self._times[:kept].copy()
            )
            self._points = self._view()

    def _append(self, steps: Steps, values: Floats, times: Floats) -> None:
        start, end = self._length, self._length + len(steps)
        if end > len(self._steps):
            room = max(end, 2 * len(self._steps))
            self._steps = _grown(self._steps, start, room)
            self._values = _grown(self._values, start, room)
            self._times = _grown(self._times, start, room)
        self._steps[start:end] = steps
        self._values[start:end] = values
        self._times[start:end] = times
        self._length = end

    def _merge(self, steps: Steps, values: Floats, times: Floats) -> None:
        n = self._length
        all_steps = np.concatenate((self._steps[:n], steps))
        order = np.argsort(all_steps, kind="stable")
        ordered = all_steps[order]
        newest = np.append(ordered[1:] != ordered[:-1], True)  # the last logged of each step
        kept = order[newest]
        self._adopt(
            all_steps[kept],
            np.concatenate((self._values[:n], values))[kept],
            np.concatenate((self._times[:n], times))[kept],
        )

    def _adopt(self, steps: Steps, values: Floats, times: Floats) -> None:
        self._steps, self._values, self._times = steps, values, times
        self._length = len(steps)

    def _view(self) -> tuple[Steps, Floats, Floats]:
        n = self._length
        views = (self._steps[:n], self._values[:n], self._times[:n])
        for view in views:
            view.flags.writeable = False
        return views


def _grown(array: np.ndarray, length: int, room: int) -> np.ndarray:
    larger = np.empty(room, array.dtype)
    larger[:length] = array[:length]
    return larger
