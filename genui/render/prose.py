"""A growing text made of pieces, with a mark for each character, wrapped at word boundaries.

A line keeps its source characters and their marks. Appending wraps only the last line, so its
cost does not grow with the text. Spans are computed when a line is drawn.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from rich.cells import get_character_cell_size

from genui.base.text import clean

TAB = 4
SOLID = 16
"""Marks from here on are drawn on white space too, which otherwise takes the mark before it."""

_MIN_WIDTH = 2


class Span(NamedTuple):
    """Neighbouring characters of a line with the same mark."""

    text: str
    mark: int


@dataclass
class _Line:
    start: int  # of its first character in the whole text
    source: str  # with the white space or newline that ended it
    marks: bytes  # one for each character of `source`


class Flow:
    """Text in lines, always at least one; the last one grows."""

    def __init__(self, width: int) -> None:
        """`width` in terminal cells, at least 2."""
        self.width = max(width, _MIN_WIDTH)
        self._ends: list[int] = []  # where each piece ends in the whole text
        self._lines = [_Line(0, "", b"")]

    def __len__(self) -> int:
        """The number of lines."""
        return len(self._lines)

    @property
    def pieces(self) -> int:
        return len(self._ends)

    @property
    def text(self) -> str:
        """The whole text, cleaned, without the line breaks of wrapping."""
        return "".join(line.source for line in self._lines)

    def extend(self, pieces: Iterable[tuple[str, int]]) -> int:
        """Add pieces of text with their marks, 0 to 255; returns the first line that changed."""
        changed = len(self._lines) - 1
        last = self._lines.pop()
        texts, marks = [last.source], [last.marks]
        end = last.start + len(last.source)
        for text, mark in pieces:
            text = clean(text)
            texts.append(text)
            marks.append(bytes((mark,)) * len(text))
            end += len(text)
            self._ends.append(end)
        self._wrap(last.start, "".join(texts), b"".join(marks))
        return changed

    def truncate(self, pieces: int) -> int:
        """Keep the first `pieces` pieces; returns the first line that changed."""
        del self._ends[max(pieces, 0) :]
        end = self._ends[-1] if self._ends else 0
        while len(self._lines) > 1 and self._lines[-1].start >= end:
            self._lines.pop()
        # A shortened word may fit on the line before.
        tail = self._lines[-2:]
        changed = len(self._lines) - len(tail)
        del self._lines[changed:]
        keep = end - tail[0].start
        text = "".join(line.source for line in tail)[:keep]
        self._wrap(tail[0].start, text, b"".join(line.marks for line in tail)[:keep])
        return changed

    def resize(self, width: int) -> None:
        """Wrap everything again at another width."""
        width = max(width, _MIN_WIDTH)
        if width != self.width:
            self.width = width
            text, marks = self.text, b"".join(line.marks for line in self._lines)
            self._lines = []
            self._wrap(0, text, marks)

    def piece(self, number: int) -> tuple[int, int]:
        """Return where piece `number` begins and ends in the whole text, in characters."""
        return self._ends[number - 1] if number > 0 else 0, self._ends[number]

    def line_at(self, index: int) -> int:
        """Return the line that holds character `index` of the whole text."""
        return max(bisect_right(self._lines, index, key=lambda line: line.start) - 1, 0)

    def part(self, line: int, start: int, end: int) -> str:
        """Return the characters `start` to `end` of the whole text that are on a line."""
        row = self._lines[line]
        return row.source[max(start - row.start, 0) : max(end - row.start, 0)]

    def newline(self, line: int) -> int | None:
        """Return the mark of the newline that ends a line, which is not drawn; None without one."""
        row = self._lines[line]
        return row.marks[-1] if row.source.endswith("\n") else None

    def remark(self, start: int, end: int, table: bytes) -> range:
        """Replace the marks of characters `start` to `end` by those in `table` [256].

        Returns the lines that changed.
        """
        if start >= end:
            return range(0)
        lines = range(self.line_at(start), self.line_at(end - 1) + 1)
        for number in lines:
            line = self._lines[number]
            low, high = max(start - line.start, 0), max(end - line.start, 0)
            marks = line.marks
            line.marks = marks[:low] + marks[low:high].translate(table) + marks[high:]
        return lines

    def spans(self, line: int, flags: Mapping[int, int] = MappingProxyType({})) -> list[Span]:
        """Return the spans of line number `line`, at most `width` cells.

        `flags` are added to the marks of some characters of the whole text, by index. White space
        takes the mark before it (but see SOLID), so words with the same mark form one span.
        """
        row = self._lines[line]
        spans: list[Span] = []
        used = 0
        for index, (character, mark) in enumerate(
            zip(row.source, row.marks, strict=True), row.start
        ):
            mark |= flags.get(index, 0)
            text, width = _draw_character(character, used)
            if used + width > self.width:
                break  # white space past the end
            if not text:
                continue
            used += width
            if spans and (spans[-1].mark == mark or _looks_alike(text, mark, spans[-1].mark)):
                spans[-1] = Span(spans[-1].text + text, spans[-1].mark)
            else:
                spans.append(Span(text, mark))
        return spans

    def _wrap(self, start: int, text: str, marks: bytes) -> None:
        """Append `text`, which begins a line, in wrapped lines."""
        begin = 0
        for end in _find_line_ends(text, self.width):
            self._lines.append(_Line(start + begin, text[begin:end], marks[begin:end]))
            begin = end


def _looks_alike(text: str, mark: int, before: int) -> bool:
    """Whether `text` is drawn the same with either mark."""
    return text.isspace() and mark < SOLID and before < SOLID


def _draw_character(character: str, used: int) -> tuple[str, int]:
    """Return a character as it is drawn after `used` cells, and its width."""
    if character == "\t":
        width = TAB - used % TAB
        return " " * width, width
    if character == "\n":
        return "", 0
    return character, get_character_cell_size(character)


def _find_line_ends(text: str, width: int) -> Iterator[int]:
    """Yield where each line of `text` ends; the last one at the end of the text, even if empty."""
    begin = 0
    while (newline := text.find("\n", begin)) >= 0:
        yield from _find_soft_ends(text, begin, newline, width)
        yield newline + 1
        begin = newline + 1
    yield from _find_soft_ends(text, begin, len(text), width)
    yield len(text)


def _find_soft_ends(text: str, begin: int, end: int, width: int) -> Iterator[int]:
    """Yield where a line without newlines, `text[begin:end]`, is broken to fit `width` cells.

    Breaks come after white space, which may extend past the end; a word wider than a line is cut.
    """
    plain = text.isascii() and "\t" not in text
    while True:
        room = begin + width if plain else _find_overflow(text, begin, end, width)
        if room >= end:
            return
        cut = room
        if text[room].isspace():
            while cut < end and text[cut].isspace():
                cut += 1
            if cut == end:
                return
        else:
            while cut > begin and not text[cut - 1].isspace():
                cut -= 1
            if not text[begin:cut].strip():
                cut = room  # only indentation before the word
        yield cut
        begin = cut


def _find_overflow(text: str, begin: int, end: int, width: int) -> int:
    """Return the first character of `text[begin:end]` that does not fit in `width` cells."""
    used = 0
    for index in range(begin, end):
        used += _draw_character(text[index], used)[1]
        if used > width:
            return index
    return end
