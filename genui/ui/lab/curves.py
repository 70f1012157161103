"""The curves of a training in the Lab: its losses, and how far it is from the truth."""

import numpy as np

from genui.protocol import PointsFrame
from genui.ui.trace import Trace

Series = dict[str, tuple[np.ndarray, np.ndarray]]
"""Name to (x, values), as a Curve takes them."""


class Curves:
    """What the frames of one trace tell, read once each."""

    def __init__(self) -> None:
        self._trace: Trace[PointsFrame] | None = None
        self._read = 0  # frames
        self._losses: dict[str, tuple[list[float], list[float]]] = {}
        self._divergence: tuple[list[float], list[float]] = ([], [])

    def take(self, trace: Trace[PointsFrame] | None) -> None:
        """Read what is new; of another trace, everything."""
        if trace is not self._trace:
            self._trace, self._read = trace, 0
            self._losses, self._divergence = {}, ([], [])
        if trace is None:
            return
        for frame in trace.frames[self._read :]:
            for name, value in frame.measures:
                steps, values = self._losses.setdefault(name, ([], []))
                steps.append(frame.step)
                values.append(value)
            if frame.divergence is not None:
                self._divergence[0].append(frame.step)
                self._divergence[1].append(frame.divergence)
        self._read = len(trace.frames)

    @property
    def losses(self) -> Series:
        return {name: _arrays(pair) for name, pair in self._losses.items()}

    @property
    def divergence(self) -> Series:
        """Empty where the true density is not known."""
        return {"divergence": _arrays(self._divergence)} if self._divergence[0] else {}


def _arrays(pair: tuple[list[float], list[float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(pair[0], np.float64), np.array(pair[1], np.float64)
