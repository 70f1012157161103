"""What a training costs: its energy over all starts and ranks, and that of the samples it draws."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial, reduce
from typing import Any

import msgspec

from genui.base.energy import Energy
from genui.engine.train.task import Sample
from genui.runs.energy import EnergyMeter
from genui.runs.ranks import QuietWriter
from genui.runs.writer import RunWriter

EVERY = 1.0
"""Seconds between two readings."""


class Cost:
    """Writes what a run has cost into its status and its metrics."""

    def __init__(self, writer: RunWriter | QuietWriter, meter: EnergyMeter | None = None) -> None:
        self._writer, self._meter = writer, meter or EnergyMeter()
        self._read_at = 0.0  # by the monotonic clock
        self._own = self._others = Energy()  # of this rank, and of the others
        self.earlier = Energy()  # of earlier starts of the run
        self._samples, self._sample_joules = 0, 0.0

    @property
    def own(self) -> dict[str, Any]:
        """The energy of this rank since it was started, for `take_others`."""
        return msgspec.to_builtins(self._own)

    def take_others(self, spent: Iterable[dict[str, Any]]) -> None:
        """Take the `own` of the other ranks; that of this one is empty."""
        energies = (msgspec.convert(each, Energy) for each in spent)
        self._others = reduce(partial(Energy.plus, at_once=True), energies)

    def read_if_due(self, step: int) -> None:
        """Read again what the run has cost, if that was EVERY seconds ago."""
        if time.monotonic() - self._read_at >= EVERY:
            self.read(step)

    def read(self, step: int) -> Energy:
        """Read what the run has cost so far; put it into its status, and log it by a name that says
        whether it is an estimate."""
        self._read_at = time.monotonic()
        self._own = self._own.plus(self._meter.take())
        total = self.earlier.plus(self._own.plus(self._others, at_once=True))
        self._writer.update(energy=total)
        name = "joules_estimate" if total.is_estimate else "joules"
        self._writer.log(step, **{name: total.joules})
        return total

    @contextmanager
    def sampling(self, step: int) -> Iterator[list[Sample]]:
        """Measure a block that draws samples; it adds them to the list that it is given."""
        before = self.read(step).joules
        samples: list[Sample] = []
        yield samples
        self._samples += max((sample.count for sample in samples), default=0)
        self._sample_joules += self.read(step).joules - before
        self._writer.update(samples=self._samples, sample_joules=self._sample_joules)
