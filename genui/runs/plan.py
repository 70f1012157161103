"""An estimate of the time and memory of a training on this machine, shown before a run is made.

`genui.engine.estimate` measures it. Measurements are kept in the cache folder for a while, so that
the next form or command has the estimate at once. Nothing here imports torch.
"""

import dataclasses
import hashlib
import math
import socket
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

import genui
from genui.base import paths
from genui.base.errors import MisuseError
from genui.base.files import recall, remember
from genui.base.numbers import about, quantity, size
from genui.recipes import LOGGING_FIELDS, Recipe
from genui.runs.layout import KEEP_STATES, PARTS_KEPT
from genui.runs.system import usable_cores

MAX_AGE = 7 * 24 * 3600.0
"""The seconds for which a measurement is used."""

_IRRELEVANT_TO_SPEED = frozenset(
    {"name", "summary", "steps", "until", "minutes", "seed", "warmup", "decay_from", "ema"}
    | {"learning_rate", "muon_rate", "beta1", "beta2", "weight_decay", "grad_clip", "dropout"}
    | {"ngram_dropout", "sample_prompt", "skip", *LOGGING_FIELDS}
)
"""Settings that hardly change how long a step takes."""


class Load(NamedTuple):
    """The factor by which a training takes longer on a machine as busy as now: for its start,
    mostly at normal priority, and for the rest."""

    start: float = 1.0
    training: float = 1.0


class Speed(Struct, frozen=True, kw_only=True):
    """The measured speed of a training, in seconds; -1 is not measured yet.

    The times of a machine that does nothing else: on one thread of the processor they are processor
    time.
    """

    start: float  # from the start of the process to the first step
    step: float
    evaluation: float = -1.0
    sample: float = -1.0
    whole: float = -1.0  # an evaluation of all held-out data
    checkpoint: float = -1.0
    epoch: float = 0.0  # steps that read the data once; 0: not known
    memory: int = 0  # bytes, the most that the process took
    state: int = 0  # bytes of a checkpoint with its state
    steps: int = 0  # how many were measured
    gpu: bool = False  # other processes on the processor hardly matter then
    time: float = 0.0  # unix time of the measurement

    def seconds(self, recipe: Recipe) -> float:
        """How long the whole training takes."""
        first = max(0.0, self.evaluation) + max(0.0, self.sample)
        first += len(recipe.first_samples) * max(0.0, self.sample)
        return self.start + first + recipe.steps * self.step + self.pauses(recipe)

    def pauses(self, recipe: Recipe, place: float = 0.0) -> float:
        """How long the evaluations, samples and checkpoints take after step `place` of a recipe."""
        evaluation = max(0.0, self.evaluation)

        def count(every: int) -> int:
            return (recipe.steps - 1) // every - int(place // every)  # before the last step

        return (
            count(recipe.eval_every) * evaluation
            + (self.whole if self.whole >= 0 and self.reads_all(recipe) else evaluation)
            + (count(recipe.sample_every) + 1) * max(0.0, self.sample)
            + (count(recipe.checkpoint_every) + 1) * max(0.0, self.checkpoint)
        )

    def reads_all(self, recipe: Recipe) -> bool:
        """Whether there is time for an evaluation of all held-out data at the end: it may take a
        quarter of a budget."""
        return not recipe.minutes or self.whole <= 60 * recipe.minutes / 4

    def slowed(self, load: Load) -> "Speed":
        """The speed on a machine as busy as this; a GPU's is the same."""
        if self.gpu:
            return self
        parts = ("step", "evaluation", "sample", "whole", "checkpoint")
        slowed = {part: load.training * getattr(self, part) for part in parts}
        return msgspec.structs.replace(self, start=load.start * self.start, **slowed)

    @property
    def thorough(self) -> bool:
        """Whether all was measured that `fit` counts."""
        return min(self.evaluation, self.sample, self.whole, self.checkpoint) >= 0


BUSY = 1.5
"""The factor by which a training takes longer on a machine that is called busy."""

_SHOWN = ("steps", "layers", "width", "context", "batch")
"""The settings of a budget that its plan names."""


class Plan(Struct, frozen=True, kw_only=True):
    """The time and memory of a training."""

    seconds: float = -1.0  # -1: not known
    memory: int = 0  # bytes; 0: not known
    states: int = 0  # bytes of the checkpoints with their states that it keeps; 0: not known
    download: int = 0  # bytes that are not here yet
    source: str = ""  # of the duration
    now: float = -1.0  # seconds while the machine is as busy as now; -1: not known
    fault: str = ""  # why it cannot start
    settings: dict[str, str] = {}  # chosen by a budget of time
    measuring: bool = False  # whether a better estimate follows
    left: float = -1.0  # seconds until all is measured, about; -1: not known

    def describe(self) -> str:
        """`about 1 minute on this machine (20 steps measured) · 0.4 GB of memory · no download`.

        While other processes need the processor, it also says how long it takes beside them.
        """
        chosen = " ".join(f"{k}={self.settings[k]}" for k in _SHOWN if k in self.settings)
        if self.seconds >= 0:
            is_idle = 0 <= self.now <= BUSY * self.seconds
            where = "on this machine" if is_idle else "on an idle machine"
            parts = [f"about {about(self.seconds, True)} {where} ({self.source})"]
            if self.now >= 0 and not is_idle:
                parts[0] += f"; busy now: about {about(self.now, True)}"
        elif self.measuring and self.left < 0:
            parts = ["checking whether it can start …"]
        elif self.measuring:
            parts = [f"measuring a few steps, about {about(self.left, True)} left"]
        else:
            parts = ["its duration is not measured yet"]
        if self.memory:
            parts.append(f"{size(self.memory)} of memory")
        if self.states:
            parts.append(f"keeps {size(self.states)} of states")
        parts.append(f"downloads {size(self.download)}" if self.download else "no download")
        return " · ".join([*([chosen] if chosen else []), *parts])


