"""Compute a step of a run again: `python -m genui.engine.recompute RUN_FOLDER STEP`.

It begins with the nearest earlier state that the run keeps and trains from there as the run did: in
its precision, with its threads, its parts of a batch and its changes of the learning rate. It
prints the lines of `genui.runs.recomputed`, changes nothing in the run's folder, and ends when
nobody reads them any more.
"""

import argparse
import contextlib
import dataclasses
import math
import os
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import SupportsFloat

import msgspec
import numpy as np
import torch

from genui.base.errors import GenuiError
from genui.engine import device
from genui.engine.data.preparation import Preparation
from genui.engine.kinds import build_task
from genui.engine.train.checkpoint import has_other_data, newest_metadata
from genui.engine.train.loop import Trainer
from genui.engine.train.task import MeasuresAgain, ShowsExamples, Task, measure_examples
from genui.engine.train.world import AgreedError
from genui.logs.native import read_series
from genui.recipes import recipe_from_dict
from genui.runs import control
from genui.runs.layout import RunDir, RunInfo, read_info
from genui.runs.ranks import QuietWriter
from genui.runs.recomputed import COMPARED, Example, Progress, Recomputed, judge, plan_replay

PROGRESS_EVERY = 0.3
"""Seconds between two lines."""

NORM_STEPS = 24
"""The steps whose norms by layer are measured: the last ones."""

BY_RATE = frozenset({"lr", "rate", "step_seconds"})
"""What a step logs besides its losses."""


class _Noting(QuietWriter):
    """Keeps what the newest step would have logged."""

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}

    def log(self, step: int, **values: SupportsFloat) -> None:
        if not any(name.startswith("joules") for name in values):
            self.metrics = {name: float(value) for name, value in values.items()}


class _Lines:
    """Prints the progress."""

    def __init__(self, steps: int) -> None:
        self._steps, self._due, self._begun = steps, 0.0, math.nan

    def prepare(self, line: str) -> None:
        _print(Progress(0, self._steps, -1.0, line))

    def show(self, done: int) -> None:
        now = time.monotonic()
        if done == 0:
            self._begun = now
        if now >= self._due:
            self._due = now + PROGRESS_EVERY
            left = (now - self._begun) / done * (self._steps - done) if done else -1.0
            _print(Progress(done, self._steps, left))


def recompute(run: RunDir, step: int, weights_alone: bool = False) -> Recomputed:
    """Compute a step again and measure its examples; with `weights_alone` measure them with the
    nearest earlier weights that are kept, without training.

    Raises MisuseError or GenuiError if that is not possible, with the reason.
    """
    begun = time.monotonic()
    plan, info = plan_replay(run, step), read_info(run)
    lines = _Lines(plan.steps)
    machine = _recorded_machine(run, info)
    torch.set_num_threads(machine.threads)
    recipe = dataclasses.replace(recipe_from_dict(info.recipe), precision=machine.precision)
    described = newest_metadata(run)
    place = torch.device(machine.device)
    task = build_task(recipe, place, described, Preparation(lines.prepare))
    # One process computes the parts of all, and needs no average of the weights.
    parts = recipe.micro_batches * int(info.machine.get("processes", 1))
    whole = dataclasses.replace(recipe, micro_batches=parts, ema=0.0)
    noting = _Noting()
    trainer = Trainer(run, noting, whole, task, machine, info.start_from)
    trainer.restore(plan.began)
    rates = dict(control.learning_rates(run))
    norms: dict[int, Mapping[str, float]] = {}
    examples: tuple[Example, ...] = ()
    if weights_alone:
        lines.show(0)
        examples = measure_step(task, machine, step - 1)
    else:
        with contextlib.suppress(AgreedError):  # the loss is not finite, as it was then
            for at in range(plan.began, step):
                lines.show(at - plan.began)
                if at == step - 1:
                    examples = measure_step(task, machine, at)
                if at == max(plan.began, step - NORM_STEPS):
                    trainer.give_norms(norms.__setitem__)
                _train_step(trainer, at, rates)
    metrics = {
        name: value if math.isfinite(value) else None
        for name, value in noting.metrics.items()
        if name not in BY_RATE
    }
    return Recomputed(
        run=run.id,
        step=step,
        began=plan.began,
        replayed=0 if weights_alone else plan.steps,
        seconds=time.monotonic() - begun,
        learning_rate=noting.metrics.get("lr"),
        metrics=metrics,
        logged=_read_logged(run, step),
        examples=examples,
        norms=norms,
        skip=getattr(recipe, "skip", ""),
        notes=_notes(task, info, described),
    )


def _train_step(trainer: Trainer, at: int, rates: dict[int, float]) -> None:
    if at in rates:
        trainer.set_learning_rate(rates[at])
    trainer.train_step()


def _recorded_machine(run: RunDir, info: RunInfo) -> device.Machine:
    """Raises GenuiError if the run was trained on a device that is not here."""
    known = info.machine
    if not known:
        raise GenuiError(f"run {run.id}: it has not chosen a device yet; wait for its first step")
    kind = str(known["device"])
    if (kind == "cuda" and not torch.cuda.is_available()) or (
        kind == "mps" and not torch.backends.mps.is_available()
    ):
        raise GenuiError(f"run {run.id} was trained on {kind}, which is not here: ask there")
    return device.Machine(kind, str(known["precision"]), int(known["threads"]))


@torch.no_grad()
def measure_step(task: Task, machine: device.Machine, at: int) -> tuple[Example, ...]:
    """The examples of a step, compared with those of the steps after it."""
    if not isinstance(task, ShowsExamples):
        return ()
    task.model.eval()
    with device.autocast(machine):
        examples = task.examples(at)
        count = len(examples)
        measures, *others = (
            measure_examples(task, at + number, count)
            for number in range(1 + math.ceil(COMPARED / count))
        )
        joined = {name: np.concatenate([each[name] for each in others]) for name in measures}
        if not isinstance(task, MeasuresAgain):
            return judge(examples, measures, joined)
        return judge(examples, measures, joined, partial(task.measure_again, at))


def _read_logged(run: RunDir, step: int) -> dict[str, float]:
    """The losses and gradient norms that the run logged at a step."""
    logged = {}
    for name, series in read_series(run).items():
        if name.endswith(("loss", "grad_norm")) and not name.startswith(("val", "seen")):
            steps, values = series.steps, series.values
            place = int(np.searchsorted(steps, step))
            if place < len(steps) and steps[place] == step:
                logged[name] = float(values[place])
    return logged


def _notes(task: Task, info: RunInfo, described: dict | None) -> tuple[str, ...]:
    """What limits the result, a line each."""
    notes = []
    if not isinstance(task, ShowsExamples):
        notes.append(f"{info.recipe.get('family')}: its examples cannot be shown one by one")
    if has_other_data(described or {}, task.extra):
        notes.append("the training data have changed since: these are other examples")
    old, new = info.versions.get("torch", ""), str(torch.__version__)
    if old and old.partition("+")[0] != new.partition("+")[0]:
        notes.append(f"trained with torch {old}, computed again with {new}: bits may differ")
    return tuple(notes)


def _print(line: Progress | Recomputed) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m genui.engine.recompute")
    parser.add_argument("run", metavar="RUN_FOLDER", type=Path)
    parser.add_argument("step", metavar="STEP", type=int)
    parser.add_argument("--weights-alone", action="store_true")
    args = parser.parse_args()
    try:
        _print(recompute(RunDir(args.run), args.step, args.weights_alone))
    except GenuiError as error:
        print(f"genui: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
