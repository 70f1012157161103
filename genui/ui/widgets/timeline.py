"""A timeline with a playhead."""

from dataclasses import dataclass
from typing import Any, ClassVar

from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from genui.ui.traces.trees import ShownTrace


class Timeline(Widget):
    """`left ━━━━●━━──── right`: up to the playhead, computed, not computed yet."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "timeline--past", "timeline--ahead", "timeline--future", "timeline--head",
        "timeline--label",
    }  # fmt: skip

    position: reactive[int] = reactive(0)
    computed: reactive[int] = reactive(0)
    total: reactive[int] = reactive(0)
    left: reactive[str] = reactive("")
    right: reactive[str] = reactive("")

    @dataclass(eq=False)
    class Clicked(Message):
        """The user clicked the bar at `step`."""

        step: int

    def __init__(self, left: str, right: str) -> None:
        super().__init__()
        self.set_reactive(Timeline.left, left)
        self.set_reactive(Timeline.right, right)

    def follow(self, trace: ShownTrace[Any] | None) -> None:
        """Show the progress of a trace; None for none."""
        self.total = trace.total if trace is not None else 0
        self.computed = trace.computed if trace is not None else 0
        self.position = trace.position if trace is not None else 0

    @property
    def _bar_width(self) -> int:
        return max(2, self.size.width - len(self.left) - len(self.right) - 2)

    def _column(self, step: int) -> int:
        return round((self._bar_width - 1) * step / self.total) if self.total else 0

    def on_click(self, event: events.Click) -> None:
        column = event.x - len(self.left) - 1
        if self.total and 0 <= column < self._bar_width:
            self.post_message(self.Clicked(round(column / (self._bar_width - 1) * self.total)))

    def render_line(self, y: int) -> Strip:
        if y:
            return Strip.blank(self.size.width, self.rich_style)
        head = self._column(self.position)
        ahead = max(0, self._column(self.computed) - head)
        rest = self._bar_width - head - ahead - 1

        def part(text: str, name: str) -> Segment:
            return Segment(text, self.get_component_rich_style(f"timeline--{name}"))

        segments = [
            part(f"{self.left} ", "label"),
            part("━" * head, "past"),
            part("●", "head"),
            part("━" * ahead, "ahead"),
            part("─" * rest, "future"),
            part(f" {self.right}", "label"),
        ]
        return Strip(segments).adjust_cell_length(self.size.width, self.rich_style)
