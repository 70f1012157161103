"""Places of printed records on the axis of the steps: no two replace each other silently.

A place is a step and a name. A record that would take the place of another with other values moves
to the next free step, if its step was only assumed, or keeps a step that it names itself and gets
names of its own: 2nd/loss.
"""

import math
from collections import OrderedDict
from collections.abc import Mapping

_RECENT = 256  # steps whose records are remembered
_MAX_NAMES = 5000
_MAX_SERIES = 9  # records at one step that get names of their own


class Places:
    """What was recorded at the newest steps."""

    def __init__(self) -> None:
        self._recent: OrderedDict[int, dict[str, float]] = OrderedDict()
        self._newest: dict[str, int] = {}  # the greatest step of each name
        self._last = -1
        self._stride = 1

    def add(self, step: int, metrics: Mapping[str, float]) -> None:
        record = self._recent.get(step)
        if record is None:
            self._recent[step] = dict(metrics)
            if len(self._recent) > _RECENT:
                self._recent.popitem(last=False)
        elif len(record) < _MAX_NAMES:
            record.update(metrics)
        newest = self._newest
        for name in metrics if len(newest) < _MAX_NAMES else ():
            if newest.get(name, -1) < step:
                newest[name] = step

    def clashes(self, step: int, metrics: Mapping[str, float]) -> bool:
        """Whether another value of one of the names is recorded at that step."""
        record = self._recent.get(step)
        return record is not None and any(
            name in record and not _same(record[name], value) for name, value in metrics.items()
        )

    def without_recorded(self, step: int, metrics: dict[str, float]) -> dict[str, float]:
        """The metrics that no record has at that step."""
        record = self._recent.get(step)
        if not record or record.keys().isdisjoint(metrics):
            return metrics
        return {name: value for name, value in metrics.items() if name not in record}

    def passed(self, step: int, metrics: Mapping[str, float]) -> bool:
        """Whether one of the names is recorded at that step or a later one."""
        return any(self._newest.get(name, -1) >= step for name in metrics)

    def next_free(self, step: int, metrics: Mapping[str, float]) -> int:
        """The step after all that have one of the names."""
        return max(step, *(1 + self._newest.get(name, -1) for name in metrics))

    def alike(self, step: int, metrics: Mapping[str, float]) -> bool:
        """Whether a record has mostly the names that are recorded at that step."""
        return 2 * len(self._recent.get(step, {}).keys() & metrics) > len(metrics)

    def name_apart(self, step: int, metrics: dict[str, float]) -> dict[str, float] | None:
        """The metrics with 2nd/NAME, or whichever is free at that step: all of them, or those that
        clash if the record is not alike. None if many are taken."""
        alike, record = self.alike(step, metrics), self._recent.get(step, {})
        for count in range(2, _MAX_SERIES + 1):
            order = {2: "2nd", 3: "3rd"}.get(count, f"{count}th")
            apart = {
                f"{order}/{name}" if alike or name in record else name: value
                for name, value in metrics.items()
            }
            if not self.clashes(step, apart):
                return apart
        return None

    def goes_back(self, step: int) -> bool:
        """Whether a step is further before the last one than lines are out of order. What was
        recorded from there on is then forgotten: a resumed run repeats it."""
        back = self._last - step > 2 * self._stride
        if step > self._last >= 0:
            self._stride = step - self._last
        self._last = step
        if back:
            self.forget_from(step)
        return back

    def forget_from(self, step: int) -> None:
        for later in [s for s in self._recent if s >= step]:
            del self._recent[later]
        self._newest = {name: min(last, step) for name, last in self._newest.items()}


def _same(first: float, second: float) -> bool:
    return first == second or (math.isnan(first) and math.isnan(second))
