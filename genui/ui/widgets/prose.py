"""Text as it is written, token by token, coloured by how surprising each was."""

import re
from collections.abc import Iterable, Sequence
from typing import ClassVar

from rich.style import Style
from textual.cache import LRUCache
from textual.geometry import Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from genui.protocol import TextFrame
from genui.render.flow import Flow
from genui.ui.widgets.colours import colour_mode
from genui.ui.widgets.lines import message_strips, strip_of
from genui.ui.widgets.marked_text import MarkedText
from genui.ui.widgets.token_looks import (
    AHEAD,
    CURSOR,
    PROMPT,
    attention_style,
    level_of,
    surprise_styles,
)

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
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._empty = empty
        self._text = MarkedText(80)
        self._following = True
        self._lines_shown = 1
        self._kept: LRUCache[int, Strip] = LRUCache(_KEPT_STRIPS)
        self._looks: dict[int, Style] = {}

    @property
    def _flow(self) -> Flow:
        return self._text.flow

    # --- what is written ------------------------------------------------------------

    def begin(self, prompt: str = "", suffix: str = "") -> None:
        """Start a new text with its prompt; `suffix` stands after the tokens."""
        self._text = MarkedText(self._flow.width, prompt, suffix)
        self._looks = {}
        self._kept.clear()
        self._following = True
        self._lines_shown = len(self._flow)
        self._grown()
        self.refresh()

    def append(self, text: str, surprisal: float | None = None) -> None:
        """One token; `surprisal` in bits, None where it has none."""
        self._extend([(text, surprisal)])

    def append_frame(self, frame: TextFrame) -> None:
        self._extend([(frame.text, frame.surprisal)])

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
            self._kept.discard(line)
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
        self._kept.clear()
        self.refresh()

    def _unmark(self) -> None:
        """Take away the cursor and the shades: the text is about to change."""
        self.shade(None)
        self._renew(self._text.unpoint())

    def _renew(self, lines: Iterable[int]) -> None:
        for line in lines:
            self._kept.discard(line)
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
        self._kept.clear()
        self._grown()
        self._show_cursor()
        self.refresh()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._kept.clear()
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
        strip = self._kept.get(line)
        if strip is None:
            strip = self._kept[line] = self._line(line)
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
