"""Beside a walk's picture: where it is, what the discriminator scores along it, the settings."""

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content

from genui.protocol import ImageFrame, LatentSettings
from genui.ui.chrome import SettingLines
from genui.ui.frame import set_border
from genui.ui.settings import BASIS_NAMES
from genui.ui.trace import Trace
from genui.ui.widgets.bearings import Bearings
from genui.ui.widgets.curve import Curve

NARROW = 40  # cells of a border that holds only few words


class WalkInspector(Vertical):
    """Shown while the pane fills the screen; told everything, it asks nothing."""

    def __init__(self) -> None:
        super().__init__(classes="inspector")

    def compose(self) -> ComposeResult:
        with Vertical(classes="box bearings"):
            yield Bearings()
        with Vertical(classes="box score"):
            yield Curve("The score at each step shows here", legend=False)
        with Vertical(classes="box settings"):
            yield SettingLines(classes="settings-lines")

    def on_mount(self) -> None:
        set_border(self.query_one(".score"), title="Discriminator's score")
        set_border(self.query_one(".settings"), title="Settings", subtitle="+ − change")

    def show_place(self, frame: ImageFrame | None, settings: LatentSettings) -> None:
        """Where the step is along each direction."""
        walked = settings.direction if settings.to is None else 0
        self.query_one(Bearings).show(frame.along if frame is not None else (), walked)
        box = self.query_one(".bearings")
        title = f"Directions by {BASIS_NAMES[settings.basis]}"
        set_border(box, title=title, subtitle="standard deviations")

    def show_score(self, trace: Trace[ImageFrame] | None) -> None:
        """The score of every step there is a frame of."""
        curve, box = self.query_one(Curve), self.query_one(".score")
        frame = trace.frame if trace is not None else None
        known = [(f.step, f.score) for f in trace.frames if f.score is not None] if trace else []
        if frame is None or frame.score is None or len(known) < 2:
            curve.clear()
            set_border(box, subtitle="")
            return
        import numpy as np

        steps, scores = np.array(known, np.float64).T
        curve.set_series({"score": (steps.astype(np.int64), scores)})
        curve.cursor = float(frame.step)
        means = " · higher is more real" if box.size.width >= NARROW else ""
        set_border(box, subtitle=f"{frame.score:+.2f} at step {frame.step}{means}")

    def show_settings(self, content: Content) -> None:
        self.query_one(SettingLines).show(content)
