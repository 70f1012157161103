"""The console of a run: its file is followed, and its lines wrapped, searched and drawn."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
from rich.cells import get_character_cell_size
from rich.style import Style
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.strip import Strip

from genui.base import numbers
from genui.base.errors import GenuiError
from genui.base.files import cannot_read
from genui.base.text import clean, clean_line
from genui.runs.layout import RunDir
from genui.ui import messages
from genui.ui.training.model import Snapshot
from genui.ui.training.rows import SEARCH_KEY, RowScroller, SearchLine, SidePanel
from genui.ui.widgets.base import set_border, strip_of

# --- Reading console.log as it grows. For a thread --------------------------------------------

MOST_CONSOLE_BYTES = 4 * 1024 * 1024
"""Bytes of the file's end that are kept: some fifty thousand lines."""

PIECE = 256 * 1024  # bytes read before what they hold is shown
_HEAD = 64  # bytes that tell a file written anew from one that grew
_LONGEST_LINE = 16 * 1024  # characters; the rest of a longer one is left out
_STAMPED = re.compile(r"(?:\d{4}-\d\d-\d\d[ T])?(\d\d:\d\d:\d\d)(?:[.,]\d+)?Z? (.*)", re.DOTALL)


@dataclass(frozen=True)
class Lines:
    """Lines that follow those read before or, where `fresh`, replace them.

    Four of one length: the times of day ("" where a line has none), the texts, how many cells
    each takes (int64 [N]), and whether any of its characters takes other than one (bool [N]).
    `pending` is the last line while it has no end, `skipped`
    the bytes of the file before the first line, `more` whether there is more to be read now.
    """

    stamps: list[str]
    texts: list[str]
    cells: np.ndarray
    uneven: np.ndarray
    pending: str
    fresh: bool
    skipped: int
    more: bool


NO_LINES = Lines(
    *([], [], np.empty(0, np.int64), np.empty(0, bool), ""), fresh=True, skipped=0, more=False
)
"""What there is of another file before it was read."""


