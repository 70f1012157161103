"""The lines around the panes: what there is (top), what just happened, and the keys (bottom)."""

from collections.abc import Sequence
from typing import Literal

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.style import Style
from textual.widgets import Static

from genui.render.sanitise import clean_line
from genui.ui import keys
from genui.ui.key import Key, PaneName, Scope
from genui.ui.messages import ViewName

VIEWS: tuple[tuple[str, str, ViewName], ...] = (
    ("1", "Home", "home"),
    ("2", "Text", "text"),
    ("3", "Canvas", "canvas"),
    ("4", "Training", "training"),
    ("5", "Lab", "lab"),
)
TABS: tuple[PaneName, ...] = ("models", "training", "text", "canvas")


def clickable(text: str, style: str, action: str) -> tuple[str, Style]:
    """A part of a Line that runs an action when clicked (without the looks of a link)."""
    return text, Style.parse(style) + Style.from_meta({"action": action})


class Line(Static):
    """One line that repaints only when what it says is new."""

    WRAPS = False  # whether it may need another line, and so another layout

    async def on_click(self, event: events.Click) -> None:
        action = event.style.meta.get("action")
        if action:
            await self.run_action(action)

    def show(self, content: Content) -> None:
        """Say this."""
        shown = self.content
        if not (isinstance(shown, Content) and shown.is_same(content)):
            self.update(content, layout=self.WRAPS)


class SettingLines(Line):
    """A line for each setting of a pane."""

    WRAPS = True  # it may get a line more


class HeaderLine(Line):
    """`genui  1 Home 2 Text …` and, at the right, what runs where and what the link carries."""

    def __init__(self) -> None:
        super().__init__(id="header")
        self._view: ViewName = "home"
        self._alone = False
        self._right: tuple[tuple[str, str], ...] = ()

    def set(
        self, view: ViewName, trainings: int, machine: str, traffic: str, alone: bool = False
    ) -> None:
        """The screen shown, live trainings, the worker's device and precision, bytes a second.

        `alone`: there is no other screen to go to.
        """
        right: list[tuple[str, str]] = []
        if trainings:
            right += [("● ", "$text-success"), (f"{trainings} training", "$foreground")]
        for word in (machine, traffic):
            if word:
                right.append((f" · {word}" if right else word, "$text-muted"))
        self._view, self._alone, self._right = view, alone, tuple(right)
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        left = [(" genui ", Style.parse("bold $background on $primary")), ("  ", Style())]
        for digit, name, view in VIEWS:
            here = view == self._view
            if self._alone and not here:
                continue
            action = f"screen.view('{view}')"
            if not self._alone:
                left.append(
                    clickable(f"{digit} ", "bold $primary" if here else "$text-muted", action)
                )
            left.append(
                clickable(f"{name}  ", "bold $foreground" if here else "$text-muted", action)
            )
        line = Content.assemble(*left)
        end = Content.assemble(*self._right)
        gap = self.size.width - line.cell_length - end.cell_length - 1
        if gap >= 0:
            line = Content.assemble(line, " " * gap, end)
        self.show(line)


class TabsLine(Line):
    """Where one pane is shown at a time: which, and which others there are."""

    def __init__(self) -> None:
        super().__init__(id="tabs")

    def set(self, current: PaneName) -> None:
        """The pane that is shown."""
        parts = []
        for pane in TABS:
            style = "bold $background on $primary" if pane == current else "$text-muted"
            parts.append(clickable(f" {pane.title()} ", style, f"screen.show_pane('{pane}')"))
            parts.append((" ", Style()))
        self.show(Content.assemble(*parts, ("  tab next", "$text-disabled")))


class StatusLine(Line):
    """One plain line: a fault with its remedy, or what just happened."""

    WRAPS = True

    def __init__(self) -> None:
        super().__init__(id="status")

    @property
    def text(self) -> str:
        """What it says, "" while hidden."""
        return str(self.content) if self.has_class("-shown") else ""

    def say(self, line: str, kind: Literal["error", "note", "hint"]) -> None:
        """Say this until the next thing, or until it is cleared."""
        mark = {"error": ("✗ ", "bold $text-error"), "note": ("· ", "$primary")}.get(
            kind, ("▸ ", "bold $accent")
        )
        style = "$text-error" if kind == "error" else "$foreground"
        self.show(Content.assemble(mark, (clean_line(line), style)))
        self.add_class("-shown")

    def clear_line(self) -> None:
        """Say nothing, and give the line back."""
        self.remove_class("-shown")


class FooterLine(Line):
    """The keys of the focused pane: as many as fit whole, help and quit always among them."""

    def __init__(self) -> None:
        super().__init__(id="footer")
        self._pane: Scope = "models"
        self._zoomed = False
        self._keymap: dict[str, str] = {}
        self._without: frozenset[str] = frozenset()

    def set(
        self,
        pane: Scope,
        zoomed: bool,
        keymap: dict[str, str],
        without: frozenset[str] = frozenset(),
    ) -> None:
        """The pane whose keys to show, but not those `without`, by their ids."""
        self._pane, self._zoomed, self._keymap = pane, zoomed, keymap
        self._without = without
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        offered = [key for key in keys.footer(self._pane) if key.id not in self._without]
        if self._zoomed:
            back = next(key for key in keys.TABLE if key.id == "app.back")
            offered = [back if key.action == "zoom" else key for key in offered]
        parts = []
        for key in fitting(offered, self.size.width, self._keymap):
            word, action = keys.shown_after(key, self._keymap), f"app.press('{key.id}')"
            parts.append(clickable(f" {word}", "bold $primary", action))
            parts.append(clickable(f" {key.description} ", "$text-muted", action))
        self.show(Content.assemble(*parts))


def fitting(offered: Sequence[Key], width: int, keymap: dict[str, str]) -> list[Key]:
    """The keys that fit whole into `width` cells, pinned ones first served, order kept."""

    def cells(key: Key) -> int:
        return cell_len(keys.shown_after(key, keymap)) + cell_len(key.description) + 3

    room = width - sum(cells(key) for key in offered if keys.pinned(key))
    kept = []
    for key in offered:
        if keys.pinned(key):
            kept.append(key)
        else:
            room -= cells(key)  # once one does not fit, no less useful one takes its place
            if room >= 0:
                kept.append(key)
    return kept
