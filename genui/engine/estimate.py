"""The time of a training on this machine, measured with a few of its own steps."""

import dataclasses
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, cast

import msgspec

from genui.base.errors import GenuiError
from genui.base.late import late_imports
from genui.engine.data.preparation import QUIET, Preparation
from genui.engine.data.tables import dataset_named
from genui.engine.kinds import build_task, prepares
from genui.recipes import Recipe, Size, override
from genui.runs.layout import RunDir
from genui.runs.plan import Load, Plan, Speed, counted_start, fit, plan_of, read_speed, write_speed
from genui.runs.ranks import QuietWriter
from genui.runs.system import measure_share, own_share

with late_imports():
    from genui.engine import device
    from genui.engine.train import loop

if TYPE_CHECKING:
    from genui.engine.device import Machine
    from genui.engine.train.loop import Trainer
    from genui.engine.train.task import Task

MAX_STEPS = 20  # that are measured
ENOUGH_S = 2.0  # seconds of measured steps
MAX_S = 6.0  # seconds to wait for them on a busy machine
MEASURE_S = 8.0  # processor seconds of a whole measurement, about


def missing_bytes(recipe: Recipe) -> int:
    """The number of bytes that must be downloaded before a recipe can train.

    Raises GenuiError, one line, if the data cannot be had: no network, no font.
    """
    row = None if recipe.data else dataset_named(recipe.dataset)
    return row.missing_bytes() if row is not None else 0


def estimate(recipe: Recipe) -> Iterator[Plan]:
    """The plan of a recipe, more exact each time: first from known facts, then from measurements.

    A recipe that cannot start gives one plan, with a fault.
    """
    begin = time.perf_counter()
    try:
        download = missing_bytes(recipe)
    except GenuiError as error:
        yield Plan(fault=str(error))
        return
    if plan := prepares(recipe).plan:
        yield plan(recipe)
        return
    speed = read_speed(recipe)
    if speed is not None and speed.sample < 0:
        speed = None  # only its steps were measured, to choose a size
    known = {"download": download, "measuring": speed is None}
    yield plan_of(recipe, speed, left=time_left(), **known)
    load = measure_load()
    yield plan_of(recipe, speed, load, left=time_left(), **known)
    if speed is not None:
        return
    try:
        yield from _measured(recipe, begin, download, load)
    except GenuiError as error:
        yield Plan(download=download, fault=str(error))


def fit_budget(
    base: Recipe, given: Mapping[str, str], minutes: float, keep_size: bool = False
) -> Iterator[Plan]:
    """The plan that makes the most of `minutes` on this machine, more exact each time; the last one
    has the settings that were chosen. A budget that cannot be met gives one plan, with a fault.

    The settings `given` are kept. The largest of the recipe's `sizes` is chosen whose measured
    speed allows at least `Size.least` steps; with `keep_size`, the recipe's own size.
    """
    begin, download = time.perf_counter(), 0
    try:
        recipe = override(base, given)
        download = missing_bytes(recipe)
        sizes = () if keep_size else recipe.sizes
        yield Plan(measuring=True, left=time_left(len(sizes)))
        load = measure_load()
        preparation = _preparation(recipe, download)
        for plan in _fitted(base, given, 60 * minutes, sizes, begin, load, preparation):
            yield msgspec.structs.replace(plan, download=download)
    except GenuiError as error:
        yield Plan(download=download, fault=str(error))


def _fitted(
    base: Recipe,
    given: Mapping[str, str],
    seconds: float,
    sizes: Sequence[Size],
    begin: float,
    load: Load,
    preparation: Preparation,
) -> Iterator[Plan]:
    # Any number of `steps` will do: the stages of a training are fractions of it.
    options = [{"steps": "1000", **size.settings, **given} for size in sizes] or [dict(given)]
    least = [size.least for size in sizes] or [0]
    best: tuple[dict[str, str], Recipe, Iterator[Speed]] | None = None
    start, speed = 0.0, Speed(start=0, step=0)
    for settings, enough in zip(options, least, strict=True):
        recipe = override(base, settings)
        speeds = _thorough(recipe, begin, start, preparation)
        first = next(speeds)
        if not first.thorough:
            write_speed(recipe, first)
        now = first.slowed(load)
        if best is not None and (seconds - counted_start(seconds, now.start)) / now.step < enough:
            break
        best, speed, start = (settings, recipe, speeds), first, first.start
        yield Plan(measuring=True, memory=speed.memory, left=time_left(len(sizes)))
    assert best is not None
    settings, recipe, speeds = best
    for speed in speeds:
        yield Plan(measuring=True, memory=speed.memory, left=time_left(len(sizes)))
    write_speed(recipe, speed)
    chosen = {key: value for key, value in settings.items() if key not in given and key != "steps"}
    chosen |= fit(recipe, speed.slowed(load), seconds, given)
    if sizes and speed.epoch:
        more = recipe.settings_for(int(chosen["steps"]) / speed.epoch)
        chosen |= {key: value for key, value in more.items() if key not in given}
    plan = plan_of(override(base, {**given, **chosen}), speed, load)
    yield msgspec.structs.replace(plan, settings=chosen)


def _thorough(
    recipe: Recipe, begin: float, start: float, preparation: Preparation
) -> Iterator[Speed]:
    """The speed of a recipe: the stored one, if all of it was measured, else one that is measured
    now. `start` is the time to the first step, if it was measured with another size."""
    kept = read_speed(recipe)
    if kept is not None:
        yield kept
        if kept.thorough:
            return
    for speed in measure(recipe, begin, preparation, thorough=True):
        yield msgspec.structs.replace(speed, start=start or speed.start)


