"""The process that trains one run: `python -m genui.engine.trainer RUN_FOLDER`.

It shares only the run's folder with other processes. `genui.runs.launch` starts it detached, so it
outlives the app, the terminal and the SSH session. Started with the variables that torchrun sets it
is one of several that train the run (`genui.engine.train.world`).
"""

import contextlib
import dataclasses
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import msgspec
import torch

import genui
from genui.base.errors import GenuiError
from genui.base.files import open_append
from genui.base.numbers import quantity
from genui.engine import device
from genui.engine.data.preparation import Preparation, PreparationStoppedError
from genui.engine.kinds import build_task
from genui.engine.load import check_weights
from genui.engine.train.checkpoint import newest_metadata
from genui.engine.train.loop import Trainer
from genui.engine.train.task import Task
from genui.engine.train.world import AgreedError, LostContactError, World, join_world
from genui.recipes import Recipe, recipe_from_dict
from genui.runs import control
from genui.runs.energy import EnergyMeter
from genui.runs.layout import RunDir, checkpoint_steps, read_info, write_info
from genui.runs.models import start_files
from genui.runs.processes import (
    LOST,
    WATCHED,
    clear_failures,
    describe_failure,
    rank_in_job,
    read_failures,
    write_failure,
)
from genui.runs.ranks import QuietWriter
from genui.runs.stack_signal import answer_requests
from genui.runs.system import TRAINER_NICE, give_way
from genui.runs.writer import RunWriter, one_line


def settle_machine(run: RunDir, recipe: Recipe, world: World | None = None) -> device.Machine:
    """The machine in run.json, or one that rank 0 chooses now and records there.

    A resumed run has the same threads and precision, since others would give other bits. For
    another number of processes the threads are chosen anew.
    """
    world = world or World()
    chosen = world.broadcast(lambda: _choose_machine(run, recipe, world).to_dict())
    machine = msgspec.convert(chosen, device.Machine)
    torch.set_num_threads(machine.threads)
    if world.size > 1 and world.rank == 0:
        info = read_info(run)
        recorded = {**machine.to_dict(), "processes": world.size, "hosts": world.hosts}
        if info.shard:
            recorded["shard"] = True
        write_info(run, msgspec.structs.replace(info, machine=recorded))
    return machine


def _choose_machine(run: RunDir, recipe: Recipe, world: World) -> device.Machine:
    info = read_info(run)
    recorded = info.machine
    same = world.size == recorded.get("processes", 1)
    if recorded and recorded.get("device") == device.choose_device(recipe.device) and same:
        return device.Machine(recorded["device"], recorded["precision"], int(recorded["threads"]))
    threads = recipe.threads or device.default_threads(world.local_size)
    machine = device.choose(recipe.device, recipe.precision, threads, recipe.widest)
    versions = {**info.versions, "torch": str(torch.__version__)}
    write_info(run, msgspec.structs.replace(info, machine=machine.to_dict(), versions=versions))
    return machine


def record_scale(run: RunDir, task: Task) -> None:
    """Record in run.json how many tokens or images a step and an epoch have, for the curves."""
    info = read_info(run)
    scale = {
        "unit": task.unit,
        "units_per_step": task.units_per_step,
        "units_per_epoch": task.units_per_epoch,
    }
    if info.scale != scale:
        write_info(run, msgspec.structs.replace(info, scale=scale))


def train(run: RunDir, world: World | None = None) -> int:
    """Train the run and return the exit code; status.json has the error."""
    world = world or World()
    if world.rank:
        return _train_beside(run, world)
    with RunWriter(run) as writer:
        try:
            with world.noticing():
                _train(run, writer, world)
        except PreparationStoppedError:
            control.clear(run)
            writer.write_line(
                f"stopped before its first step; genui resume {run.id} prepares the rest"
            )
            writer.update(state="stopped", doing="")
        except LostContactError as error:
            if WATCHED in os.environ:  # the launcher knows which process died, and why
                writer.write_line(str(error))
                _leave(LOST)
            time.sleep(REPORT_S)
            line = describe_failure(run, read_failures(run), world.hosts, str(error))
            return _failed(writer, line, error.exit_code)
        except GenuiError as error:
            return _failed(writer, str(error), error.exit_code)
        except Exception as error:
            writer.write_line(traceback.format_exc())
            return _failed(writer, f"{type(error).__name__}: {error} (see console.log)", 1)
    return 0


REPORT_S = 1.0
"""Seconds that rank 0 leaves the others to write why they end, if no launcher watches them."""


def _show_preparation(run: RunDir, writer: RunWriter | QuietWriter, line: str) -> None:
    """Show in the run's status how far its data are. Raises if the run is to stop."""
    writer.update(doing=line)
    if isinstance(writer, RunWriter) and control.is_waiting(run, "stop"):
        raise PreparationStoppedError


