"""The progress bar that is the position of a log, and the lines that wait for it.

A bar without metrics is drawn rarely, so lines printed beside it wait until it is drawn again with
its position. Bars inside and around it, of an evaluation or of the epochs, are no position, nor is
one that has ended without a metric: of the data, perhaps.
"""

from collections.abc import Sequence
from typing import NamedTuple

from genui.logs.printed_counter import Counter
from genui.logs.printed_epochs import Epochs
from genui.logs.printed_result import Line, Notes

_FAR = 5  # lines from a bar that has ended, after which metrics are not of it
_MAX_OUTER = 16
_MAX_WAITING = 1000


class Waiting(NamedTuple):
    line: Line
    cleared: bool  # the bar was removed first, and is drawn again behind it at the current step


class Bars:
    """Follows the bars of a log."""

    def __init__(self) -> None:
        self.count: Counter | None = None  # of the bar that is the position
        self.has_metrics = False  # metrics belonged to it
        self.cleared = False  # it was removed from the line
        self.since = 0  # lines since a bar was drawn
        self.waiting: list[Waiting] = []
        self._key = ("", 0)  # its title and total
        self._of_epoch = False  # it began below the heading of an epoch
        self._outer: dict[tuple[str, int], int] = {}  # bars around others, with their n

    @property
    def past(self) -> bool:
        """Whether the bar ended long ago, without a metric."""
        return (
            self.count is not None
            and self.since > _FAR
            and not (self.has_metrics or self.count.active)
        )

    @property
    def ended(self) -> bool:
        """Whether the bar has ended without a metric, and was of no epoch."""
        return (
            self.count is not None
            and self.count.ended
            and not self.has_metrics
            and not self._of_epoch
        )

    def find(self, line: Line, epochs: Epochs) -> Counter | None:
        """The counter that a bar moves; None if it is inside or around the bar of the training."""
        assert line.bar is not None
        n, total = line.bar
        key, counter = (line.look.title, total), self.count
        if counter is not None and key == self._key:
            if n <= counter.last:
                self._outer = {outer: count + 1 for outer, count in self._outer.items()}
            return counter
        if counter is not None:
            if self.waiting and counter.ended:
                return None  # the waiting lines say whether that one is the position
            if key in self._outer:
                if n - self._outer[key] < 2:
                    return None
                del self._outer[key]  # it continues without the other: that was no epoch
            elif counter.last == 0 and counter.total > 0 and not self.has_metrics:
                if len(self._outer) < _MAX_OUTER:
                    self._outer[self._key] = 0  # a loop over epochs around this one
            elif counter.active or self.has_metrics:
                return None  # inside the other, as an evaluation is
        self._key, self.has_metrics, self._of_epoch = key, False, epochs.now is not None
        self.count = epochs.first_counter(line, total) if counter is None else Counter()
        return self.count

    def hold(self, line: Line) -> bool:
        """Keeps a line until the bar is drawn again; whether too many wait."""
        self.waiting.append(Waiting(line, self.cleared))
        self.cleared = False
        return len(self.waiting) > _MAX_WAITING

    def holds(self, line: Line, repeated: bool) -> bool | None:
        """Whether a line without a step waits for the bar, `repeated` if the step has its metrics
        already; None if it says that the bar is no position."""
        if self.count is None:
            return False
        if self.cleared:
            return True
        if self.count.ended and not self.has_metrics:
            again = any(
                not item.metrics.keys().isdisjoint(line.metrics) for item, _ in self.waiting
            )
            return None if again else True  # the bar of an epoch is drawn again, that of data not
        return bool(self.waiting) or (repeated and line.record and line.epoch is not None)

    def release(self) -> list[Waiting]:
        """The waiting lines, from the first on."""
        waiting, self.waiting = self.waiting, []
        return waiting


def steps_of(
    waiting: Sequence[Waiting], counter: Counter, n: int | None, notes: Notes
) -> list[int]:
    """The steps of lines that waited for a bar, drawn at `counter` before and at `n` now, or not
    at all."""
    last = at = counter.step
    if n is not None and n >= counter.last:
        at = counter.before + n
    elif n is not None or (waiting[0].cleared and counter.near_end):
        last = at = counter.end  # it has begun again, or is gone: it had come to its end
    steps = [at if item.cleared else last for item in waiting]
    names: set[str] = set()
    repeated = False
    for line, _ in waiting:
        repeated = repeated or not names.isdisjoint(line.metrics)
        names.update(line.metrics)
    end = waiting[-1].line.epoch
    if repeated and end:  # in one piece: their epochs say how they are apart
        notes.add("unsure: records came in pieces, away from the bar (python -u prints at once); "
                  "their steps are from their epochs")  # fmt: skip
        for index, (line, _) in enumerate(waiting):
            if line.epoch is not None and line.epoch <= end:
                steps[index] = round(steps[-1] * line.epoch / end)
    return steps