class ConsoleFile:
    """Follows one file from MOST bytes before its end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = self._skipped = 0
        self._inode: tuple[int, int] | None = None
        self._head = b""
        self._rest = b""  # of a line without an end

    def read(self) -> Lines | None:
        """What was appended, PIECE bytes at most; None where nothing was.

        A file that is not there has nothing. Raises GenuiError where it may not be read.
        """
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise cannot_read(self.path, error) from None
        try:
            stat = os.fstat(fd)
            fresh = self._begin(stat, os.pread(fd, _HEAD, 0))
            data = os.pread(fd, PIECE, self._offset)
        except OSError as error:
            raise cannot_read(self.path, error) from None
        finally:
            os.close(fd)
        if not data and not fresh:
            return None
        cut = fresh and self._skipped > 0
        self._offset += len(data)
        whole, end, rest = (self._rest + data).rpartition(b"\n")
        if cut:  # the first line is half of one
            _, end, whole = whole.partition(b"\n")
        self._rest = rest[-_LONGEST_LINE:]
        parts = [_split(line) for line in whole.split(b"\n")] if end else []
        widths = [_width(text) for _, text in parts]
        return Lines(
            stamps=[stamp for stamp, _ in parts],
            texts=[text for _, text in parts],
            cells=np.array([cells for cells, _ in widths], np.int64),
            uneven=np.array([uneven for _, uneven in widths], bool),
            pending=" ".join(_split(self._rest)).strip(),
            fresh=fresh,
            skipped=self._skipped,
            more=self._offset < stat.st_size,
        )

    def _begin(self, stat: os.stat_result, head: bytes) -> bool:
        """Whether it is another file than before, or was written anew; then it is read anew."""
        inode = (stat.st_dev, stat.st_ino)
        grown = stat.st_size >= self._offset and head.startswith(self._head)
        same, self._head = inode == self._inode and grown, head
        if same:
            return False
        self._inode, self._rest = inode, b""
        self._offset = self._skipped = max(0, stat.st_size - MOST_CONSOLE_BYTES)
        return True


def _split(line: bytes) -> tuple[str, str]:
    """The time of day and the text. Of a line that was written over with carriage returns, as
    progress bars do, the last state counts."""
    last = line.rstrip(b"\r").rpartition(b"\r")[2][:_LONGEST_LINE]
    text = clean(last.decode(errors="replace").expandtabs(4)).rstrip()
    match = _STAMPED.match(text)
    return (match[1], match[2]) if match else ("", text)


def _width(text: str) -> tuple[int, bool]:
    """The cells a text takes, and whether any of its characters takes other than one."""
    if text.isascii():
        return len(text), False
    sizes = [get_character_cell_size(character) for character in text]
    return sum(sizes), any(size != 1 for size in sizes)


# --- The lines of a console, wrapped and searched. Draws nothing ------------------------------

_SEARCHED = 2000  # characters of a line: a pattern may take long over more
_SIGNS: tuple[tuple[str, str, re.Pattern[str]], ...] = (
    ("bad", "✗", re.compile(
        r"error\b|exception\b|traceback|\b(?:fatal|critical|failed|killed)\b|(?<![\w.])nan\b", re.I
    )),
    ("warn", "!", re.compile(r"\bwarn(?:ing)?\b|warning\b", re.I)),
    ("good", "✓", re.compile(r"\bcheckpoint\b|\bsaved\b|\bfinished\b", re.I)),
    ("key", "◆", re.compile(r"\beval(?:uation)?\b|\bval_loss\b|\bheld-out\b", re.I)),
)  # fmt: skip


class Match(NamedTuple):
    """The first match in a line, which is searched with its time of day: `12:03:58 text`."""

    line: int
    start: int
    end: int


def line_level(text: str) -> tuple[str, str]:
    """The look ("bad", "warn", "good", "key" or "text") and the sign of a line."""
    for look, sign, pattern in _SIGNS:
        if pattern.search(text):
            return look, sign
    return "text", " "


class ConsoleText:
    """Grows by `Lines`; `resize` says how wide a row of text is. Rows are counted from 0.

    Where each line begins follows from the lengths of the lines: only those that take several
    rows are looked at one by one, and no other is until it is in view.
    """

    def __init__(self) -> None:
        self.stamps: list[str] = []
        self.texts: list[str] = []
        self.pending = ""
        self.skipped = 0  # bytes of the file before the first line
        self.stamped = False  # whether any line has a time of day
        self._cells = np.empty(0, np.int64)
        self._uneven = np.empty(0, bool)  # lines whose characters are not a cell each
        self._width = 80
        self._ends = np.empty(0, np.int64)  # the row after each line's last

    def take(self, new: Lines) -> None:
        """Add lines, or begin anew with them."""
        if new.fresh:
            self.stamps, self.texts = [], []
            self._cells, self._ends = self._cells[:0], self._ends[:0]
            self._uneven = self._uneven[:0]
            self.stamped = False
        self.stamps += new.stamps
        self.texts += new.texts
        self.stamped = self.stamped or any(new.stamps)
        self._cells = np.concatenate((self._cells, new.cells))
        self._uneven = np.concatenate((self._uneven, new.uneven))
        start = int(self._ends[-1]) if len(self._ends) else 0
        ends = start + self._rows_of(len(self._ends))
        self._ends = np.concatenate((self._ends, ends))
        self.pending, self.skipped = new.pending, new.skipped

    def resize(self, width: int) -> None:
        """Rows of text have `width` cells."""
        if max(width, 2) != self._width:
            self._width = max(width, 2)
            self._ends = self._rows_of(0)

    def _rows_of(self, first: int) -> np.ndarray:
        """Running sum of the rows that the lines from `first` on take, int64 [N]."""
        cells, uneven = self._cells[first:], self._uneven[first:]
        # Of wide characters, one that does not fit leaves the last cell of a row empty.
        heights = np.maximum(-(-cells // (self._width - uneven)), 1)
        for line in np.flatnonzero((cells > self._width) & ~uneven).tolist():
            heights[line] = len(_wrap(self.texts[first + line], self._width))
        return np.cumsum(heights)

    @property
    def rows(self) -> int:
        """All of them, that of the pending line too."""
        return (int(self._ends[-1]) if len(self._ends) else 0) + bool(self.pending)

    def first_row(self, line: int) -> int:
        """The row a line begins in."""
        return int(self._ends[line - 1]) if line else 0

    def at(self, row: int) -> tuple[int, int, int]:
        """(line, first character, one past the last) of what is in a row; the line is
        `len(texts)` for the pending one."""
        line = int(np.searchsorted(self._ends, row, side="right"))
        if line == len(self.texts):
            return line, 0, len(self.pending)
        text, part = self.texts[line], row - self.first_row(line)
        if self._uneven[line]:
            return line, *_wrap_wide(text, part, self._width)
        return line, *_wrap(text, self._width)[part]

    def find(self, pattern: re.Pattern[str], first: int = 0) -> list[Match]:
        """The lines from `first` on in which the pattern is. Takes long for many: on a thread."""
        stamps, texts = self.stamps, self.texts  # others take their place, these only grow
        matches: list[Match] = []
        for line in range(first, len(texts)):
            whole = f"{stamps[line]} {texts[line]}" if stamps[line] else texts[line]
            match = pattern.search(whole[:_SEARCHED])
            if match is not None:
                matches.append(Match(line, match.start(), match.end()))
        return matches


def _wrap(text: str, width: int) -> list[tuple[int, int]]:
    """Where each row begins and ends, of a text with a cell a character: between words, where
    there are any. The space at a break is in neither row."""
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
    """Where the row number `part` of a text begins and ends, each as full as can be."""
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
    """The hits of a pattern in the console, ascending by line, and which one is looked at."""

    def __init__(self) -> None:
        self.pattern: re.Pattern[str] | None = None
        self.hits: list[Match] = []
        self.at = -1  # the index of the hit that is looked at
        self._fault = ""  # of what is typed

    def type(self, text: str) -> bool:
        """Look for this from now on. Returns False where it is no pattern: the last one stays."""
        try:
            # As in most pagers: small letters find capitals too.
            flags = re.IGNORECASE if text == text.lower() else 0
            pattern = re.compile(text, flags) if text else None
        except (re.error, RecursionError, OverflowError) as error:
            self._fault = clean_line(str(error), 40)
            return False
        self.pattern, self._fault = pattern, ""
        self.clear()
        return True

    def clear(self) -> None:
        """No hits: of other lines, or of another pattern."""
        self.hits, self.at = [], -1

    def take(self, hits: Sequence[Match], first: int) -> None:
        """The hits in the lines from `first` on, in place of those known there."""
        self.hits = [*(hit for hit in self.hits if hit.line < first), *hits]

    def step(self, by: int) -> Match | None:
        """The next hit or the one before, round the ends; None where there is none."""
        if not self.hits:
            return None
        if self.at < 0:
            self.at = 0 if by > 0 else len(self.hits) - 1
        else:
            self.at = (self.at + by) % len(self.hits)
        return self.hits[self.at]

    def summary(self, focused: bool) -> Content:
        """What came of the search, and the keys."""
        if self._fault:
            return Content.assemble((f"not a regular expression: {self._fault}", "$text-error"))
        if self.pattern is None:
            return Content("/ search · esc back" if focused else "i search, scroll")
        if not self.hits:
            return Content("no match · / search")
        at, count = numbers.count(self.at + 1), numbers.count(len(self.hits))
        return Content(f"match {at} of {count} · n N next, previous")


# --- The console as it is drawn: time of day, sign, text, hits --------------------------------

_STAMP, _SIGN = 9, 2  # cells: "12:03:58 ", "✗ "
_NARROW = 34  # cells in which there is no room for the time of day


class ConsoleLines(RowScroller):
    """Draws a ConsoleText from its own width; the owner changes the text and calls `changed`."""

    def __init__(self, empty: str) -> None:
        super().__init__(empty, follows=True)
        self.text = ConsoleText()
        self.matches: Mapping[int, Match] = {}  # by line
        self.here = -1  # the line of the hit that is looked at

    @property
    def _lead(self) -> int:
        """Cells before the text."""
        wide = self.scrollable_content_region.width >= _NARROW
        return _SIGN + (_STAMP if wide and self.text.stamped else 0)

    @property
    def _head(self) -> int:
        """Rows above the first line: what is left out is said there."""
        return 1 if self.text.skipped else 0

    @property
    def count(self) -> int:
        return self.text.rows + self._head if self.text.rows else 0

    def changed(self) -> None:
        self.text.resize(self.scrollable_content_region.width - self._lead)
        super().changed()

    def mark(self, matches: Mapping[int, Match], here: int) -> None:
        """Mark these lines, and in another way the one that is looked at."""
        self.matches, self.here = matches, here
        self.refresh()

    def go_to(self, line: int) -> None:
        """Bring a line into view and mark it."""
        self.here = line
        self.reveal(self.text.first_row(line) + self._head)
        self.refresh()

    def row(self, number: int, width: int) -> Strip:
        style = self.get_component_rich_style
        dim = style("rows--dim")
        if number < self._head:
            skipped = numbers.size(self.text.skipped)
            return strip_of([(f"{skipped} before this are only in console.log", dim)])
        line, start, end = self.text.at(number - self._head)
        pending = line == len(self.text.texts)
        text = self.text.pending if pending else self.text.texts[line]
        stamp = "" if pending else self.text.stamps[line]
        look, sign = line_level(text)
        words = style(f"rows--{look}") if look in {"bad", "warn"} else style("rows--text")
        first = start == 0
        parts: list[tuple[str, Style]] = []
        if self._lead > _SIGN:
            parts.append((f"{stamp if first else '':<{_STAMP}}", dim))
        parts.append((f"{sign if first else ' '} ", style(f"rows--{look}") + Style(bold=True)))
        match = None if pending else self.matches.get(line)
        if match is None:
            parts.append((text[start:end], words))
        else:
            hit = style("rows--hit-here" if line == self.here else "rows--hit")
            shift = len(stamp) + 1 if stamp else 0
            a = min(max(match.start - shift, start), end)
            b = min(max(match.end - shift, a), end)
            parts += [(text[start:a], words), (text[a:b], hit), (text[b:end], words)]
            if first and match.start < shift:  # it begins in the time of day
                parts[0] = (parts[0][0], hit)
        return strip_of(parts)


# --- The panel --------------------------------------------------------------------------------

NO_CONSOLE = "Nothing printed yet"
FOREIGN = "A log of another tool: it has no console output"


class ConsolePanel(SidePanel):
    """Follows console.log of the first of the runs that has one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        SEARCH_KEY,
        Binding("n", "step_hit(1)", "Next hit", show=False),
        Binding("N", "step_hit(-1)", "Previous hit", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._lines = ConsoleLines(NO_CONSOLE)
        self._search = ConsoleSearch()
        self._run: RunDir | None = None
        self._file: ConsoleFile | None = None
        self._console_seen: object = None  # of the last view: another means that the file grew
        self._reading = False
        self._again = False  # it grew while it was read

    def compose(self) -> ComposeResult:
        yield self._lines
        yield SearchLine()

    def on_mount(self) -> None:
        self.border_title = "Console"
        self._write_border()

    def enter(self) -> None:
        """Give the lines the keys: arrows scroll, / searches, Esc goes back."""
        self._lines.focus()

    def on_descendant_focus(self) -> None:
        self._write_border()

    def on_descendant_blur(self) -> None:
        self.call_later(self._write_border)

    def _write_border(self) -> None:
        set_border(self, subtitle=self._search.summary(self.has_focus_within))

    # --- following ----------------------------------------------------------------------

    def show(self, shown: Snapshot) -> None:
        """The console does not move with the cursor: its lines have times, not steps."""
        own = next((view for view in shown.views if view.summary.native), None)
        if own is None:
            self._follow(None, FOREIGN if shown.views else NO_CONSOLE)
            return
        if own.summary.run != self._run:
            self._follow(own.summary.run, NO_CONSOLE)
            name = clean_line(own.summary.info.name, 24)
            set_border(self, title=f"Console  {name}" if len(shown.views) > 1 else "Console")
        if self._console_seen is not own.console:
            self._console_seen = own.console
            self._read()

    def _follow(self, run: RunDir | None, empty: str) -> None:
        self._lines.say_empty(empty)
        if run == self._run:
            return
        self._run, self._console_seen = run, None
        self._file = ConsoleFile(run.console) if run is not None else None
        self._take(NO_LINES)

    def _read(self) -> None:
        if self._reading:
            self._again = True
        elif self._file is not None:
            self._reading = True
            self._read_on(self._file)

    @work(group="console", exit_on_error=False)
    async def _read_on(self, file: ConsoleFile) -> None:
        """Take in what there is, a piece after another."""
        try:
            while file is self._file:
                self._again = False
                new = await asyncio.to_thread(file.read)
                if new is not None and file is self._file:
                    self._take(new)
                if not (self._again or (new is not None and new.more)):
                    break
        except GenuiError as error:
            self.post_message(messages.Say(clean_line(str(error))))
        finally:
            self._reading = False
        if file is not self._file:
            self._read()

    def _take(self, new: Lines) -> None:
        lines = self._lines
        first = 0 if new.fresh else len(lines.text.texts)
        lines.text.take(new)
        if new.fresh:
            self._search.clear()
            lines.mark({}, -1)
        lines.changed()
        if self._search.pattern is not None and len(lines.text.texts) > first:
            self._find(self._search.pattern, first)

    # --- searching ----------------------------------------------------------------------

    def action_search(self) -> None:
        """Type what to look for."""
        self.query_one(SearchLine).open()

    @on(SearchLine.Typed)
    def _search_typed(self, event: SearchLine.Typed) -> None:
        event.stop()
        if self._search.type(event.text):
            self._lines.mark({}, -1)
            if self._search.pattern is not None:
                self._find(self._search.pattern, 0)
        self._write_border()

    @work(group="search", exit_on_error=False)
    async def _find(self, pattern: re.Pattern[str], first: int) -> None:
        search, text = self._search, self._lines.text
        hits = await asyncio.to_thread(text.find, pattern, first)
        if pattern is not search.pattern:
            return  # another one has been typed since
        search.take(hits, first)
        self._lines.mark({hit.line: hit for hit in search.hits}, self._lines.here)
        if search.at < 0 and search.hits:
            # The last one at or above what is in view: in a console the newest matter.
            self._step(-1)
        self._write_border()

    def action_step_hit(self, by: int) -> None:
        """The next hit, or the one before."""
        if self._search.pattern is None:
            self.action_search()
        else:
            self._step(by)

    def _step(self, by: int) -> None:
        if (hit := self._search.step(by)) is not None:
            self._lines.go_to(hit.line)
        self._write_border()
