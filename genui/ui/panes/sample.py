"""What the model makes from one fixed seed: text, or as many pictures as there is room for."""

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from genui.render import numbers
from genui.render.sanitise import clean
from genui.ui.leaving import DeafWhenLeaving
from genui.ui.watch import Sample
from genui.ui.widgets.picture import Picture

CELL = 32  # pixels; samples of pictures are a grid of 32×32


class SampleView(DeafWhenLeaving, Vertical):
    """The newest sample of a run."""

    def __init__(self, classes: str = "") -> None:
        super().__init__(classes=classes)
        self._sample: Sample | None = None

    def compose(self) -> ComposeResult:
        yield Static(classes="sample-step")
        yield Static("The first sample shows here", classes="sample-text", markup=False)
        yield Picture(" ")

    def on_mount(self) -> None:
        self.border_title = "Sample"

    def show(self, sample: Sample | None) -> None:
        """Draw it, unless it is drawn already."""
        if sample is not self._sample:
            self._sample = sample
            self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        sample = self._sample
        text = self.query_one(".sample-text", Static)
        has_picture = sample is not None and sample.picture is not None
        self.set_class(has_picture, "-picture")
        if sample is None:
            self.query_one(".sample-step", Static).update("")
            text.update("The first sample shows here")
            return
        label = f"sample at step {numbers.count(sample.step)}"
        self.query_one(".sample-step", Static).update(Content.styled(label, "$text-muted"))
        if sample.picture is None:
            text.update(clean(sample.text))
            return
        room = self.content_size
        columns = max(1, room.width // CELL) * CELL
        rows = max(1, 2 * (room.height - 1) // CELL) * CELL
        self.query_one(Picture).show(sample.picture[:rows, :columns])
