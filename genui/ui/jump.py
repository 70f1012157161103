"""Jump mode: a letter on each pane and field that is seen; the letter focuses it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from textual import events
from textual.app import ComposeResult
from textual.geometry import Offset
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from genui.ui.widgets.borders import Framed
from genui.ui.widgets.dialogs import Window

LETTERS = "asdfghjklqwertyuiopzxcvbnm"


class Target(NamedTuple):
    """The place of a letter on the screen, and its action."""

    place: Offset
    focus: Callable[[], object]


def list_fields(screen: Screen[Any]) -> list[Target]:
    """The widgets of a screen that take keys and are seen: the letter of a pane is in the corner of
    its border, the letter of a line stands before it."""

    def field(widget: Widget) -> Target:
        boxes = (node for node in widget.ancestors_with_self if isinstance(node, Widget))
        framed = (node for node in boxes if isinstance(node, Framed) or node.has_class("box"))
        box = next(framed, None)
        place = widget.region.offset - (2, 0) if box is None else box.region.offset
        return Target(place, lambda: screen.set_focus(widget))

    return [field(widget) for widget in screen.focus_chain if widget.is_on_screen]


class JumpScreen(Window[Target | None]):
    """Dismissed with the target of the letter that is pressed, or None by any other key."""

    def __init__(self, targets: Sequence[Target]) -> None:
        super().__init__()
        self._targets = dict(zip(LETTERS, targets, strict=False))

    def compose(self) -> ComposeResult:
        for letter, target in self._targets.items():
            label = Static(f" {letter} ", classes="jump")
            label.styles.offset = target.place
            yield label

    def on_key(self, event: events.Key) -> None:
        event.stop()
        self.leave(self._targets.get(event.key))
