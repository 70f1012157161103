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
from genui.recipes import LOGGING_FIELDS, Recipe

KEPT_S = 7 * 24 * 3600.0
"""How long a measurement is believed."""

_NOT_SPEED = frozenset(
    {"name", "summary", "steps", "seed", "warmup", "decay_from", "ema", "learning_rate"}
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
            parts = [f"about {say_duration(self.seconds)} on this machine ({self.source})"]
            if self.busy > 1.5:
                parts.append(f"{say_duration(self.seconds * self.busy)} while it is as busy as now")
        elif self.measuring:
            parts = ["measuring a few steps …"]
        else:
            parts = ["its duration is not measured yet"]
        if self.memory:
            parts.append(f"{self.memory / 1e9:.1f} GB of memory")
        parts.append(
            f"downloads {say_megabytes(self.download)}" if self.download else "no download"
        )
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


def say_duration(seconds: float) -> str:
    """`10 seconds`, `1 minute`, `25 minutes`, `3 hours`, `2 days`; two digits at most."""
    units = ((86400, "day", 36 * 3600), (3600, "hour", 90 * 60), (60, "minute", 50))
    size, unit, _ = next((each for each in units if seconds >= each[2]), (1, "second", 0))
    count = max(1, round(seconds / size))
    if count >= 10:
        count = round(count / 5) * 5
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def say_megabytes(octets: float) -> str:
    """`31 MB`, in millions of bytes as downloads are given."""
    return f"{max(1, round(octets / 1e6))} MB"


# --- Measurements that are kept -----------------------------------------------------------------


def read_speed(recipe: Recipe) -> Speed | None:
    """The kept measurement of such a training on this machine, or None."""
    with suppress(OSError, msgspec.DecodeError):
        speed = msgspec.json.decode(_path(recipe).read_bytes(), type=Speed)
        if 0 <= time.time() - speed.time < KEPT_S:
            return speed
    return None


def write_speed(recipe: Recipe, speed: Speed) -> None:
    """Keep a measurement. A failure to write is ignored."""
    path = _path(recipe)
    with suppress(OSError, GenuiError):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, msgspec.json.encode(speed), durable=False)


def _path(recipe: Recipe) -> Path:
    fields = {k: v for k, v in dataclasses.asdict(recipe).items() if k not in _NOT_SPEED}
    machine = (socket.gethostname(), os.cpu_count())
    digest = hashlib.sha256(msgspec.json.encode((machine, sorted(fields.items()))))
    return paths.cache_dir() / "speed" / f"{digest.hexdigest()[:16]}.json"
