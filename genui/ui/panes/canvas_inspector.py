"""Beside the large picture: the two others, the noise schedule and the settings."""

import math

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content

from genui.protocol import ImageFrame
from genui.ui.chrome import SettingLines
from genui.ui.frame import set_border
from genui.ui.trace import Trace
from genui.ui.widgets.curve import Curve
from genui.ui.widgets.picture import Picture, View

WORDS: dict[View, str] = {"guess": "guess", "x": "noisy", "noise": "noise"}
LONG_WORDS: dict[View, str] = {
    "x": "xₜ the noisy picture",
    "guess": "x̂₀ the guess of the clean picture",
    "noise": "ε the predicted noise",
}
SHORT_WORDS: dict[View, str] = {"x": "xₜ noisy", "guess": "x̂₀ guess", "noise": "ε noise"}
VIEWS: tuple[View, ...] = ("x", "guess", "noise")
NARROW = 38  # cells of a border that holds only few words


class CanvasInspector(Vertical):
    """Shown while the pane fills the screen; told everything, it asks nothing."""

    def __init__(self) -> None:
        super().__init__(classes="inspector")

    def compose(self) -> ComposeResult:
        with Horizontal(classes="others"):
            for _ in VIEWS[1:]:
                with Vertical(classes="box other"):
                    yield Picture()
        with Vertical(classes="box schedule"):
            yield Curve("The noise left at each step shows here", legend=False, log_y=True)
        with Vertical(classes="box settings"):
            yield SettingLines(classes="settings-lines")

    def on_mount(self) -> None:
        set_border(self.query_one(".settings"), title="Settings", subtitle="+ − change")
        set_border(self.query_one(".schedule"), title="Noise schedule")

    def show_others(self, frame: ImageFrame | None, shown: View, moment: int = 0) -> None:
        """The pictures of the step that are not the large one; of a clip those of a moment."""
        others: list[View] = [view for view in VIEWS if view != shown]
        for box, view in zip(self.query(".other"), others, strict=True):
            picture = box.query_one(Picture)
            if frame is None:
                picture.clear(" ")
            else:
                picture.show_frame(frame, view, moment)
            set_border(box, title=SHORT_WORDS[view], subtitle=_scale(picture))

    def show_schedule(self, trace: Trace[ImageFrame] | None) -> None:
        """σ of every step there is a frame of: as this branch has it, edits and all."""
        curve, box = self.query_one(Curve), self.query_one(".schedule")
        frame = trace.frame if trace is not None else None
        known = [f for f in trace.frames if f.sigma > 0] if trace is not None else []
        if frame is None or len(known) < 2:
            curve.clear()
            set_border(box, subtitle="")
            return
        import numpy as np

        steps = np.array([f.step for f in known], np.int64)
        sigmas = np.array([f.sigma for f in known], np.float64)
        curve.set_series({"σ": (steps, sigmas)})
        curve.cursor = float(frame.step)
        roomy = frame.sigma > 0 and box.size.width >= NARROW
        log = f" · log₁₀ {math.log10(frame.sigma):.2f}" if roomy else ""
        set_border(box, subtitle=f"σ {frame.sigma:.3g}{log} at step {frame.step}")

    def show_settings(self, content: Content) -> None:
        self.query_one(SettingLines).show(content)


def _scale(picture: Picture) -> str:
    """`at 1/2`, without the size, which the large picture tells."""
    text = picture.scale_text
    return text[text.index("at") :] if text else ""
