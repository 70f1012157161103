"""The epochs that a log prints, and whether they are its steps.

Whole epochs are steps in a log that has nothing finer; parts of them, 0.01 and 0.02, are none.
"""

import re

from genui.logs.printed_counter import Counter
from genui.logs.printed_places import Places
from genui.logs.printed_result import Line, Notes

_PLANNED = re.compile(r"(?:max|num|train)_?(?:train_)?epochs[\"']?\s?[=:]\s?([0-9]{1,7})\b", re.I)


class Epochs:
    """Follows the epochs of a log."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self.now: float | None = None
        self.are_steps = False  # records say them, which are their steps
        self.in_parts = False
        self._part = -1.0  # the newest of them
        self._planned = 0  # how many there will be, as a setting says
        self._of_headings, self._of_records = Counter("epoch"), Counter("epoch")

    def read_settings(self, text: str) -> None:
        """Looks for the number of epochs: num_epochs=3."""
        if planned := _PLANNED.search(text):
            self._planned = int(planned[1])

    def find_step(self, line: Line, places: Places) -> int:
        """The step of a record that says its epoch, in a log with nothing finer."""
        assert line.epoch is not None
        self.are_steps = self.are_steps or bool(line.metrics)
        counter = self._of_records if line.metrics else self._of_headings
        late = counter.before + int(line.epoch)
        passed = not line.metrics or places.passed(late, line.metrics)
        if line.held_out or (late < counter.step and not passed):
            return late
        step = counter.at(int(line.epoch), line.epochs, None, self._notes, line.anew)
        if counter.resumed:
            places.forget_from(step)
        return step

    def goes_on(self, line: Line) -> bool:
        """Whether a record is further in the parts of epochs than the one before."""
        part = line.epoch if line.epoch is not None else self._part
        further = part > self._part >= 0
        self._part = part
        return further

    def first_counter(self, line: Line, total: int) -> Counter:
        """The first counter of steps; in a log that begins in a later epoch it begins there, if the
        number of epochs says which it is."""
        counter = Counter()
        if line.epoch and line.epochs and self._planned:
            first = {line.epochs: 1, line.epochs + 1: 0}.get(self._planned)  # from 1, from 0
            if first is not None and line.epoch.is_integer():
                counter.begin(int(line.epoch) - first, total)
        return counter
