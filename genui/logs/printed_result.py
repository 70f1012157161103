"""The results of reading: numbers of a line, points of a log, and notes."""

from dataclasses import dataclass, field
from typing import NamedTuple

from genui.logs.printed_words import as_held_out

_MAX_NOTES = 40
MAX_NAMES = 5000
"""Names that are remembered, of a step or of a log."""


@dataclass(slots=True)
class Look:
    """The common data of lines of one form, which share it."""

    title: str = ""  # the text before a progress bar
    drawn: bool = False  # the progress bar is one of tqdm
    summary: bool = False  # it begins with a star, as summaries of an evaluation do
    single: bool = False  # one name and its number, and nothing else
    units: dict[str, str] = field(default_factory=dict)  # of metrics


@dataclass(slots=True)
class Line:
    """The numbers in one line."""

    metrics: dict[str, float] = field(default_factory=dict)
    step: int | None = None  # as printed: in the training, or in the epoch
    total: int = 0
    whole: bool = False  # the step counts from the beginning of the training, by its name
    epoch: float | None = None
    epochs: int = 0  # how many, if it is printed: epoch 3/10
    says_epoch: bool = False  # in its text; in a dict or a table the epoch is a value among others
    bar: tuple[int, int] | None = None  # n of total in a progress bar; total 0 is unknown
    phase: str = ""  # "train", "val" or "test", if the line begins with it
    lead: tuple[str, int] | None = None  # the first number, if whole and of an unknown name
    weak: bool = False  # nothing says that its numbers are metrics
    record: bool = False  # a dict
    row: bool = False  # of a table
    redrawn: bool = False  # a state of a bar, over which the next is drawn, and no record
    anew: bool = False  # the first row of a table that repeats an earlier header
    look: Look = field(default_factory=Look)

    @property
    def held_out(self) -> bool:
        """Whether the line is about validation or test data."""
        return self.phase in ("val", "test")

    def add_phase(self) -> None:
        """Names the metrics of held-out data as such."""
        if self.held_out:
            self.metrics = {as_held_out(name): value for name, value in self.metrics.items()}

    @property
    def placed_by_step(self) -> bool:
        """Whether the line says its step itself."""
        return self.step is not None or self.bar is not None

    @property
    def placed(self) -> bool:
        return self.step is not None or self.bar is not None or self.epoch is not None


class Point(NamedTuple):
    step: int
    metrics: dict[str, float]


class Notes:
    """How ambiguous lines of a log were read, and the units of its metrics."""

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
        """Adds the units of the metrics; `units` has names as printed, without a phase before
        them."""
        if units is self._newest:
            return
        self._newest = units
        for name in metrics if len(self.units) < MAX_NAMES else ():
            unit = units.get(name) or units.get(name.partition("/")[2])
            if unit:
                self.units.setdefault("seconds" if name == "time" else name, unit)
