"""The process that trains one run: `python -m genui.engine.trainer RUN_FOLDER`.

It shares only the run's folder with the world. Started detached by `genui.runs.launch`,
it outlives the app, the terminal and the SSH session.
"""

import contextlib
import os
import sys
import traceback
from pathlib import Path

import msgspec
import torch

from genui.base.errors import GenuiError
from genui.engine import device
from genui.engine.device import give_way
from genui.engine.kinds import build_task
from genui.engine.load import check_weights
from genui.engine.train.checkpoint import newest_metadata
from genui.engine.train.loop import Trainer
from genui.engine.train.task import Task
from genui.recipes import Recipe, recipe_from_dict
from genui.runs.layout import RunDir, read_info, write_info
from genui.runs.models import start_files
from genui.runs.writer import RunWriter

NICE = 10  # the app and the worker go first


def settle_machine(run: RunDir, recipe: Recipe) -> device.Machine:
    """The machine recorded in run.json, or the one chosen now, which is then recorded.

    A resumed run keeps its threads and precision: others would give other bits.
    """
    info = read_info(run)
    kept = info.machine
    if kept and kept.get("device") == device.choose_device(recipe.device):
        machine = device.Machine(kept["device"], kept["precision"], int(kept["threads"]))
        torch.set_num_threads(machine.threads)
        return machine
    machine = device.choose(recipe.device, recipe.precision, recipe.threads, recipe.widest)
    versions = {**info.versions, "torch": str(torch.__version__)}
    write_info(run, msgspec.structs.replace(info, machine=machine.to_dict(), versions=versions))
    return machine


def settle_scale(run: RunDir, task: Task) -> None:
    """Say in run.json what a step is in tokens (or images) and in epochs, for the curves."""
    info = read_info(run)
    scale = {
        "unit": task.unit,
        "units_per_step": task.units_per_step,
        "units_per_epoch": task.units_per_epoch,
    }
    if info.scale != scale:
        write_info(run, msgspec.structs.replace(info, scale=scale))


def train(run: RunDir) -> int:
    """Train the run; the process's exit code. What went wrong stands in status.json."""
    with RunWriter(run) as writer:
        try:
            info = read_info(run)
            recipe = recipe_from_dict(info.recipe)
            if (start := start_files(run)[0]).exists():
                check_weights(start, Path(info.start_from.get("path", start)))
            machine = settle_machine(run, recipe)
            # A run that resumes, or starts from another model, keeps the tokenizer of its weights.
            kept = newest_metadata(run)
            task = build_task(recipe, torch.device(machine.device), kept)
            settle_scale(run, task)
            parameters = sum(p.numel() for p in task.model.parameters())
            for line in (task.data_line, *task.notes):
                writer.say(line)
            writer.say(
                f"{parameters:,} parameters, {machine.device} {machine.precision}, "
                f"{machine.threads} thread(s), pid {os.getpid()}"
            )
            writer.update(state="running", steps=recipe.steps, unit=f"{task.unit}/s")
            Trainer(run, writer, recipe, task, machine, info.start_from).train()
        except GenuiError as error:
            return _failed(writer, str(error), error.exit_code)
        except Exception as error:
            writer.say(traceback.format_exc())
            return _failed(writer, f"{type(error).__name__}: {error} (see console.log)", 1)
    return 0


def _failed(writer: RunWriter, line: str, code: int) -> int:
    with contextlib.suppress(GenuiError):  # a full disk must not hide the reason
        writer.say(f"failed: {line}")
        writer.update(state="failed", error=line)
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
