"""A column of several traces side by side."""

from typing import cast

from textual.app import ComposeResult
from textual.containers import Vertical

from genui.base.text import clean_line
from genui.protocol.kinds import kind_of_trace
from genui.ui.generate.look import ImagePart
from genui.ui.kinds import shows_of
from genui.ui.lifecycle import guard
from genui.ui.traces.compare import Column, Moment, TraceView
from genui.ui.widgets.borders import set_border

NARROW = 20  # cells; a narrower column has no room beside its border


@guard
class ColumnView(Vertical):
    """A trace beside others: its label, and its text, image or sound at a step."""

    def __init__(self, column: Column) -> None:
        super().__init__(classes="column")
        self.column = column

    def compose(self) -> ComposeResult:
        trace = self.column.trace
        view = shows_of(kind_of_trace(trace.kind, trace.request.settings)).view()
        view.can_focus = False  # the screen has the keys
        yield view

    def on_resize(self) -> None:
        self.set_class(self.outer_size.width < NARROW, "-narrow")

    @property
    def view(self) -> TraceView:
        return cast("TraceView", self.children[0])

    def scroll_text(self, by: int) -> None:
        self.view.scroll_text(by)

    def paint(
        self,
        step: int,
        part: ImagePart,
        focused: bool,
        playing: bool,
        waited: float,
        clip_frame: int = 0,
    ) -> None:
        """Show `step`; `waited` is how long, in seconds, the trace has been loading."""
        trace = self.column.trace
        self.set_class(focused, "-focused")
        self.set_class(self.column.marked, "-marked")
        label, mark = clean_line(self.column.label), "▸ " if focused else ""
        if self.has_class("-narrow"):  # leave out what all columns share
            label, mark = label.removeprefix("seed "), mark.strip()
        set_border(self, f"{mark}{label}", self._subtitle(step))
        empty = self.column.fault
        if not empty:
            empty = trace.loading_text(waited) if trace.loading else "Press space to start"
        frame = self.column.frame_at(step)
        step = min(step, trace.computed)
        self.view.show_trace(trace, Moment(step, frame, part, clip_frame, playing, empty))

    def _subtitle(self, step: int) -> str:
        """Return where the trace ended, if before the shared step, or the note of the model."""
        trace = self.column.trace
        if self.column.fault and trace.frames:
            return clean_line(self.column.fault, 60)
        if 0 < trace.total < step:
            return f"ended at {trace.total}"
        return clean_line(trace.note, 60)
