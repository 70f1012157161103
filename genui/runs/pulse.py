"""What the list of runs shows of a script's run: its step, its rate and its losses."""

import time
from collections import deque
from collections.abc import Mapping
from typing import Any

_LOSSES = ("loss", "train_loss", "train/loss")
_VAL_LOSSES = ("val_loss", "val/loss", "eval_loss", "eval/loss", "valid_loss", "valid/loss")
_BEATS = 10
"""Heartbeats, each about a second, over which the rate is taken."""


class Pulse:
    """Fields of Status, from what was logged last."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, int]] = deque(maxlen=_BEATS)  # (monotonic time, step)

    def fields(self, step: int, values: Mapping[str, Any]) -> dict[str, Any]:
        """`values` are the newest of every metric, as metrics.jsonl spells them."""
        now = time.monotonic()
        if self._recent and step < self._recent[-1][1]:
            self._recent.clear()  # went back
        self._recent.append((now, step))
        then, before = self._recent[0]
        rate = (step - before) / (now - then) if now > then else 0.0
        loss, val = _first(_LOSSES, values), _first(_VAL_LOSSES, values)
        return {"step": step, "rate": rate, "loss": loss, "val": val}


def _first(names: tuple[str, ...], values: Mapping[str, Any]) -> float | None:
    found = next((values[name] for name in names if name in values), None)
    try:
        return None if found is None else float(found)  # also "NaN"
    except (TypeError, ValueError):  # a summary may hold anything
        return None
