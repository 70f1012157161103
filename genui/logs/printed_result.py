"""What is read from a log: points on the axis of steps, what was unsure, and the units."""

from typing import NamedTuple

_MAX_NOTES = 40
MAX_NAMES = 5000
"""Names that are remembered, of a step or of a log."""


class Point(NamedTuple):
    step: int
    metrics: dict[str, float]


class Notes:
    """How a log was read where it could be read otherwise, and the units of its metrics."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.units: dict[str, str] = {}
        self._newest: dict[str, str] | None = None  # the units of the line before

    def for_stream(self) -> "Notes":
        """The same notes, for the lines of one process."""
        notes = Notes()
        notes.texts, notes.units = self.texts, self.units
        return notes

    def add(self, text: str) -> None:
        """Adds a note, once."""
        if text not in self.texts and len(self.texts) < _MAX_NOTES:
            self.texts.append(text)

    def add_units(self, units: dict[str, str], metrics: dict[str, float]) -> None:
        """Adds those of the metrics; `units` has names as printed, without a phase before them."""
        if units is self._newest:
            return
        self._newest = units
        for name in metrics if len(self.units) < MAX_NAMES else ():
            unit = units.get(name) or units.get(name.partition("/")[2])
            if unit:
                self.units.setdefault("seconds" if name == "time" else name, unit)
