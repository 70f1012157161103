"""What the terminal shows, cell by cell, so that a repaint sends only what is new.

Textual repaints whole widgets and gives every piece of text its full style. `Cells` reads
such a repaint, compares it with what the terminal has, and writes the cells that differ,
with as few codes as lead from one style to the next. Anything that is not a plain repaint
goes through as it is, and what the terminal shows counts as unknown from then on.
"""

from __future__ import annotations

import re
import sys
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.cells import get_character_cell_size
from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from textual import constants
from textual.app import App
from textual.color import Color
from textual.driver import Driver
from textual.filter import LineFilter

_TOKEN = re.compile(r"\x1b\[(\d+);(\d+)H|\x1b\[([\d;]*)m|([^\x00-\x1f\x7f-\x9f]+)|\n")
# Modes that change nothing on the screen: synchronised updates, the mouse, the cursor.
_HARMLESS = re.compile(r"(\x1b\[\?(2026|25|100[0-6]|1015|1016|2004|2048)(\$p|[hl]))+")

_SHOWN_ON_BLANKS = frozenset({4, 5, 6, 7, 9, 21, 51, 52, 53})
_OFF = {1: 22, 2: 22, 3: 23, 4: 24, 5: 25, 6: 25, 7: 27, 8: 28, 9: 29, 21: 24,
        51: 54, 52: 54, 53: 55}  # fmt: skip
_CHEAP_GAP = 4  # cells that cost no more to send again than to jump over


class Look(NamedTuple):
    """A style as codes: attributes, and the colours or "" for the terminal's own."""

    attributes: frozenset[int]
    fg: str
    bg: str


Cell = tuple[str, Look]
"""A character and its look; "" is the right half of a wide character."""

Row = list[Cell | None]  # None: not known

PLAIN = Look(frozenset(), "", "")


class Cells:
    """The cells of a terminal of `columns` × `lines`, none of them known at first."""

    def __init__(self, columns: int, lines: int) -> None:
        self.size = (columns, lines)
        self._rows: list[Row] = []
        self._cursor: tuple[int, int] | None = None
        self.forget()

    def forget(self) -> None:
        """The terminal may show anything."""
        columns, lines = self.size
        self._rows = [[None] * columns for _ in range(lines)]
        self._cursor = None

    def update(self, text: str) -> str:
        """What to send so that the terminal shows what it would show after `text`."""
        if not text.startswith("\x1b[") or _HARMLESS.fullmatch(text):
            return text
        painted = self._painted(text)
        if painted is None:
            self.forget()
            return text
        rows, cursor = painted
        sent = "".join(_differences(self._rows, rows))
        for y, row in rows.items():
            self._rows[y] = row
        if sent or cursor != self._cursor:
            self._cursor = cursor
            sent += _move(*cursor)
        return sent

    def _painted(self, text: str) -> tuple[dict[int, Row], tuple[int, int]] | None:
        """The rows `text` paints, as they are then, and the cursor; None: it is no repaint."""
        columns, lines = self.size
        rows: dict[int, Row] = {}
        at: tuple[int, int] | None = None
        look, end = PLAIN, 0
        for token in _TOKEN.finditer(text):
            if token.start() != end:
                return None
            end = token.end()
            move_y, move_x, codes, words = token.groups()
            if move_y is not None:
                at = int(move_y) - 1, int(move_x) - 1
                continue
            if codes is not None:
                changed = _applied(look, codes)
                if changed is None:
                    return None
                look = changed
                continue
            if at is None:
                return None
            y, x = at
            if words is None:
                at = y + 1, 0
                continue
            if not 0 <= y < lines:
                return None
            if (row := rows.get(y)) is None:
                row = rows[y] = self._rows[y][:]
            cells = _cells(words, look)
            if cells is None or x + len(cells) > columns:
                return None
            _cut_wide(row, x, x + len(cells))
            row[x : x + len(cells)] = cells
            at = y, x + len(cells)
        return (rows, at) if end == len(text) and at is not None else None


