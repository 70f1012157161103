"""What the windows over the main screen share."""

from typing import Generic, TypeVar

from textual import events
from textual.screen import ModalScreen

from genui.ui.leaving import DeafWhenLeaving
from genui.ui.panes.line_input import LineInput

T = TypeVar("T")


class Window(DeafWhenLeaving, ModalScreen[T], Generic[T]):
    """A modal screen that closes once."""

    def leave(self, result: T) -> None:
        """Close with `result`; a second Enter or Esc, typed before the first acted, is late."""
        if self.is_active:
            self.dismiss(result)


class TypingWindow(Window[T], Generic[T]):
    """A window that opens with its first line to type in."""

    def __init__(self) -> None:
        super().__init__()
        self._early: list[events.Key] = []

    def take_early(self, event: events.Key) -> None:
        """Keep for the line what was typed before there was one, as over a slow link."""
        self._early.append(event)

    def begin_typing(self) -> None:
        """Give the first line the focus at once, and what was typed for it."""
        line = self.query(LineInput).first()
        self.set_focus(line)
        for event in self._early:
            line.take(event)
