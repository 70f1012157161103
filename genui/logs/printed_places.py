"""Places of printed records on the axis of the steps: no two replace each other silently.

A place is a step and a name. A record that would take the place of another with other values moves
to the next free step, if its step was only assumed, or keeps a step that it names itself and gets
names of its own: 2nd/loss.
"""

import math
from collections import OrderedDict
from collections.abc import Mapping

from genui.logs.printed_result import MAX_NAMES, Line, Notes

_RECENT = 256  # steps whose records are remembered
_MAX_SERIES = 9  # records at one step that get names of their own


class Places:
    """The records of the newest steps."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._recent: OrderedDict[int, dict[str, float]] = OrderedDict()
        self._newest: dict[str, int] = {}  # the greatest step of each name
        self._last = -1
        self._stride = 1

    def settle(
        self, line: Line, step: int, metrics: dict[str, float], says_steps: bool
    ) -> tuple[int, dict[str, float]]:
        """The place of a record: its own, where another record would be replaced. `says_steps` is
        whether the log names its steps, so that a record keeps its own."""
        if line.redrawn:
            return step, self._without_recorded(step, metrics)
        if self._clashes(step, metrics):
            apart = None
            if line.held_out and line.placed_by_step:
                self._notes.add("an evaluation that prints its progress: its last values count")
                apart = metrics
            elif says_steps or not self._alike(step, metrics):
                apart = self._name_apart(step, metrics)
                self._notes.add("unsure: steps are printed again with other values, as by another "
                                "process: these are 2nd/NAME")  # fmt: skip
            if apart is None:
                step = max(step, *(1 + self._newest.get(name, -1) for name in metrics))
                self._notes.add("unsure: several records are printed at one position of a bar or "
                                "in one epoch: each has a step of its own")  # fmt: skip
            metrics = apart or metrics
        self._add(step, metrics)
        return step, metrics

    def _add(self, step: int, metrics: Mapping[str, float]) -> None:
        record = self._recent.get(step)
        if record is None:
            self._recent[step] = dict(metrics)
            if len(self._recent) > _RECENT:
                self._recent.popitem(last=False)
        elif len(record) < MAX_NAMES:
            record.update(metrics)
        newest = self._newest
        for name in metrics if len(newest) < MAX_NAMES else ():
            if newest.get(name, -1) < step:
                newest[name] = step

    def _clashes(self, step: int, metrics: Mapping[str, float]) -> bool:
        """Whether another value of one of the names is recorded at that step."""
        record = self._recent.get(step)
        return record is not None and any(
            name in record and not _same(record[name], value) for name, value in metrics.items()
        )

    def _without_recorded(self, step: int, metrics: dict[str, float]) -> dict[str, float]:
        """The metrics that no record has at that step."""
        record = self._recent.get(step)
        if not record or record.keys().isdisjoint(metrics):
            return metrics
        return {name: value for name, value in metrics.items() if name not in record}

    def passed(self, step: int, metrics: Mapping[str, float]) -> bool:
        """Whether one of the names is recorded at that step or a later one."""
        return any(self._newest.get(name, -1) >= step for name in metrics)

    def _alike(self, step: int, metrics: Mapping[str, float]) -> bool:
        """Whether a record has mostly the names that are recorded at that step."""
        return 2 * len(self._recent.get(step, {}).keys() & metrics) > len(metrics)

    def _name_apart(self, step: int, metrics: dict[str, float]) -> dict[str, float] | None:
        """The metrics with 2nd/NAME, or whichever is free at that step: all of them, or the
        clashing ones if the record has other names. None if many are taken."""
        alike, record = self._alike(step, metrics), self._recent.get(step, {})
        for count in range(2, _MAX_SERIES + 1):
            order = {2: "2nd", 3: "3rd"}.get(count, f"{count}th")
            apart = {
                f"{order}/{name}" if alike or name in record else name: value
                for name, value in metrics.items()
            }
            if not self._clashes(step, apart):
                return apart
        return None

    def goes_back(self, step: int) -> bool:
        """Whether a step is further before the last one than lines are out of order. Records from
        there on are then forgotten: a resumed run repeats it."""
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
