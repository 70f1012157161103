"""A count as printed, continued to a step if it restarts in every epoch.

It handles numbers alone, neither lines nor bars: 90, 100, 10, 20 of 100 is 90, 100, 110, 120.
"""

from genui.logs.printed_result import Notes

_MOST_EPOCHS = 1_000_000
_PARTS = {"step": "epoch", "epoch": "training"}
"""The unit that is counted, and the unit in which it restarts."""


class Counter:
    """Continues one count."""

    def __init__(self, what: str = "step") -> None:
        self._what = what
        self.before = 0  # steps of earlier epochs
        self.total = 0
        self.first = self.last = -1
        self._stride = self._widest = 1
        self.epoch: float | None = None
        self.resumed = False  # the last count was one of a resumed run
        self._restarts = False  # it was seen to restart
        self._moved = True  # since the last restart

    @property
    def step(self) -> int:
        return self.before + max(self.last, 0)

    @property
    def active(self) -> bool:
        return 0 < self.last < self.total

    @property
    def ended(self) -> bool:
        return 0 < self.total <= self.last

    @property
    def end(self) -> int:
        """The step at the end of this epoch."""
        return self.before + max(self.last, self.total)

    @property
    def near_end(self) -> bool:
        """Whether the end may come before it is drawn again."""
        return self.last > 0 and self.last + 2 * self._widest >= self.total

    def is_inside(self, n: int) -> bool:
        """Whether a count is further back in an epoch that has not ended than lines are out of
        order."""
        return n + self._stride < self.last < self.total

    def begin(self, epochs: int, total: int) -> None:
        """Counts from the end of that many epochs, which were not printed."""
        self.before = min(epochs, _MOST_EPOCHS) * total

    def at(self, n: int, total: int, epoch: float | None, notes: Notes, anew: bool = False) -> int:
        """The step for a count `n`; `total` is the length of an epoch, 0 if it is unknown, and
        `anew` says that a count no greater than the last is one of a new epoch."""
        later = epoch is not None and self.epoch is not None and epoch > self.epoch
        again = epoch is not None and self.epoch is not None and epoch < self.epoch
        later = later or (anew and n <= self.last) or (again and n == self.last)
        self.resumed = False
        if self.first < 0:
            self.first = n
        elif n < self.last or (
            later and (self._moved or anew) and (n == self.last or self._restarts)
        ):
            self._go_back(n, later, anew, epoch, notes)
            self._moved = n > 0
        elif n > self.last:
            self._stride = n - self.last
            self._widest = max(self._stride, self._widest)
            self._moved = True
        self.last, self.total = n, total or self.total
        self.first = min(self.first, n)
        self.epoch = epoch if epoch is not None else self.epoch
        return self.before + n

    def _go_back(self, n: int, later: bool, anew: bool, epoch: float | None, notes: Notes) -> None:
        """The count went back: in a new epoch, after a restart, or lines are out of order."""
        ended = self.total > 0 and self.last + self._stride > self.total
        same = epoch is not None and epoch == self.epoch and not ended
        far = self.last - n > 2 * self._stride
        if later or (not same and (ended or (n <= self.first and (n == self.first or far)))):
            self._restarts = True
            length = self.total
            if length < self.last or not length:
                length = max(0, self.last + self._stride - self.first)
            epochs = 1
            if later and self.total and epoch is not None and self.epoch is not None:
                epochs = max(1, int(epoch - self.epoch))
            self.before += length * min(epochs, _MOST_EPOCHS)
            if later and not anew:
                why = "the epoch went on"
            elif ended:
                why = "the count had reached its end"
            elif anew:
                why = "in a table of its own"
            elif self._what == "step":
                why = "unsure: no epoch is printed; it could be another run"
            else:
                why = "unsure: it could be another run"
            part = _PARTS[self._what]
            notes.add(f"the {self._what} restarts at {n}: read as a new {part}, {why}")
        elif far or self._what == "epoch":
            self.resumed = True
            notes.add(f"the {self._what} went back from {self.last} to {n}: read as resumed from a "
                      "checkpoint")  # fmt: skip
