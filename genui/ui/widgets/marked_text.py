"""A prompt and its tokens as a flowing text, with a cursor and shades. Pure: it draws nothing.

Every change returns the lines that look different by it.
"""

from collections.abc import Iterable, Iterator, Sequence

from genui.render.flow import SOLID, Flow, Span
from genui.ui.widgets.syntax import Coloured
from genui.ui.widgets.token_looks import (
    AHEAD,
    CURSOR,
    PROMPT,
    flagged,
    levelled,
    surprise_class,
)

Lines = set[int]


def _without_newlines(text: str, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Characters `first` to `last` of a text, in pieces between its new lines."""
    while first < last:
        newline = text.find("\n", first, last)
        end = last if newline < 0 else newline
        if end > first:
            yield first, end
        first = end + 1


class MarkedText:
    """Each character has a mark (see token_looks): surprise, ahead or not, attention, cursor."""

    def __init__(self, width: int, prompt: str = "", suffix: str = "") -> None:
        """`width` in terminal cells; `suffix` stands after the tokens."""
        self.flow = Flow(width)
        self.cursor: int | None = None  # the number of the token at the cursor; 0 is the prompt
        self.shaded = False
        self._shades: tuple[int | None, Sequence[str], Sequence[int]] | None = None
        self._bits: list[float | None] = []
        self._prompted = bool(prompt)
        self._suffix = [(suffix, PROMPT)] if suffix else []
        self.flow.extend([*([(prompt, PROMPT)] if prompt else []), *self._suffix])

    def __len__(self) -> int:
        """The number of tokens, those after the cursor too."""
        return len(self._bits)

    @property
    def text(self) -> str:
        """The prompt, the tokens up to the cursor and the suffix, cleaned."""
        text, end = self.flow.text, self.token(len(self))[1]
        return text if self.cursor is None else text[: self.token(self.cursor)[1]] + text[end:]

    @property
    def suffixed(self) -> bool:
        """Whether something stands after the tokens."""
        return bool(self._suffix)

    @property
    def bits_per_token(self) -> float:
        """The mean surprisal of the tokens up to the cursor, in bits; 0 where none has any."""
        known = [bits for bits in self._bits[: self.cursor] if bits is not None]
        return sum(known) / len(known) if known else 0.0

    def token(self, number: int) -> tuple[int, int]:
        """Where token `number` begins and ends in the text; 0 is the end of the prompt."""
        if number < 1:
            end = self.flow.piece(0)[1] if self._prompted else 0
            return end, end
        return self.flow.piece(number - 1 + self._prompted)

    # --- the tokens -------------------------------------------------------------------

    def extend(self, tokens: Sequence[tuple[str, float | None]]) -> int:
        """Add tokens with their surprisal in bits; returns the first line that changed."""
        changed = self._without_suffix()
        self._bits += [bits for _, bits in tokens]
        pieces = [(text, surprise_class(bits)) for text, bits in tokens]
        return min(changed, self.flow.extend([*pieces, *self._suffix]))

    def truncate(self, tokens: int) -> int:
        """Keep the first `tokens` tokens and the prompt; returns the first line that changed."""
        del self._bits[max(tokens, 0) :]
        changed = self.flow.truncate(len(self._bits) + self._prompted)
        return min(changed, self.flow.extend(self._suffix)) if self._suffix else changed

    def _without_suffix(self) -> int:
        """Take the suffix off, to be put on again; returns the first line that changed."""
        if not self._suffix:
            return len(self.flow)
        return self.flow.truncate(len(self._bits) + self._prompted)

    # --- the cursor and the shades ------------------------------------------------------

    def point(self, token: int) -> Lines:
        """Put the cursor on a token (0: the prompt's end, where none has it)."""
        token = max(0, min(token, len(self)))
        end = self.token(len(self))[1]
        was = self.token(self.cursor) if self.cursor is not None else (end, end)
        now = self.token(token)
        self.cursor = token
        return (
            self._remark(*was, flagged(CURSOR, False))
            | self._remark(was[1], now[1], flagged(AHEAD, False))
            | self._remark(now[1], was[1], flagged(AHEAD, True))
            | self._remark(*now, flagged(CURSOR, True))
            | self._ends(*was)
            | self._ends(*now)
        )

    def unpoint(self) -> Lines:
        """Take the cursor away."""
        if self.cursor is None:
            return set()
        start, end = self.token(self.cursor)
        self.cursor = None
        last = self.token(len(self))[1]
        return self._remark(start, last, flagged(CURSOR | AHEAD, False)) | self._ends(start, end)

    def shade(self, levels: Sequence[int], prompt: Sequence[str]) -> Lines:
        """Give the last tokens before the cursor levels of attention, and all others none.

        `levels` [n], 0 to 4, in the order of the text; the first of them are those of the
        tokens of the prompt, which are spelled `prompt`.
        """
        shades = (self.cursor, prompt, levels)
        if shades == self._shades:
            return set()
        changed = self.unshade()
        self._shades, self.shaded = shades, True
        for level, (start, end) in zip(reversed(levels), self._before(prompt), strict=False):
            if level:
                changed |= self._remark(start, end, levelled(level))
        return changed

    def unshade(self) -> Lines:
        """Take the shades away."""
        if not self.shaded:
            return set()
        self._shades, self.shaded = None, False
        return self._remark(0, self.token(len(self))[1], levelled(0))

    def colour(self, start: int, coloured: Iterable[Coloured]) -> Lines:
        """Give characters the kinds of words in code, and those from `start` on none else."""
        text = self.flow.text
        end = len(text)
        changed = self._remark(start, end, levelled(0))
        for first, last, kind in coloured:
            # New lines are no part of it: one that has a level is drawn.
            for piece in _without_newlines(text, first, min(last, end)):
                changed |= self._remark(*piece, levelled(kind))
        return changed

    def past_end(self, line: int, spans: Iterable[Span]) -> Span:
        """What `spans` of a line do not show, and should: a new line or a space at the cursor,
        a new line that was looked at."""
        newline = self.flow.newline(line)
        if newline is not None and newline >= SOLID and not newline & AHEAD:
            return Span("⏎", newline)
        if self.cursor is not None and not any(mark & CURSOR for _, mark in spans):
            here = self.flow.part(line, *self.token(self.cursor))
            return Span(" " if here else "", CURSOR)
        return Span("", 0)

    def _before(self, prompt: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Where the tokens before the cursor are, the last first, then those of the prompt."""
        for token in range((self.cursor or 0) - 1, 0, -1):
            yield self.token(token)
        end = self.token(0)[1]
        if not self.flow.text[:end].endswith("".join(prompt)):
            return  # the bytes of one character were cut into several tokens
        for text in reversed(prompt):
            yield end - len(text), end
            end -= len(text)

    def _remark(self, start: int, end: int, table: bytes) -> Lines:
        return set(self.flow.remark(start, end, table))

    def _ends(self, start: int, end: int) -> Lines:
        """The lines a token begins and ends in, past whose ends it may be seen."""
        return {self.flow.line_at(start), self.flow.line_at(max(end - 1, start))}
