"""A piano roll that grows as it is written, drawn line by line."""

from collections.abc import Sequence
from itertools import groupby
from typing import ClassVar

from rich.style import Style
from textual.strip import Strip

from genui.base.errors import MisuseError
from genui.formats import score
from genui.protocol import TextFrame, chorale
from genui.render.piano_roll import (
    GUTTER,
    Column,
    Mark,
    choose_scale,
    draw_roll_rows,
    format_bar_numbers,
)
from genui.ui.traces.trees import Trace
from genui.ui.widgets.base import LineWidget, Moment, strip_of

_HEAD = "▾"


class Roll(LineWidget):
    """Pitch upwards, time to the right, a sixteenth a cell; each voice has a mark and a colour.

    A note begins with its voice's letter. The playhead stands in the line of bar numbers; what
    was written after it is dim. The view moves on by bars, so that a step costs a few cells.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "roll--empty", "roll--line", "roll--name", "roll--head", "roll--ahead", "roll--struck",
        *(f"roll--{voice}" for voice in chorale.VOICES),
    }  # fmt: skip
    DEFAULT_CSS = """
    Roll {
        width: 1fr;
        height: 1fr;
        & > .roll--empty { color: $text-muted; }
        & > .roll--line { color: $border-blurred; }
        & > .roll--name { color: $text-muted; }
        & > .roll--head { color: $accent; text-style: bold; }
        & > .roll--ahead { color: $text-disabled; }
        & > .roll--soprano { color: $error; }
        & > .roll--alto { color: $warning; }
        & > .roll--tenor { color: $success; }
        & > .roll--bass { color: $primary; }
        & > .roll--struck { text-style: bold; }
    }
    """

    def __init__(self, empty: str = "No music yet", *, id: str | None = None) -> None:
        super().__init__(empty, id=id)
        self._columns: Sequence[Column] = ()
        self._bar, self._begins = 16, 0
        self._step = 0  # what later steps wrote is dim
        self._head = -1  # the sixteenth that the playhead is at
        self._first = 0  # the sixteenth at the left edge
        self._scrolled = False  # by hand: the view stays
        self.grid: score.Grid | None = None  # of `show_frames`
        self.opening = chorale.Opening()
        self._source: tuple[object, str] | None = None
        self._frames: list[TextFrame] = []  # those in the grid

    def clear(self, empty: str) -> None:
        """Nothing but that text."""
        self._empty, self._columns, self._first = empty, (), 0
        self.grid, self._source, self._frames = None, None, []
        self.redraw()

    def show_trace(self, trace: Trace[TextFrame], moment: Moment) -> None:
        """Show a trace up to one of its steps."""
        if trace.started or trace.frames:
            frames = trace.frames[: moment.step]
            self.show_frames(trace.request.init, trace.model_prompt, frames, moment.step)
        else:
            self.clear(moment.empty)

    def show_frames(
        self, init: object, prompt: str, frames: Sequence[TextFrame], step: int
    ) -> bool:
        """What these frames wrote, begun from `init` or as `prompt` asks (as `Start` has them),
        with the playhead after `step`. False where that is no piece.

        What the frames share with those shown before is not written again.
        """
        begun = (init, prompt)
        known = len(self._frames)
        if begun != self._source or list(frames[:known]) != self._frames:
            self._source, self._frames, known = begun, [], 0
            try:
                given = init if isinstance(init, str) else None
                self.grid, self.opening = score.grid_of(given, prompt)
            except MisuseError:
                self.grid = None
        if self.grid is None:
            self.clear("its prompt or melody cannot be read: start another piece")
            return False
        for frame in frames[known:]:
            self.grid.write(frame.token)
        self._frames = list(frames)
        head = self.grid.head(step)
        self.show(self.grid.columns, self.opening.bar, self.opening.begins, step, head)
        return True

    def show(self, columns: Sequence[Column], bar: int, begins: int, step: int, head: int) -> None:
        """These sixteenths, with the playhead at sixteenth `head`, after `step`."""
        self._columns, self._bar, self._begins = columns, bar, begins
        if head != self._head:
            self._scrolled = False
        self._step, self._head = step, head
        if not self._scrolled:
            self._follow()
        self.redraw()

    def scroll_text(self, by: int) -> None:
        """Show the bar before or after, without moving the playhead."""
        first = self._aligned(self._first + (self._bar if by > 0 else -self._bar))
        self._first = max(0, min(first, self._aligned(len(self._columns))))
        self._scrolled = True
        self.redraw()

    @property
    def first(self) -> int:
        """The sixteenth at the left edge."""
        return self._first

    def _room(self) -> int:
        return max(1, self.size.width - GUTTER)

    def _aligned(self, sixteenth: int) -> int:
        """The beginning of the bar that a sixteenth is in."""
        return max(0, sixteenth - (self._begins + sixteenth) % self._bar)

    def _follow(self) -> None:
        """Bring the playhead into view, by whole bars and with half a view to go."""
        room = self._room()
        if not self._first <= self._head < self._first + room:
            before = self._head - room // 2 if self._head >= room else 0
            self._first = self._aligned(max(0, before))

    # --- drawing ------------------------------------------------------------------------

    def on_resize(self) -> None:
        super().on_resize()
        self._follow()

    def draw(self, width: int, height: int) -> list[Strip]:
        if not self._columns:
            return self.message(self._empty, "roll--empty", width, height)
        room = self._room()
        in_view = self._columns[self._first : self._first + room]
        scale = choose_scale(in_view, height - 1)
        looks = self._looks()
        top = format_bar_numbers(self._first, room, self._bar, self._begins)
        at = self._head - self._first
        name, head = self.style("roll--name"), self.style("roll--head")
        parts = [(" " * GUTTER + top, name)]
        if 0 <= at < room:
            parts = [
                (" " * GUTTER + top[:at], name),
                (_HEAD, head),
                (top[at + 1 :], name),
            ]
        rows = draw_roll_rows(self._columns, scale, self._first, room, self._bar, self._begins)
        return [
            strip_of(parts),
            *(
                strip_of([(f"{scale.name(number):<{GUTTER}}", name), *self._runs(row, looks)])
                for number, row in enumerate(rows[: height - 1])
            ),
        ]

    def _runs(self, row: Sequence[Mark], looks: dict[tuple[int, bool, bool], Style]):
        """Cells of one style together."""

        def look(mark: Mark) -> Style:
            return looks[mark.voice, mark.text.isalpha(), mark.step > self._step]

        for style, marks in groupby(row, key=look):
            yield "".join(mark.text for mark in marks), style

    def _looks(self) -> dict[tuple[int, bool, bool], Style]:
        """A style for each (voice, begins there, after the playhead)."""
        line, ahead = self.style("roll--line"), self.style("roll--ahead")
        looks = {(-1, struck, later): line for struck in (False, True) for later in (False, True)}
        bold = Style(bold=True)
        for voice, name in enumerate(chorale.VOICES):
            style = self.style(f"roll--{name}")
            looks[voice, False, False], looks[voice, True, False] = style, style + bold
            looks[voice, False, True] = looks[voice, True, True] = ahead
        return looks
