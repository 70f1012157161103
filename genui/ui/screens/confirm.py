"""A question that needs a yes."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from genui.ui.screens.window import Window


class ConfirmScreen(Window[bool]):
    """Dismissed with True on y or Enter, False on n or Esc."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "answer(True)", "Yes", show=False),
        Binding("n,escape,q", "answer(False)", "No", show=False),
    ]

    def __init__(self, question: str, verb: str) -> None:
        super().__init__()
        self._question = question
        self._verb = verb

    def compose(self) -> ComposeResult:
        with Vertical(classes="window"):
            yield Static(self._question, markup=False)

    def on_mount(self) -> None:
        window = self.query_one(".window")
        window.border_title = "Sure?"
        window.border_subtitle = f"y {self._verb} · esc leave"

    def action_answer(self, yes: bool) -> None:
        self.leave(yes)
