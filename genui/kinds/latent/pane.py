"""The pane of autoencoders: an image, its reconstruction, their difference, and a walk."""

from textual.app import ComposeResult

from genui.kinds.latent.walk import AutoencoderSettings
from genui.protocol import ImageFrame
from genui.protocol.edits import inputs_at
from genui.ui.generate.image import ImageInspector, TraceImageView
from genui.ui.generate.pane import PaneKind, Parts, TracePane
from genui.ui.generate.prompt import PromptLine
from genui.ui.traces.controller import TraceController
from genui.ui.widgets.bars import Line
from genui.ui.widgets.image import ImageView
from genui.ui.widgets.timeline import Timeline

EXAMPLE = "red heart on black"


class BlendView(TraceImageView):
    """The caption, the three images and the timeline between two of the data's."""

    def compose(self) -> ComposeResult:
        yield PromptLine("caption", f"e.g. {EXAMPLE}")
        yield Line(classes="caption")
        yield ImageView(classes="large")
        yield Timeline("", "")

    def paint(self) -> None:
        controller, timeline = self.pane.controller, self.query_one(Timeline)
        trace, image = controller.trace, self.show_large(controller.frame)
        text, to = "", controller.settings.to
        if trace is not None:
            text, _, settings = inputs_at(trace.request, trace.position)
            to = settings.to
        timeline.left, timeline.right = "", f"“{to}”" if to else ""
        timeline.follow(trace)
        self.show_caption(f"“{text}”" if text else "", trace, ("step ", "$text-muted"))
        self.show_border(image, " · image, reconstruction, 4 × their difference", "", "")


def _build(pane: TracePane) -> Parts:
    controller: TraceController[ImageFrame, AutoencoderSettings] = TraceController(
        pane.session, pane, AutoencoderSettings(), blank=EXAMPLE
    )
    return Parts(controller, BlendView(pane), ImageInspector(pane), ())


BLEND = PaneKind("blend", "Blend", "image-pane", _build, setting="steps")
