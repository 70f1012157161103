"""The cells of a terminal; only changed cells are sent.

Textual repaints whole widgets and writes the full style of each piece of text. `Cells` parses a
repaint, compares it with the contents of the terminal, and returns only the cells that differ,
with the shortest codes from one style to the next. Other output is passed unchanged; after it the
contents of the terminal are unknown. Images that are shown in pixels follow the cells.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from rich.cells import get_character_cell_size

from genui.ui.graphics import FIRST_MARKER, LAST_MARKER, Images, Origin, Placement

_TOKEN = re.compile(r"\x1b\[(\d+);(\d+)H|\x1b\[([\d;]*)m|([^\x00-\x1f\x7f-\x9f]+)|\n")
# Modes that do not change the screen: synchronised updates, the mouse, the cursor.
_HARMLESS = re.compile(r"(\x1b\[\?(2026|25|100[0-6]|1015|1016|2004|2048)(\$p|[hl]))+")

_MARKERS = re.compile(f"[{FIRST_MARKER}-{LAST_MARKER}]")

_SHOWN_ON_BLANKS = frozenset({4, 5, 6, 7, 9, 21, 51, 52, 53})
_OFF = {1: 22, 2: 22, 3: 23, 4: 24, 5: 25, 6: 25, 7: 27, 8: 28, 9: 29, 21: 24,
        51: 54, 52: 54, 53: 55}  # fmt: skip
_CHEAP_GAP = 4  # cells; so few can be sent again for no more bytes than a cursor move


class CellStyle(NamedTuple):
    """A style as SGR codes; a colour of "" is the terminal's default."""

    attributes: frozenset[int]
    fg: str
    bg: str


Cell = tuple[str, CellStyle]
"""A character and its style; "" is the right half of a wide character."""

Row = list[Cell | None]  # None: unknown

PLAIN = CellStyle(frozenset(), "", "")


class Cells:
    """The cells of a terminal of `columns` × `lines`, all unknown at first."""

    def __init__(self, columns: int, lines: int, images: Images | None = None) -> None:
        self.size = (columns, lines)
        self._images = Images() if images is None else images
        self._origins: list[dict[Placement, Origin]] = [{} for _ in range(lines)]  # by line
        self._rows: list[Row] = []
        self._cursor: tuple[int, int] | None = None
        self.forget()

    def forget(self) -> None:
        """Mark all cells as unknown."""
        columns, lines = self.size
        self._rows = [[None] * columns for _ in range(lines)]
        self._cursor = None
        self._images.forget()

    def update(self, text: str) -> str:
        """Return the shortest output with the effect of `text`."""
        if not text.startswith("\x1b[") or _HARMLESS.fullmatch(text):
            return text
        repaint = self._parse_repaint(text)
        if repaint is None:
            self.forget()
            return _MARKERS.sub(" ", text) if self._images else text
        rows, cursor = repaint
        sent = "".join(_encode_differences(self._rows, rows, self._images))
        damaged: set[Placement] = set()
        for y, row in rows.items():
            if self._images:
                self._origins[y] = self._find_images(y, row, damaged)
            self._rows[y] = row
        sent += self._paint_images(damaged)
        if sent or cursor != self._cursor:
            self._cursor = cursor
            sent += _move_cursor(*cursor)
        return sent

    def paint(self) -> str:
        """Return output that shows the images whose data changed."""
        sent = self._paint_images(set())
        if sent and self._cursor is not None:
            sent += _move_cursor(*self._cursor)
        return sent

    def _find_images(self, y: int, row: Row, damaged: set[Placement]) -> dict[Placement, Origin]:
        """Return where the images in line `y` begin; add those that are written to `damaged`."""
        origins: dict[Placement, Origin] = {}
        for x, cell in enumerate(row):
            if cell is None or cell[0] < FIRST_MARKER:
                continue
            found = self._images.find(cell[0])
            if found is not None:
                placement, col, line = found
                origins[placement] = x - col, y - line
                if self._rows[y][x] != cell:
                    damaged.add(placement)
        return origins

    def _paint_images(self, damaged: set[Placement]) -> str:
        """Return output that shows the images that changed, under what covers them."""
        if not self._images:
            return ""
        origins = {name: at for line in self._origins for name, at in line.items()}
        sent, painted = self._images.paint(origins, damaged, self.size)
        before, after = self._rows[:], {}
        for x, y, cols, rows in painted:
            for line in range(y, y + rows):
                after[line] = self._rows[line]
                covered = before[line][x : x + cols]
                before[line] = before[line][:]
                before[line][x : x + cols] = [
                    cell if cell is None or cell[0] >= FIRST_MARKER else None for cell in covered
                ]
        return sent + "".join(_encode_differences(before, after, self._images))

    def _parse_repaint(self, text: str) -> tuple[dict[int, Row], tuple[int, int]] | None:
        """Return the rows and the cursor after `text`; None if it is not a repaint."""
        columns, lines = self.size
        rows: dict[int, Row] = {}
        at: tuple[int, int] | None = None
        look, end = PLAIN, 0
        for token in _TOKEN.finditer(text):
            if token.start() != end:
                return None
            end = token.end()
            move_y, move_x, codes, chars = token.groups()
            if move_y is not None:
                at = int(move_y) - 1, int(move_x) - 1
                continue
            if codes is not None:
                changed = _apply_codes(look, codes)
                if changed is None:
                    return None
                look = changed
                continue
            if at is None:
                return None
            y, x = at
            if chars is None:
                at = y + 1, 0
                continue
            if not 0 <= y < lines:
                return None
            if (row := rows.get(y)) is None:
                row = rows[y] = self._rows[y][:]
            cells = _split_cells(chars, look, self._images)
            if cells is None or x + len(cells) > columns:
                return None
            _cut_wide(row, x, x + len(cells))
            row[x : x + len(cells)] = cells
            at = y, x + len(cells)
        return (rows, at) if end == len(text) and at is not None else None


