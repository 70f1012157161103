"""What a training spends its time on besides its steps, from what is already recorded: the seconds
of each part in its status, the load of the GPUs, and what other tools log of their data loaders."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from genui.runs.layout import Status
from genui.runs.series import Series

FEWEST = 20
"""The measurements from which a share of the time is told."""

SHORTEST = 30.0
"""The seconds from which the parts of a training's time are told."""

BUSY, HELD = 5.0, 0.5
"""A GPU is idle if less than this percentage of it is busy, and held if these GB more of it are
than at some time of the run: what is always held may be another program's."""


@dataclass(frozen=True)
class Limit:
    """What a part may take."""

    most: float  # share of the time, 0 to 1
    text: str  # with a place for the percentage
    remedy: str


PARTS = {
    "data": Limit(0.2, "making the batches takes {} %", "genui bench --profile times a step"),
    "evaluation": Limit(0.2, "evaluations take {} %", "a larger eval_every"),
    "sample": Limit(0.2, "samples take {} %", "a larger sample_every"),
    "checkpoint": Limit(0.1, "checkpoints take {} %", "a larger checkpoint_every"),
}
"""The parts of `Status.spent` that delay the steps."""

LOADERS = (
    ("data_time", "time"),  # mmcv, Detectron2
    ("data_time", "batch_time"),
    ("data", "time"),  # timm, PyTorch's examples
    ("data_time", "seconds"),  # the same, of printed lines, whose time is called so
    ("data", "seconds"),
    ("time_metrics/data_loading(s)", "time_metrics/end_to_end(s)"),  # torchtitan
)
"""Names of the seconds that a step waits for its data, and of those of the whole step."""

IDLE = Limit(
    0.2,
    f"GPU {{gpu}} holds up to {{gb:.1f}} GB and is less than {BUSY:.0f} % busy in {{}} %",
    "are its batches late, or does it wait for another rank?",
)
STARVED = Limit(0.2, "waiting for the data loader takes {} %", "more workers, or larger files")


@dataclass(frozen=True)
class Waste:
    """A part of the time in which no step is trained."""

    share: float  # of the time, 0 to 1
    text: str
    remedy: str

    @property
    def line(self) -> str:
        """What it is, and what to do."""
        return f"{self.text} ({self.remedy})"


def find_waste(
    status: Status, metrics: Mapping[str, Series], system: Mapping[str, Series]
) -> list[Waste]:
    """What takes more than its limit of a training's time, the largest share first."""
    found = [*_own_parts(status), *_idle_gpus(system), *_starved(metrics)]
    return sorted(found, key=lambda waste: -waste.share)


def _own_parts(status: Status) -> Iterator[Waste]:
    whole = sum(status.spent.values())
    if whole < SHORTEST:
        return
    for name, limit in PARTS.items():
        if (seconds := status.spent.get(name, 0.0)) > limit.most * whole:
            yield _waste(seconds / whole, limit)


def _idle_gpus(system: Mapping[str, Series]) -> Iterator[Waste]:
    for name, busy in system.items():
        gpu, _, unit = name.partition(" ")
        held = system.get(f"{gpu} memory GB")
        if not gpu.startswith("gpu") or unit != "%" or held is None or len(busy) < FEWEST:
            continue
        _, ours, theirs = np.intersect1d(busy.steps, held.steps, return_indices=True)
        gained = held.values[theirs] - held.values.min()
        idle = (busy.values[ours] < BUSY) & (gained > HELD)
        share = float(idle.mean()) if len(idle) else 0.0
        if share > IDLE.most:
            yield _waste(share, IDLE, gpu=gpu[3:], gb=np.ptp(held.values))


def _starved(metrics: Mapping[str, Series]) -> Iterator[Waste]:
    known = {name.lower().removeprefix("train/"): series for name, series in metrics.items()}
    for data, step in LOADERS:
        waited, whole = known.get(data), known.get(step)
        if waited is None or whole is None or min(len(waited), len(whole)) < FEWEST:
            continue
        _, ours, theirs = np.intersect1d(waited.steps, whole.steps, return_indices=True)
        seconds = float(whole.values[theirs].sum())
        share = float(waited.values[ours].sum()) / seconds if seconds > 0 else 0.0
        if STARVED.most < share <= 1:
            yield _waste(share, STARVED)
            return


def _waste(share: float, limit: Limit, **words: object) -> Waste:
    text = limit.text.format(round(100 * share), **words)
    return Waste(share, f"{text} of the time", limit.remedy)
