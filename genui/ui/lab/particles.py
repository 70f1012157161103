"""Particles that go back from noise to data, as the network moves them at the step shown."""

from textual.timer import Timer

from genui.protocol import Seen
from genui.render import scene
from genui.render.scene import Floats

RATE = 8.0  # noise levels a second
REST = 12  # ticks that the samples stay before the usual sight comes back


class Particles:
    """One way from noise to samples, which a timer goes along."""

    def __init__(self, seen: Seen, timer: Timer) -> None:
        self._ways = scene.places(seen.paths).reshape(seen.levels, -1, 2)
        self._timer = timer
        self._tick = 0
        self.plane = seen.plane

    def tick(self) -> bool:
        """Go on; False, and the timer is stopped, once they have come to rest."""
        self._tick += 1
        if self._tick < len(self._ways) + REST:
            return True
        self.stop()
        return False

    def stop(self) -> None:
        """Stay, and tick no more."""
        self._timer.stop()

    @property
    def at(self) -> int:
        return min(self._tick, len(self._ways) - 1)

    @property
    def noise(self) -> float:
        """The level they are at: 1 at first, 0 at last."""
        return 1 - self.at / (len(self._ways) - 1)

    @property
    def places(self) -> Floats:
        """Shares of the plane, [N, 2]."""
        return self._ways[self.at]
