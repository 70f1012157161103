"""Text as it is written, token by token, coloured by how surprising each was."""

import re
from bisect import bisect_right
from collections.abc import Iterable
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

SURPRISE_EDGES = (1.0, 2.5, 4.5, 7.0)
"""In bits: where one class of surprise ends and the next begins."""

_CLASSES = len(SURPRISE_EDGES) + 1
_PLAIN, _PROMPT = _CLASSES, _CLASSES + 1
_KEPT_STRIPS = 1024
_WORDS = re.compile(r"\s+|\S+")


class Prose(ScrollView, can_focus=True):
    """The prompt in bold, then tokens from expected (green) to surprising (red, underlined).

    Follows the end until someone scrolls up, and again once they are back at the end.
    """

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "prose--empty",
        "prose--prompt",
        "prose--expected",
        "prose--unsure",
        "prose--surprising",
        "prose--cursor",
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
        self._flow = Flow(80)
        self._prompted = False
        self._following = True
        self._lines_shown = 1
        self._bits: list[float | None] = []
        self._kept: LRUCache[int, Strip] = LRUCache(_KEPT_STRIPS)
        self._looks: list[Style] = []

    # --- what is written ------------------------------------------------------------

    def begin(self, prompt: str = "") -> None:
        """Start a new text with its prompt."""
        self._flow = Flow(self._flow.width)
        self._bits = []
        self._prompted = bool(prompt)
        if prompt:
            self._flow.extend([(prompt, _PROMPT)])
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
        if tokens >= len(self._bits):
            return
        del self._bits[max(tokens, 0) :]
        self._changed_from(self._flow.truncate(len(self._bits) + self._prompted))

    def clear(self, empty: str | None = None) -> None:
        """Back to the empty state, with another text where one is given."""
        if empty is not None:
            self._empty = empty
        self.begin()

    @property
    def token_count(self) -> int:
        return len(self._bits)

    @property
    def bits_per_token(self) -> float:
        """The mean surprisal of the tokens that have one, in bits; 0 where none has."""
        known = [bits for bits in self._bits if bits is not None]
        return sum(known) / len(known) if known else 0.0

    @property
    def text(self) -> str:
        """The prompt and the tokens, cleaned."""
        return self._flow.text

    @property
    def follow(self) -> bool:
        """The end stays in view as the text grows."""
        return self._following

    def _extend(self, tokens: list[tuple[str, float | None]]) -> None:
        changed = self._flow.extend((text, surprise_class(bits)) for text, bits in tokens)
        self._bits += [bits for _, bits in tokens]
        self._changed_from(changed)

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
        self.refresh()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._kept.clear()
        self._looks = []

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
        for text, mark in self._flow.spans(line):
            if looks[mark].underline:
                # Words are underlined, the space between them is not.
                words = _WORDS.findall(text)
                parts += [(word, looks[_PLAIN if word.isspace() else mark]) for word in words]
            else:
                parts.append((text, looks[mark]))
        return strip_of(parts)

    def _styles(self) -> list[Style]:
        """A style for every mark, as the theme has them now."""
        base = self.rich_style
        expected, unsure, surprising = (
            self.get_component_styles(f"prose--{name}").color
            for name in ("expected", "unsure", "surprising")
        )
        shades = [
            expected,
            expected.blend(unsure, 0.5),
            unsure,
            unsure.blend(surprising, 0.5),
            surprising,
        ]
        looks = [base + Style(color=shade.rich_color) for shade in shades]
        looks[-1] += Style(underline=True)
        if colour_mode(self.app) == "ascii":
            looks[-2] += Style(underline=True)
            looks[-1] += Style(bold=True)
        return [*looks, base, self.get_component_rich_style("prose--prompt")]


def surprise_class(bits: float | None) -> int:
    """0 (expected) to 4 (surprising); 5 where the surprisal is not known."""
    return _PLAIN if bits is None else bisect_right(SURPRISE_EDGES, bits)