def _cells(words: str, look: Look) -> list[Cell | None] | None:
    """One for every column; None where a character has no width of its own."""
    letter: Cell
    blank: Cell = (" ", _on_blank(look))
    if words.isascii():
        return [blank if char == " " else (char, look) for char in words]
    cells: list[Cell | None] = []
    for char in words:
        width = get_character_cell_size(char)
        if width < 1:
            return None
        letter = blank if char == " " else (char, look)
        cells.append(letter)
        if width == 2:
            cells.append(("", look))
    return cells


def _cut_wide(row: Row, start: int, end: int) -> None:
    """Halves that stay of wide characters at the edges of what is painted over are unknown."""
    if start and start < len(row) and (cell := row[start]) is not None and not cell[0]:
        row[start - 1] = None
    if end < len(row) and (cell := row[end]) is not None and not cell[0]:
        row[end] = None


def _differences(before: list[Row], after: dict[int, Row]) -> list[str]:
    """The pieces to send; the style is plain before them and after."""
    sent: list[str] = []
    pen = PLAIN
    for y, row in sorted(after.items()):
        old = before[y]
        if old == row:
            continue
        at = -1  # where the terminal's cursor is in this row; -1: elsewhere
        for x, cell in enumerate(row):
            if cell is None or not cell[0] or not _changed(old, row, x):
                continue
            if at != x:
                sent.append(_reached(row, at, x, y, pen))
            char, look = cell
            if not _serves(pen, char, look):
                sent.append(_change(pen, look))
                pen = look
            sent.append(char)
            at = x + (2 if x + 1 < len(row) and row[x + 1] == ("", look) else 1)
            if at >= len(row):
                at = -1  # at the edge terminals differ
    if pen != PLAIN:
        sent.append("\x1b[0m")
    return sent


def _changed(old: Row, new: Row, x: int) -> bool:
    """Whether the character at `x`, or its right half, is another."""
    if old[x] != new[x]:
        return True
    right = new[x + 1] if x + 1 < len(new) else None
    return right is not None and not right[0] and old[x + 1] != right


def _reached(row: Row, at: int, x: int, y: int, pen: Look) -> str:
    """How the cursor gets from column `at` to `x`: over a small gap by sending it again."""
    if at < 0 or at > x:
        return _move(y, x)
    gap = row[at:x]
    if len(gap) <= _CHEAP_GAP and all(
        cell is not None and cell[0].isascii() and cell[0] and _serves(pen, *cell) for cell in gap
    ):
        return "".join(cell[0] for cell in gap if cell is not None)
    return f"\x1b[{x - at}C"


def _move(y: int, x: int) -> str:
    return f"\x1b[{y + 1};{x + 1}H"


def _serves(pen: Look, char: str, look: Look) -> bool:
    """Whether the pen writes this character as it should look."""
    if pen == look:
        return True
    return char == " " and pen.bg == look.bg and _on_blank(pen) == look


@lru_cache(maxsize=4096)
def _on_blank(look: Look) -> Look:
    """The same as far as it can be seen on a space."""
    seen = look.attributes & _SHOWN_ON_BLANKS
    return look if seen else Look(seen, "", look.bg)


def _change(pen: Look, look: Look) -> str:
    """The shortest code from one look to another."""
    off = {_OFF[attribute] for attribute in pen.attributes - look.attributes}
    codes = [str(code) for code in sorted(off)]
    on = {a for a in look.attributes if a not in pen.attributes or _OFF[a] in off}
    codes += [str(code) for code in sorted(on)]
    if look.fg != pen.fg:
        codes.append(look.fg or "39")
    if look.bg != pen.bg:
        codes.append(look.bg or "49")
    whole = "\x1b[0m" if look == PLAIN else ""
    return whole or f"\x1b[{';'.join(codes)}m"


