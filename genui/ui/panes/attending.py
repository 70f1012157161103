"""What the token at the cursor looked at: asked for, walked head by head, and shown."""

from rich.cells import cell_len
from textual import on
from textual.widget import Widget

from genui.protocol import TextFrame, TextSettings
from genui.ui import messages
from genui.ui.frame import set_border
from genui.ui.panes.trace_pane import TracePane
from genui.ui.widgets.attention import AttentionList, Heads


class AttendingPane(TracePane[TextFrame, TextSettings]):
    """A pane of text that can show the attention of the token at the playhead.

    One question is under way at a time: a cursor that is moved on quickly is asked for
    where it comes to rest.
    """

    attending = False  # whether attention is shown in place of the odds, full-screen
    head = 0  # 0 is the average, then head by head
    _heads: Heads | None = None  # the last answer
    _asked: tuple[int, int] | None = None  # the trace and step under way

    @property
    def heads(self) -> Heads | None:
        """The attention of the token at the cursor, where it is shown and known."""
        trace, heads = self.trace, self._heads
        if trace is None or heads is None or not (self.attending and self.zoomed):
            return None
        told = heads.attention
        return heads if (told.trace, told.step) == (trace.id, trace.position) else None

    def action_attention(self) -> None:
        """What the token at the cursor looked at, or back to the odds."""
        trace = self._needed()
        if trace is None:
            return
        self.attending = not (self.attending and self.zoomed)
        if self.attending:
            trace.pause()
            if not self.zoomed:
                self.action_zoom()
        self._moved()

    def action_head(self, by: int) -> None:
        """The next head of the attention, or the one before."""
        if self._heads is None or not self.attending:
            self._tell("press a first: [ ] walk through its heads")
            return
        self.head = (self.head + by) % self._heads.count
        self.paint()

    def paint_attention(self, box: Widget) -> None:
        """Ask for what is not known yet, and show what is."""
        shown, heads = box.query_one(AttentionList), self.heads
        if heads is not None:
            told = heads.attention
            shown.clear(told.fault)
            shown.show(told.texts, heads.weights(self.head), told.first)
        elif reason := self._ask():
            shown.clear(reason)
        name = self._heads.name(self.head) if self._heads is not None else "average"
        title = f"Attention · {name}"
        short = name.capitalize() if cell_len(title) > box.size.width - 2 else title
        set_border(box, title=short, subtitle="[ ] heads · a the odds")

    def _ask(self) -> str:
        """Ask the worker; returns why it cannot know, or "" where the answer will come."""
        trace = self.trace
        if trace is None or trace.frame is None:
            return "No token is at the cursor: press → for one"
        if trace.playing:
            return "Press space to hold it: then the token at the cursor tells"
        if not trace.at_hand:
            return "The worker does not have this text yet: press space to go on"
        if self._asked is None:
            self._asked = (trace.id, trace.position)
            self._session.attend(*self._asked)
        return ""

    @on(messages.AttentionArrived)
    def _attention_arrived(self, event: messages.AttentionArrived) -> None:
        self._asked = None
        self._heads = Heads(event.attention)
        self.head = min(self.head, self._heads.count - 1)
        self.paint()

    @on(messages.TraceFailed)
    @on(messages.TraceLost)
    def _no_answer(self) -> None:
        self._asked = None
