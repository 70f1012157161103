"""One of several traces side by side: its label, and its text or picture at a step."""

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content

from genui.protocol import ImageFrame
from genui.render.sanitise import clean_line
from genui.ui.compare import Part
from genui.ui.frame import set_border
from genui.ui.in_step import Column
from genui.ui.leaving import DeafWhenLeaving
from genui.ui.widgets.picture import Picture
from genui.ui.widgets.prose import Prose
from genui.ui.widgets.roll import Roll

NARROW = 20  # cells; a column that is narrower has no room beside its border


class ColumnView(DeafWhenLeaving, Vertical):
    """The column as it is drawn. It keeps no place of its own: `paint` says the step."""

    def __init__(self, column: Column) -> None:
        super().__init__(classes="column")
        self.column = column
        self._painted: object = None  # the prompt in the prose

    def compose(self) -> ComposeResult:
        if self.column.trace.medium == "music":
            yield Roll()
        elif self.column.trace.first:
            prose = Prose()
            prose.can_focus = False  # the screen has the keys
            yield prose
        else:
            yield Picture()

    def on_resize(self) -> None:
        self.set_class(self.outer_size.width < NARROW, "-narrow")

    def scroll_text(self, by: int) -> None:
        """Scroll, where it is text or music."""
        for prose in self.query(Prose):
            prose.scroll_relative(y=by, animate=False)
        for roll in self.query(Roll):
            roll.scroll_bars(1 if by > 0 else -1)

    def paint(
        self,
        step: int,
        part: Part,
        focused: bool,
        playing: bool,
        waited: float,
        moment: int = 0,
    ) -> None:
        """Show the step; `waited` is for how long, in seconds, this may have been loading.

        `moment` is the frame of a clip.
        """
        trace = self.column.trace
        self.set_class(focused, "-focused")
        label, mark = clean_line(self.column.label), "▸ " if focused else ""
        if self.has_class("-narrow"):  # what all columns say alike is left out
            label, mark = label.removeprefix("seed "), mark.strip()
        set_border(self, title=Content(f"{mark}{label}"))
        set_border(self, subtitle=Content(self._place(step)))
        empty = self.column.fault
        if not empty:
            model = clean_line(trace.request.model, 30)
            empty = f"loading {model} … {waited:.0f} s" if trace.loading else "Press space to begin"
        if trace.medium == "music":
            self._paint_roll(step, empty)
            return
        if trace.first:
            self._paint_prose(step, playing, empty)
            return
        picture, frame = self.query_one(Picture), self.column.frame_at(step)
        if isinstance(frame, ImageFrame):
            picture.show_frame(frame, part, moment)
        else:
            picture.clear(empty)

    def _place(self, step: int) -> str:
        """Where it is, if that is not where all are; else what the model has to say."""
        trace = self.column.trace
        if self.column.fault and trace.frames:
            return clean_line(self.column.fault, 60)
        if 0 < trace.total < step:
            return f"ended at {trace.total}"
        return clean_line(trace.note, 60)

    def _paint_roll(self, step: int, empty: str) -> None:
        roll, trace = self.query_one(Roll), self.column.trace
        if not (trace.started or trace.frames):
            roll.clear(empty)
            return
        shown = min(step, trace.computed)
        roll.show_frames(trace.request.init, trace.seen_prompt, trace.frames[:shown], shown)

    def _paint_prose(self, step: int, playing: bool, empty: str) -> None:
        prose, trace = self.query_one(Prose), self.column.trace
        if not (trace.started or trace.frames):
            self._painted = None
            prose.writing = False
            prose.clear(empty)
            return
        if self._painted != trace.seen_prompt:
            self._painted = trace.seen_prompt
            prose.begin(trace.seen_prompt, trace.seen_suffix)
        written, shown = prose.token_count, min(step, trace.computed)
        if written > shown:
            prose.truncate(shown)
        elif written < shown:
            prose.append_frames(trace.frames[written:shown])
        prose.writing = playing
