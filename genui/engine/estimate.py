"""How long a training takes on this machine, measured with a few of its own steps."""

import dataclasses
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, cast

import psutil

from genui.base import paths
from genui.base.errors import GenuiError
from genui.base.numbers import size
from genui.engine.data.conversations import load_rows
from genui.engine.data.dataset import dataset_named, use_stand_ins
from genui.engine.data.documents import find_source
from genui.engine.data.text import is_large
from genui.protocol.registry import KINDS, resolve
from genui.recipes import FineTuneRecipe, Recipe, TextRecipe
from genui.runs.layout import KEEP_STATES, KEEP_WEIGHTS
from genui.runs.models import find_model
from genui.runs.plan import Plan, Speed, plan_of, read_speed, write_speed
from genui.runs.ranks import QuietWriter

if TYPE_CHECKING:
    from genui.engine.device import Machine
    from genui.engine.train.loop import Trainer
    from genui.engine.train.task import Task
    from genui.runs.layout import RunDir

MAX_STEPS = 20
ENOUGH_S = 2.0  # of measured steps
MAX_S = 6.0  # of waiting for them, on a busy machine


def missing_bytes(recipe: Recipe) -> int:
    """How many bytes of a recipe's data must be downloaded before it can train.

    Raises GenuiError, one line, if the data cannot be had: no network, no font.
    """
    row = None if recipe.data else dataset_named(recipe.dataset)
    return row.missing_bytes() if row is not None else 0


def estimate(recipe: Recipe) -> Iterator[Plan]:
    """The plan of a recipe, better each time: first what is known at once, then as it is measured.

    A recipe that cannot start gives one plan, with a fault.
    """
    begin = time.perf_counter()
    try:
        download = missing_bytes(recipe)
    except GenuiError as error:
        yield Plan(fault=str(error))
        return
    if name := KINDS[recipe.family, recipe.medium].plan:
        yield resolve(name)(recipe)
        return
    speed = read_speed(recipe)
    yield plan_of(recipe, speed, download, measuring=speed is None)
    if speed is not None:
        return
    try:
        with use_stand_ins() if download or _is_large(recipe) else nullcontext():
            yield from _measured(recipe, begin, download)
    except GenuiError as error:
        yield Plan(download=download, fault=str(error))


def _is_large(recipe: Recipe) -> bool:
    """Whether its data do not fit into memory: a sample of them is measured."""
    is_text = isinstance(recipe, TextRecipe) and recipe.data
    return bool(is_text and is_large(find_source(Path(recipe.data).expanduser())))


def _measured(recipe: Recipe, begin: float, download: int) -> Iterator[Plan]:
    """Plans as the steps, an evaluation and a sample are measured; the last one is kept."""
    for speed in measure(recipe, begin):
        measuring = speed.sample < 0
        if not measuring:
            write_speed(recipe, speed)
        yield plan_of(recipe, speed, download, measuring)


def measure(recipe: Recipe, begin: float) -> Iterator[Speed]:
    """The speed of a training, as more of it is measured. `begin` is on the performance counter:
    when the process began."""
    trainer, _, machine = trial_trainer(recipe)
    # A thread waits for the processor while others have it, and its processor time stands still.
    clock = time.perf_counter
    alone = time.process_time if (machine.device, machine.threads) == ("cpu", 1) else clock
    start = time.process_time() if alone is time.process_time else clock() - begin

    def timed(part: Callable[[], object]) -> float:
        first = alone()
        part()
        return alone() - first

    first = timed(trainer.train_step)  # it also allocates
    begin = clock()
    times = [first] if first > 2 * ENOUGH_S else []
    while sum(times) < ENOUGH_S and clock() - begin < MAX_S and len(times) < MAX_STEPS:
        times.append(timed(trainer.train_step))
    step = sorted(times)[len(times) // 2]
    busy = max(1.0, (clock() - begin) / sum(times)) if first not in times else 1.0
    evaluation = sample = -1.0
    for stage in range(3):
        if stage == 1:
            evaluation = timed(trainer.evaluate)
        if stage == 2:
            sample = timed(trainer.sample)
        yield Speed(
            start=start,
            step=step,
            evaluation=evaluation,
            sample=sample,
            memory=peak_memory(),
            steps=len(times),
            busy=busy,
            time=time.time(),
        )


def trial_trainer(recipe: Recipe) -> tuple["Trainer", "Task", "Machine"]:
    """A trainer of the recipe from its first step on, which makes no run."""
    import torch  # late: what needs no measurement does not wait for torch

    from genui.engine import device
    from genui.engine.kinds import build_task
    from genui.engine.train.loop import Trainer

    machine = device.choose(recipe.device, recipe.precision, recipe.threads, recipe.widest)
    recipe = dataclasses.replace(recipe, precision=machine.precision)
    task = build_task(recipe, torch.device(machine.device), None)
    trainer = Trainer(cast("RunDir", None), QuietWriter(), recipe, task, machine, {})
    return trainer, task, machine


PROCESS = 450 << 20
"""Bytes of a process with torch."""


def plan_fine_tuning(recipe: FineTuneRecipe) -> Plan:
    """The memory that fine-tuning takes, by the size of its base model; a fault if it is not free.

    Besides the weights, in training in full their gradients and AdamW's two moments: the
    activations, about 25 √(30 P / 12) numbers a token for P parameters in 30 layers. A token is
    taken to have 3 characters.
    """
    try:
        parameters = find_model(recipe.base).parameters
        longest = min(recipe.context, load_rows(recipe.dataset, recipe.data).longest() // 3)
    except GenuiError as error:
        return Plan(fault=str(error))
    full = recipe.mode == "full"
    half = recipe.precision == "bf16"
    weights = parameters * (16 if full else 2 if half else 4)
    activations = round(recipe.batch * longest * 100 * (30 * parameters / 12) ** 0.5)
    memory = PROCESS + weights + activations
    free = psutil.virtual_memory().available
    fault = ""
    if memory > free:
        remedies = [
            *(["--set mode=lora"] if full else []),
            *(["--set precision=bf16"] if not full and not half else []),
            f"--set batch={max(1, recipe.batch // 2)}",
            f"--set context={max(8, recipe.context // 2)}",
        ]
        fault = (
            f"training {recipe.base} so takes about {size(memory)} of memory and {size(free)} are "
            f"free; take less with {' or '.join(remedies)}, or close other programs"
        )
    written = _written(recipe, parameters) if full else 0
    free_disk = shutil.disk_usage(_existing(paths.data_dir())).free
    if not fault and written > free_disk:
        fault = (
            f"the checkpoints take about {size(written)} and {size(free_disk)} are free on the "
            f"disk; write fewer with --set checkpoint_every={recipe.steps}, or --set mode=lora"
        )
    return Plan(memory=memory, fault=fault)


def _written(recipe: FineTuneRecipe, parameters: int) -> int:
    """Bytes of the checkpoints of a training in full that are kept: weights, and of the newest the
    raw ones with AdamW's moments."""
    count = -(-recipe.steps // recipe.checkpoint_every)
    return parameters * 4 * (min(count, KEEP_WEIGHTS) + 3 * min(count, KEEP_STATES))


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return path if path.exists() else _existing(path.parent)


def peak_memory() -> int:
    """Bytes; the system gives kilobytes, macOS bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
