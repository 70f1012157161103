"""JSON lines: records as columns, and the reader."""

from collections.abc import Callable, Mapping, Sequence
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from genui.base.growing import LineFile
from genui.logs.base import LineReader
from genui.logs.records import (
    PHASE_KEYS,
    Record,
    decode_lines,
    decode_record,
    flatten,
    is_epoch,
    number_or_text,
    parse_step,
    split_phase,
    step_key,
    time_key,
)
from genui.logs.series_store import SeriesStore, columns, times_of

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
        """The steps of the run. Records of an evaluation belong to the end of its epoch so far."""
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

    def forget(self) -> None:
        super().forget()
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
        if "epoch" in self._step.lower() and any(map(is_epoch, others)):
            self._fractions.add(self._step)
            self.again = True
        return self.again

    def _place(
        self, steps: list[int], epoch_of: Callable[[int], object], held_out: Sequence[str]
    ) -> list[int]:
        """The steps of the run, if they begin again in each epoch; none if that was found only now,
        and the file is read again."""
        if not self._epochs.begin_again and self._epochs.find(steps, epoch_of, held_out):
            self.again = True
            return []
        return self._epochs.place(steps, epoch_of, held_out) if self._epochs.begin_again else steps

    def _add(self, records: list[Record]) -> None:
        if self._step is None:
            for index, record in enumerate(records):
                # Flat, so that a nested "step" is found too.
                record = records[index] = flatten(record)
                self._step = self._find_step(record)
                if self._step is not None:
                    self.damaged += self._count + index
                    self.store = SeriesStore()
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
                self.damaged += len(good) - len(records)
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
        self.store.add(columns(records, where, times, skip, self._number))


def _epoch_in(cell: object) -> int | None:
    """A whole number, or the text of one, as an epoch; None for anything else."""
    return parse_step(cell) if isinstance(cell, int | str) else None


# --- Files of JSON records, one a line ----------------------------------------------------------


class JsonlTail(StepsReader):
    """The numbers in a JSONL file. Records before the first with a step, and later ones without
    it, count as bad."""

    def add_lines(self, file: LineFile, lines: bytes) -> None:
        records, damaged = decode_lines(lines)
        self.damaged += damaged
        self._add(records)

    def add_rest(self, file: LineFile) -> bool:
        """Adds a last record without a newline: a part of a JSON object is never one."""
        record = decode_record(file.rest(settled=0))
        if record is None:
            return False
        file.take_rest()
        self._add([record])
        return True
