"""The lines of a console, wrapped, with what a search finds in them. Draws nothing."""

import re
from typing import NamedTuple

import numpy as np
from rich.cells import get_character_cell_size

from genui.ui.board.console_file import Lines

_SEARCHED = 2000  # characters of a line: a pattern may take long over more
_SIGNS: tuple[tuple[str, str, re.Pattern[str]], ...] = (
    ("bad", "✗", re.compile(
        r"error\b|exception\b|traceback|\b(?:fatal|critical|failed|killed)\b|(?<![\w.])nan\b", re.I
    )),
    ("warn", "!", re.compile(r"\bwarn(?:ing)?\b|warning\b", re.I)),
    ("good", "✓", re.compile(r"\bcheckpoint\b|\bsaved\b|\bfinished\b", re.I)),
    ("key", "◆", re.compile(r"\beval(?:uation)?\b|\bval_loss\b|\bheld-out\b", re.I)),
)  # fmt: skip


class Found(NamedTuple):
    """A line that a search found, and where the first match is: counted, where the line has a
    time of day, from that, as in `12:03:58 text`."""

    line: int
    start: int
    end: int


def level(text: str) -> tuple[str, str]:
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
            heights[line] = len(_wrapped(self.texts[first + line], self._width))
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
            return line, *_cut(text, part, self._width)
        return line, *_wrapped(text, self._width)[part]

    def find(self, pattern: re.Pattern[str], first: int = 0) -> list[Found]:
        """The lines from `first` on in which the pattern is. Takes long for many: on a thread."""
        stamps, texts = self.stamps, self.texts  # others take their place, these only grow
        found = []
        for line in range(first, len(texts)):
            whole = f"{stamps[line]} {texts[line]}" if stamps[line] else texts[line]
            match = pattern.search(whole[:_SEARCHED])
            if match is not None:
                found.append(Found(line, match.start(), match.end()))
        return found


def _wrapped(text: str, width: int) -> list[tuple[int, int]]:
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


def _cut(text: str, part: int, width: int) -> tuple[int, int]:
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