@lru_cache(maxsize=4096)
def _applied(look: Look, codes: str) -> Look | None:
    """`look` after an SGR sequence; None where it holds something that is not known here."""
    attributes, fg, bg = set(look.attributes), look.fg, look.bg
    numbers = iter(codes.split(";"))
    for word in numbers:
        number = int(word or 0)
        if number == 0:
            attributes, fg, bg = set(), "", ""
        elif number in _OFF:
            attributes.add(number)
        elif number in (38, 48):
            kind = next(numbers, "")
            rest = [next(numbers, "") for _ in range({"2": 3, "5": 1}.get(kind, 0))]
            if not rest or "" in rest:
                return None
            colour = ";".join((word, kind, *rest))
            fg, bg = (colour, bg) if number == 38 else (fg, colour)
        elif number == 39 or 30 <= number <= 37 or 90 <= number <= 97:
            fg = "" if number == 39 else word
        elif number == 49 or 40 <= number <= 47 or 100 <= number <= 107:
            bg = "" if number == 49 else word
        else:
            return None
    return Look(frozenset(attributes), fg, bg)


# --- The look without colour, for NO_COLOR: what colour told is told by reverse and dim -------

_MARKED = 0.1
"""How much brighter or darker than the theme's ground a ground is that marks something."""

_FAINT = 0.35
"""Below this difference in brightness from their ground, words and lines are faint."""


class NoColour(LineFilter):
    """Takes every colour away: marked grounds become reverse, faint words dim.

    `ground` is the theme's own background.
    """

    def __init__(self, ground: Color) -> None:
        super().__init__()
        self._ground = ground.brightness

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            Segment(text, None if style is None else _plain(style, self._ground), control)
            for text, style, control in segments
        ]


@lru_cache(maxsize=2048)
def _plain(style: Style, ground: float) -> Style:
    bright = ground if style.bgcolor is None else _brightness(style.bgcolor, ground)
    marked = abs(bright - ground) > _MARKED
    faint = (
        not marked
        and not style.bold
        and style.color is not None
        and abs(_brightness(style.color, 1 - ground) - bright) < _FAINT
    )
    reverse = bool(style.reverse) != marked
    return Style(
        bold=style.bold,
        dim=style.dim or faint,
        italic=style.italic,
        underline=style.underline,
        strike=style.strike,
        reverse=reverse,
        meta=style.meta,
    )


def _brightness(colour: RichColor, default: float) -> float:
    """0 to 1; `default` where the terminal's own colour is meant."""
    return default if colour.is_default else Color.from_rich_color(colour).brightness


# --- Which terminal driver the app runs on ----------------------------------------------------

if TYPE_CHECKING and sys.platform != "win32":
    from genui.ui.driver import MeteredDriver


def driver_class() -> type[Driver] | None:
    """The metered driver; None, for Textual's own choice, where there is no POSIX terminal.

    A driver named in TEXTUAL_DRIVER is respected.
    """
    if sys.platform == "win32" or constants.DRIVER is not None:
        return None
    if not all(stream and stream.isatty() for stream in (sys.__stdin__, sys.__stderr__)):
        return None
    from genui.ui.driver import MeteredDriver  # needs termios, which Windows has not

    return MeteredDriver


LONGEST_WAIT = 1.0  # seconds that keys, which are answered first, may hold up what moves


def may_move(app: App[Any], painted_at: float) -> bool:
    """Whether what moves by itself, last painted at `painted_at` (monotonic), may be painted.

    Keys are answered first; held down, they still let it move once in LONGEST_WAIT. Nor is
    more sent than the terminal takes.
    """
    answering = getattr(app, "answering", False)
    if answering and time.monotonic() - painted_at < LONGEST_WAIT:
        return False
    driver = metered(app)
    return driver is None or not driver.busy


def metered(app: App[Any]) -> MeteredDriver | None:
    """The driver of `app` where it is a metered one; None in tests and on other platforms."""
    if sys.platform == "win32":
        return None
    from genui.ui.driver import MeteredDriver  # needs termios, which Windows has not

    return app._driver if isinstance(app._driver, MeteredDriver) else None
