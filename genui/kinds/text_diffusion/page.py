"""The page: a text of places, those that are decided and those that are not."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple

from msgspec import Struct
from rich.cells import cell_len
from rich.style import Style
from textual.strip import Strip

from genui.base.schema import about
from genui.kinds.text_diffusion.settings import GIVEN, UNDECIDED, CanvasFrame
from genui.render.canvas import merge_runs
from genui.ui.traces.compare import Moment
from genui.ui.traces.trees import ShownTrace
from genui.ui.widgets.lines import LineWidget, strip_of

BARS = "▁▂▃▄▅▆▇█"
OPEN = "·"  # an undecided place without a guess
_WORD = re.compile(r"[^\W_][\w']*")


class PageLook(Struct, frozen=True):
    """What the signs under the text show."""

    signs: Annotated[
        Literal["sure", "order"],
        about(
            "The signs under the text: a bar for the probability of a token when it was decided, "
            "or the tenth of the steps in which it was decided",
            choices={"sure": "how surely", "order": "in which order"},
        ),
    ] = "sure"


class Cell(NamedTuple):
    """A character of a place, and whether the line ends with it."""

    place: int
    text: str
    ends: bool = False


def cells_of(frame: CanvasFrame) -> Iterator[Cell]:
    """The characters of a page in order; a decided newline ends a line."""
    for place, (text, step) in enumerate(zip(frame.texts, frame.decided, strict=True)):
        for char in text or OPEN:
            is_newline = char == "\n"
            shown = "↵" if is_newline else char if char.isprintable() else OPEN
            yield Cell(place, shown, is_newline and step != UNDECIDED)


def lines_of(frame: CanvasFrame, width: int) -> list[list[Cell]]:
    """The lines of a page, at most `width` cells each."""
    lines: list[list[Cell]] = [[]]
    room = width
    for cell in cells_of(frame):
        if (room := room - cell_len(cell.text)) < 0:
            lines.append([])
            room = width - cell_len(cell.text)
        lines[-1].append(cell)
        if cell.ends:
            lines.append([])
            room = width
    return lines


def words_of(frame: CanvasFrame) -> list[tuple[int, int]]:
    """The first and the last place of each decided word."""
    cells = [*cells_of(frame)]
    line = "".join(OPEN if frame.decided[at] == UNDECIDED else text for at, text, _ in cells)
    found = _WORD.finditer(line)
    return [(cells[word.start()].place, cells[word.end() - 1].place) for word in found]


class Page(LineWidget):
    """A text; below each line are signs of how surely, or in which order, it was decided.

    What the last step decided is reversed; undecided places have the likeliest token, dim, and no
    colour. A place of the cursor's word is underlined.
    """

    DEFAULT_CSS = """
    Page {
        & > .page--given { color: $foreground; text-style: bold; }
        & > .page--high { color: $success; }
        & > .page--middle { color: $warning; }
        & > .page--low { color: $error; }
        & > .page--open { color: $text-disabled; text-style: italic; }
    }
    """

    def __init__(self) -> None:
        super().__init__("No text yet")
        self._frame: CanvasFrame | None = None
        self._total = 1
        self._signs = "sure"
        self._cursor: tuple[int, int] | None = None
        self._looked_at: tuple[tuple[int, int] | None, int] | None = None  # the cursor and the step
        self._scroll = 0  # lines

    def clear(self, empty: str | None = None) -> None:
        self._frame = None
        super().clear(empty)

    def show_trace(self, trace: ShownTrace[CanvasFrame], moment: Moment) -> None:
        """Show a trace at one of its steps."""
        frames = trace.frames[: moment.step + 1]
        if frames:
            self.show_frame(frames[-1], trace.total)
        else:
            self.clear(moment.empty)

    def show_frame(
        self,
        frame: CanvasFrame,
        total: int,
        signs: str = "sure",
        cursor: tuple[int, int] | None = None,
    ) -> None:
        """Show a step of `total`, with the cursor on a word, from its first to its last place."""
        self._frame, self._total, self._signs, self._cursor = frame, total, signs, cursor
        self.redraw()

    def scroll_text(self, by: int) -> None:
        """Scroll by lines."""
        self._scroll = max(0, self._scroll + by)
        self.redraw()

    # --- drawing ------------------------------------------------------------------------

    def draw(self, width: int, height: int) -> list[Strip]:
        frame = self._frame
        if frame is None:
            return self.message(self._empty, width, height)
        lines = lines_of(frame, max(1, width))
        room = max(1, height // 2)
        looked_at = self._cursor, frame.step
        if self._cursor is not None and looked_at != self._looked_at:  # its word comes into sight
            at = next(
                n for n, line in enumerate(lines) if any(c.place == self._cursor[0] for c in line)
            )
            self._scroll = max(at - room + 1, min(self._scroll, at))
        self._looked_at = looked_at
        self._scroll = max(0, min(self._scroll, len(lines) - room))
        shown = lines[self._scroll : self._scroll + room]
        return [strip for line in shown for strip in self._draw_line(frame, line)]

    def _draw_line(self, frame: CanvasFrame, line: list[Cell]) -> list[Strip]:
        text, signs = [], []
        for cell in line:
            style, now = self._style_of(frame, cell.place), frame.decided[cell.place]
            text.append((cell.text, style + Style(reverse=now == frame.step > GIVEN)))
            signs.append((self._sign(frame, cell.place) * cell_len(cell.text), style))
        return [strip_of(merge_runs(text)), strip_of(merge_runs(signs))]

    def _level(self, frame: CanvasFrame, place: int) -> float:
        """What is shown of a place, 0 to 1: its probability, or how early it was decided."""
        if self._signs == "sure":
            return frame.sure[place]
        return 1 - frame.decided[place] / max(1, self._total)

    def _style_of(self, frame: CanvasFrame, place: int) -> Style:
        step = frame.decided[place]
        if step == UNDECIDED:
            return self.style("page--open")
        level = self._level(frame, place)
        name = "high" if level > 2 / 3 else "middle" if level > 1 / 3 else "low"
        style = self.style("page--given" if step == GIVEN else f"page--{name}")
        first, last = self._cursor or (-1, -1)
        return style + Style(underline=first <= place <= last)

    def _sign(self, frame: CanvasFrame, place: int) -> str:
        """The sign below a place; a blank for one that was given or is undecided."""
        if frame.decided[place] in (GIVEN, UNDECIDED):
            return " "
        if self._signs == "order":
            return str(min(9, 10 * (frame.decided[place] - 1) // self._total))
        return BARS[min(7, int(8 * frame.sure[place]))]
