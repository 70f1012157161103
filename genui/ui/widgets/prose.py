"""What a token of a text looks like: its surprise, whether it is still ahead, the cursor on it.

A mark is one byte: three bits of class, one of `AHEAD`, three of the level of attention or of
the kind of a word in code, one of `CURSOR`.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, ClassVar, NamedTuple

from rich.style import Style
from textual.cache import LRUCache
from textual.color import Color
from textual.geometry import Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from genui.protocol import TextFrame
from genui.render.colours import ColourMode
from genui.render.prose import SOLID, Flow, Span
from genui.ui.traces.trees import Trace
from genui.ui.widgets.base import Moment, colour_mode, message_strips, strip_of

SURPRISE_EDGES = (1.0, 2.5, 4.5, 7.0)
"""In bits: where one class of surprise ends and the next begins."""

CLASSES = len(SURPRISE_EDGES) + 1
PLAIN_TOKEN, PROMPT = CLASSES, CLASSES + 1
AHEAD, CURSOR = 8, 128
LEVELS = 5
"""Levels of attention, the first of which is hardly any."""

_LEVEL_SHIFT = 4
_ALL_LEVELS = 7 << _LEVEL_SHIFT
_GROUNDS = (0.0, 0.16, 0.32, 0.5, 0.72)  # how much of the accent a level's ground has
_FEW_COLOURS = ("ascii", "16")
_WITHOUT_COLOUR = (
    Style(dim=True),
    Style(),
    Style(underline=True),
    Style(underline=True, bold=True),
    Style(underline=True, bold=True, italic=True),
)


def surprise_class(bits: float | None) -> int:
    """0 (expected) to 4 (surprising); 5 where the surprisal is not known."""
    return PLAIN_TOKEN if bits is None else bisect_right(SURPRISE_EDGES, bits)


@cache
def flagged(flag: int, on: bool) -> bytes:
    """A table for `Flow.remark` that sets one flag, or clears it."""
    return bytes(mark | flag if on else mark & ~flag for mark in range(256))


@cache
def levelled(level: int) -> bytes:
    """A table for `Flow.remark` that gives marks a level of attention."""
    return bytes(mark & ~_ALL_LEVELS | level << _LEVEL_SHIFT for mark in range(256))


def surprise_styles(base: Style, ends: Sequence[Color], mode: ColourMode) -> list[Style]:
    """A style for every class of surprise, from the colours of expected, unsure, surprising."""
    expected, unsure, surprising = ends
    shades = [
        expected,
        expected.blend(unsure, 0.5),
        unsure,
        unsure.blend(surprising, 0.5),
        surprising,
    ]
    looks = [base + Style(color=shade.rich_color) for shade in shades]
    looks[-1] += Style(underline=True)
    if mode == "ascii":
        looks[-2] += Style(underline=True)
        looks[-1] += Style(bold=True)
    return looks


def attention_style(
    level: int, base: Style, ground: Color, accent: Color, mode: ColourMode
) -> Style:
    """The style of a token that was looked at that much."""
    if mode in _FEW_COLOURS:
        return base + _WITHOUT_COLOUR[level]
    shade = ground.blend(accent, _GROUNDS[level])
    words = shade.get_contrast_text(1.0)
    if not level:
        words = shade.blend(words, 0.55)
    return base + Style(color=words.rich_color, bgcolor=shade.rich_color)


def syntax_of(mark: int) -> int:
    """The kind of a word in code, 0 to 7, which is kept where else the attention is."""
    return (mark & _ALL_LEVELS) >> _LEVEL_SHIFT


def level_of(mark: int) -> int:
    """The level of attention in a mark, 0 to 4."""
    return min((mark & _ALL_LEVELS) >> _LEVEL_SHIFT, LEVELS - 1)


# --- Python's words by kind, for colouring a text that is still being written -----------------
# Only what may still change is read again: from the last new line at which no string and no
# bracket was open in the lexer's eyes.

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


# --- A prompt and its tokens as a flowing text, with a cursor and shades. Pure: it draws nothing
# Every change returns the lines that look different by it.

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


# --- Text as it is written, token by token, coloured by how surprising each was ---------------

_KEPT_STRIPS = 1024
_WORDS = re.compile(r"\s+|\S+")


class Prose(ScrollView, can_focus=True):
    """The prompt in bold, then tokens from expected (green) to surprising (red, underlined).

    Follows the end until someone scrolls up, and again once they are back at the end. With
    a cursor (`point`) the token at it is reversed and those after it are dim; `shade` shows
    instead of surprise how much each token was looked at.
    """

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "prose--empty",
        "prose--prompt",
        "prose--expected",
        "prose--unsure",
        "prose--surprising",
        "prose--cursor",
        "prose--ahead",
        "prose--attended",
    }
    DEFAULT_CSS = """
    Prose {
        width: 1fr;
        height: 1fr;
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-gutter: stable;
        scrollbar-size-vertical: 1;
        & > .prose--empty { color: $text-muted; }
        & > .prose--prompt { text-style: bold; }
        & > .prose--expected { color: $success; }
        & > .prose--unsure { color: $warning; }
        & > .prose--surprising { color: $error; }
        & > .prose--cursor { color: $foreground; }
        & > .prose--ahead { color: $text-disabled; }
        & > .prose--attended { color: $accent; }
    }
    """

    writing: reactive[bool] = reactive(False, repaint=False)

    def __init__(
        self,
        empty: str = "Nothing written yet",
        *,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._empty = empty
        self._text = MarkedText(80)
        self._trace_prompt: str | None = None  # of the trace that `show_trace` shows
        self._following = True
        self._lines_shown = 1
        self._strip_cache: LRUCache[int, Strip] = LRUCache(_KEPT_STRIPS)
        self._looks: dict[int, Style] = {}

    @property
    def _flow(self) -> Flow:
        return self._text.flow

    # --- a trace --------------------------------------------------------------------

    def show_trace(self, trace: Trace[TextFrame], moment: Moment) -> None:
        """Show a trace up to one of its steps."""
        if not (trace.started or trace.frames):
            self._trace_prompt = None
            self.writing = False
            self.clear(moment.empty)
            return
        if self._trace_prompt != trace.model_prompt:
            self._trace_prompt = trace.model_prompt
            self.begin(trace.model_prompt, trace.model_suffix)
        self.show_frames(trace.frames[: moment.step])
        self.writing = moment.playing

    def show_frames(self, frames: Sequence[TextFrame]) -> None:
        """Show these tokens, which begin with those that are shown or are their beginning."""
        written = self.token_count
        if written > len(frames):
            self.truncate(len(frames))
        elif written < len(frames):
            self.append_frames(frames[written:])

    def scroll_text(self, by: int) -> None:
        """Scroll by lines."""
        self.scroll_relative(y=by, animate=False)

    # --- the text -------------------------------------------------------------------

    def begin(self, prompt: str = "", suffix: str = "") -> None:
        """Start a new text with its prompt; `suffix` stands after the tokens."""
        self._text = MarkedText(self._flow.width, prompt, suffix)
        self._looks = {}
        self._strip_cache.clear()
        self._following = True
        self._lines_shown = len(self._flow)
        self._grown()
        self.refresh()

    def append(self, text: str, surprisal: float | None = None) -> None:
        """One token; `surprisal` in bits, None where it has none."""
        self._extend([(text, surprisal)])

    def append_frames(self, frames: Iterable[TextFrame]) -> None:
        """Many tokens for the price of one repaint."""
        self._extend([(frame.text, frame.surprisal) for frame in frames])

    def truncate(self, tokens: int) -> None:
        """Keep the first `tokens` tokens and the prompt."""
        if tokens < len(self._text):
            self._unmark()
            self._changed_from(self._text.truncate(tokens))

    def clear(self, empty: str | None = None) -> None:
        """Back to the empty state, with another text where one is given."""
        if empty is not None:
            self._empty = empty
        self.begin()

    @property
    def token_count(self) -> int:
        """All of them, those after the cursor too."""
        return len(self._text)

    @property
    def bits_per_token(self) -> float:
        """The mean surprisal of the tokens up to the cursor, in bits; 0 where none has any."""
        return self._text.bits_per_token

    @property
    def text(self) -> str:
        """The prompt and the tokens up to the cursor, cleaned."""
        return self._text.text

    @property
    def follow(self) -> bool:
        """The end stays in view as the text grows."""
        return self._following

    def _extend(self, tokens: list[tuple[str, float | None]]) -> None:
        self._unmark()
        self._changed_from(self._text.extend(tokens))

    def _changed_from(self, first: int) -> None:
        """Lines from `first` on are new; those below the end are blank now."""
        end = max(self._lines_shown, len(self._flow))
        for line in range(first, end):
            self._strip_cache.discard(line)
        self.refresh_lines(first, end - first)
        self._lines_shown = len(self._flow)
        self._grown()

    def _grown(self) -> None:
        """Tell the scrollbar how long the text is, and keep the end in view where it was."""
        following = self._following
        width, height = self.scrollable_size
        size = Size(width, self._room(height))
        if size != self.virtual_size:
            self.virtual_size = size
        if following:
            self.scroll_end(animate=False, immediate=True, x_axis=False, force=True)
            self._following = True

    def _room(self, height: int) -> int:
        """The lines to scroll over in a view of `height` lines.

        A scroll sends the whole view to the terminal. So while text is being written it
        moves on by a quarter of the view, and the lines until then cost themselves only.
        """
        beyond = len(self._flow) - height
        if beyond <= 0 or not self.writing:
            return max(len(self._flow), height)
        stride = max(height // 4, 1)
        return height + -(-beyond // stride) * stride

    # --- the cursor and the attention -------------------------------------------------

    def point(self, token: int | None) -> None:
        """Put the cursor on token number `token` and bring it into view; those after are dim.

        0 is the prompt's end, where no token is reversed; None takes the cursor away.
        """
        if token == self._text.cursor:
            return
        if token is None:
            self._unmark()
            self._following = True
            self._grown()
        else:
            self._renew(self._text.point(token))
            self._show_cursor()

    def shade(self, levels: Sequence[int] | None, prompt: Sequence[str] = ()) -> None:
        """Shade the tokens before the cursor by how much they were looked at, 0 to 4.

        `levels` [n] are of the n last of them; those of the prompt come first and are spelled
        `prompt`. None shows surprise again.
        """
        was = self._text.shaded
        changed = self._text.unshade() if levels is None else self._text.shade(levels, prompt)
        if was != self._text.shaded:  # every token looks different
            self._relook()
        else:
            self._renew(changed)

    def _relook(self) -> None:
        """Every line looks different now."""
        self._looks = {}
        self._strip_cache.clear()
        self.refresh()

    def _unmark(self) -> None:
        """Take away the cursor and the shades: the text is about to change."""
        self.shade(None)
        self._renew(self._text.unpoint())

    def _renew(self, lines: Iterable[int]) -> None:
        for line in lines:
            self._strip_cache.discard(line)
            self.refresh_lines(line)

    def _show_cursor(self) -> None:
        """Scroll no further than its line needs."""
        if self._text.cursor is None:
            return
        line = self._flow.line_at(self._text.token(self._text.cursor)[0])
        top, height = self.scroll_offset.y, self.scrollable_size.height
        if not top <= line < top + height:
            y = line if line < top else line - height + 1
            self.scroll_to(y=y, animate=False, immediate=True, force=True)

    # --- how it looks ---------------------------------------------------------------

    def watch_writing(self) -> None:
        self.refresh_lines(len(self._flow) - 1)
        self._grown()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._following = round(new_value) >= self.max_scroll_y

    def on_resize(self) -> None:
        # The cursor always has a cell to the right of the text.
        self._flow.resize(self.scrollable_size.width - 1)
        self._lines_shown = len(self._flow)
        self._strip_cache.clear()
        self._grown()
        self._show_cursor()
        self.refresh()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strip_cache.clear()
        self._looks = {}

    def render_line(self, y: int) -> Strip:
        width, height = self.scrollable_size
        base = self.rich_style
        if not self._flow.pieces and not self.writing:
            style = self.get_component_rich_style("prose--empty")
            strips = message_strips(self._empty, style, base, width, height)
            strip = strips[y] if y < len(strips) else Strip.blank(width, base)
            return strip.adjust_cell_length(width, base)
        line = self.scroll_offset.y + y
        if line >= len(self._flow):
            return Strip.blank(width, base)
        strip = self._strip_cache.get(line)
        if strip is None:
            strip = self._strip_cache[line] = self._line(line)
        if self.writing and line == len(self._flow) - 1:
            cursor = self.get_component_rich_style("prose--cursor")
            strip = Strip([*strip, *strip_of([("▌", cursor)])])
        return strip.adjust_cell_length(width, base)

    def _line(self, line: int) -> Strip:
        looks = self._looks = self._looks or self._styles()
        parts: list[tuple[str, Style]] = []
        spans = self._flow.spans(line)
        for text, mark in spans:
            look = looks[mark]
            if look.underline and not mark & CURSOR:
                # Words are underlined, the space between them is not.
                bare = look + Style(underline=False)
                words = _WORDS.findall(text)
                parts += [(word, bare if word.isspace() else look) for word in words]
            else:
                parts.append((text, look))
        text, mark = self._text.past_end(line, spans)
        return strip_of([*parts, (text, looks[mark])])

    def _styles(self) -> dict[int, Style]:
        """A style for every mark, as the theme has them now."""
        base = self.rich_style
        mode = colour_mode(self.app)
        names = ("expected", "unsure", "surprising", "attended")
        *ends, accent = (self.get_component_styles(f"prose--{name}").color for name in names)
        prompt = self.get_component_rich_style("prose--prompt")
        classes = [*surprise_styles(base, ends, mode), base, prompt]
        ahead = self.get_component_rich_style("prose--ahead")
        if mode == "ascii":
            ahead += Style(dim=True)
        looks: dict[int, Style] = {}
        for mark in range(256):
            if mark & AHEAD:
                look = ahead
            elif self._text.shaded:
                ground = self.background_colors[1]
                look = attention_style(level_of(mark), base, ground, accent, mode)
            else:
                look = classes[min(mark & 7, PROMPT)]
            looks[mark] = look + Style(reverse=True) if mark & CURSOR else look
        return looks


# --- Prose that may be code: its words coloured by their kind, and where it stops parsing marked

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
