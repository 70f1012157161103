"""Norms by layer over the steps of a run, in norms.jsonl: records as in metrics.jsonl, whose names
are a kind and a layer, `gradients/blocks.0.attention`.

An update is the norm of the change of the weights, divided by the norm of the weights. It is 0 at a
step at which Muon rests.
"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from genui.base.files import append_line
from genui.runs.layout import RunDir
from genui.runs.spikes import LIMIT, MAD_TO_SIGMA, WINDOW

if TYPE_CHECKING:
    import numpy as np

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
    "--set norms=auto of genui train measures norms by layer, in at most 2 % of the time; in a "
    "script genui.watch(model) does"
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
        append_line(run.norms, record)


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
        first = max(FEWEST, end - MOVED_IN)
        if first >= end:
            continue
        found = _deviations(values[max(0, first - WINDOW) : end], end - first)
        for at, z in enumerate(found.tolist(), first):
            if abs(z) > LIMIT:
                movements.append(Movement(layer, int(steps[at]), float(values[at]), z))
                break
    return min(movements, key=lambda one: (one.step, -abs(one.deviations)), default=None)


def _deviations(values: "np.ndarray", last: int) -> "np.ndarray":
    """By how many robust standard deviations ln of each of the `last` values is from the median of
    the up to WINDOW values before it."""
    import numpy as np  # late: a script trains without it

    logarithms = np.log(values)
    padded = np.concatenate((np.full(WINDOW, np.nan), logarithms[:-1]))
    before = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[-last:]
    median = _median_of_rows(before)
    spread = MAD_TO_SIGMA * _median_of_rows(np.abs(before - median[:, None]))
    return (logarithms[-last:] - median) / np.maximum(spread, LEAST)


def _median_of_rows(rows: "np.ndarray") -> "np.ndarray":
    """The median of each row without its NaNs; `np.nanmedian` takes ten times as long."""
    import numpy as np

    ordered, known = np.sort(rows, axis=1), np.sum(~np.isnan(rows), axis=1)
    middle = np.stack(((known - 1) // 2, known // 2), axis=1)
    return np.take_along_axis(ordered, middle, axis=1).mean(axis=1)
