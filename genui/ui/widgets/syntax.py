"""Python's words by kind, for colouring a text that is still being written.

Only what may still change is read again: from the last new line at which no string and no
bracket was open in the lexer's eyes.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from rich.style import Style
from textual.color import Color

from genui.render.colour import ColourMode

PLAIN, KEYWORD, NAME, STRING, COMMENT, NUMBER, BUILTIN, BREAK = range(8)
"""What a character may be part of: NAME is one that is being defined, BREAK where it stops
parsing."""


class Coloured(NamedTuple):
    """Characters `start` to `end` of the text, and their kind."""

    start: int
    end: int
    kind: int


class Highlighter:
    """One text, coloured as it grows."""

    def __init__(self) -> None:
        from pygments.lexers.python import PythonLexer

        # As it is: no text is stripped and none is added.
        self._lexer = PythonLexer(stripnl=False, ensurenl=False)
        self._read_to = 0  # before here nothing changes any more

    def update(self, text: str) -> tuple[int, list[Coloured]]:
        """Where the reading began, and what is coloured from there on.

        `text` is what it was the last time, grown or cut at its end.
        """
        start = self._read_to if self._read_to <= len(text) else 0
        found, settled = [], start
        for at, kind, value in self._lexer.get_tokens_unprocessed(text[start:]):
            which = _kind(kind)
            if "\n" in value and which in (PLAIN, COMMENT):
                settled = start + at + value.rindex("\n") + 1
            elif which != PLAIN:
                found.append(Coloured(start + at, start + at + len(value), which))
        # The last whole line may still belong to what comes: a string over several lines.
        self._read_to = settled
        return start, found

    def again(self) -> None:
        """Read all of the text the next time: it is another, or was cut."""
        self._read_to = 0


@cache
def _kind(token: Any) -> int:
    """The kind of a token of pygments', which are nested: the first that holds it."""
    from pygments.token import Comment, Keyword, Name, Number, Operator, String

    for within, kind in (
        (Keyword.Constant, NUMBER),
        (Keyword, KEYWORD),
        (Operator.Word, KEYWORD),
        (Name.Function, NAME),
        (Name.Class, NAME),
        (Name.Decorator, NAME),
        (Name.Builtin, BUILTIN),
        (Name.Exception, BUILTIN),
        (String, STRING),
        (Comment, COMMENT),
        (Number, NUMBER),
    ):
        if token in within:
            return kind
    return PLAIN


def syntax_styles(base: Style, colours: Sequence[Color], mode: ColourMode) -> list[Style]:
    """A style for every kind; `colours` are those of keywords, names, strings, comments, numbers,
    builtins and breaks. Each kind differs by more than its colour, or its words tell it."""
    shapes = {
        KEYWORD: Style(bold=True),
        NAME: Style(bold=True),
        COMMENT: Style(italic=True),
        BREAK: Style(underline=True, bold=True),
    }
    styles = [base]
    for kind, colour in enumerate(colours, 1):
        style = base + shapes.get(kind, Style())
        styles.append(style if mode == "ascii" else style + Style(color=colour.rich_color))
    if mode == "ascii":
        styles[COMMENT] += Style(dim=True)
        styles[BREAK] += Style(reverse=True)
    return styles
