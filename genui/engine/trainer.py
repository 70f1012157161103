"""The process that trains one run: `python -m genui.engine.trainer RUN_FOLDER`.

It shares only the run's folder with other processes. `genui.runs.launch` starts it detached, so it
outlives the app, the terminal and the SSH session.
"""

import contextlib
import dataclasses
import os
import sys
import traceback
from pathlib import Path

import msgspec
import torch

from genui.base.errors import GenuiError
from genui.engine import device
from genui.engine.data.dataset import watch_preparation
from genui.engine.data.download import describe_download, watch_downloads
from genui.engine.device import give_way
from genui.engine.kinds import build_task
from genui.engine.load import check_weights
from genui.engine.train.checkpoint import newest_metadata
from genui.engine.train.loop import Trainer
from genui.engine.train.task import Task
from genui.recipes import Recipe, recipe_from_dict
from genui.runs import control
from genui.runs.layout import RunDir, read_info, write_info
from genui.runs.models import start_files
from genui.runs.writer import RunWriter

NICE = 10  # the app and the worker have priority


def settle_machine(run: RunDir, recipe: Recipe) -> device.Machine:
    """The machine in run.json, or one that is chosen now and recorded there.

    A resumed run has the same threads and precision, since others would give other bits.
    """
    info = read_info(run)
    recorded = info.machine
    if recorded and recorded.get("device") == device.choose_device(recipe.device):
        threads = int(recorded["threads"])
        torch.set_num_threads(threads)
        return device.Machine(recorded["device"], recorded["precision"], threads)
    machine = device.choose(recipe.device, recipe.precision, recipe.threads, recipe.widest)
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


def train(run: RunDir) -> int:
    """Train the run and return the exit code; status.json has the error."""
    with RunWriter(run) as writer:
        try:
            info = read_info(run)
            recipe = recipe_from_dict(info.recipe)
            if (start := start_files(run)[0]).exists():
                check_weights(start, Path(info.start_from.get("path", start)))
            machine = settle_machine(run, recipe)
            # The metadata keep the tokenizer, if the run resumes or starts from another model.
            with (
                watch_downloads(lambda *done: writer.update(doing=describe_download(*done))),
                watch_preparation(lambda line: _show_preparation(writer, line)),
            ):
                settled = dataclasses.replace(recipe, precision=machine.precision)
                task = build_task(settled, torch.device(machine.device), newest_metadata(run))
            record_scale(run, task)
            parameters = sum(p.numel() for p in task.model.parameters())
            for line in (task.data_line, *task.notes):
                writer.say(line)
            threads = "thread" if machine.threads == 1 else "threads"
            writer.say(
                f"{parameters:,} parameters, {machine.device} {machine.precision}, "
                f"{machine.threads} {threads}, pid {os.getpid()}"
            )
            unit = f"{task.unit}/s"
            writer.update(state="running", doing="", steps=recipe.steps, unit=unit)
            Trainer(run, writer, recipe, task, machine, info.start_from).train()
        except PreparationStoppedError:
            control.clear(run)
            writer.say(f"stopped before its first step; genui resume {run.id} prepares the rest")
            writer.update(state="stopped", doing="")
        except GenuiError as error:
            return _failed(writer, str(error), error.exit_code)
        except Exception as error:
            writer.say(traceback.format_exc())
            return _failed(writer, f"{type(error).__name__}: {error} (see console.log)", 1)
    return 0


class PreparationStoppedError(Exception):
    """The run was stopped while its data were prepared."""


def _show_preparation(writer: RunWriter, line: str) -> None:
    """Show in the run's status how far its data are. Raises if the run is to stop."""
    writer.update(doing=line)
    if control.is_waiting(writer.run, "stop"):
        raise PreparationStoppedError


def _failed(writer: RunWriter, line: str, code: int) -> int:
    with contextlib.suppress(GenuiError):  # a full disk must not hide the error
        writer.say(f"failed: {line}")
        writer.update(state="failed", doing="", error=line)
    print(f"genui: {line}", file=sys.stderr)
    return code


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python -m genui.engine.trainer RUN_FOLDER", file=sys.stderr)
        return 2
    give_way(NICE)
    try:
        return train(RunDir(Path(sys.argv[1])))
    except GenuiError as error:
        print(f"genui: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
