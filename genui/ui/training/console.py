"""The Console panel: follows the console.log of a run, wraps, searches and draws its lines."""

from __future__ import annotations

import asyncio
import re
import time
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import ClassVar, NamedTuple

from rich.cells import get_character_cell_size
from rich.style import Style
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.strip import Strip

from genui.base import numbers
from genui.base.errors import GenuiError
from genui.base.growing import GrowingFile
from genui.base.text import clean, clean_line, shorten_middle
from genui.runs.layout import RunDir
from genui.ui import messages
from genui.ui.training.rows import NO_PATTERN, SidePanel
from genui.ui.training.snapshot import Snapshot
from genui.ui.widgets.borders import set_border
from genui.ui.widgets.lines import strip_of
from genui.ui.widgets.lists import RowScroller

# --- Reading console.log as it grows, on a thread ---------------------------------------------

MAX_CONSOLE_BYTES = 4 * 1024 * 1024
"""How much of the file's end is kept: some fifty thousand lines."""

PIECE = 256 * 1024  # bytes that are read before their lines are shown
_MAX_LINE = 16 * 1024  # characters; the rest of a longer line is left out
_STAMPED = re.compile(r"(?:\d{4}-\d\d-\d\d[ T])?(\d\d:\d\d:\d\d)(?:[.,]\d+)?Z? (.*)", re.DOTALL)


class ConsoleLine(NamedTuple):
    """A line: its time of day, "" for one without, and the rest of it."""

    stamp: str
    text: str
    cells: int  # of the text
    uneven: bool  # whether it has characters that are not one cell wide


class NewLines(NamedTuple):
    """Lines that follow the earlier ones or, if `fresh`, replace them."""

    lines: Sequence[ConsoleLine] = ()
    fresh: bool = True
    pending: str = ""  # the last line while it has no end
    skipped: int = 0  # bytes of the file before the first line
    more: bool = False  # whether more can be read now


class ConsoleFile:
    """Follows one file, from MAX_CONSOLE_BYTES before its end."""

    def __init__(self, path: Path) -> None:
        self._file = GrowingFile(path)
        self._skipped = 0
        self._rest = b""  # of a line without an end

    def read(self) -> NewLines | None:
        """Return the lines that were appended, of at most PIECE bytes; None if there are none.

        A missing file has no lines. Raises GenuiError, one line, if the file cannot be read.
        """
        file = self._file
        if file.offset - self._skipped > 2 * MAX_CONSOLE_BYTES:  # read for long: keep the end again
            file.rewind()
        is_first = not file.offset
        data = file.read(PIECE)
        fresh = file.restarted or (is_first and bool(data))
        if fresh:
            self._rest, self._skipped = b"", max(0, file.size - MAX_CONSOLE_BYTES)
            if self._skipped:
                file.skip(self._skipped)
                data = file.read(PIECE)
        elif not data:
            return None
        file.take(data, len(data))
        whole, end, rest = (self._rest + data).rpartition(b"\n")
        if fresh and self._skipped:  # drop the first line: its beginning is missing
            _, end, whole = whole.partition(b"\n")
        self._rest = rest[-_MAX_LINE:]
        return NewLines(
            [_measure(*_split(line)) for line in whole.split(b"\n")] if end else [],
            fresh=fresh,
            pending=" ".join(_split(self._rest)).strip(),
            skipped=self._skipped,
            more=file.offset < file.size,
        )


class LoggedConsole:
    """Follows the lines in another tool's log, each a unix time and a text."""

    def __init__(self) -> None:
        self.lines: Sequence[tuple[float, str]] = ()
        self._shown: Sequence[tuple[float, str]] = ()

    def read(self) -> NewLines | None:
        """The new lines; all of them if the earlier ones are not the same. None if there are
        none."""
        lines, shown = self.lines, self._shown
        if lines is shown:
            return None
        self._shown = lines
        # The last one may have been continued.
        grown = (
            len(shown) <= len(lines)
            and shown[:1] == lines[:1]
            and shown[-1:] == (lines[len(shown) - 1 : len(shown)])
        )
        new = lines[len(shown) :] if grown and shown else lines
        parts = [_measure(_time_of_day(when), _split(text.encode())[1]) for when, text in new]
        return NewLines(parts, fresh=not (grown and shown))


def _time_of_day(when: float) -> str:
    try:
        return time.strftime("%H:%M:%S", time.localtime(when))
    except (ValueError, OverflowError, OSError):
        return ""


