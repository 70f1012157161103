"""Norms by layer over the steps of a run, in norms.jsonl: records as in metrics.jsonl, whose names
are a kind and a layer, `gradients/blocks.0.attention`.

An update is the norm of the change of the weights, divided by the norm of the weights. It is 0 at a
step at which Muon rests.
"""

import math
import time
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

import msgspec

from genui.base.files import append_line
from genui.runs.layout import RunDir
from genui.runs.spikes import LIMIT, WINDOW, deviations

NormKind = Literal["gradients", "updates", "weights", "activations"]
NORM_KINDS: tuple[NormKind, ...] = get_args(NormKind)

LARGEST = 64 * 1024 * 1024
"""Bytes; a file that is larger gets no more records."""

DIGITS = 4

MOVED_IN = 20
"""The measured steps in which a layer that moved is looked for, up to the cursor."""

FEWEST = 20
"""The measured steps that must be known before one is judged."""

LEAST = 0.05
"""The least deviation of ln of a norm."""

Points = Any
"""(steps int64 [N], values float64 [N], unix times float64 [N]), as `Series.points`."""

NOT_MEASURED = (
    "--set norms=auto of genui train and genui resume measures norms by layer, in at most 2 % of "
    "the time; in a script genui.watch(model) does"
)
STILL = f"no layer moved in the last {MOVED_IN} measured steps"


def append_norms(run: RunDir, step: int, norms: Mapping[str, float]) -> None:
    """Append the norms of a step. Raises GenuiError naming the file if it cannot be written."""
    values = {name: float(f"{value:.{DIGITS}g}") for name, value in norms.items()}
    _append(run, {"step": step, "time": round(time.time(), 3), **values})


def rewind_norms(run: RunDir, step: int) -> None:
    """Let readers drop the norms after `step`, from which the training goes on. Raises as
    `append_norms`."""
    if run.norms.exists():
        _append(run, {"step": step, "rewind": True})


def _append(run: RunDir, record: dict[str, Any]) -> None:
    if not run.norms.exists() or run.norms.stat().st_size < LARGEST:
        append_line(run.norms, msgspec.json.encode(record) + b"\n")


def norms_of_kind(series: Mapping[str, Points], kind: NormKind) -> dict[str, Points]:
    """The points of each layer, of one kind; steps with value 0, at which Muon rests, are left
    out."""
    layers: dict[str, Points] = {}
    for name, points in series.items():
        if name.startswith(f"{kind}/"):
            known = points[1] > 0
            layers[name.partition("/")[2]] = tuple(array[known] for array in points)
    return layers


class Movement(NamedTuple):
    """A layer whose norm left its usual range."""

    layer: str
    step: int
    value: float
    deviations: float  # by which ln of the norm is above its median, or below if negative

    @property
    def text(self) -> str:
        """What it did, without the name of the layer."""
        way = "up" if self.deviations > 0 else "down"
        size = f"{abs(self.deviations):.0f} robust deviations {way}"
        return f"moved first: step {self.step:,}, {size}"


def first_movement(layers: Mapping[str, Points], step: float | None = None) -> Movement | None:
    """The layer that moved first in the MOVED_IN measured steps up to `step`, by default the last.

    A layer moves if ln of its norm is LIMIT robust standard deviations from the median of the up to
    WINDOW measured steps before, with a deviation of at least LEAST. Of those that move at the same
    step it is the one that moves most.
    """
    movements: list[Movement] = []
    for layer, (steps, values, _) in layers.items():
        end = len(steps) if step is None else int(steps.searchsorted(step, side="right"))
        start = max(0, end - MOVED_IN - WINDOW)
        logarithms = [math.log(value) for value in values[start:end].tolist()]
        for at in range(max(FEWEST, len(logarithms) - MOVED_IN), len(logarithms)):
            before = sorted(logarithms[max(0, at - WINDOW) : at])
            z, _ = deviations(logarithms[at], before, LEAST)
            if abs(z) > LIMIT:
                place = start + at
                movements.append(Movement(layer, int(steps[place]), float(values[place]), z))
                break
    return min(movements, key=lambda one: (one.step, -abs(one.deviations)), default=None)
