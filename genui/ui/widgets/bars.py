"""Widgets of one line: any text, and the header, status and footer around the panes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, cast

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.style import Style
from textual.timer import Timer
from textual.widgets import Static

from genui.base.text import clean_line, shorten_middle
from genui.ui import keys
from genui.ui.arrangement import arrange
from genui.ui.keys import Key, Scope, list_views
from genui.ui.messages import ViewName
from genui.ui.widgets.inputs import LineInput
from genui.ui.widgets.lines import set_tooltip

if TYPE_CHECKING:
    from genui.ui.app import Shell


def clickable(text: str, style: str, action: str, about: str = "") -> tuple[str, Style]:
    """Return a part of a Line that runs an action when clicked, without the style of a link; under
    the mouse, `about` is shown."""
    return text, Style.parse(style) + Style.from_meta({"action": action, "about": about})


class Line(Static):
    """One line that repaints only when its content changes."""

    async def on_click(self, event: events.Click) -> None:
        action = event.style.meta.get("action")
        if action:
            await self.run_action(action)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        set_tooltip(self, event.style.meta.get("about", ""))

    @property
    def keymap(self) -> Mapping[str, str]:
        """The user's own keys, by id."""
        return getattr(self.app, "user_keys", {})

    def show(self, content: Content) -> None:
        before = self.content
        if not (isinstance(before, Content) and before.is_same(content)):
            self.update(content, layout=False)


class HeaderLine(Line):
    """`genui  1 Home 2 Text …` and, at the right, runs, energy, device and bytes a second.

    In a terminal that shows one pane at a time, these are the tabs, and Home is the list of models.
    """

    def __init__(self) -> None:
        super().__init__(id="header")
        self._view: ViewName = "home"
        self._alone = False
        self._cost = ""

    def set(self, view: ViewName, alone: bool = False, cost: str = "") -> None:
        """Show the current view, live trainings, `cost`, the energy of what is shown, the worker's
        device and precision, bytes/second; the last of these are left out if there is no room.

        With `alone` there are no other views.
        """
        self._view, self._alone, self._cost = view, alone, cost
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        left = [(" genui ", Style.parse("bold $background on $primary")), ("  ", Style())]
        tabbed = arrange(*self.app.size) == "tabs"
        for key in list_views():
            view = key.id.removeprefix("app.")
            name = "Models" if tabbed and view == "home" else key.description.title()
            current = view == self._view
            if self._alone and not current:
                continue
            action, about = f"screen.{key.action}", keys.explain(key, self.keymap)
            if not self._alone:
                style = "bold $primary" if current else "$text-muted"
                left.append(clickable(f"{key.shown} ", style, action, about))
            style = "bold $foreground" if current else "$text-muted"
            left.append(clickable(f"{name}  ", style, action, about))
        line = Content.assemble(*left)
        shell, right = cast("Shell", self.app), list[tuple[str, str]]()
        if shell.live:
            right += [("● ", "$text-success"), (f"{shell.live} training", "$foreground")]
        for text in filter(None, (self._cost, shell.machine, shell.traffic)):
            right.append((f" · {text}" if right else text, "$text-muted"))
        end, room = Content.assemble(*right), self.size.width - line.cell_length - 1
        while right and end.cell_length > room:
            right.pop()
            end = Content.assemble(*right)
        if right:
            line = Content.assemble(line, " " * (room - end.cell_length), end)
        self.show(line)


FADE = 6.0
"""Seconds for which a note is shown. An error stays until a key, a hint until the user acts."""


class StatusLine(Line):
    """One line: an error with its remedy, or a note on what just happened. The middle of a longer
    one is left out, and the key that shows all of it is named."""

    def __init__(self) -> None:
        super().__init__(id="status")
        self._line = ""
        self.kind: Literal["error", "note", "hint"] = "note"
        self._fading: Timer | None = None

    @property
    def text(self) -> str:
        """The text; "" while hidden."""
        return str(self.content) if self.has_class("-shown") else ""

    def say(self, line: str, kind: Literal["error", "note", "hint"]) -> None:
        """Show `line` until it fades, the next one comes, or it is cleared."""
        self._line, self.kind = clean_line(line), kind
        self._draw()
        self.add_class("-shown")
        if self._fading is not None:
            self._fading.stop()
        self._fading = self.set_timer(FADE, self.clear_line) if kind == "note" else None

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        mark = {"error": ("✗ ", "bold $text-error"), "note": ("· ", "$primary")}.get(
            self.kind, ("▸ ", "bold $accent")
        )
        style = "$text-error" if self.kind == "error" else "$foreground"
        room = self.app.size.width - 2 - cell_len(mark[0])  # without the padding
        line, rest = self._line, ""
        if cell_len(line) > room:
            key = keys.display(keys.MESSAGES, self.keymap)
            rest = f"  {key} shows all"
            line = shorten_middle(line, room - cell_len(rest))
        self.show(Content.assemble(mark, (line, style), (rest, "$text-muted")))

    def clear_line(self) -> None:
        self.remove_class("-shown")


class FooterLine(Line):
    """The keys of the focused pane: as many as fit, and always help and quit.

    While a line is typed, its keys.
    """

    def __init__(self) -> None:
        super().__init__(id="footer")
        self._pane: Scope = "models"
        self._zoomed = False
        self._without: frozenset[str] = frozenset()
        self._names: Mapping[str, str] = {}

    def set(
        self,
        pane: Scope,
        zoomed: bool,
        without: frozenset[str] = frozenset(),
        names: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Show the keys of a pane, except those with the ids `without`; `names` has other words for
        some keys, by id, in place of the table's."""
        self._pane, self._zoomed = pane, zoomed
        self._without, self._names = without, names
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        line = self.screen.focused
        if isinstance(line, LineInput):
            self.show(Content.assemble(*_hint_parts(line.hints)))
            return
        rows = [
            replace(key, description=self._names.get(key.id, key.description))
            for key in keys.footer(self._pane)
            if key.id not in self._without
        ]
        if self._zoomed:
            back = keys.find_key("app.back")
            rows = [back if key.action == "zoom" else key for key in rows]
        parts = []
        for key in fit_keys(rows, self.size.width, self.keymap):
            label, action = keys.display(key, self.keymap), f"app.press('{key.id}')"
            about = keys.explain(key, self.keymap)
            parts.append(clickable(f" {label}", "bold $primary", action, about))
            parts.append(clickable(f" {key.description} ", "$text-muted", action, about))
        self.show(Content.assemble(*parts))


def _hint_parts(hints: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for key, does in hints:
        yield f" {key}", "bold $primary"
        yield f" {does} ", "$text-muted"


def fit_keys(rows: Sequence[Key], width: int, keymap: Mapping[str, str]) -> list[Key]:
    """Return the first keys that fit in `width` cells, with those that are always shown."""

    def cells(key: Key) -> int:
        return cell_len(keys.display(key, keymap)) + cell_len(key.description) + 3

    room = width - sum(cells(key) for key in rows if keys.is_always_shown(key))
    shown = []
    for key in rows:
        if not keys.is_always_shown(key):
            room -= cells(key)
        if room >= 0 or keys.is_always_shown(key):
            shown.append(key)
    return shown
