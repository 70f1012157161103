"""Text as it is generated, token by token, coloured by surprise, by attention or by syntax.

Each character has a mark of one byte: three bits for the class of its token (its surprise, or that
it is of the prompt, or a label), one for `AHEAD`, three for the level of attention or the kind of a
word in code, one for `CURSOR`.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import takewhile
from typing import Any, ClassVar, NamedTuple

from rich.style import Style
from textual.color import Color
from textual.reactive import reactive
from textual.strip import Strip

from genui.protocol import Piece, TextFrame, remaining_suffix
from genui.render.colours import ColourMode
from genui.render.prose import SOLID, Flow, Span
from genui.ui.themes import colour_mode
from genui.ui.traces.compare import Moment
from genui.ui.traces.trees import ShownTrace
from genui.ui.widgets.lines import component_classes, strip_of
from genui.ui.widgets.lists import RowScroller

SURPRISE_EDGES = (1.0, 2.5, 4.5, 7.0)
"""The boundaries between classes of surprise, in bits."""

CLASSES = len(SURPRISE_EDGES) + 1
PLAIN_TOKEN, PROMPT, LABEL = CLASSES, CLASSES + 1, CLASSES + 2
AHEAD, CURSOR = 8, 128
HIT, HIT_HERE = 256, 512  # only while a line is drawn
LEVELS = 5
"""The number of levels of attention; the first is almost none."""

_CLASS_MASK = 7
_LEVEL_SHIFT = 4
_LEVEL_MASK = 7 << _LEVEL_SHIFT
_GROUNDS = (0.0, 0.16, 0.32, 0.5, 0.72)  # the share of the accent in the background of each level
_FEW_COLOURS = ("ascii", "16")
_WITHOUT_COLOUR = (
    Style(dim=True),
    Style(),
    Style(underline=True),
    Style(underline=True, bold=True),
    Style(underline=True, bold=True, italic=True),
)


Marked = Sequence[tuple[str, int]]
"""Texts with their marks."""


class Written(NamedTuple):
    """A token in the text: its surprisal is in bits, None if it is unknown."""

    text: str
    bits: float | None = None
    before: Marked = ()  # text that no token wrote, such as a message of a chat
    mark: int | None = None  # in place of the class of its surprisal


def mark_pieces(pieces: Iterable[Piece], template: bool) -> list[tuple[str, int]]:
    """The pieces of a chat with their marks; with `template` its tokens in place of labels."""
    hidden = "label" if template else "template"
    marks = ((one.text, PROMPT if one.kind == "text" else LABEL, one.kind) for one in pieces)
    return [(text, mark) for text, mark, kind in marks if kind != hidden]


def surprise_class(bits: float | None) -> int:
    """Return 0 (expected) to 4 (surprising), or 5 if the surprisal is not known."""
    return PLAIN_TOKEN if bits is None else bisect_right(SURPRISE_EDGES, bits)


MARKED, UNMARKED = 0, CLASSES - 1
"""In place of classes of surprise, where the marks of a watermark are shown."""


def watermark_class(marks: int, of: int) -> int:
    """Return the class of a token with so many marks; PLAIN_TOKEN if it does not count."""
    if not of:
        return PLAIN_TOKEN
    return MARKED if 2 * marks > of else UNMARKED


@cache
def flag_table(flag: int, on: bool) -> bytes:
    """Return a table for `Flow.remark` that sets or clears a flag."""
    return bytes(mark | flag if on else mark & ~flag for mark in range(256))


@cache
def level_table(level: int) -> bytes:
    """Return a table for `Flow.remark` that sets the level of attention or the kind of a word."""
    return bytes(mark & ~_LEVEL_MASK | level << _LEVEL_SHIFT for mark in range(256))


def get_level(mark: int) -> int:
    """Return the level of attention in a mark, 0 to 4, or the kind of a word in code, 0 to 7."""
    return (mark & _LEVEL_MASK) >> _LEVEL_SHIFT


def surprise_styles(base: Style, ends: Sequence[Color]) -> list[Style]:
    """Return a style for each class of surprise; `ends`: expected, unsure, surprising.

    The more surprising classes differ by more than colour.
    """
    expected, unsure, surprising = ends
    shades = [
        expected,
        expected.blend(unsure, 0.5),
        unsure,
        unsure.blend(surprising, 0.5),
        surprising,
    ]
    looks = [base + Style(color=shade.rich_color) for shade in shades]
    looks[-2] += Style(underline=True)
    looks[-1] += Style(underline=True, bold=True)
    return looks


def watermark_styles(base: Style, ends: Sequence[Color]) -> list[Style]:
    """Return a style for each class where marks are shown; `ends` are as in `surprise_styles`."""
    looks = [base] * CLASSES
    looks[MARKED] += Style(color=ends[0].rich_color, underline=True)
    looks[UNMARKED] += Style(color=ends[2].rich_color)
    return looks


def attention_style(
    level: int, base: Style, ground: Color, accent: Color, mode: ColourMode
) -> Style:
    if mode in _FEW_COLOURS:
        return base + _WITHOUT_COLOUR[level]
    shade = ground.blend(accent, _GROUNDS[level])
    text = shade.get_contrast_text(1.0)
    if not level:
        text = shade.blend(text, 0.55)
    marks = _WITHOUT_COLOUR[level] if level else Style()  # also with colours
    return base + marks + Style(color=text.rich_color, bgcolor=shade.rich_color)


# --- Syntax highlighting of Python that is still being generated ------------------------------
# Only text that may still change is lexed again: from the last newline at which the lexer had no
# open string or bracket. The line before it may still turn out to begin a string of several lines.

PLAIN, KEYWORD, NAME, STRING, COMMENT, NUMBER, BUILTIN, BREAK = range(8)
"""Kinds of words. NAME is the name in a definition, BREAK the place where parsing fails."""


class SyntaxSpan(NamedTuple):
    """Characters `start` to `end` of the text, and their kind."""

    start: int
    end: int
    kind: int


class Highlighter:
    """Finds the kinds of words in a text as it grows."""

    def __init__(self) -> None:
        from pygments.lexers.python import PythonLexer

        self._lexer = PythonLexer(stripnl=False, ensurenl=False)
        self._settled = 0  # characters before this one do not change any more

    def update(self, text: str) -> tuple[int, list[SyntaxSpan]]:
        """Return where lexing started, and the spans from there on.

        `text` is the text of the last call, longer or shorter at its end.
        """
        start = self._settled if self._settled <= len(text) else 0
        spans, settled = [], start
        for at, token, value in self._lexer.get_tokens_unprocessed(text[start:]):
            kind = _kind(token)
            if "\n" in value and kind in (PLAIN, COMMENT):
                settled = start + at + value.rindex("\n") + 1
            elif kind != PLAIN:
                spans.append(SyntaxSpan(start + at, start + at + len(value), kind))
        self._settled = settled
        return start, spans

    def restart(self) -> None:
        """Lex the whole text the next time, because it is another one or was cut."""
        self._settled = 0


@cache
def _kind(token: Any) -> int:
    """Return the kind of a pygments token, whose types are nested."""
    from pygments.token import Comment, Keyword, Name, Number, Operator, String

    for parent, kind in (
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
        if token in parent:
            return kind
    return PLAIN


def syntax_styles(base: Style, colours: Sequence[Color], mode: ColourMode) -> list[Style]:
    """Return a style for each kind.

    `colours` are for keywords, names, strings, comments, numbers, builtins and breaks. Kinds that
    the words do not make obvious differ by more than colour.
    """
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


# --- The model: a prompt and its tokens with their marks, and a cursor ------------------------
# Each change returns the lines whose appearance changes.

Lines = set[int]


def _split_at_newlines(text: str, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield the pieces between newlines of characters `first` to `last` of a text."""
    while first < last:
        newline = text.find("\n", first, last)
        end = last if newline < 0 else newline
        if end > first:
            yield first, end
        first = end + 1


