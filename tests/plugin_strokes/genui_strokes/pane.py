"""The pane, in the place of the Canvas."""

from textual.app import ComposeResult

from genui.protocol import ImageFrame
from genui.ui.generate.image import ImageInspector, TraceImageView
from genui.ui.generate.pane import PaneKind, Parts, TracePane
from genui.ui.generate.prompt import PromptLine
from genui.ui.tour import Step, has_begun
from genui.ui.traces.controller import TraceController
from genui.ui.widgets.bars import Line
from genui.ui.widgets.image import ImageView
from genui.ui.widgets.timeline import Timeline
from genui_strokes.settings import StrokesSettings


class PenView(TraceImageView):
    """The drawing, large."""

    def compose(self) -> ComposeResult:
        yield PromptLine("nothing", "")
        yield Line(classes="caption")
        yield ImageView(classes="large")
        yield Timeline("", "drawing")

    def paint(self) -> None:
        controller = self.pane.controller
        image = self.show_large(controller.frame)
        self.query_one(Timeline).follow(controller.trace)
        self.show_caption("a drawing", controller.trace, ("stroke ", "$text-muted"))
        self.show_border(image, "", "", f"seed {controller.seed}")


class PenInspector(ImageInspector):
    """The settings."""


def _build(pane: TracePane) -> Parts:
    controller = TraceController[ImageFrame, StrokesSettings](
        pane.session, pane, StrokesSettings(), steps="strokes"
    )
    return Parts(controller, PenView(pane), PenInspector(pane), ())


PEN = PaneKind(
    "pen",
    "Pen",
    "image-pane pen-pane",
    _build,
    setting="wobble",
)

STEPS = (
    Step(
        "Choose a model that draws with a pen in the list, then {models.play}: it draws a shape, "
        "stroke by stroke.",
        lambda now, start: has_begun(now.trace("pen"), start.trace("pen")),
    ),
)
"""Its station of the tour."""
