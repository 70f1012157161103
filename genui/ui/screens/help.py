"""What the keys of a pane do."""

from typing import ClassVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from genui.ui import keys
from genui.ui.key import Key, Scope
from genui.ui.screens.window import Window


class HelpScreen(Window[None]):
    """The rows of the table for one pane, then those for everywhere."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter,space", "leave", "Back", show=False),
        Binding("f1", "manual", "Manual", show=False),
        Binding("j,down", "scroll_by(1)", "Down", show=False),
        Binding("k,up", "scroll_by(-1)", "Up", show=False),
    ]

    def __init__(self, pane: Scope, keymap: dict[str, str]) -> None:
        super().__init__()
        self._pane: Scope = pane
        self._keymap = keymap

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="window help"):
            yield Static(help_text(self._pane, self._keymap))

    def on_mount(self) -> None:
        window = self.query_one(".window")
        window.border_title = f"Keys of {keys.TITLES[self._pane]}"
        window.border_subtitle = "esc close · f1 manual · ctrl+p every action by name"
        window.focus()

    def action_leave(self) -> None:
        self.leave(None)

    def action_manual(self) -> None:
        """The manual in place of the keys."""
        from genui.ui.screens.manual import ManualScreen

        self.app.switch_screen(ManualScreen(self._pane, keymap=self._keymap))

    def action_scroll_by(self, lines: int) -> None:
        self.query_one(".window").scroll_relative(y=lines, animate=False)


def help_text(pane: Scope, keymap: dict[str, str]) -> Content:
    """Two blocks of `key  what it does`."""
    own = [] if pane == "app" else keys.of_pane(pane)
    common = keys.common(pane)
    words = {key.id: _words(key, keymap) for key in [*own, *common]}
    width = max(cell_len(word) for word in words.values())
    parts: list[str | tuple[str, str]] = []
    for heading, block in ((keys.TITLES[pane], own), ("Everywhere", common)):
        if block:
            parts.append((f"{heading}\n", "bold $text-muted"))
        for key in block:
            word = words[key.id]
            parts.append((f"  {word}{' ' * (width - cell_len(word))}  ", "bold $primary"))
            parts.append((f"{key.tooltip}\n", "$foreground"))
        if block:
            parts.append("\n")
    parts.append(("In a list ↑ ↓ or j k move; the mouse works too.", "$text-muted"))
    return Content.assemble(*parts)


def _words(key: Key, keymap: dict[str, str]) -> str:
    return "  ".join(keys.readable(keymap.get(key.id, key.keys)))