def _split(line: bytes) -> tuple[str, str]:
    """Split a line into its time of day and its text. Of a line that is overwritten with
    carriage returns, as by progress bars, only the last state is kept."""
    last = line.rstrip(b"\r").rpartition(b"\r")[2][:_MAX_LINE]
    text = clean(last.decode(errors="replace").expandtabs(4)).rstrip()
    match = _STAMPED.match(text)
    return (match[1], match[2]) if match else ("", text)


def _measure(stamp: str, text: str) -> ConsoleLine:
    if text.isascii():
        return ConsoleLine(stamp, text, len(text), False)
    sizes = [get_character_cell_size(character) for character in text]
    return ConsoleLine(stamp, text, sum(sizes), any(size != 1 for size in sizes))


# --- Wrapping and searching the lines, without drawing ----------------------------------------

_MAX_SEARCHED = 2000  # characters of a line: a pattern can be slow on longer ones
_SIGNS: tuple[tuple[str, str, re.Pattern[str]], ...] = (
    ("bad", "✗", re.compile(
        r"error\b|exception\b|traceback|\b(?:fatal|critical|failed|killed)\b|(?<![\w.])nan\b", re.I
    )),
    ("warn", "!", re.compile(r"\bwarn(?:ing)?\b|warning\b", re.I)),
    ("good", "✓", re.compile(r"\bcheckpoint\b|\bsaved\b|\bfinished\b", re.I)),
    ("key", "◆", re.compile(r"\beval(?:uation)?\b|\bval_loss\b|\bheld-out\b", re.I)),
)  # fmt: skip


class Match(NamedTuple):
    """The first match in a line, counted in `12:03:58 text`: the time of day is searched too."""

    line: int
    start: int
    end: int


def line_level(text: str) -> tuple[str, str]:
    """The style ("bad", "warn", "good", "key" or "text") and the sign of a line."""
    return next(
        ((style, sign) for style, sign, pattern in _SIGNS if pattern.search(text)), ("text", " ")
    )


