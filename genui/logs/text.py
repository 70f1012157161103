"""JSON lines: the fields of the step and the time, records as columns, and the reader."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain, compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genui.logs.base import LineFile, LineReader
from genui.logs.records import (
    PHASE_KEYS,
    STEP_KEYS,
    Record,
    decode_lines,
    decode_record,
    flatten,
    number,
    number_or_text,
    split_phase,
)
from genui.logs.series_store import Column, SeriesStore
from genui.runs.series import Floats, Steps

TIME_KEYS = ("time", "timestamp", "_timestamp", "wall_time", "datetime", "date")

_BEYOND = 2**53  # from here on a float64 is not exact
_EARLIEST = 1e8  # seconds; less is a duration, not a date
_LATEST = 1e20  # nanoseconds in the year 5138; more is not a date
_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))  # least value: nano-, micro-, milliseconds


def step_key(record: Mapping[str, Any]) -> str | None:
    """The name of the step in a record, if it has one that is a whole number."""
    return _first(record, STEP_KEYS, lambda cell: parse_step(cell) is not None)


def time_key(record: Mapping[str, Any]) -> str | None:
    """The name of the time in a record, if it has one."""
    return _first(record, TIME_KEYS, lambda cell: not math.isnan(unix_time(cell)))


def parse_step(cell: object) -> int | None:
    """A cell, or its text in a CSV file, as a step; None for anything else."""
    if type(cell) is int:
        return cell if 0 <= cell < 2**63 else None
    if isinstance(cell, str | float):
        try:
            figure = float(cell)
        except ValueError:
            return None
        if 0 <= figure < _BEYOND and figure == int(figure):
            return int(figure)
    return None


def unix_time(cell: object) -> float:
    """Seconds since 1970 from seconds, milli-, micro- or nanoseconds, or an ISO date; else NaN."""
    if isinstance(cell, bool) or cell is None:
        return math.nan
    try:
        figure = float(cell)  # type: ignore[arg-type]
    except (TypeError, OverflowError):
        return math.nan
    except ValueError:
        return _iso(str(cell))
    if not _EARLIEST <= figure < _LATEST:
        return math.nan
    for limit, divisor in _UNITS:
        if figure >= limit:
            return figure / divisor
    return figure


def times_of(cells: Iterable[object]) -> Floats:
    """The same for a column."""
    return np.array([unix_time(cell) for cell in cells], np.float64)


def numbers_of(cells: Sequence[Any]) -> tuple[Floats, NDArray[np.bool_]]:
    """The numbers [cells] of texts, bytes or None, NaN for other values, and a mask of numbers."""
    numbers = list(map(number_of_text, cells))
    return np.array(numbers, np.float64), np.array([n is not None for n in numbers], bool)


def number_of_text(cell: Any) -> float | None:
    """The number in a text or bytes; None for None and other texts."""
    try:
        return None if cell is None else float(cell)
    except ValueError:  # a word, a table, an image
        return None


def _iso(text: str) -> float:
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        return math.nan


def _first(
    record: Mapping[str, Any], keys: Sequence[str], fits: Callable[[Any], bool]
) -> str | None:
    lower = {name.lower(): name for name in record}
    return next((lower[key] for key in keys if key in lower and fits(record[lower[key]])), None)


# --- Records into columns of numbers ----------------------------------------------------------


def columns(
    records: Sequence[Record],
    steps: Steps,
    times: Floats,
    skip: Collection[str],
    number: Callable[[object], float | None] = number,
) -> list[Column]:
    """The metrics of records with the given `steps` and `times` [records].

    Metrics are numbers and the words "NaN", "Infinity" and "-Infinity", or what else `number`
    reads; nested ones are named with slashes, "train/loss". They are in the order in which they
    first appear.
    """
    names = [name for name in dict.fromkeys(chain.from_iterable(records)) if name not in skip]
    if 2 * sum(map(len, records)) < len(names) * len(records):
        return _sparse(records, steps, times, skip, number)
    metrics: list[Column] = []
    for name in names:
        cells = [record.get(name) for record in records]
        types = set(map(type, cells))
        if types <= {int, float}:
            try:
                metrics.append((name, steps, np.array(cells, np.float64), times))
                continue
            except OverflowError:  # an integer too large for a float
                pass
        if dict in types:
            return columns([flatten(r) for r in records], steps, times, skip, number)
        numbers = [number(cell) for cell in cells]
        there = np.array([value is not None for value in numbers], bool)
        values = np.array(numbers, np.float64)[there]  # None became NaN
        metrics.append((name, steps[there], values, times[there]))
    return metrics


def _sparse(
    records: Sequence[Record],
    steps: Steps,
    times: Floats,
    skip: Collection[str],
    number: Callable[[object], float | None],
) -> list[Column]:
    """The same cell by cell, for many names of which each record has few."""
    cells: dict[str, tuple[list[int], list[float]]] = {}
    for index, record in enumerate(records):
        for name, cell in flatten(record).items():
            value = number(cell)
            if value is not None and name not in skip:
                where, values = cells.setdefault(name, ([], []))
                where.append(index)
                values.append(value)
    return [
        (name, steps[where], np.array(values, np.float64), times[where])
        for name, (where, values) in cells.items()
    ]


# --- Readers of files with a record a line -----------------------------------------------------


class EpochSteps:
    """Steps that begin again in each epoch, as steps of the run.

    An epoch has as many steps as the last that was logged in it: a few less than it really has if
    not every step is logged.
    """

    def __init__(self) -> None:
        self.begin_again = False  # whether the steps of this log do
        self.forget()

    def forget(self) -> None:
        """Begins with the first record."""
        self._epoch: int | None = None
        self._last = -1
        self._before = 0  # steps of the epochs before this one

    def find(
        self, steps: Sequence[int], epochs: Callable[[int], object], held_out: Sequence[str]
    ) -> bool:
        """Whether a step of training is no larger than the last, in a later epoch. `epochs`
        returns the epoch of a record, `held_out` are the held-out phases of the records, or ""."""
        for index, step in enumerate(steps):
            epoch = epochs(index)
            if held_out[index] or type(epoch) is not int:
                continue
            if self._epoch is not None and epoch > self._epoch and step <= self._last:
                self.begin_again = True
                return True
            self._epoch, self._last = epoch, step
        return False

    def place(
        self, steps: Sequence[int], epochs: Callable[[int], object], held_out: Sequence[str]
    ) -> list[int]:
        """The steps of the run. Those of an evaluation are at the end of its epoch so far."""
        placed: list[int] = []
        for index, step in enumerate(steps):
            if held_out[index]:
                placed.append(self._before + max(self._last, 0))
                continue
            epoch = epochs(index)
            if type(epoch) is int:
                if self._epoch is not None and epoch > self._epoch:
                    self._before += max(self._last, 0)
                    self._last = -1
                self._epoch = epoch
            self._last = max(step, self._last)
            placed.append(self._before + step)
        return placed


class StepsReader(LineReader):
    """Base of the readers of records that say their step: JSON lines and rows of a table.

    The step is the first of STEP_KEYS that a record has, or the number of the record in a file
    without one. A fraction of an epoch is no step: then the records are counted.
    """

    _number = staticmethod(number_or_text)  # the number in a cell; None if there is none

    def __init__(self, path: Path) -> None:
        self._fractions: set[str] = set()  # names that are not always whole
        self._epochs = EpochSteps()
        super().__init__(path)

    def _forget(self) -> None:
        super()._forget()
        self._count = 0  # records so far
        self._step: str | None = None
        self._time: str | None = None
        self._epochs.forget()

    def _find_step(self, record: Mapping[str, Any]) -> str | None:
        """The name of the step in a record."""
        return step_key({k: v for k, v in record.items() if k not in self._fractions})

    def _is_fraction(self, cells: Sequence[object], steps: Sequence[int | None]) -> bool:
        """Whether one of the cells that are no step is a part of an epoch, as 0.25: then its name
        is remembered, and the file is read again."""
        assert self._step is not None
        others = (cell for cell, step in zip(cells, steps, strict=True) if step is None)
        if "epoch" in self._step.lower() and any(map(_is_epoch, others)):
            self._fractions.add(self._step)
            self._again = True
        return self._again

    def _place(
        self, steps: list[int], epoch_of: Callable[[int], object], held_out: Sequence[str]
    ) -> list[int]:
        """The steps of the run, if they begin again in each epoch; none if that was found only now,
        and the file is read again."""
        if not self._epochs.begin_again and self._epochs.find(steps, epoch_of, held_out):
            self._again = True
            return []
        return self._epochs.place(steps, epoch_of, held_out) if self._epochs.begin_again else steps

    def _add(self, records: list[Record]) -> None:
        if self._step is None:
            for index, record in enumerate(records):
                # Flat, so that a nested "step" is found too.
                record = records[index] = flatten(record)
                self._step = self._find_step(record)
                if self._step is not None:
                    self._damaged += self._count + index
                    self._collected = SeriesStore()
                    records = records[index:]
                    break
                if parse_step(record.get("epoch", 0)) is None:
                    self._fractions.add("epoch")
        if self._time is None:
            self._time = next((key for r in records for key in [time_key(r)] if key), None)
        if not records:
            return
        first, self._count = self._count, self._count + len(records)
        phases = [""] * len(records)
        if not all(map(PHASE_KEYS.isdisjoint, records)):
            split = [split_phase(flatten(record)) for record in records]
            phases, records = [phase for phase, _ in split], [record for _, record in split]
        if self._step is None:
            steps = [*range(first, self._count)]
        else:
            records = [flatten(record) for record in records]
            cells = [record.get(self._step) for record in records]
            numbered = [parse_step(cell) for cell in cells]
            if None in numbered:
                if self._is_fraction(cells, numbered):
                    return
                good = [step is not None for step in numbered]
                records, phases = [*compress(records, good)], [*compress(phases, good)]
                self._damaged += len(good) - len(records)
            steps = [step for step in numbered if step is not None]
            names = records[0] if records else ()
            epoch = next((name for name in names if name.lower() == "epoch"), self._step)
            if epoch != self._step:
                steps = self._place(steps, lambda at: _epoch_in(records[at].get(epoch)), phases)
        if not records or not steps:
            return
        times = (
            np.full(len(records), np.nan)
            if self._time is None
            else times_of([record.get(self._time) for record in records])
        )
        skip = {key for key in (self._step, self._time) if key}
        where = np.array(steps, np.int64)
        self._collected.add(columns(records, where, times, skip, self._number))


def _epoch_in(cell: object) -> int | None:
    """A whole number, or the text of one, as an epoch; None for anything else."""
    return parse_step(cell) if isinstance(cell, int | str) else None


def _is_epoch(cell: object) -> bool:
    try:
        return cell is not None and 0 <= float(cell) < _BEYOND  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False


# --- Files of JSON records, one a line ----------------------------------------------------------


class JsonlTail(StepsReader):
    """The numbers in a JSONL file. Records before the first with a step, and later ones without
    it, count as bad."""

    def _add_lines(self, file: LineFile, lines: bytes) -> None:
        records, damaged = decode_lines(lines)
        self._damaged += damaged
        self._add(records)

    def _add_rest(self, file: LineFile) -> bool:
        """Adds a last record without a newline: a part of a JSON object is never one."""
        record = decode_record(file.rest(settled=0))
        if record is None:
            return False
        file.take_rest()
        self._add([record])
        return True
