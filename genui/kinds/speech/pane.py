"""The Speech pane: a voice speaks a text, a sentence a step; and the exports of sounds."""

from textual.app import ComposeResult

from genui.kinds.speech.settings import VoiceSettings
from genui.protocol import ImageFrame
from genui.protocol.edits import inputs_at
from genui.ui.generate.image import CanvasSound, ImageInspector, TraceImageView
from genui.ui.generate.pane import PaneKind, Parts, TracePane
from genui.ui.generate.prompt import PromptLine
from genui.ui.traces.controller import Listener, TraceController
from genui.ui.traces.export import IMAGES, TREE, Format
from genui.ui.traces.trees import Worker
from genui.ui.widgets.bars import Line
from genui.ui.widgets.candidates import LabelBars
from genui.ui.widgets.image import ImageView, Waveform
from genui.ui.widgets.timeline import Timeline

GREETING = "Hello. This is a voice of piper. Every sentence is a step."
HEAR = "speech.hear"


class SpeechController(TraceController[ImageFrame, VoiceSettings]):
    """A change of the settings applies from the next sentence on."""

    def __init__(self, session: Worker, listener: Listener) -> None:
        super().__init__(session, listener, VoiceSettings(), first=1, blank=GREETING)

    @property
    def total_steps(self) -> int:
        return 1  # until the worker has counted the sentences


class SpeechView(TraceImageView):
    """The text, the spectrogram and the waveform of all that was spoken."""

    def compose(self) -> ComposeResult:
        yield PromptLine("text", "e.g. Hello there.")
        yield Line(classes="caption")
        yield ImageView(classes="large")
        yield Waveform()
        yield LabelBars()
        yield Timeline("", "sound")

    def paint(self) -> None:
        controller = self.pane.controller
        trace, frame = controller.trace, controller.frame
        image = self.show_large(frame)
        self.show_sound(frame, HEAR)
        self.query_one(Timeline).follow(trace)
        text = inputs_at(trace.request, trace.position)[0] if trace is not None else ""
        self.show_caption(f"“{text}”" if text else "", trace, ("sentence ", "$text-muted"))
        self.show_border(image, "", "", f"{controller.settings.speed:g}× · seed {controller.seed}")


def _build(pane: TracePane) -> Parts:
    controller = SpeechController(pane.session, pane)
    return Parts(controller, SpeechView(pane), ImageInspector(pane), (CanvasSound(pane),))


SOUNDS = (
    Format("wav", ".wav", "the sound of the prediction at step {step}", "sound", still=True),
    *IMAGES,
)
SPOKEN = (
    Format("wav", ".wav", "the sound up to sentence {step}", "sound", still=True),
    Format("png", ".png", "its spectrogram", "frame", still=True, shrink=1),
    TREE,
)

SPEECH = PaneKind("speech", "Speech", "image-pane speech-pane", _build, setting="speed")
