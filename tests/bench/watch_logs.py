"""The same training of many steps, as each tool logs it: for benchmarks of watching."""

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

METRICS = ("loss", "val_loss", "grad_norm", "lr", "rate")

WANDB = """
import os, sys, math, random
os.environ.update(WANDB_MODE="offline", WANDB_SILENT="true", WANDB_DIR=sys.argv[1])
import wandb
run = wandb.init(project="bench", settings=wandb.Settings(console="off"))
for step in range(int(sys.argv[2])):
    x = 4 * math.exp(-step / 2e4) + 1 + random.random() / 5
    run.log(dict(loss=x, val_loss=x + .1, grad_norm=random.random(), lr=3e-4, rate=5800 + x))
run.finish()
"""

TENSORBOARD = """
import sys, math, random
from torch.utils.tensorboard import SummaryWriter
with SummaryWriter(sys.argv[1], max_queue=10000) as writer:
    for step in range(int(sys.argv[2])):
        x = 4 * math.exp(-step / 2e4) + 1 + random.random() / 5
        for name, value in dict(loss=x, val_loss=x + .1, grad_norm=random.random(), lr=3e-4,
                                rate=5800 + x).items():
            writer.add_scalar(name, value, step)
"""


def values(step: int, metrics: int = len(METRICS)) -> dict[str, float]:
    """A loss that falls with noise, and what goes with it; the same at every call."""
    noise = (step * 2654435761 % 4294967296) / 4294967296
    loss = 4 * math.exp(-step / 2e4) + 1 + noise / 5
    first = dict(zip(METRICS, (loss, loss + 0.1, noise, 3e-4, 5800 + loss), strict=True))
    return first | {f"layer{number}": loss + number for number in range(metrics - len(first))}


def lines(start: int, steps: int, metrics: int = len(METRICS)) -> Iterator[str]:
    """Records of `steps` steps from `start`, as our own trainer writes them."""
    now = round(time.time() - steps, 3)
    for step in range(start, start + steps):
        record = {"step": step, "time": now + step - start, **values(step, metrics)}
        yield json.dumps(record, separators=(",", ":")) + "\n"


def own_run(name: str, steps: int, metrics: int = len(METRICS)) -> Path:
    """A finished run in GENUI_HOME with that many steps and, if given, metrics."""
    from genui.recipes import find_recipe
    from genui.runs.layout import Status, create_run, write_status

    run = create_run(find_recipe("shakespeare"), {"steps": str(steps)}, name)
    with run.metrics.open("w") as file:
        file.writelines(lines(1, steps, metrics))
    write_status(run, Status(state="finished", step=steps, steps=steps))
    return run.path


def peer_log(python: str, script: str, folder: Path, steps: int) -> Path:
    """A log that another tool's own library writes; made once and kept."""
    if not folder.exists():
        folder.mkdir(parents=True)
        env = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run(
            [python, "-c", script, str(folder), str(steps)], env=env, capture_output=True, text=True
        )
        if done.returncode:
            print(done.stderr[-2000:], file=sys.stderr)
            raise SystemExit(f"{python} could not write {folder}")
    return folder
