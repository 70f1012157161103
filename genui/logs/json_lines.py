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
    STEP_KEYS,
    Record,
    decode_lines,
    decode_record,
    flatten,
    is_epoch,
    name_value,
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

    An epoch has as many steps as the last that was logged in it, and one more if they begin with 0:
    a few less than it really has if not every step is logged.
    """

    def __init__(self) -> None:
        self.begin_again = False  # whether the steps of this log do
        self.forget()

    def forget(self) -> None:
        """Begins with the first record."""
        self._epoch: int | None = None
        self._last = -1
        self._from_zero = False  # the steps of this epoch
        self._before = 0  # steps of the epochs before this one

    def find(
        self, steps: Sequence[int], epochs: Callable[[int], object], held_out: Sequence[bool]
    ) -> bool:
        """Whether a step of training is no larger than the last, in a later epoch. `epochs`
        returns the epoch of a record, `held_out` says which records are of an evaluation."""
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
        self, steps: Sequence[int], epochs: Callable[[int], object], held_out: Sequence[bool]
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
                    self._before += max(self._last, 0) + self._from_zero
                    self._last, self._from_zero = -1, False
                self._epoch = epoch
            self._from_zero = self._from_zero or step == 0
            self._last = max(step, self._last)
            placed.append(self._before + step)
        return placed


class StepsReader(LineReader):
    """Base of the readers of records that say their step: JSON lines and rows of a table.

    The step is the first of STEP_KEYS that a record has, or the number of the record in a file
    without one; a later record that lacks it, as one of an epoch, belongs to the step before it. A
    fraction of an epoch is no step: then the records are counted.
    """

    _number = staticmethod(number_or_text)  # the number in a cell; None if there is none

    def __init__(self, path: Path) -> None:
        self._no_steps: set[str] = set()  # names that were taken for the step and are none
        self._epochs = EpochSteps()
        super().__init__(path)

    def forget(self) -> None:
        super().forget()
        self._count = 0  # records so far
        self._step: str | None = None
        self._last = 0  # step
        self._numbered = 0  # records with a step
        self._time: str | None = None
        self._epochs.forget()

    def _find_step(self, record: Mapping[str, Any]) -> str | None:
        """The name of the step in a record."""
        return step_key({k: v for k, v in record.items() if k not in self._no_steps})

    def _is_no_step(self, records: Sequence[Record], steps: Sequence[int | None]) -> bool:
        """Whether the name of the step is none: a part of an epoch, as 0.25, or a setting that only
        the first record has. Then it is remembered, and the file is read again."""
        assert self._step is not None
        name = self._step.lower()
        others = [record for record, step in zip(records, steps, strict=True) if step is None]
        surer = STEP_KEYS[: STEP_KEYS.index(name)]
        if ("epoch" in name and any(is_epoch(record.get(self._step)) for record in others)) or (
            self._numbered + len(steps) - len(others) == 1
            and any((self._find_step(record) or "").lower() in surer for record in others)
        ):
            self._no_steps.add(self._step)
            self.again = True
        return self.again

    def _fill(self, cells: Sequence[object], steps: Sequence[int | None]) -> list[int | None]:
        """The steps, that before it for a record without one."""
        filled: list[int | None] = []
        for cell, step in zip(cells, steps, strict=True):
            if step is not None:
                self._last, self._numbered = step, self._numbered + 1
            filled.append(self._last if cell is None else step)
        return filled

    def _place(
        self, steps: list[int], epoch_of: Callable[[int], object], held_out: Sequence[bool]
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
                    self._no_steps.add("epoch")
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
            if None in numbered and self._is_no_step(records, numbered):
                return
            numbered = self._fill(cells, numbered)
            held_out = [cell is None or bool(one) for cell, one in zip(cells, phases, strict=True)]
            if None in numbered:
                good = [step is not None for step in numbered]
                records, held_out = [*compress(records, good)], [*compress(held_out, good)]
                self.damaged += len(good) - len(records)
            steps = [step for step in numbered if step is not None]
            names = records[0] if records else ()
            epoch = next((name for name in names if name.lower() == "epoch"), self._step)
            if epoch != self._step:
                steps = self._place(steps, lambda at: _epoch_in(records[at].get(epoch)), held_out)
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

    def _add(self, records: list[Record]) -> None:
        super()._add([*map(name_value, records)])