class ConsoleText:
    """The lines, wrapped into rows of a given width. Rows are counted from 0.

    The row in which each line begins is computed from the widths of the lines: only lines that
    take several rows are wrapped for it.
    """

    def __init__(self) -> None:
        self.lines: list[ConsoleLine] = []
        self.pending = ""
        self.skipped = 0  # bytes of the file before the first line
        self.stamped = False  # whether any line has a time of day
        self._width = 80
        self._ends: list[int] = []  # the row after each line's last

    def add(self, new: NewLines) -> None:
        """Add lines; fresh ones replace all others."""
        if new.fresh:
            self.lines, self._ends, self.stamped = [], [], False
        self.lines += new.lines
        self.stamped = self.stamped or any(line.stamp for line in new.lines)
        self.pending, self.skipped = new.pending, new.skipped
        self._find_ends()

    def resize(self, width: int) -> None:
        """Wrap the text into rows of `width` cells."""
        if max(width, 2) != self._width:
            self._width = max(width, 2)
            self._ends = []
            self._find_ends()

    def _find_ends(self) -> None:
        """Find where the lines end that were added."""
        heights = map(self._height, self.lines[len(self._ends) :])
        self._ends += [*accumulate(heights, initial=self.first_row(len(self._ends)))][1:]

    def _height(self, line: ConsoleLine) -> int:
        """The number of rows of a line."""
        if line.cells <= self._width:
            return 1
        if line.uneven:  # a wide character that does not fit leaves the last cell of a row empty
            return -(-line.cells // (self._width - 1))
        return len(_wrap(line.text, self._width))

    @property
    def rows(self) -> int:
        """The number of rows, with the row of the pending line."""
        return self.first_row(len(self._ends)) + bool(self.pending)

    def first_row(self, line: int) -> int:
        """The row in which a line begins."""
        return self._ends[line - 1] if line else 0

    def at(self, row: int) -> tuple[int, int, int]:
        """The line, first character and one past the last character of a row; the pending line
        is number `len(lines)`."""
        at = bisect_right(self._ends, row)
        if at == len(self.lines):
            return at, 0, len(self.pending)
        line, part = self.lines[at], row - self.first_row(at)
        if line.uneven:
            return at, *_wrap_wide(line.text, part, self._width)
        return at, *_wrap(line.text, self._width)[part]

    def find(self, pattern: re.Pattern[str], first: int = 0) -> list[Match]:
        """Find the pattern in the lines from `first` on. Call it on a thread: it can be slow."""
        matches: list[Match] = []
        for at, line in enumerate(self.lines[first:], first):
            whole = f"{line.stamp} {line.text}" if line.stamp else line.text
            match = pattern.search(whole[:_MAX_SEARCHED])
            if match is not None:
                matches.append(Match(at, match.start(), match.end()))
        return matches


def _wrap(text: str, width: int) -> list[tuple[int, int]]:
    """The start and end of each row of a text whose characters are one cell wide. Rows break
    between words if possible; the space at a break belongs to neither row."""
    rows, start = [], 0
    while len(text) - start > width:
        end = text.rfind(" ", start + 1, start + width + 1)
        if end <= start:
            rows.append((start, start + width))
            start += width
        else:
            rows.append((start, end))
            start = end + 1
    return [*rows, (start, len(text))]


def _wrap_wide(text: str, part: int, width: int) -> tuple[int, int]:
    """The start and end of row number `part` of a text, each row as full as possible."""
    first, used = 0, 0
    for number, character in enumerate(text):
        cells = get_character_cell_size(character)
        if used + cells > width:
            if not part:
                return first, number
            part, first, used = part - 1, number, 0
        used += cells
    return (len(text), len(text)) if part else (first, len(text))


class ConsoleSearch:
    """The hits of a pattern in the console, ascending by line, and the current one."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.hits: list[Match] = []
        self.at = -1  # the index of the current hit
        self.by_line: dict[int, Match] = {}

    def replace_from(self, first: int, hits: Sequence[Match]) -> None:
        """Replace the hits in the lines from `first` on."""
        self.hits = [*(hit for hit in self.hits if hit.line < first), *hits]
        self.by_line = {hit.line: hit for hit in self.hits}

    @property
    def current(self) -> Match | None:
        return self.hits[self.at] if self.at >= 0 else None

    def step(self, by: int) -> Match | None:
        """Go to the next or previous hit, wrapping around; None if there are no hits."""
        if self.hits:
            before = self.at if by > 0 else max(self.at, 0)
            self.at = (before + by) % len(self.hits)
        return self.current

    def describe(self) -> str:
        """The current hit and the keys."""
        if not self.hits:
            return "no match · / search"
        at, count = numbers.count(self.at + 1), numbers.count(len(self.hits))
        return f"match {at} of {count} · . , next, previous"


# --- Drawing the rows: time of day, sign, text, hits ------------------------------------------

_STAMP, _SIGN = 9, 2  # cells: "12:03:58 ", "✗ "
_STAMP_MIN_WIDTH = 34  # cells; a narrower panel has no room for the time of day


class ConsoleLines(RowScroller):
    """Draws a ConsoleText with the hits of a search; its owner changes both, and calls
    `update_rows` or `refresh`."""

    def __init__(self, empty: str) -> None:
        super().__init__(empty, follows=True)
        self.text = ConsoleText()
        self.search = ConsoleSearch()

    @property
    def _lead(self) -> int:
        """Cells before the text."""
        wide = self.scrollable_content_region.width >= _STAMP_MIN_WIDTH
        return _SIGN + (_STAMP if wide and self.text.stamped else 0)

    @property
    def _head(self) -> int:
        """Rows above the first line: one if the beginning of the file is left out."""
        return 1 if self.text.skipped else 0

    @property
    def count(self) -> int:
        return self.text.rows + self._head if self.text.rows else 0

    def update_rows(self) -> None:
        self.text.resize(self.scrollable_content_region.width - self._lead)
        super().update_rows()

    def step(self, by: int) -> None:
        """Bring the next or previous hit into view."""
        if (hit := self.search.step(by)) is not None:
            self.reveal(self.text.first_row(hit.line) + self._head)
            self.refresh()

    def row(self, number: int, width: int) -> Strip:
        style = self.look
        dim = style("dim")
        if number < self._head:
            skipped = numbers.size(self.text.skipped)
            return strip_of([(f"{skipped} before this are only in console.log", dim)])
        line, start, end = self.text.at(number - self._head)
        pending = line == len(self.text.lines)
        stamp, text, *_ = ("", self.text.pending) if pending else self.text.lines[line]
        level, sign = line_level(text)
        text_style = style(level if level in {"bad", "warn"} else "text")
        first = start == 0
        parts: list[tuple[str, Style]] = []
        if self._lead > _SIGN:
            parts.append((f"{stamp if first else '':<{_STAMP}}", dim))
        parts.append((f"{sign if first else ' '} ", style(level) + Style(bold=True)))
        match = None if pending else self.search.by_line.get(line)
        if match is None:
            parts.append((text[start:end], text_style))
        else:
            hit = style("hit-here" if match is self.search.current else "hit")
            shift = len(stamp) + 1 if stamp else 0
            a = min(max(match.start - shift, start), end)
            b = min(max(match.end - shift, a), end)
            parts += [(text[start:a], text_style), (text[a:b], hit), (text[b:end], text_style)]
            if first and match.start < shift:  # the match begins in the time of day
                parts[0] = (parts[0][0], hit)
        return strip_of(parts)


# --- The panel --------------------------------------------------------------------------------

NO_CONSOLE = "Nothing printed yet"
FOREIGN = "A log of another tool: it has no console output"


class ConsolePanel(SidePanel):
    """Follows the console.log of the first run that has one; matches of / are marked."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("full_stop", "step_hit(1)", "Next hit", show=False),
        Binding("comma", "step_hit(-1)", "Previous hit", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._lines = ConsoleLines(NO_CONSOLE)
        self._run: RunDir | None = None
        self._file: ConsoleFile | LoggedConsole | None = None
        self._last_console: object = None  # of the last view: if it differs, the file has grown
        self._reading = False
        self._read_again = False  # the file has grown while it was read

    def compose(self) -> ComposeResult:
        yield self._lines
        yield self.filter

    def on_mount(self) -> None:
        self.border_title = "Console"
        self.write_border()

    def enter(self) -> None:
        """Focus the lines: arrows scroll, / searches, Esc goes back."""
        self._lines.focus()

    def write_border(self) -> None:
        keys = "/ search · esc back" if self.has_focus_within else "i search, scroll"
        if self._is_searching:
            keys = self._lines.search.describe()
        set_border(self, subtitle=NO_PATTERN if self.filter.is_bad else keys)

    # --- following ----------------------------------------------------------------------

    def show(self, snapshot: Snapshot) -> None:
        """Show the console. It does not move with the cursor: its lines have times, no steps."""
        views = snapshot.views
        view = next((v for v in views if v.summary.native or v.extras.console), None)
        if view is None:
            self._follow(None, FOREIGN if views else NO_CONSOLE)
            return
        if view.summary.run != self._run:
            self._follow(view.summary.run, NO_CONSOLE, view.summary.native)
            name = shorten_middle(view.summary.info.name, 24)
            set_border(self, title=f"Console  {name}" if len(views) > 1 else "Console")
        console = view.console if view.summary.native else view.extras.console
        if self._last_console is not console:
            self._last_console = console
            if isinstance(self._file, LoggedConsole):
                self._file.lines = view.extras.console
            self._read()

    def _follow(self, run: RunDir | None, empty: str, native: bool = True) -> None:
        self._lines.set_empty_text(empty)
        if run == self._run:
            return
        self._run, self._last_console = run, None
        if run is None:
            self._file = None
        else:
            self._file = ConsoleFile(run.console) if native else LoggedConsole()
        self._add(NewLines())

    def _read(self) -> None:
        if self._reading:
            self._read_again = True
        elif self._file is not None:
            self._reading = True
            self._read_pieces(self._file)

    @work(group="console", exit_on_error=False)
    async def _read_pieces(self, file: ConsoleFile | LoggedConsole) -> None:
        """Read to the end of the file, one piece after another."""
        try:
            while file is self._file:
                self._read_again = False
                new = await asyncio.to_thread(file.read)
                if new is not None and file is self._file:
                    self._add(new)
                if not (self._read_again or (new is not None and new.more)):
                    break
        except GenuiError as error:
            self.post_message(messages.ShowStatus(clean_line(str(error))))
        finally:
            self._reading = False
        if file is not self._file:
            self._read()

    def _add(self, new: NewLines) -> None:
        lines = self._lines
        first = 0 if new.fresh else len(lines.text.lines)
        lines.text.add(new)
        if new.fresh:
            lines.search.clear()
        lines.update_rows()
        if self._is_searching and len(lines.text.lines) > first:
            self._find(self.filter.pattern, first)

    # --- searching ----------------------------------------------------------------------

    @property
    def _is_searching(self) -> bool:
        return bool(self.filter.pattern.pattern)

    def draw_matches(self) -> None:
        if not self.filter.is_bad:
            self._lines.search.clear()
            self._lines.refresh()
            if self._is_searching:
                self._find(self.filter.pattern, 0)
        self.write_border()

    @work(group="search", exit_on_error=False)
    async def _find(self, pattern: re.Pattern[str], first: int) -> None:
        search, text = self._lines.search, self._lines.text
        lines = text.lines
        hits = await asyncio.to_thread(text.find, pattern, first)
        if pattern is not self.filter.pattern or lines is not text.lines:
            return  # another one has been typed since, or the file is read anew
        search.replace_from(first, hits)
        self._lines.refresh()
        if search.current is None:
            self._lines.step(-1)  # begin with the last hit: in a console the newest lines matter
        self.write_border()

    def action_step_hit(self, by: int) -> None:
        """Go to the next or previous hit."""
        if self._is_searching:
            self._lines.step(by)
            self.write_border()
        else:
            self.action_search()