def train_in_job(make: Callable[[], RunDir] | None) -> int:
    """Train a run as one of the processes that torchrun has started, or alone; returns the exit
    code.

    Rank 0 makes the run; the others give None. Raises GenuiError if the processes do not find
    each other.
    """
    path = ""
    if make is not None:
        run = make()
        path = str(run.path)
        if WATCHED not in os.environ:
            clear_failures(run)
    world = join_world()
    code = train(RunDir(Path(world.broadcast(lambda: path))), world)
    if world.size > 1:
        _leave(code)
    return code


def _train_beside(run: RunDir, world: World) -> int:
    """Train the run, which rank 0 writes. An error is printed, and kept in the rank's status."""
    try:
        with world.noticing():
            _train(run, QuietWriter(), world)
    except (AgreedError, LostContactError) as error:
        print(error, file=sys.stderr)
        return LOST
    except Exception as error:
        if not isinstance(error, GenuiError):
            traceback.print_exc()
        line = one_line(error)
        print(f"genui: {line}", file=sys.stderr)
        write_failure(run, world.rank, f"failed: {line}")
        return error.exit_code if isinstance(error, GenuiError) else 1
    return 0


def _train(run: RunDir, writer: RunWriter | QuietWriter, world: World) -> None:
    answer_requests(run, world.rank)
    info = read_info(run)
    recipe = recipe_from_dict(info.recipe)
    if (start := start_files(run)[0]).exists() and not checkpoint_steps(run):
        check_weights(start, Path(info.start_from.get("path", start)))
    machine = settle_machine(run, recipe, world)
    place = torch.device(machine.device)
    if place.type == "cuda" and world.size > 1:
        place = torch.device("cuda", world.local_rank)
        torch.cuda.set_device(place)
    host = world.hosts[world.rank] if len(set(world.hosts)) > 1 else ""
    meter = EnergyMeter((world.local_rank,) if place.type == "cuda" else (), host)
    # The metadata keep the tokenizer, if the run resumes or starts from another model.
    preparation = Preparation(lambda line: _show_preparation(run, writer, line))
    settled = dataclasses.replace(recipe, precision=machine.precision)
    task = world.first_on_host(
        lambda: build_task(settled, place, newest_metadata(run), preparation)
    )
    _check_alike(world, task)
    if world.rank == 0:
        record_scale(run, task)
    parameters = sum(p.numel() for p in task.model.parameters())
    for line in (task.data_line, *task.notes):
        writer.write_line(line)
    threads = quantity(machine.threads, "thread")
    several = f"{world.size} processes, each with " if world.size > 1 else ""
    shard = world.size > 1 and world.broadcast(lambda: info.shard)
    shared = " and a share of the weights" if shard else ""
    writer.write_line(
        f"{parameters:,} parameters, {machine.device} {machine.precision}, "
        f"{several}{threads}{shared}, pid {os.getpid()}"
    )
    unit = f"{task.unit}/s"
    writer.update(state="running", doing="", steps=recipe.steps, unit=unit)
    Trainer(run, writer, recipe, task, machine, info.start_from, world, shard, meter).train()
    world.close()


def _check_alike(world: World, task: Task) -> None:
    """Raise AgreedError if the ranks do not have the same data, or the same genui and torch."""
    if world.size == 1:
        return
    versions = f"genui {genui.__version__} with torch {torch.__version__}"
    own = versions, f"the data {task.extra.get('fingerprint', '')}"
    for rank, values in enumerate(everyone := world.all_gather(own)):
        for expected, other in zip(everyone[0], values, strict=True):
            if expected != other:
                raise AgreedError(f"rank {rank} has {other}, rank 0 {expected}: make them the same")


def _failed(writer: RunWriter, line: str, code: int) -> int:
    with contextlib.suppress(GenuiError):  # a full disk must not hide the error
        writer.write_line(f"failed: {line}")
        writer.update(state="failed", doing="", error=line)
    print(f"genui: {line}", file=sys.stderr)
    return code


def _end_with(launcher: int) -> NoReturn:
    """End this process when its launcher has ended."""
    while os.getppid() == launcher:
        time.sleep(0.2)
    os._exit(LOST)


def _follow_launcher(run: RunDir, rank: int) -> None:
    """Be a process of a launcher, if one has started it: end with it, and print to a file of this
    rank."""
    if launcher := os.environ.get(WATCHED):
        threading.Thread(target=_end_with, args=(int(launcher),), daemon=True).start()
        if rank:
            with contextlib.suppress(OSError):
                console = open_append(run.path / f"console-rank{rank}.log")
                for number in (1, 2):
                    os.dup2(console, number)


def _leave(code: int) -> NoReturn:
    """End at once, without waiting for processes that no longer answer."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python -m genui.engine.trainer RUN_FOLDER", file=sys.stderr)
        return 2
    give_way(TRAINER_NICE)
    try:
        run, rank = RunDir(Path(sys.argv[1])), rank_in_job()
        _follow_launcher(run, rank or 0)
        return train_in_job(None if rank else lambda: run)
    except GenuiError as error:
        print(f"genui: {error}", file=sys.stderr)
        return LOST if isinstance(error, LostContactError) else error.exit_code


if __name__ == "__main__":
    sys.exit(main())