def _split_cells(text: str, look: CellStyle, images: Images) -> list[Cell | None] | None:
    """Return a cell for each column of `text`; None if it begins with a combining character."""
    blank: Cell = (" ", _reduce_to_blank(look))
    if text.isascii():
        return [blank if char == " " else (char, look) for char in text]
    cells: list[Cell | None] = []
    for char in text:
        if char >= FIRST_MARKER and images:
            cells.append((char, CellStyle(frozenset(), images.foreground(char), "")))
            continue
        width = get_character_cell_size(char)
        if width < 1:
            if not cells or cells[-1] is None or not cells[-1][0]:
                return None
            cells[-1] = (cells[-1][0] + char, look)  # such as the accent of x̂
            continue
        cells.append(blank if char == " " else (char, look))
        if width == 2:
            cells.append(("", look))
    return cells


def _cut_wide(row: Row, start: int, end: int) -> None:
    """Mark the other half of a wide character as unknown if one half is painted over."""
    if start and start < len(row) and (cell := row[start]) is not None and not cell[0]:
        row[start - 1] = None
    if end < len(row) and (cell := row[end]) is not None and not cell[0]:
        row[end] = None


def _encode_differences(before: list[Row], after: dict[int, Row], images: Images) -> list[str]:
    """Return the pieces to send; the style is plain before and after them."""
    sent: list[str] = []
    pen = PLAIN
    for y, row in sorted(after.items()):
        old = before[y]
        if old == row:
            continue
        at = -1  # the column of the terminal's cursor; -1: not in this row
        for x, cell in enumerate(row):
            if cell is None or not cell[0] or not _is_changed(old, row, x):
                continue
            if at != x:
                sent.append(_advance_cursor(row, at, x, y, pen))
            char, look = cell
            if not _can_write(pen, char, look):
                sent.append(_encode_change(pen, look))
                pen = look
            sent.append(images.text(char) if char >= FIRST_MARKER and images else char)
            at = x + (2 if x + 1 < len(row) and row[x + 1] == ("", look) else 1)
            if at >= len(row):
                at = -1  # terminals differ in where the cursor is after the last column
    if pen != PLAIN:
        sent.append("\x1b[0m")
    return sent


def _is_changed(old: Row, new: Row, x: int) -> bool:
    """Return whether the character at `x`, or its right half, has changed."""
    if old[x] != new[x]:
        return True
    right = new[x + 1] if x + 1 < len(new) else None
    return right is not None and not right[0] and old[x + 1] != right


def _advance_cursor(row: Row, at: int, x: int, y: int, pen: CellStyle) -> str:
    """Return output that moves the cursor from column `at` to `x`; a small gap is sent again."""
    if at < 0 or at > x:
        return _move_cursor(y, x)
    gap = row[at:x]
    if len(gap) <= _CHEAP_GAP and all(
        cell is not None and cell[0].isascii() and cell[0] and _can_write(pen, *cell)
        for cell in gap
    ):
        return "".join(cell[0] for cell in gap if cell is not None)
    return f"\x1b[{x - at}C"


def _move_cursor(y: int, x: int) -> str:
    return f"\x1b[{y + 1};{x + 1}H"


def _can_write(pen: CellStyle, char: str, look: CellStyle) -> bool:
    """Return whether the style `pen` draws this character like `look`."""
    if pen == look:
        return True
    return char == " " and pen.bg == look.bg and _reduce_to_blank(pen) == look


@lru_cache(maxsize=4096)
def _reduce_to_blank(look: CellStyle) -> CellStyle:
    """Return the part of a style that is visible on a space."""
    return look if look.attributes & _SHOWN_ON_BLANKS else CellStyle(frozenset(), "", look.bg)


def _encode_change(pen: CellStyle, look: CellStyle) -> str:
    """Return the shortest code from one style to another."""
    if look == PLAIN:
        return "\x1b[0m"
    off = {_OFF[attribute] for attribute in pen.attributes - look.attributes}
    codes = [str(code) for code in sorted(off)]
    on = {a for a in look.attributes if a not in pen.attributes or _OFF[a] in off}
    codes += [str(code) for code in sorted(on)]
    if look.fg != pen.fg:
        codes.append(look.fg or "39")
    if look.bg != pen.bg:
        codes.append(look.bg or "49")
    return f"\x1b[{';'.join(codes)}m"


@lru_cache(maxsize=4096)
def _apply_codes(look: CellStyle, codes: str) -> CellStyle | None:
    """Return `look` after an SGR sequence; None if the sequence is unknown."""
    attributes, fg, bg = set(look.attributes), look.fg, look.bg
    numbers = iter(codes.split(";"))
    for code in numbers:
        number = int(code or 0)
        if number == 0:
            attributes, fg, bg = set(), "", ""
        elif number in _OFF:
            attributes.add(number)
        elif number in (38, 48):
            kind = next(numbers, "")
            rest = [next(numbers, "") for _ in range({"2": 3, "5": 1}.get(kind, 0))]
            if not rest or "" in rest:
                return None
            colour = ";".join((code, kind, *rest))
            fg, bg = (colour, bg) if number == 38 else (fg, colour)
        elif number == 39 or 30 <= number <= 37 or 90 <= number <= 97:
            fg = "" if number == 39 else code
        elif number == 49 or 40 <= number <= 47 or 100 <= number <= 107:
            bg = "" if number == 49 else code
        else:
            return None
    return CellStyle(frozenset(attributes), fg, bg)
