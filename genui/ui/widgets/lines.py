"""The base of widgets that draw all their lines at once and send only those that changed."""

import textwrap
from collections.abc import Iterable

from rich.cells import cell_len, get_character_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from genui.render.sanitise import clean_line


class LineWidget(Widget):
    """A widget made of strips, kept until something changes.

    Subclasses implement `draw` and call `redraw` when what they show has changed.
    """

    def __init__(
        self, *, name: str | None = None, id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._strips: list[Strip] = []
        self._stale = True
        self._styles_kept: dict[str, Style] = {}

    def draw(self, width: int, height: int) -> list[Strip]:
        """At most `height` strips of at most `width` cells; missing lines are blank."""
        raise NotImplementedError

    def redraw(self) -> bool:
        """Draw again and send the lines that differ; False where none did."""
        resized = len(self._strips) != self.size.height  # and not told so yet
        if not self.is_mounted or not self.size or self._stale or resized:
            # Nothing was painted yet, or all of it is about to be.
            self._stale = True
            self.refresh()
            return True
        before, self._strips = self._strips, self._drawn()
        changed = [
            Region(first, y, last - first, 1)
            for y, (old, new) in enumerate(zip(before, self._strips, strict=True))
            for first, last in _difference(old, new)
        ]
        if changed:
            self.refresh(*changed)
        return bool(changed)

    def _drawn(self) -> list[Strip]:
        width, height = self.size
        base = self.rich_style
        strips = [
            strip.adjust_cell_length(width, base) for strip in self.draw(width, height)[:height]
        ]
        blank = Strip.blank(width, base)
        return strips + [blank] * (height - len(strips))

    def render_line(self, y: int) -> Strip:
        if self._stale or len(self._strips) != self.size.height:
            self._strips, self._stale = self._drawn(), False
        if y < len(self._strips):
            return self._strips[y]
        return Strip.blank(self.size.width, self.rich_style)

    def notify_style_update(self) -> None:
        """The theme or a class changed, so every style kept in a strip is out of date."""
        super().notify_style_update()
        self._stale = True
        self._styles_kept.clear()

    def on_resize(self) -> None:
        self._stale = True

    def style(self, component: str) -> Style:
        """The component class `component` as a style with foreground and background."""
        if component not in self._styles_kept:  # to compute all of a curve's takes 3 ms
            self._styles_kept[component] = self.get_component_rich_style(component)
        return self._styles_kept[component]

    def message(self, text: str, component: str, width: int, height: int) -> list[Strip]:
        """`text` in the middle of the room, for a widget that has nothing to show yet."""
        return message_strips(text, self.style(component), self.rich_style, width, height)


def _difference(old: Strip, new: Strip) -> list[tuple[int, int]]:
    """The first cell in which two strips of one width differ, and one past the last; or none."""
    if old == new:
        return []
    least = min(len(old), len(new))
    head = next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), least)
    ends = zip(reversed(old), reversed(new), strict=False)
    tail = min(next((n for n, (a, b) in enumerate(ends) if a != b), least), least - head)
    start = sum(part.cell_length for part in list(new)[:head])
    before = _cells(list(old)[head : len(old) - tail])
    after = _cells(list(new)[head : len(new) - tail])
    if len(before) != len(after):
        return [(0, new.cell_length)]
    differ = [x for x, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    if not differ:
        return []
    first, last = differ[0], differ[-1] + 1
    while first and not (before[first][0] and after[first][0]):  # a wide character's second cell
        first -= 1
    return [(start + first, min(start + last + 1, new.cell_length))]


def _cells(parts: Iterable[Segment]) -> list[tuple[str, Style | None]]:
    """Every cell's character and style; a wide character's second cell has none."""
    cells: list[tuple[str, Style | None]] = []
    for text, style, _ in parts:
        for character in text:
            size = get_character_cell_size(character)
            cells += [(character, style), ("", style)][:size] if size else []
    return cells


def strip_of(parts: Iterable[tuple[str, Style]]) -> Strip:
    """A strip of styled texts; empty ones are left out."""
    return Strip([Segment(text, style) for text, style in parts if text])


def message_strips(text: str, style: Style, base: Style, width: int, height: int) -> list[Strip]:
    """`text` wrapped and centred in `width` × `height` cells of `base`."""
    lines = textwrap.wrap(clean_line(text), max(width - 2, 1))[:height]
    above = [Strip.blank(width, base)] * ((height - len(lines)) // 2)
    return above + [
        strip_of([(" " * ((width - cell_len(line)) // 2), base), (line, style)]) for line in lines
    ]
