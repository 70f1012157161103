"""One metric as numpy arrays that grow at the end and stay sorted by step."""

import numpy as np
from numpy.typing import NDArray

Steps = NDArray[np.int64]
Floats = NDArray[np.float64]

_SMALLEST = 16  # points: ten thousand metrics of a few points each stay small
_LARGE = 1 << 16  # points


class Axis:
    """The steps and times of points, which series that are logged together share.

    Half the memory of a log with many metrics would otherwise be the same steps and times.
    """

    def __init__(self) -> None:
        self.length = 0
        self._steps: Steps = np.empty(_SMALLEST, np.int64)
        self._times: Floats = np.empty(_SMALLEST)
        self._last: tuple[object, object] = (None, None)  # the arrays that were added last
        self._show()

    def add(self, length: int, steps: Steps, times: Floats) -> bool:
        """Add points to the first `length`, for one more series. False if others follow these."""
        end = length + len(steps)
        if self.length == end and self._last[0] is steps and self._last[1] is times:
            return True  # another series has added the very same
        if self.length != length:
            return False
        if end > len(self._steps):
            room = _room_for(end, len(self._steps))
            self._steps = _grow(self._steps, length, room)
            self._times = _grow(self._times, length, room)
            self._show()
        self._steps[length:end] = steps
        self._times[length:end] = times
        self.length, self._last = end, (steps, times)
        return True

    def copy(self, length: int) -> "Axis":
        """A copy of the axis with the first `length` points, in new arrays."""
        copy = Axis()
        copy.add(0, self._steps[:length], self._times[:length])
        copy._last = (None, None)
        return copy

    def view(self, length: int) -> tuple[Steps, Floats]:
        """The first `length` steps and times, read-only."""
        return self._shown[0][:length], self._shown[1][:length]

    def _show(self) -> None:
        self._shown = (_read_only(self._steps), _read_only(self._times))


class Series:
    """The points of one metric, one for each step, in ascending order of step.

    If a step is logged again, the newer value counts. Returned arrays are read-only views that do
    not change while the series grows, so another thread may keep them; use `points`, and not
    `steps` and then `values`, to get arrays of one length. Series that are made with one `axis`
    share it as long as they are given the same arrays of steps and times.
    """

    def __init__(self, axis: Axis | None = None) -> None:
        self._length = 0
        self._written = -1
        self._axis = axis or Axis()
        self._values: Floats = np.empty(_SMALLEST)
        self._shown = _read_only(self._values)
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
        if self._length and steps[0] <= self._points[0][-1]:
            self._merge(steps, values, times)
        else:
            self._append(steps, values, times)
        self._points = self._view()

    def forget_after(self, step: int, cuts: "dict[Axis, Axis] | None" = None) -> None:
        """Drops the points of steps later than `step`.

        Series that share an axis still share it if the same empty dict is passed to all as `cuts`.
        """
        length = int(np.searchsorted(self._points[0], step, side="right"))
        if length < self._length:
            axis, whole = self._axis, self._axis.length == self._length
            self._cut(length)
            if cuts is not None and whole:
                self._axis = cuts.setdefault(axis, self._axis)
            self._points = self._view()

    def joined_with(self, later: "Series", forget: int | None, most: int) -> "Series":
        """A new series: this one without the steps after `forget`, then `later`. Every second point
        of this one is left out, or more, if it has over `most`."""
        stride = -(-len(self) // most) or 1
        known = len(self)
        if forget is not None:
            known = int(np.searchsorted(self.steps, forget, side="right"))
        both = Series()
        both.extend(
            np.concatenate((self.steps[:known:stride], later.steps)),
            np.concatenate((self.values[:known:stride], later.values)),
            np.concatenate((self.times[:known:stride], later.times)),
        )
        return both

    def _append(self, steps: Steps, values: Floats, times: Floats) -> None:
        start, end = self._length, self._length + len(steps)
        if not self._axis.add(start, steps, times):
            self._axis = self._axis.copy(start)
            self._axis.add(start, steps, times)
        if end > len(self._values):
            self._values = _grow(self._values, start, _room_for(end, len(self._values)))
            self._shown = _read_only(self._values)
        self._values[start:end] = values
        self._length = end

    def _merge(self, steps: Steps, values: Floats, times: Floats) -> None:
        """Adds ascending points, some of which are at or before the last one here."""
        own_steps, own_values, own_times = self._points
        at = int(np.searchsorted(own_steps, steps[0]))
        merged = _newest_of_each(
            np.concatenate((own_steps[at:], steps)),
            np.concatenate((own_values[at:], values)),
            np.concatenate((own_times[at:], times)),
        )
        self._cut(at)
        self._append(*merged)

    def _cut(self, length: int) -> None:
        """Keeps the first `length` points, in new arrays: later points would otherwise overwrite
        views that were returned."""
        self._axis = self._axis.copy(length)
        self._values = _grow(self._values, length, len(self._values))
        self._shown = _read_only(self._values)
        self._length = length

    def _view(self) -> tuple[Steps, Floats, Floats]:
        steps, times = self._axis.view(self._length)
        return steps, self._shown[: self._length], times


def is_rising(steps: Steps) -> bool:
    """Whether each step is larger than the one before."""
    return len(steps) == 1 or bool((steps[1:] > steps[:-1]).all())


def _newest_of_each(steps: Steps, values: Floats, times: Floats) -> tuple[Steps, Floats, Floats]:
    """The points in ascending order, the last one of each step."""
    order = np.argsort(steps, kind="stable")
    ordered = steps[order]
    newest = order[np.append(ordered[1:] != ordered[:-1], True)]
    return steps[newest], values[newest], times[newest]


def _room_for(length: int, room: int) -> int:
    """The new size of an array of `room` points that must have at least `length`.

    A large one is moved seldom, since views of the old one may be in use for a while; the room
    that it does not use yet takes no memory until it is written to.
    """
    return max(length, room * (4 if room >= _LARGE else 2))


def _grow(array: np.ndarray, length: int, room: int) -> np.ndarray:
    larger = np.empty(room, array.dtype)
    larger[:length] = array[:length]
    return larger


def _read_only(array: np.ndarray) -> np.ndarray:
    """A view of an array that cannot be written to, and whose slices cannot either."""
    view = array.view()
    view.flags.writeable = False
    return view
