"""Trainings that take no time: each look of a sweep's coordinator at its trials is a tick, in which
every training logs one evaluation and obeys its control folder, as a trainer does."""

import contextlib
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import pytest

from genui.base import paths
from genui.runs import control, launch
from genui.runs.coordinator import Coordinator
from genui.runs.layout import RunDir, RunLock, read_info, read_status, write_status
from genui.runs.sweep import SweepReader, SweepState

EVERY = 10
"""Steps between two evaluations."""

Curve = Callable[[Mapping[str, Any]], Sequence[float]]


class World:
    """The trainings that are alive, and how their metric goes on."""

    def __init__(self, curve: Curve) -> None:
        """`curve` returns the values of a recipe's training, one for each tick; after a NaN it has
        failed, as a real one does."""
        self.curve = curve
        self.metric = "val_loss"
        self.started: list[str] = []  # the names of runs, at each start or resumption
        self.most = 0  # trainings at once
        self.at_tick: Callable[[int], None] = lambda tick: None
        self.coordinator = -1  # the descriptor that one holds
        self._ticks = 0
        self._live: dict[RunDir, int] = {}  # the descriptors that hold their locks

    def detach(self, run: RunDir, command: Sequence[str], lock: RunLock) -> None:
        """Stands in for `launch.detach`, of a trainer or of a coordinator."""
        if run.path.parent == paths.sweeps_dir():
            self.coordinator = os.dup(lock.fd)
            return
        self._live[run] = os.dup(lock.fd)
        self.started.append(read_info(run).name)
        self.most = max(self.most, len(self._live))
        self._set(run, state="running")

    def carry_out(self, folder: RunDir) -> SweepState:
        """Be the coordinator of a sweep until it ends; return what became of it."""
        if self.coordinator >= 0:  # of one that was started
            os.close(self.coordinator)
            self.coordinator = -1
        with RunLock(folder), contextlib.redirect_stdout(io.StringIO()):
            Coordinator(folder, self.tick).run()
        return SweepReader(folder).read()

    def tick(self, _: float = 0) -> None:
        """Let every training go on; stands in for the sleep of the coordinator."""
        self._ticks += 1
        self.at_tick(self._ticks)
        for run in list(self._live):
            self._train(run)

    def _train(self, run: RunDir) -> None:
        if not run.path.is_dir():
            os.close(self._live.pop(run))
            return
        if any(one.command == "stop" for one in control.poll(run)):
            self.end(run, "stopped")
            return
        values = self.curve(read_info(run).recipe)
        step = read_status(run).step
        value = values[step // EVERY]
        with run.metrics.open("a") as file:
            shown = "NaN" if value != value else value
            record = {"step": step + EVERY, "time": 1.0, "loss": 1.0, self.metric: shown}
            file.write(json.dumps(record) + "\n")
        self._set(run, step=step + EVERY)
        if value != value:
            self.end(run, "failed", error="the loss became nan")
        elif step // EVERY + 1 == len(values):
            self.end(run, "finished")

    def end(self, run: RunDir, state: str = "", **fields: Any) -> None:
        """End a training with a state; without one as if it were killed."""
        if state:
            self._set(run, state=state, **fields)
        os.close(self._live.pop(run))

    @property
    def live(self) -> dict[str, RunDir]:
        """The runs that are training, by name."""
        return {read_info(run).name: run for run in self._live}

    def _set(self, run: RunDir, **fields: Any) -> None:
        write_status(run, msgspec.structs.replace(read_status(run), **fields))


def install(monkeypatch: pytest.MonkeyPatch, curve: Curve) -> World:
    world = World(curve)
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    monkeypatch.setattr(launch, "detach", world.detach)
    return world
