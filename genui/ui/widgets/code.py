"""Prose that may be code: its words coloured by their kind, and where it stops parsing marked."""

from collections.abc import Sequence
from typing import ClassVar

from rich.style import Style

from genui.ui.widgets.colours import colour_mode
from genui.ui.widgets.prose import Prose
from genui.ui.widgets.syntax import BREAK, Coloured, Highlighter, syntax_styles
from genui.ui.widgets.token_looks import AHEAD, CURSOR, PROMPT, syntax_of

_CLASS = 7  # the bits of a mark that say what kind of token it is


class CodeProse(Prose):
    """Prose as long as `highlight` says nothing else. The attention of a token goes before."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "code--keyword",
        "code--name",
        "code--string",
        "code--comment",
        "code--number",
        "code--builtin",
        "code--break",
    }
    DEFAULT_CSS = """
    CodeProse {
        & > .code--keyword { color: $secondary; }
        & > .code--name { color: $primary; }
        & > .code--string { color: $success; }
        & > .code--comment { color: $text-muted; }
        & > .code--number { color: $warning; }
        & > .code--builtin { color: $accent; }
        & > .code--break { color: $error; }
    }
    """

    _words: Highlighter | None = None
    _break: int | None = None  # the character at which it stops parsing

    def highlight(self, on: bool, broken: int | None = None) -> None:
        """Colour the words of Python by their kind instead of tokens by their surprise.

        From character `broken` on its line is marked: there it stops parsing.
        """
        turned = on != (self._words is not None)
        if not turned and (broken == self._break or not on):
            return
        if turned:
            self._words = Highlighter() if on else None
        self._break = broken
        if self._text.shaded:
            return
        if on:
            self._colour(again=True)
        else:
            self._renew(self._text.colour(0, ()))
        if turned:
            self._relook()

    def begin(self, prompt: str = "", suffix: str = "") -> None:
        super().begin(prompt, suffix)
        self._break = None
        self._colour(again=True)

    def truncate(self, tokens: int) -> None:
        super().truncate(tokens)
        self._colour(again=True)

    def _extend(self, tokens: list[tuple[str, float | None]]) -> None:
        super()._extend(tokens)
        self._colour(again=self._text.suffixed)

    def shade(self, levels: Sequence[int] | None, prompt: Sequence[str] = ()) -> None:
        was = self._text.shaded
        super().shade(levels, prompt)
        if was and not self._text.shaded:
            self._colour(again=True)

    def _colour(self, again: bool = False) -> None:
        """The kinds of the words that are new, or of all of them."""
        if self._words is None or self._text.shaded:
            return
        if again:
            self._words.again()
        text = self._flow.text
        start, coloured = self._words.update(text)
        if self._break is not None and start <= self._break < len(text):
            newline = text.find("\n", self._break)
            end = len(text) if newline < 0 else newline
            coloured.append(Coloured(self._break, max(end, self._break + 1), BREAK))
        self._renew(self._text.colour(start, coloured))

    def _styles(self) -> dict[int, Style]:
        looks = super()._styles()
        if self._words is None or self._text.shaded:
            return looks
        names = ("keyword", "name", "string", "comment", "number", "builtin", "break")
        colours = [self.get_component_styles(f"code--{name}").color for name in names]
        styles = syntax_styles(self.rich_style, colours, colour_mode(self.app))
        for mark in looks:
            if not mark & AHEAD:
                look = styles[syntax_of(mark)]
                if mark & _CLASS == PROMPT:
                    look += Style(bold=True)
                looks[mark] = look + Style(reverse=True) if mark & CURSOR else look
        return looks
