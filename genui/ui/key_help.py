"""The window with the keys of a pane."""

import textwrap
from typing import ClassVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

from genui.base.late import late_imports
from genui.ui import keys
from genui.ui.keys import Scope
from genui.ui.widgets.dialogs import ReadScreen

with late_imports():
    from genui.ui import manual


class HelpScreen(ReadScreen):
    """The keys of a pane, then those that work everywhere."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "leave", "Back", show=False),
        Binding("f1", "manual", "Manual", show=False),
    ]

    def __init__(self, pane: Scope, keymap: dict[str, str]) -> None:
        super().__init__()
        self._pane: Scope = pane
        self._keymap = keymap

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="window help"):
            yield KeyTable(self._pane, self._keymap)

    def on_mount(self) -> None:
        title = f"Keys of {keys.titles()[self._pane]}"
        self.set_titles(title, "esc close · f1 manual · ctrl+p every action by name")

    def action_manual(self) -> None:
        """Show the manual instead of the keys."""
        self.app.switch_screen(manual.ManualScreen(self._pane, keymap=self._keymap))


class KeyTable(Widget):
    """The keys of a pane, then those that work everywhere, and the entries of the palette."""

    DEFAULT_CSS = "KeyTable { height: auto; }"

    def __init__(self, pane: Scope, keymap: dict[str, str]) -> None:
        super().__init__()
        self._pane: Scope = pane
        self._keymap = keymap

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return self._text(width).plain.count("\n") + 1

    def render(self) -> Content:
        return self._text(self.content_size.width)

    def _text(self, width: int) -> Content:
        return help_text(self._pane, self._keymap, width)


def help_text(pane: Scope, keymap: dict[str, str], width: int) -> Content:
    """Return the lines `key  what it does`, each wrapped within its column."""
    own = [] if pane == "app" else keys.of_pane(pane)
    labels = {
        key.id: "  ".join(keys.format_keys(keymap.get(key.id, key.keys)))
        for key in [*own, *keys.common(pane)]
    }
    unbound = [key.description for key in own if not labels[key.id]]
    room = max(cell_len(label) for label in labels.values())
    indent = " " * (room + 4)
    parts: list[str | tuple[str, str]] = []
    for heading, block in ((keys.titles()[pane], own), ("Everywhere", keys.common(pane))):
        rows = [key for key in block if labels[key.id]]
        if rows:
            parts.append((f"{heading}\n", "bold $text-muted"))
        for key in rows:
            label = labels[key.id]
            lines = textwrap.wrap(key.tooltip, max(width - len(indent), 20))
            parts.append((f"  {label}{' ' * (room - cell_len(label))}  ", "bold $primary"))
            parts.append((f"\n{indent}".join(lines) + "\n", "$foreground"))
        if rows:
            parts.append("\n")
    if unbound:
        parts.append(("Without a key, in the palette (ctrl+p)\n", "bold $text-muted"))
        names = textwrap.wrap(" · ".join(unbound), max(width - 2, 20))
        parts.append(("  " + "\n  ".join(names) + "\n\n", "$foreground"))
    parts.append(("In a list ↑ ↓ or j k move; the mouse works too.", "$text-muted"))
    return Content.assemble(*parts)
