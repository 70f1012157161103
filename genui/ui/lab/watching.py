"""The part of the Lab's pane that asks for sights of the plane, and moves particles."""

from textual import events, on

from genui.protocol import LabSettings, Plane, PointsFrame
from genui.ui import messages
from genui.ui.lab import words
from genui.ui.lab.particles import RATE, Particles
from genui.ui.lab.sights import Sights
from genui.ui.panes.trace_pane import TracePane
from genui.ui.session import Session
from genui.ui.trace import Trace


class Watching(TracePane[PointsFrame, LabSettings]):
    """Owns what is seen: the noise level looked at, sights that were asked for, particles."""

    def __init__(self, session: Session, settings: LabSettings, touched: str) -> None:
        super().__init__(session, settings, touched)
        self.noise = 0.0
        self.particles: Particles | None = None
        self._sights = Sights()
        self._way_asked = False

    def sight(self, trace: Trace[PointsFrame]) -> Plane | None:
        """What there is to see of the step shown; what is missing is asked for."""
        family = trace.request.model.partition(":")[2]
        noise = self.noise if family in words.NOISY else 0.0
        place = self._sights.wanted(trace, noise)
        if place is not None:
            self._session.look(*place)
        return (
            self._sights.exact(trace, noise)
            or self._sights.latest(trace, noise)
            or self._sights.latest(trace, 0.0)
        )

    @on(messages.SeenArrived)
    def _seen_arrived(self, event: messages.SeenArrived) -> None:
        seen = event.seen
        if not seen.levels:
            self._sights.keep((seen.trace, seen.step, seen.noise), seen.plane)
            self.paint()
            return
        trace = self.trace
        if self._way_asked and trace is not None and trace.id == seen.trace:
            self._way_asked = False
            self.particles = Particles(seen, self.set_interval(1 / RATE, self._move_particles))
            self.paint()

    @on(messages.TraceFailed)
    @on(messages.TraceLost)
    def _asks_nothing(self) -> None:
        self._sights.asked = None
        self._way_asked = False

    # --- noise levels -------------------------------------------------------------------

    def action_noise(self) -> None:
        """The next noise level to look at."""
        if not self._has_noise("noise levels"):
            return
        at = words.LEVELS.index(self.noise)
        self.noise = words.LEVELS[(at + 1) % len(words.LEVELS)]
        self.paint()

    def _has_noise(self, what: str) -> bool:
        family = self.model.family if self.model is not None else ""
        if family in words.NOISY:
            return True
        self._tell(f"{words.TITLES[family]} has no {what}: diffusion and flow matching do (m)")
        return False

    # --- particles ----------------------------------------------------------------------

    def action_particles(self) -> None:
        """Watch particles go from noise to data, at the step shown; again, and they stop."""
        if self.particles is not None:
            self.stop_particles()
            self.paint()
            return
        trace = self._needed()
        if trace is None or not self._has_noise("particles"):
            return
        self._hold()
        if not (trace.at_hand and trace.frames):
            self._tell("this step is not computed yet: space trains, then w again")
            return
        self._way_asked = True
        self._session.look(trace.id, trace.position, 0.0, paths=True)

    def _move_particles(self) -> None:
        if self.particles is not None and not self.particles.tick():
            self.particles = None
        self.paint()

    def stop_particles(self) -> None:
        """Back to the usual sight."""
        if self.particles is not None:
            self.particles.stop()
            self.particles = None

    def leave(self) -> None:
        """The screen is left: everything stays where it is."""
        self.stop_particles()
        self._hold()

    def on_key(self, event: events.Key) -> None:
        """Any other key ends the particles, and does what it does."""
        if event.key not in ("w", "g"):
            self.stop_particles()