class MarkedText:
    """A prompt, tokens and a suffix as wrapped text with marks (see the top of this file)."""

    def __init__(self, width: int, prompt: Marked = (), suffix: Marked = ()) -> None:
        """`width` is in terminal cells; `suffix` comes after the tokens."""
        self.flow = Flow(width)
        self.cursor: int | None = None  # a token's number from 1; 0 is the prompt
        self.shaded = False
        self._shades: tuple[int | None, Sequence[str] | None, Sequence[int]] | None = None
        self._bits: list[float | None] = []
        self._first = len(prompt)  # the piece of the first token, or of what is before it
        self._pieces: list[int] = []  # the piece of each token
        self._suffix = suffix
        self.flow.extend([*prompt, *suffix])

    def __len__(self) -> int:
        """The number of tokens, including those after the cursor."""
        return len(self._bits)

    @property
    def text(self) -> str:
        """The prompt, the tokens up to the cursor and the suffix, cleaned."""
        text, end = self.flow.text, self.token(len(self))[1]
        return text if self.cursor is None else text[: self.token(self.cursor)[1]] + text[end:]

    @property
    def has_suffix(self) -> bool:
        return bool(self._suffix)

    @property
    def bits_per_token(self) -> float:
        """The mean surprisal of the tokens up to the cursor, in bits; 0 if it is unknown."""
        known = [bits for bits in self._bits[: self.cursor] if bits is not None]
        return sum(known) / len(known) if known else 0.0

    def token(self, number: int) -> tuple[int, int]:
        """Return where token `number` begins and ends in the text; 0 is the end of the prompt."""
        if number < 1:
            end = self.flow.piece(self._first - 1)[1] if self._first else 0
            return end, end
        return self.flow.piece(self._pieces[number - 1])

    @property
    def _next_piece(self) -> int:
        """The number of the next token's piece."""
        return self._pieces[-1] + 1 if self._pieces else self._first

    # --- the tokens -------------------------------------------------------------------

    def extend(self, tokens: Sequence[Written]) -> int:
        """Add tokens; returns the first line that changed."""
        changed = self._remove_suffix()
        pieces: list[tuple[str, int]] = []
        start = self._next_piece
        for token in tokens:
            pieces += token.before
            self._pieces.append(start + len(pieces))
            self._bits.append(token.bits)
            mark = surprise_class(token.bits) if token.mark is None else token.mark
            pieces.append((token.text, mark))
        return min(changed, self.flow.extend([*pieces, *self._suffix]))

    def set_suffix(self, suffix: Marked) -> int:
        """Replace the suffix; returns the first line that changed."""
        changed, self._suffix = self._remove_suffix(), suffix
        return min(changed, self.flow.extend(suffix))

    def truncate(self, tokens: int) -> int:
        """Keep the first `tokens` tokens and the prompt; returns the first line that changed."""
        del self._bits[max(tokens, 0) :], self._pieces[max(tokens, 0) :]
        changed = self.flow.truncate(self._next_piece)
        return min(changed, self.flow.extend(self._suffix)) if self._suffix else changed

    def _remove_suffix(self) -> int:
        """Remove the suffix, to be added again; returns the first line that changed."""
        if not self._suffix:
            return len(self.flow)
        return self.flow.truncate(self._next_piece)

    # --- the cursor, attention and syntax -------------------------------------------------

    def point(self, token: int) -> Lines:
        """Put the cursor on a token; with 0, the end of the prompt, no token has it."""
        token = max(0, min(token, len(self)))
        end = self.token(len(self))[1]
        old = self.token(self.cursor) if self.cursor is not None else (end, end)
        new = self.token(token)
        self.cursor = token
        return (
            self._remark(*old, flag_table(CURSOR, False))
            | self._remark(old[1], new[1], flag_table(AHEAD, False))
            | self._remark(new[1], old[1], flag_table(AHEAD, True))
            | self._remark(*new, flag_table(CURSOR, True))
            | self._ends(*old)
            | self._ends(*new)
        )

    def remove_cursor(self) -> Lines:
        if self.cursor is None:
            return set()
        start, end = self.token(self.cursor)
        self.cursor = None
        last = self.token(len(self))[1]
        return self._remark(start, last, flag_table(CURSOR | AHEAD, False)) | self._ends(start, end)

    def shade(self, levels: Sequence[int], prompt: Sequence[str] | None) -> Lines:
        """Set the levels of attention of the last tokens before the cursor; all others have none.

        `levels` [n], 0 to 4, are in the order of the text. The first are those of the tokens of
        the prompt, whose texts are `prompt`; if it is None, `levels` are of all written tokens.
        """
        shades = (self.cursor, prompt, levels)
        if shades == self._shades:
            return set()
        changed = self.remove_shades()
        self._shades, self.shaded = shades, True
        places = self._backwards() if prompt is None else self._before(prompt)
        for level, (start, end) in zip(reversed(levels), places, strict=False):
            if level:
                changed |= self._remark(start, end, level_table(level))
        return changed

    def remove_shades(self) -> Lines:
        if not self.shaded:
            return set()
        self._shades, self.shaded = None, False
        return self._remark(0, self.token(len(self))[1], level_table(0))

    def colour(self, start: int, spans: Iterable[SyntaxSpan]) -> Lines:
        """Set the kinds of words in code from character `start` on."""
        text = self.flow.text
        end = len(text)
        changed = self._remark(start, end, level_table(0))
        for first, last, kind in spans:
            # Newlines are left out, because one that has a level is drawn.
            for piece in _split_at_newlines(text, first, min(last, end)):
                changed |= self._remark(*piece, level_table(kind))
        return changed

    def past_end(self, line: int, spans: Iterable[Span]) -> Span:
        """Return what to draw after the `spans` of a line: a newline or space at the cursor, or a
        newline with attention."""
        newline = self.flow.newline(line)
        if newline is not None and newline >= SOLID and not newline & AHEAD:
            return Span("⏎", newline)
        if self.cursor is not None and not any(mark & CURSOR for _, mark in spans):
            text = self.flow.part(line, *self.token(self.cursor))
            return Span(" " if text else "", CURSOR)
        return Span("", 0)

    def _backwards(self) -> Iterator[tuple[int, int]]:
        """Yield the positions of all written tokens, the last first."""
        return (self.token(number) for number in range(len(self), 0, -1))

    def _before(self, prompt: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Yield the positions of the tokens before the cursor, backwards, then of the prompt's."""
        for token in range((self.cursor or 0) - 1, 0, -1):
            yield self.token(token)
            if self._pieces[token - 1] > (
                self._pieces[token - 2] + 1 if token > 1 else self._first
            ):
                return  # a message before it, whose tokens are not known here
        end = self.token(0)[1]
        if not self.flow.text[:end].endswith("".join(prompt)):
            return  # the bytes of a character were split into several tokens
        for text in reversed(prompt):
            yield end - len(text), end
            end -= len(text)

    def _remark(self, start: int, end: int, table: bytes) -> Lines:
        return set(self.flow.remark(start, end, table))

    def _ends(self, start: int, end: int) -> Lines:
        """Return the lines in which a token begins and ends; it may be drawn after their ends."""
        return {self.flow.line_at(start), self.flow.line_at(max(end - 1, start))}


# --- The widget -------------------------------------------------------------------------------

_WORDS = re.compile(r"\s+|\S+")


class Prose(RowScroller):
    """The prompt in bold, then tokens from expected (green) to surprising (red, underlined).

    The view follows the end of the text unless the user scrolls up. The token at the cursor
    (`point`) is reversed and those after it are dim; `shade` shows attention instead of surprise.
    """

    DEFAULT_CSS = """
    Prose {
        scrollbar-gutter: stable;
        & > .prose--prompt { text-style: bold; }
        & > .prose--label { color: $text-muted; }
        & > .prose--expected { color: $success; }
        & > .prose--unsure { color: $warning; }
        & > .prose--surprising { color: $error; }
        & > .prose--cursor { color: $foreground; }
        & > .prose--ahead { color: $text-disabled; }
        & > .prose--attended { color: $accent; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = component_classes(DEFAULT_CSS)

    writing: reactive[bool] = reactive(False, repaint=False)

    def __init__(self) -> None:
        super().__init__("Nothing written yet", follows=True)
        self._text = MarkedText(80)
        self._trace: ShownTrace[TextFrame] | None = None  # of `begin_trace`
        self._given: tuple[str, str] = ("", "")  # its prompt and suffix
        self._template = False  # whether the template's tokens of a chat are shown
        self._marks = False  # whether the marks of a watermark are shown
        self._tail: Marked = ()
        self._drawn_lines = 1
        self._looks: dict[int, Style] = {}
        self._sought = ""
        self._hits: list[tuple[int, int]] = []  # where it begins and ends in the text
        self._hit = 0  # the one that was gone to

    @property
    def _flow(self) -> Flow:
        return self._text.flow

    # --- a trace --------------------------------------------------------------------

    def show_trace(self, trace: ShownTrace[TextFrame], moment: Moment) -> None:
        """Show a trace up to one of its steps."""
        if not (trace.started or trace.frames):
            self.writing = False
            self.clear(moment.empty)
            return
        self.begin_trace(trace)
        self.show_tail(trace, moment.step)
        self.show_frames(trace.frames[: moment.step])
        self.writing = moment.playing

    def begin_trace(
        self, trace: ShownTrace[TextFrame], template: bool = False, marks: bool = False
    ) -> None:
        """Start a new text with the prompt of a trace, of a chat with labels or the template,
        unless it is shown; the tokens that the trace shares with the last one stay. With `marks`
        the marks of a watermark are shown instead of surprise."""
        before, self._trace = self._trace, trace
        given = trace.model_prompt, trace.model_suffix
        shown, wanted = (self._given, self._template, self._marks), (given, template, marks)
        if before is None or shown != wanted:
            self._given, self._template, self._marks = wanted
            self.begin(mark_pieces(trace.pieces, template) or given[0], given[1])
        elif before is not trace:
            pairs = zip(before.frames, trace.frames, strict=False)
            self.truncate(sum(1 for _ in takewhile(lambda pair: pair[0] is pair[1], pairs)))

    def show_tail(self, trace: ShownTrace[TextFrame], step: int) -> None:
        """Show what comes after the tokens up to `step`: the text after a gap, or a message that
        has no answer yet."""
        suffix = remaining_suffix(trace.model_suffix, trace.frames[:step])
        tail = [(suffix, PROMPT)] if suffix else []
        if step == trace.computed:
            tail += mark_pieces(trace.unanswered, False)
        if tail != self._tail:
            self._tail = tail
            self._remove_marks()
            self._redraw_from(self._text.set_suffix(tail))

    def show_frames(self, frames: Sequence[TextFrame]) -> None:
        """Show the tokens of `frames`, which extend those that are shown, or are fewer of them."""
        count = self.token_count
        if count > len(frames):
            self.truncate(len(frames))
        elif count < len(frames):
            self.append_frames(frames[count:])

    def scroll_text(self, by: int) -> None:
        self.scroll_relative(y=by, animate=False)

    # --- the text -------------------------------------------------------------------

    def begin(self, prompt: str | Marked = "", suffix: str = "") -> None:
        """Start a new text with its prompt; `suffix` comes after the tokens."""
        if isinstance(prompt, str):
            prompt = [(prompt, PROMPT)] if prompt else []
        self._tail = [(suffix, PROMPT)] if suffix else []
        self._text = MarkedText(self._flow.width, prompt, self._tail)
        self._looks = {}
        self._at_end = True
        self._find_hits()
        self.update_rows()

    def append(self, text: str, surprisal: float | None = None) -> None:
        """Add a token; `surprisal` is in bits, None if unknown."""
        self._extend([Written(text, surprisal)])

    def append_frames(self, frames: Iterable[TextFrame]) -> None:
        """Add many tokens with one repaint."""
        self._extend([self._written(frame) for frame in frames])

    def _written(self, frame: TextFrame) -> Written:
        before = mark_pieces(frame.before, self._template)
        name = frame.special if self._template else ""
        mark = watermark_class(*frame.marks) if self._marks else None
        return Written(name or frame.text, frame.surprisal, before, LABEL if name else mark)

    def truncate(self, tokens: int) -> None:
        """Keep the first `tokens` tokens and the prompt."""
        if tokens < len(self._text):
            self._remove_marks()
            self._redraw_from(self._text.truncate(tokens))

    def clear(self, empty: str | None = None) -> None:
        """Remove the text; `empty` is the new text of the empty state, if given."""
        if empty is not None:
            self.set_empty_text(empty)
        self._trace = None
        self.begin()

    @property
    def token_count(self) -> int:
        """The number of tokens, including those after the cursor."""
        return len(self._text)

    @property
    def bits_per_token(self) -> float:
        """The mean surprisal of the tokens up to the cursor, in bits; 0 if it is unknown."""
        return self._text.bits_per_token

    @property
    def text(self) -> str:
        """The prompt and the tokens up to the cursor, cleaned."""
        return self._text.text

    def _extend(self, tokens: list[Written]) -> None:
        self._remove_marks()
        self._redraw_from(self._text.extend(tokens))

    def _redraw_from(self, first: int) -> None:
        """Redraw the lines from `first` on, including those that are blank now."""
        self._find_hits()
        end = max(self._drawn_lines, len(self._flow))
        self.refresh_lines(first, end - first)
        self._drawn_lines = len(self._flow)
        self.fit_rows()

    @property
    def count(self) -> int:
        """The number of lines to scroll over, at least those of the view: another number is
        another layout, and sends the whole view.

        Scrolling sends the whole view to the terminal. So while text is being generated it is
        scrolled by a quarter of the view at a time, and between that only new lines are sent.
        """
        if not self._flow.pieces and not self.writing:
            return 0
        height = self.scrollable_size.height
        overflow = len(self._flow) - height
        if overflow <= 0 or not self.writing:
            return max(len(self._flow), height)
        stride = max(height // 4, 1)
        return height + -(-overflow // stride) * stride

    # --- searching --------------------------------------------------------------------

    def find(self, text: str) -> tuple[int, int]:
        """Mark where `text` occurs, in any case, and go to the first one from the top of the view.

        Returns its number from 1 and the count; 0 if there is none.
        """
        self._sought = text
        self._find_hits()
        top = self.scroll_offset.y
        below = (n for n, (start, _) in enumerate(self._hits) if self._flow.line_at(start) >= top)
        self._hit = next(below, 0)
        return self.go_to_hit(0)

    def go_to_hit(self, by: int) -> tuple[int, int]:
        """Go to the next place, or with -1 to the one before. Returns as `find`."""
        count = len(self._hits)
        self._hit = (self._hit + by) % count if count else 0
        if count:
            self._show_line(self._flow.line_at(self._hits[self._hit][0]))
        self._redraw_all()
        return (self._hit + 1 if count else 0), count

    def _find_hits(self) -> None:
        """Search again, after a change of the text."""
        if self._sought or self._hits:
            matches = re.finditer(re.escape(self._sought), self._flow.text, re.IGNORECASE)
            self._hits = [match.span() for match in matches] if self._sought else []

    def _flags(self, line: int) -> dict[int, int]:
        """The flags of the characters of hits on a line."""
        flags: dict[int, int] = {}
        for number, (start, end) in enumerate(self._hits):
            if self._flow.line_at(start) <= line <= self._flow.line_at(end - 1):
                flags |= dict.fromkeys(range(start, end), HIT_HERE if number == self._hit else HIT)
        return flags

    # --- the cursor and the attention -------------------------------------------------

    def point(self, token: int | None) -> None:
        """Put the cursor on token number `token` and scroll to it; later tokens are dim.

        With 0, the end of the prompt, no token is reversed; None removes the cursor.
        """
        if token == self._text.cursor:
            return
        if token is None:
            self._remove_marks()
            self._at_end = True
            self.fit_rows()
        else:
            self._redraw_lines(self._text.point(token))
            self._show_cursor()

    def shade(self, levels: Sequence[int] | None, prompt: Sequence[str] | None = ()) -> None:
        """Shade the tokens before the cursor by their level of attention, 0 to 4.

        `levels` [n] are those of the last n tokens, the first of which are those of the prompt,
        whose texts are `prompt`; if it is None, of all written tokens. None shows surprise again.
        """
        text, was_shaded = self._text, self._text.shaded
        changed = text.remove_shades() if levels is None else text.shade(levels, prompt)
        if was_shaded != text.shaded:
            self._redraw_all()
        else:
            self._redraw_lines(changed)

    def _redraw_all(self) -> None:
        """Redraw all lines, in new styles."""
        self._looks = {}
        self.refresh()

    def _remove_marks(self) -> None:
        """Remove the cursor and the shades, before a change of the text."""
        self.shade(None)
        self._redraw_lines(self._text.remove_cursor())

    def _redraw_lines(self, lines: Iterable[int]) -> None:
        for line in lines:
            self.refresh_lines(line)

    def _show_cursor(self) -> None:
        """Scroll to the line of the cursor, no further than necessary."""
        if self._text.cursor is None:
            return
        self._show_line(self._flow.line_at(self._text.token(self._text.cursor)[0]))

    def _show_line(self, line: int) -> None:
        """Scroll to a line, no further than necessary."""
        top, height = self.scroll_offset.y, self.scrollable_size.height
        if not top <= line < top + height:
            y = line if line < top else line - height + 1
            self.scroll_to(y=y, animate=False, immediate=True, force=True)

    # --- drawing --------------------------------------------------------------------

    def watch_writing(self) -> None:
        self.refresh_lines(len(self._flow) - 1)
        self.fit_rows()

    def update_rows(self) -> None:
        # One cell is left for the cursor at the right of the text.
        self._flow.resize(self.scrollable_size.width - 1)
        self._drawn_lines = len(self._flow)
        super().update_rows()
        self._show_cursor()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._looks = {}

    def row(self, number: int, width: int) -> Strip:
        if number >= len(self._flow):
            return Strip.blank(width, self.rich_style)
        strip = self._draw_line(number)
        if self.writing and number == len(self._flow) - 1:
            cursor = self.get_component_rich_style("prose--cursor")
            strip = Strip([*strip, *strip_of([("▌", cursor)])])
        return strip

    def _draw_line(self, line: int) -> Strip:
        looks = self._looks = self._looks or self._styles()
        parts: list[tuple[str, Style]] = []
        spans = self._flow.spans(line, self._flags(line))
        for text, mark in spans:
            look = looks[mark & 255]
            if mark >= HIT:
                parts.append((text, self.look("hit-here" if mark & HIT_HERE else "hit")))
            elif look.underline and not mark & CURSOR:
                # Underline the words, not the space between them.
                bare = look + Style(underline=False)
                words = _WORDS.findall(text)
                parts += [(word, bare if word.isspace() else look) for word in words]
            else:
                parts.append((text, look))
        text, mark = self._text.past_end(line, spans)
        return strip_of([*parts, (text, looks[mark])])

    def _styles(self) -> dict[int, Style]:
        """Return a style for each mark, in the current theme."""
        base = self.rich_style
        mode = colour_mode(self.app)
        names = ("expected", "unsure", "surprising", "attended")
        *ends, accent = (self.get_component_styles(f"prose--{name}").color for name in names)
        prompt = self.get_component_rich_style("prose--prompt")
        label = self.get_component_rich_style("prose--label")
        if mode == "ascii":
            label += Style(dim=True)
        styles = watermark_styles if self._marks else surprise_styles
        classes = [*styles(base, ends), base, prompt, label]
        ahead = self.get_component_rich_style("prose--ahead")
        if mode == "ascii":
            ahead += Style(dim=True)
        looks: dict[int, Style] = {}
        for mark in range(256):
            level = min(get_level(mark), LEVELS - 1) if self._text.shaded else 0
            if mark & AHEAD:
                look = ahead + _WITHOUT_COLOUR[level] if level else ahead
            elif self._text.shaded:
                ground = self.background_colors[1]
                look = attention_style(level, base, ground, accent, mode)
            else:
                look = classes[mark & _CLASS_MASK]
            looks[mark] = look + Style(reverse=True) if mark & CURSOR else look
        return looks


class CodeProse(Prose):
    """Prose that can also be code, with `highlight`. Attention, if shown, has priority."""

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
    COMPONENT_CLASSES: ClassVar[set[str]] = component_classes(DEFAULT_CSS)

    _highlighter: Highlighter | None = None
    _break: int | None = None  # the character at which parsing fails

    def highlight(self, on: bool, broken: int | None = None) -> None:
        """Colour words of Python by their kind, or tokens by their surprise.

        Parsing fails at character `broken`; its line is marked from there on.
        """
        switched = on != (self._highlighter is not None)
        if not switched and (broken == self._break or not on):
            return
        if switched:
            self._highlighter = Highlighter() if on else None
        self._break = broken
        if self._text.shaded:
            return
        if on:
            self._colour(restart=True)
        else:
            self._redraw_lines(self._text.colour(0, ()))
        if switched:
            self._redraw_all()

    def begin(self, prompt: str | Marked = "", suffix: str = "") -> None:
        super().begin(prompt, suffix)
        self._break = None
        self._colour(restart=True)

    def truncate(self, tokens: int) -> None:
        super().truncate(tokens)
        self._colour(restart=True)

    def _extend(self, tokens: list[Written]) -> None:
        super()._extend(tokens)
        self._colour(restart=self._text.has_suffix)

    def shade(self, levels: Sequence[int] | None, prompt: Sequence[str] | None = ()) -> None:
        was_shaded = self._text.shaded
        super().shade(levels, prompt)
        if was_shaded and not self._text.shaded:
            self._colour(restart=True)

    def _colour(self, restart: bool) -> None:
        """Colour the new words, or with `restart` all words."""
        if self._highlighter is None or self._text.shaded:
            return
        if restart:
            self._highlighter.restart()
        text = self._flow.text
        start, spans = self._highlighter.update(text)
        if self._break is not None and start <= self._break < len(text):
            newline = text.find("\n", self._break)
            end = len(text) if newline < 0 else newline
            spans.append(SyntaxSpan(self._break, max(end, self._break + 1), BREAK))
        self._redraw_lines(self._text.colour(start, spans))

    def _styles(self) -> dict[int, Style]:
        looks = super()._styles()
        if self._highlighter is None or self._text.shaded:
            return looks
        names = ("keyword", "name", "string", "comment", "number", "builtin", "break")
        colours = [self.get_component_styles(f"code--{name}").color for name in names]
        styles = syntax_styles(self.rich_style, colours, colour_mode(self.app))
        for mark in looks:
            if not mark & AHEAD:
                look = styles[get_level(mark)]
                if mark & _CLASS_MASK == PROMPT:
                    look += Style(bold=True)
                looks[mark] = look + Style(reverse=True) if mark & CURSOR else look
        return looks
