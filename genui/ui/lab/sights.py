"""Which sight of the plane there is for a step, and what is to be asked of the worker."""

from collections import OrderedDict

from genui.protocol import Plane, PointsFrame
from genui.ui.trace import Trace

KEPT = 32  # sights that were asked for

Place = tuple[int, int, float]
"""The number of a trace, a step and a noise level."""


class Sights:
    """Sights of the steps of traces: those that came with frames, and those asked for."""

    def __init__(self) -> None:
        self._seen: OrderedDict[Place, Plane] = OrderedDict()
        self.asked: Place | None = None  # under way

    def keep(self, place: Place, plane: Plane) -> None:
        """An answer has come."""
        self.asked = None
        self._seen[place] = plane
        while len(self._seen) > KEPT:
            self._seen.popitem(last=False)

    def exact(self, trace: Trace[PointsFrame], noise: float) -> Plane | None:
        """That of the step shown; None where it has not been seen."""
        frame = trace.frame
        if noise == 0 and frame is not None and frame.plane is not None:
            return frame.plane
        return self._seen.get((trace.id, trace.position, noise))

    def latest(self, trace: Trace[PointsFrame], noise: float) -> Plane | None:
        """The one nearest before the step shown: what is shown until the exact one is here."""
        if noise > 0:
            steps = [
                step for number, step, level in self._seen if (number, level) == (trace.id, noise)
            ]
            before = max((step for step in steps if step <= trace.position), default=None)
            return None if before is None else self._seen[trace.id, before, noise]
        for frame in reversed(trace.frames[: trace.position + 1]):
            if frame.plane is not None:
                return frame.plane
        return None

    def wanted(self, trace: Trace[PointsFrame], noise: float) -> Place | None:
        """What should be asked of the worker now, and marks it as asked."""
        here = trace.at_hand and trace.frames
        if not here or self.asked is not None or self.exact(trace, noise) is not None:
            return None
        if noise == 0 and trace.playing:
            return None  # sights come with the frames
        self.asked = (trace.id, trace.position, noise)
        return self.asked
