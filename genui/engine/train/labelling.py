"""What tasks that train a classifier have in common, whatever it labels."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genui.engine.probes.calibration import accuracy, calibration_error, log_loss
from genui.errors import MisuseError


def refuse_other_labels(
    name: str, labels: tuple[str, ...], extra: Mapping[str, Any] | None
) -> None:
    """Raises MisuseError where a checkpoint, whose `extra` it is, knows other labels than those
    of the data called `name`."""
    if extra and tuple(extra["labels"]) != labels:
        raise MisuseError(
            f"{name}: its {len(labels)} labels are not the {len(extra['labels'])} that these "
            "weights were trained for; train anew"
        )


def held_out_figures(
    probabilities: NDArray[np.floating], targets: NDArray[np.int64]
) -> dict[str, float]:
    """`val_loss` (nats), `val_accuracy` and `val_ece`, shares; of [N, labels] and [N]."""
    return {
        "val_loss": log_loss(probabilities, targets),
        "val_accuracy": accuracy(probabilities, targets),
        "val_ece": calibration_error(probabilities, targets),
    }


def confusions(
    labels: tuple[str, ...], found: NDArray[np.int64], targets: NDArray[np.int64]
) -> str:
    """For every label, a line a label: how often it is right, and what it is most taken for."""
    width = max(map(len, labels))
    lines = []
    for number, label in enumerate(labels):
        of = found[targets == number]
        if not len(of):
            continue
        counts = np.bincount(of, minlength=len(labels))
        line = f"{label:{width}}  {counts[number] / len(of):4.0%} right"
        counts[number] = 0
        if counts.max():
            line += f", {counts.max() / len(of):4.0%} taken for {labels[int(counts.argmax())]}"
        lines.append(line)
    return "\n".join(lines) + "\n"
