"""What a training would take on this machine, as it is said before a run is made.

`genui.engine.estimate` measures it. Measurements are kept in the cache folder for a while, so that
the next form or command says it at once. Nothing here imports torch.
"""

import dataclasses
import hashlib
import os
import socket
import time
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from genui.base import paths
from genui.base.errors import GenuiError
from genui.base.files import atomic_write
from genui.base.numbers import about, size
from genui.recipes import LOGGING_FIELDS, Recipe

MAX_AGE = 7 * 24 * 3600.0
"""Seconds for which a measurement is used."""

_IRRELEVANT_TO_SPEED = frozenset(
    {"name", "summary", "steps", "until", "seed", "warmup", "decay_from", "ema", "learning_rate"}
    | {"muon_rate", "beta1", "beta2", "weight_decay", "grad_clip", "sample_prompt", *LOGGING_FIELDS}
)
"""Settings that do not change how long a step takes."""


class Speed(Struct, frozen=True, kw_only=True):
    """The measured speed of a training, in seconds; -1 is not measured yet.

    As if the machine did nothing else: on one thread of the processor it is processor time.
    """

    start: float  # from the start of the process to the first step
    step: float
    evaluation: float = -1.0
    sample: float = -1.0
    memory: int = 0  # bytes, the most that the process took
    steps: int = 0  # how many were measured
    busy: float = 1.0  # how much longer they took, because of other processes
    time: float = 0.0  # unix time of the measurement

    def seconds(self, recipe: Recipe) -> float:
        """How long the whole training takes."""
        evaluations = recipe.steps // recipe.eval_every + 2
        samples = recipe.steps // recipe.sample_every + 2
        return (
            self.start
            + recipe.steps * self.step
            + evaluations * max(0.0, self.evaluation)
            + samples * max(0.0, self.sample)
        )


class Plan(Struct, frozen=True, kw_only=True):
    """What a training takes."""

    seconds: float = -1.0  # -1: not known
    memory: int = 0  # bytes; 0: not known
    download: int = 0  # bytes that are not here yet
    source: str = ""  # of the duration
    busy: float = 1.0  # how much longer it takes while the machine is as busy as now
    fault: str = ""  # why it cannot start
    measuring: bool = False  # whether a better estimate follows

    def describe(self) -> str:
        """`about 1 minute on this machine (20 steps measured) · 0.4 GB of memory · no download`.

        While other processes need the processor, it also says how long it would take beside them.
        """
        if self.seconds >= 0:
            parts = [f"about {about(self.seconds, True)} on this machine ({self.source})"]
            if self.busy > 1.5:
                parts.append(f"{about(self.seconds * self.busy, True)} while it is as busy as now")
        elif self.measuring:
            parts = ["measuring a few steps …"]
        else:
            parts = ["its duration is not measured yet"]
        if self.memory:
            parts.append(f"{size(self.memory)} of memory")
        parts.append(f"downloads {size(self.download)}" if self.download else "no download")
        return " · ".join(parts)


def plan_of(
    recipe: Recipe, speed: Speed | None, download: int = 0, measuring: bool = False
) -> Plan:
    """The plan of a recipe with a measured speed, or without one yet."""
    if speed is None:
        return Plan(download=download, measuring=measuring)
    is_new = time.time() - speed.time < 60
    source = f"{speed.steps} steps measured"
    if not is_new:
        source = time.strftime("measured on %d %B", time.localtime(speed.time)).replace(" 0", " ")
    return Plan(
        seconds=speed.seconds(recipe),
        memory=speed.memory,
        download=download,
        source=source,
        busy=speed.busy if is_new else 1.0,
        measuring=measuring,
    )


# --- Measurements that are kept -----------------------------------------------------------------


def read_speed(recipe: Recipe) -> Speed | None:
    """The kept measurement of such a training on this machine, or None."""
    with suppress(OSError, msgspec.DecodeError):
        speed = msgspec.json.decode(_path(recipe).read_bytes(), type=Speed)
        if 0 <= time.time() - speed.time < MAX_AGE:
            return speed
    return None


def write_speed(recipe: Recipe, speed: Speed) -> None:
    """Keep a measurement. A failure to write is ignored."""
    path = _path(recipe)
    with suppress(OSError, GenuiError):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, msgspec.json.encode(speed), durable=False)


def _path(recipe: Recipe) -> Path:
    fields = {k: v for k, v in dataclasses.asdict(recipe).items() if k not in _IRRELEVANT_TO_SPEED}
    machine = (socket.gethostname(), os.cpu_count())
    digest = hashlib.sha256(msgspec.json.encode((machine, sorted(fields.items()))))
    return paths.cache_dir() / "speed" / f"{digest.hexdigest()[:16]}.json"