def _preparation(recipe: Recipe, download: int) -> Preparation:
    """Data are random or sampled if the recipe's must be downloaded or do not fit into memory."""
    return Preparation(is_trial=bool(download) or _is_large(recipe))


def _is_large(recipe: Recipe) -> bool:
    """Whether the data of a recipe do not fit into memory, so that a sample of them is measured."""
    is_large = prepares(recipe).is_large
    return is_large is not None and bool(recipe.data) and is_large(recipe.data)


def _measured(recipe: Recipe, begin: float, download: int, load: Load) -> Iterator[Plan]:
    """Plans as the steps, an evaluation and a sample are measured; the last speed is stored."""
    for speed in measure(recipe, begin, _preparation(recipe, download)):
        measuring = speed.sample < 0
        if not measuring:
            write_speed(recipe, speed)
        yield plan_of(recipe, speed, load, download=download, measuring=measuring, left=time_left())


def measure_load() -> Load:
    """The present load of the machine. A training starts at the share of a core that this process
    got so far."""
    return Load(1 / own_share(), 1 / measure_share())


def time_left(sizes: int = 0) -> float:
    """About how many seconds this process takes until it has measured a training, or the steps of
    several sizes, at the share of the processor that it got so far."""
    needed = MEASURE_S + sizes * ENOUGH_S - time.process_time()
    return max(1.0, needed) / own_share()


def measure(
    recipe: Recipe, begin: float, preparation: Preparation = QUIET, thorough: bool = False
) -> Iterator[Speed]:
    """The speed of a training, as more of it is measured: with `thorough` also an evaluation of all
    held-out data and a checkpoint. `begin` is when the process began, by `time.perf_counter`.
    """
    with TemporaryDirectory() as folder:
        yield from _measure(recipe, begin, thorough, RunDir(Path(folder)), preparation)


def _measure(
    recipe: Recipe, begin: float, thorough: bool, run: RunDir, preparation: Preparation
) -> Iterator[Speed]:
    """`measure`, with a folder for the checkpoint."""
    trainer, task, machine = trial_trainer(recipe, run, preparation)
    clock = time.perf_counter
    # While one thread waits for a busy processor, its processor time stands still.
    is_one_thread = (machine.device, machine.threads) == ("cpu", 1)
    timer = time.process_time if is_one_thread else unhindered_time
    start = timer() if is_one_thread else timer() - begin

    def measure_seconds(part: Callable[[], object]) -> float:
        first = timer()
        part()
        return timer() - first

    def train_steps() -> None:
        for _ in range(recipe.muon_every):  # one of them computes Muon's update
            trainer.train_step()

    paces = recipe.paces
    step, count = 0.0, 0
    for pace in paces:
        trainer.go_to(pace.first)
        first = measure_seconds(train_steps)  # also allocates memory
        begin = clock()
        times = [first] if first >= 2 * ENOUGH_S / len(paces) else []
        while (
            sum(times) < ENOUGH_S / len(paces)
            and clock() - begin < MAX_S / len(paces)
            and len(times) < MAX_STEPS
        ):
            times.append(measure_seconds(train_steps))
        step += pace.share * sorted(times)[len(times) // 2] / recipe.muon_every
        count += len(times) * recipe.muon_every
    speed = Speed(
        start=start,
        step=step,
        steps=count,
        state=trainer.state_bytes,
        gpu=machine.device != "cpu",
        epoch=task.units_per_epoch / task.units_per_step,
    )
    parts: dict[str, Callable[[], object]] = {
        "evaluation": trainer.evaluate,
        "sample": trainer.sample,
    }
    if thorough:
        parts["whole"] = lambda: trainer.evaluate(whole=True)
        parts["checkpoint"] = trainer.write_checkpoint
    yield msgspec.structs.replace(speed, memory=peak_memory(), time=time.time())
    for name, part in parts.items():
        speed = msgspec.structs.replace(speed, **{name: measure_seconds(part)})
        yield msgspec.structs.replace(speed, memory=peak_memory(), time=time.time())


def unhindered_time() -> float:
    """Seconds of a clock that stands still while this process's main thread waits for a core that
    another process has (proc_pid_schedstat(5); where that is unknown, it never does)."""
    waited = 0
    with suppress(OSError, ValueError, IndexError):
        waited = int(Path("/proc/self/schedstat").read_text().split()[1])
    return time.perf_counter() - waited / 1e9


def trial_trainer(
    recipe: Recipe, run: RunDir | None = None, preparation: Preparation = QUIET
) -> tuple["Trainer", "Task", "Machine"]:
    """A trainer at the first step of the recipe, to be measured: it writes nothing, except
    checkpoints if `run` is given."""
    import torch  # late: a plan that needs no measurement does not wait for torch

    machine = device.choose(recipe.device, recipe.precision, recipe.threads, recipe.widest)
    recipe = dataclasses.replace(recipe, precision=machine.precision)
    task = build_task(recipe, torch.device(machine.device), None, preparation)
    trainer = loop.Trainer(cast("RunDir", run), QuietWriter(), recipe, task, machine, {})
    return trainer, task, machine


def peak_memory() -> int:
    """The peak resident memory of this process in bytes. Linux reports kilobytes, macOS bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