_LOGGED = {"eval_every": 0.08, "sample_every": 0.08, "checkpoint_every": 0.04}
"""The share of a budget that each may take."""
_MOST = {"eval_every": 40, "sample_every": 40, "checkpoint_every": 5}
"""How often each is done at most."""


def counted_start(seconds: float, start: float) -> float:
    """The part of a budget of `seconds` that the start of the training takes: at most a quarter,
    since nothing makes it shorter on a busy machine."""
    return min(start, seconds / 4)


def has_time_for(cost: float, left: float) -> bool:
    """Whether a training with a budget of time may do something beside its steps that takes so
    many seconds: a tenth of those that are left."""
    return cost <= left / 10


def fit(recipe: Recipe, speed: Speed, seconds: float, fixed: Collection[str]) -> dict[str, str]:
    """The number of steps with which a training takes so many seconds, and the settings that depend
    on it. Settings that are `fixed` stay as they are in the recipe.

    Evaluations, samples and checkpoints are as frequent as their cost allows. Raises MisuseError
    if the time is too short for one step.
    """
    costs = {
        "eval_every": max(0.0, speed.evaluation),
        "sample_every": max(0.0, speed.sample),
        "checkpoint_every": max(0.0, speed.checkpoint),
    }
    # At the start what takes little of the time; at the end the last evaluation of all held-out
    # data, if there is time, a sample and a checkpoint.
    samples = [costs["sample_every"]] * (1 + len(recipe.first_samples))
    first = sum(cost for cost in (costs["eval_every"], *samples) if has_time_for(cost, seconds))
    last = speed.whole if 0 <= speed.whole <= seconds / 4 else costs["eval_every"]
    rest = seconds - counted_start(seconds, speed.start) - first - last
    rest -= costs["sample_every"] + costs["checkpoint_every"]
    step, counts = speed.step, {}
    for name, cost in costs.items():
        if name in fixed:
            step += cost / getattr(recipe, name)
            continue
        counts[name] = _MOST[name]
        if cost > 0:
            counts[name] = max(1, min(_MOST[name], int(_LOGGED[name] * rest / cost)))
        rest -= (counts[name] - 1) * cost  # one is at the end
    steps = int(rest / step)
    steps -= steps % 10 if steps >= 100 else 0
    if steps < 1:
        least = seconds - rest + step
        raise MisuseError(
            f"--minutes: the shortest training takes about {about(least, True)} on this machine "
            f"now; give at least {math.ceil(10 * least / 60) / 10:g}"
        )
    settings = {"steps": str(steps), "minutes": f"{seconds / 60:g}"}
    settings |= {name: str(max(1, math.ceil(steps / count))) for name, count in counts.items()}
    if recipe.warmup > steps // 10:
        settings["warmup"] = str(steps // 10)
    return {key: value for key, value in settings.items() if key not in fixed}


def plan_of(recipe: Recipe, speed: Speed | None, load: Load | None = None, **known: Any) -> Plan:
    """The plan of a recipe with a measured speed, or without one yet, and what else is known."""
    if speed is None:
        return Plan(**known)
    if load is not None:
        known["now"] = speed.slowed(load).seconds(recipe)
    is_new = time.time() - speed.time < 60
    source = f"{quantity(speed.steps, 'step')} measured"
    if not is_new:
        source = time.strftime("measured on %d %B", time.localtime(speed.time)).replace(" 0", " ")
    return Plan(
        seconds=speed.seconds(recipe),
        memory=speed.memory,
        source=source,
        states=size_of_states(recipe, speed.state),
        **known,
    )


def size_of_states(recipe: Recipe, one: int) -> int:
    """The bytes of the states that a training keeps, of `one` each (`choose_states`)."""
    written = -(-recipe.steps // recipe.checkpoint_every)
    most = min(one * min(written, KEEP_STATES + PARTS_KEPT), int(recipe.states_gb * 1e9))
    return max(most, one * min(written, KEEP_STATES))


# --- Measurements that are kept -----------------------------------------------------------------


def read_speed(recipe: Recipe) -> Speed | None:
    """The kept measurement of such a training on this machine; None without one."""
    speed = recall(_path(recipe), Speed)
    return speed if speed and 0 <= time.time() - speed.time < MAX_AGE else None


def write_speed(recipe: Recipe, speed: Speed) -> None:
    """Keep a measurement. A failure to write is ignored."""
    remember(_path(recipe), speed)


def _path(recipe: Recipe) -> Path:
    fields = {k: v for k, v in dataclasses.asdict(recipe).items() if k not in _IRRELEVANT_TO_SPEED}
    machine = (genui.__version__, socket.gethostname(), usable_cores())
    digest = hashlib.sha256(msgspec.json.encode((machine, sorted(fields.items()))))
    return paths.cache_dir() / "speed" / f"{digest.hexdigest()[:16]}.json"
