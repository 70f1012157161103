"""A small training of the Lab, which plays in the Training pane of Home until the user acts."""

from textual.app import ComposeResult

from genui.base.late import late_imports
from genui.kinds.lab.messages import LabSettings
from genui.ui.demo import TICK, Demonstration, Preview
from genui.ui.generate.pane import ORIGINS
from genui.ui.home_panes import TrainingPane
from genui.ui.session import Session
from genui.ui.terminal import may_animate
from genui.ui.widgets.curve import Curve

with late_imports():
    from genui.kinds.lab import files, view
    from genui.kinds.lab import pane as lab_pane

SETTINGS = LabSettings(steps=600)
LEARNS = "a small network learns two moons"


class LabPreview(Preview):
    """A training of the Lab in the Training pane, whose curve shows its loss."""

    def __init__(self, session: Session, pane: TrainingPane) -> None:
        super().__init__()
        self._pane = pane
        self._curves = lab_pane.Curves()
        self._planes = lab_pane.PlaneCache()
        self._view = view.PlaneView()
        self.controller = lab_pane.LabController(session, self)
        self.controller.settings = SETTINGS

    def compose(self) -> ComposeResult:
        yield self._view

    def tick(self) -> None:
        trace = self.controller.trace
        if trace is not None and trace.tick(4.0, 1 / TICK) and may_animate(self.app, 0.0):
            self.paint()

    def paint(self) -> None:
        trace = self.controller.trace
        is_read = trace is not None and trace.is_read
        origin = [(f" · {ORIGINS['record']}", "$warning")] if is_read else []
        self._pane.set_title((LEARNS, "bold"), *origin)
        self._pane.set_subtitle("5 the Lab · n new run")
        if trace is None or not trace.frames:
            return
        if (plane := self._planes.latest(trace, 0.0)) is not None:
            self._view.show(files.scene_of(plane, trace.frames[0]))
        self._curves.take(trace)
        losses = self._curves.losses
        if losses:
            self._pane.query_one(Curve).set_series(losses, dict.fromkeys(losses, "smoothed"))


LEARNING = Demonstration(pane="training", pace=0.1, settings=SETTINGS, preview=LabPreview)
