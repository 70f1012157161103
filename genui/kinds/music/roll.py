"""A piano roll that grows as its notes are generated."""

from collections.abc import Sequence

from rich.style import Style
from textual.strip import Strip

from genui.base.errors import MisuseError
from genui.kinds.music import chorale, score
from genui.kinds.music.piano_roll import (
    GUTTER,
    Column,
    Scale,
    choose_scale,
    draw_roll_rows,
    format_bar_numbers,
)
from genui.protocol import TextFrame
from genui.render.canvas import merge_runs
from genui.ui.traces.compare import Moment
from genui.ui.traces.trees import ShownTrace
from genui.ui.widgets.lines import LineWidget, strip_of

_HEAD = "▾"
TALL = 32  # lines from which there are two systems, one below the other


class Roll(LineWidget):
    """Pitch upwards, time to the right, a cell per sixteenth; voices differ by mark and colour.

    A note begins with the letter of its voice. The playhead is in the line of bar numbers; notes
    of later steps are dim. The view scrolls by bars, so that a step repaints only a few cells. A
    tall roll has two systems of whole bars, one below the other.
    """

    DEFAULT_CSS = """
    Roll {
        & > .roll--line { color: $border-blurred; }
        & > .roll--name { color: $text-muted; }
        & > .roll--head { color: $accent; text-style: bold; }
        & > .roll--ahead { color: $text-disabled; }
        & > .roll--soprano { color: $error; }
        & > .roll--alto { color: $warning; }
        & > .roll--tenor { color: $success; }
        & > .roll--bass { color: $primary; }
    }
    """

    def __init__(self) -> None:
        super().__init__("No music yet")
        self._columns: Sequence[Column] = ()
        self._bar, self._begins = 16, 0
        self._step = 0  # notes of later steps are dim
        self._head = -1  # the sixteenth of the playhead
        self.first = 0  # the sixteenth at the left edge
        self._scrolled = False  # by the user, so it does not follow the playhead
        self._ended = False  # the playhead is at the end of the piece
        self.grid: score.Grid | None = None  # of `show_frames`
        self.opening = chorale.Opening()
        self._source: tuple[object, str] | None = None  # the init and prompt of the grid
        self._frames: list[TextFrame] = []  # in the grid

    def clear(self, empty: str | None = None) -> None:
        self._columns, self.first = (), 0
        self.grid, self._source, self._frames = None, None, []
        super().clear(empty)

    def show_trace(self, trace: ShownTrace[TextFrame], moment: Moment) -> None:
        """Show a trace up to one of its steps."""
        if trace.started or trace.frames:
            frames = trace.frames[: moment.step]
            source = trace.request.init, trace.model_prompt
            self.show_frames(*source, frames, moment.step, ended=trace.finished)
        else:
            self.clear(moment.empty)

    def show_frames(
        self,
        init: object,
        prompt: str,
        frames: Sequence[TextFrame],
        step: int,
        *,
        ended: bool = False,
    ) -> bool:
        """Show the notes of `frames`, with the playhead after `step`, or at the end of the piece.

        `init` and `prompt` are the fields of `Start`. Only frames that are new are added to the
        grid. Returns False if the prompt or melody cannot be read.
        """
        source = (init, prompt)
        known = len(self._frames)
        if source != self._source or list(frames[:known]) != self._frames:
            self._source, self._frames, known = source, [], 0
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
        opening = self.opening
        self.show(self.grid.columns, opening.bar, opening.begins, step, head, ended=ended)
        return True

    def show(
        self,
        columns: Sequence[Column],
        bar: int,
        begins: int,
        step: int,
        head: int,
        *,
        ended: bool = False,
    ) -> None:
        """Show these sixteenths, with the playhead at sixteenth `head`, after `step`; at the end
        of the piece the last page is full."""
        self._columns, self._bar, self._begins = columns, bar, begins
        if head != self._head:
            self._scrolled = False
        self._step, self._head, self._ended = step, head, ended
        if not self._scrolled:
            self._follow()
        self._fill_last_page()
        self.redraw()

    def scroll_text(self, by: int) -> None:
        """Show the bar before or after, without moving the playhead."""
        first = self._start_of_bar(self.first + (self._bar if by > 0 else -self._bar))
        self.first = max(0, min(first, self._start_of_bar(len(self._columns))))
        self._scrolled = True
        self.redraw()

    def _room(self) -> int:
        return max(1, self.size.width - GUTTER)

    def _start_of_bar(self, sixteenth: int) -> int:
        """Return the first sixteenth of the bar of a sixteenth."""
        return max(0, sixteenth - (self._begins + sixteenth) % self._bar)

    def _systems(self) -> list[range]:
        """Return the sixteenths of each system, from the top down."""
        room = self._room()
        if self.size.height < TALL or room < self._bar:
            return [range(self.first, self.first + room)]
        bars = room - room % self._bar
        # The first may begin with an upbeat, but ends with a bar.
        end = self.first + bars - (self._begins + self.first) % self._bar
        return [range(self.first, end), range(end, end + bars)]

    def _follow(self) -> None:
        """Scroll by whole bars to bring the playhead into view: to the middle of a system, or,
        if it has passed the last of two, to the beginning of that."""
        systems = self._systems()
        if self.first <= self._head < systems[-1].stop:
            return
        passed_two = len(systems) > 1 and self._head >= systems[-1].stop
        back = len(systems[-1]) if passed_two else self._room() // 2
        self.first = self._start_of_bar(max(0, self._head - back if self._head >= back else 0))

    def _fill_last_page(self) -> None:
        """At the end of the piece, scroll back until its last bar is the last on the page."""
        room = sum(map(len, self._systems()))
        if self._ended and not self._scrolled and self.first + room > len(self._columns):
            self.first = self._start_of_bar(max(0, len(self._columns) - room + self._bar - 1))

    # --- drawing ------------------------------------------------------------------------

    def on_resize(self) -> None:
        self._follow()
        self._fill_last_page()

    def draw(self, width: int, height: int) -> list[Strip]:
        if not self._columns:
            return self.message(self._empty, width, height)
        systems = self._systems()
        lines = height // len(systems)
        scale = choose_scale(self._columns[self.first : systems[-1].stop], lines - 1)
        strips: list[Strip] = []
        for number, sixteenths in enumerate(systems):
            strips += [Strip.blank(width, self.rich_style)] * (number * lines - len(strips))
            strips += self._draw_system(sixteenths, scale, lines)
        return strips

    def _draw_system(self, sixteenths: range, scale: Scale, height: int) -> list[Strip]:
        """Draw the bar numbers, with the playhead among them, and the notes."""
        first, room = sixteenths.start, len(sixteenths)
        looks, name = self._looks(), self.style("roll--name")
        top = format_bar_numbers(first, room, self._bar, self._begins)
        parts = [(" " * GUTTER + top, name)]
        if self._head in sixteenths:
            at = self._head - first
            head = (_HEAD, self.style("roll--head"))
            parts = [(" " * GUTTER + top[:at], name), head, (top[at + 1 :], name)]
        strips = [strip_of(parts)]
        rows = draw_roll_rows(self._columns, scale, first, room, self._bar, self._begins)
        for number, row in enumerate(rows[: height - 1]):
            cells = [
                (mark.text, looks[mark.voice, mark.text.isalpha(), mark.step > self._step])
                for mark in row
            ]
            label = f"{scale.name(number):<{GUTTER}}"
            strips.append(strip_of([(label, name), *merge_runs(cells)]))
        return strips

    def _looks(self) -> dict[tuple[int, bool, bool], Style]:
        """Return the style of each (voice, begins here, is after the playhead)."""
        line, ahead = self.style("roll--line"), self.style("roll--ahead")
        looks = {(-1, struck, later): line for struck in (False, True) for later in (False, True)}
        bold = Style(bold=True)
        for voice, name in enumerate(chorale.VOICES):
            style = self.style(f"roll--{name}")
            looks[voice, False, False], looks[voice, True, False] = style, style + bold
            looks[voice, False, True] = looks[voice, True, True] = ahead
        return looks
