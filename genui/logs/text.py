"""JSON lines: the fields of the step and the time, records as columns, and the reader."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, compress
from operator import attrgetter, lt
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from genui.logs.base import CHUNK, PIECE, LineFile, Reader
from genui.logs.records import (
    PHASE_KEYS,
    STEP_KEYS,
    Record,
    decode_lines,
    decode_record,
    flatten,
    number,
    number_or_text,
    one_a_line,
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
    return float(unix_times(np.array([figure]))[0])


def unix_times(figures: Floats) -> Floats:
    """The same for numbers; each by its size."""
    result = np.where((figures >= _EARLIEST) & (figures < _LATEST), figures, np.nan)
    for limit, divisor in _UNITS:
        result = np.where(result >= limit, result / divisor, result)
    return result


def times_of(cells: Sequence[object]) -> Floats:
    """The same for a column."""
    try:
        return unix_times(np.array(cells, np.float64))
    except (TypeError, ValueError, OverflowError):
        pass
    try:
        return np.array([datetime.fromisoformat(str(cell)).timestamp() for cell in cells])
    except (ValueError, OverflowError, OSError):
        return np.array([unix_time(cell) for cell in cells], np.float64)


def numbers_of(cells: Sequence[Any]) -> tuple[Floats, NDArray[np.bool_]]:
    """The numbers [cells] of texts, bytes or None, NaN for other values, and a mask of numbers."""
    try:
        return np.array(list(map(float, cells))), np.ones(len(cells), bool)
    except (TypeError, ValueError):
        numbers = list(map(_number, cells))
        return np.array(numbers, np.float64), np.array([n is not None for n in numbers], bool)


def _number(cell: Any) -> float | None:
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


# --- Records with the same fields, decoded faster than as dicts -------------------------------
# Most records of a log have the same few names. A msgspec struct of these fields, all floats,
# takes three quarters of the time and a third of the memory of dicts, and the type of a cell need
# not be checked. Records that do not fit are decoded as dicts.

_MAX_NAMES = 64
_MAX_DENSE = 1024  # names of a log whose records have them all
_NAN = float("nan")


class Shapes:
    """Decodes lines with a struct of the fields of earlier lines.

    Records have a whole step and may have a time. After each misfit it is tried again later, with
    growing delays, so that a log whose records all differ takes little longer.
    """

    def __init__(self, step: str = "step", time: str = "time") -> None:
        self.keys = {"step": step, "time": time}
        self._names: frozenset[str] = frozenset()
        self._decoder: msgspec.json.Decoder[Any] | None = None
        self._wait = self._patience = 0

    def decode(self, lines: bytes) -> list[Column] | None:
        """The metrics of the lines; None if any of them has other fields."""
        if self._decoder is None or self._wait:
            self._wait = max(0, self._wait - 1)
            return None
        try:
            records = self._decoder.decode_lines(lines)
            if records and one_a_line(len(records), lines):
                metrics = self._columns(records)
                if metrics is not None:
                    self._patience = 0
                    return metrics
        except (msgspec.DecodeError, OverflowError, RecursionError, UnicodeError):
            pass
        self._patience = min(64, 2 * self._patience + 1)
        self._wait = self._patience
        return None

    def learn(self, columns: Collection[Column]) -> None:
        """Adds the names of metrics to the struct."""
        names = self._names.union(column[0] for column in columns)
        dense = len({id(column[1]) for column in columns}) == 1
        if names == self._names or len(names) > (_MAX_DENSE if dense else _MAX_NAMES):
            return
        self._names = names
        fields = {f"f{index}": name for index, name in enumerate(sorted(names))}
        try:
            shape = msgspec.defstruct(
                "Shape",
                [("step", int), ("time", float, _NAN), *((field, float, _NAN) for field in fields)],
                rename={**fields, **self.keys},
                forbid_unknown_fields=True,
                gc=False,
            )
        except ValueError:  # a name with quotes or control characters, which msgspec refuses
            self._decoder = None
        else:
            self._decoder = msgspec.json.Decoder(shape)

    def _columns(self, records: list[Any]) -> list[Column] | None:
        count = len(records)
        steps = np.fromiter(map(attrgetter("step"), records), np.int64, count)
        if steps.min() < 0:
            return None
        times = np.fromiter(map(attrgetter("time"), records), np.float64, count)
        metrics: list[Column] = []
        for index, name in enumerate(sorted(self._names)):
            values = np.fromiter(map(attrgetter(f"f{index}"), records), np.float64, count)
            there = ~np.isnan(values)  # JSON has no NaN, so NaN is a missing field
            if there.all():
                metrics.append((name, steps, values, times))
            elif there.any():
                metrics.append((name, steps[there], values[there], times[there]))
        return metrics


# --- Readers of files with a record a line -----------------------------------------------------


class LineReader(Reader, ABC):
    """Reads whole lines, and a last one without a newline if it is certainly complete."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.lines = LineFile(path, offset)
        self.restarted = False  # the last `read` found another file
        self._again = False  # something was learnt for which the file is read again
        super().__init__(path)

    @property
    def bad_lines(self) -> int:
        return self._damaged + self.lines.too_long

    def read(self, limit_bytes: int = CHUNK) -> bool:
        changed = self.restarted = False
        while limit_bytes > 0:
            before = self.lines.offset
            lines = self.lines.read_lines(min(limit_bytes, PIECE))
            if self.lines.restarted:
                self._forget()
                before, changed, self.restarted = 0, True, True
            if self.lines.offset == before:
                changed = self._add_rest() or changed
                break
            changed = True
            limit_bytes -= self.lines.offset - before
            self._add_lines(lines)
            if self._again:
                self._again = False
                self.lines = LineFile(self.path)
                self._forget()
        self.progress = 1.0 if limit_bytes > 0 else self.lines.progress
        return changed

    @abstractmethod
    def _add_lines(self, lines: bytes) -> None:
        """Adds the points of whole lines."""

    def _add_rest(self) -> bool:
        """Adds the points of `LineFile.rest` if it is a whole line; returns whether it was."""
        return False


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
        if steps[0] > self._last and all(map(lt, steps, steps[1:])):
            known = (epochs(len(steps) - 1), epochs(0))
            self._epoch = next((epoch for epoch in known if type(epoch) is int), self._epoch)
            self._last = steps[-1]
            return False
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


