"""What the windows over the main screen share."""

from typing import Generic, TypeVar

from textual.screen import ModalScreen

from genui.ui.leaving import DeafWhenLeaving

T = TypeVar("T")


class Window(DeafWhenLeaving, ModalScreen[T], Generic[T]):
    """A modal screen that closes once."""

    def leave(self, result: T) -> None:
        """Close with `result`; a second Enter or Esc, typed before the first acted, is late."""
        if self.is_active:
            self.dismiss(result)