# --- Files of JSON records, one a line ----------------------------------------------------------
# The step is the first of STEP_KEYS that a record has, or the number of the record in a file
# without one. Records before the first with a step, and later ones without it, count as bad. A
# fraction of an epoch is no step: then the records are counted.


def _with_unix_times(metrics: list[Column]) -> Iterator[Column]:
    """The metrics with their times in seconds; those of one array stay one array."""
    converted: dict[int, Floats] = {}
    for name, steps, values, times in metrics:
        if id(times) not in converted:
            converted[id(times)] = unix_times(times)
        yield name, steps, values, converted[id(times)]


class JsonlTail(LineReader):
    """The numbers in a JSONL file."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self._fractions: set[str] = set()  # names that are not always whole
        self._epochs = EpochSteps()
        super().__init__(path, offset)

    def _forget(self) -> None:
        super()._forget()
        self._count = 0  # records so far
        self._shapes: Shapes | None = None  # while records have no more than a step and numbers
        self._step: str | None = None
        self._time: str | None = None
        self._epochs.forget()

    def _add_lines(self, lines: bytes) -> None:
        metrics = self._shapes.decode(lines) if self._shapes is not None else None
        if metrics is not None:
            self._count += lines.count(b"\n")
            self._collected.add(_with_unix_times(metrics))
            return
        records, damaged = decode_lines(lines)
        self._damaged += damaged
        self._add(records)

    def _add_rest(self) -> bool:
        """Adds a last record without a newline: a part of a JSON object is never one."""
        record = decode_record(self.lines.rest(settled=0))
        if record is None:
            return False
        self.lines.take_rest()
        self._add([record])
        return True

    def _add(self, records: list[Record]) -> None:
        if self._step is None:
            for index, record in enumerate(records):
                # Flat, so that a nested "step" is found too.
                record = records[index] = flatten(record)
                known = {k: v for k, v in record.items() if k not in self._fractions}
                self._step = step_key(known)
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
            flat = [flatten(record) for record in records]
            numbered = [parse_step(record.get(self._step)) for record in flat]
            if None in numbered and self._is_fraction(flat, numbered):
                self._again = True
                return
            records, steps = flat, [step for step in numbered if step is not None]
            if len(steps) < len(numbered):
                good = [step is not None for step in numbered]
                records, phases = [*compress(flat, good)], [*compress(phases, good)]
                self._damaged += len(numbered) - len(records)
            if not self._place(steps, records, phases):
                return
        if records:
            times = (
                np.full(len(records), np.nan)
                if self._time is None
                else times_of([record.get(self._time) for record in records])
            )
            skip = {key for key in (self._step, self._time) if key}
            where = np.array(steps, np.int64)
            metrics = columns(records, where, times, skip, number_or_text)
            self._collected.add(metrics)
            self._learn(records, metrics)

    def _learn(self, records: list[Record], metrics: list[Column]) -> None:
        """Decode the next lines faster if records have a step and numbers alone."""
        names = {name for name, *_ in metrics}
        known = names | {key for key in (self._step, self._time) if key}
        if self._step is None or "epoch" in known or not known.issuperset(records[0]):
            return
        keys = {"step": self._step, "time": self._time or "time"}
        if self._shapes is None or self._shapes.keys != keys:
            self._shapes = Shapes(**keys)
        self._shapes.learn(metrics)

    def _is_fraction(self, records: list[Record], steps: Sequence[int | None]) -> bool:
        """Whether the epoch of a record is not whole, as 0.25; its name is remembered."""
        assert self._step is not None
        if "epoch" not in self._step.lower():
            return False
        values = (number(r.get(self._step)) for r, step in zip(records, steps, strict=True)
                  if step is None)  # fmt: skip
        if any(value is not None and 0 <= value < _BEYOND for value in values):
            self._fractions.add(self._step)
            return True
        return False

    def _place(self, steps: list[int], records: list[Record], phases: Sequence[str]) -> bool:
        """Makes steps that begin again in each epoch steps of the run, in place. False if it was
        found only now that they do: then the file is read again."""
        epochs = self._epochs
        if self._step == "epoch" or not records or "epoch" not in records[0]:
            return True

        def epoch_of(index: int) -> object:
            return records[index].get("epoch")

        if not epochs.begin_again and epochs.find(steps, epoch_of, phases):
            self._again = True
            return False
        if epochs.begin_again:
            steps[:] = epochs.place(steps, epoch_of, phases)
        return True
