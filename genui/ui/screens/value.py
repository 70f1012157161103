"""A small window that asks for one value and says in place what is wrong with it."""

from collections.abc import Callable
from typing import ClassVar, Generic, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Static

from genui.errors import MisuseError
from genui.ui.panes.line_input import LineInput
from genui.ui.screens.window import TypingWindow

T = TypeVar("T")


class ValueScreen(TypingWindow[T | None], Generic[T]):
    """Dismissed with what `parse` made of the text, or None on Esc.

    `parse` raises MisuseError for text that will not do; its line is shown and the
    window stays.
    """

    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self, title: str, value: str, hint: str, parse: Callable[[str], T]) -> None:
        super().__init__()
        self._title = title
        self._value = value
        self._hint = hint
        self._parse = parse

    def compose(self) -> ComposeResult:
        with Vertical(classes="window"):
            yield LineInput(self._value, compact=True)
            yield Static(self._hint, classes="hint", markup=False)
            yield Static(classes="fault", markup=False)

    def on_mount(self) -> None:
        window = self.query_one(".window")
        window.border_title = self._title
        window.border_subtitle = "⏎ set · esc leave"
        self.begin_typing()

    @on(LineInput.Submitted)
    def _submitted(self, event: LineInput.Submitted) -> None:
        try:
            self.leave(self._parse(event.value))
        except MisuseError as error:
            self.query_one(".fault", Static).update(str(error))

    @on(LineInput.Cancelled)
    def _cancelled(self) -> None:
        self.leave(None)
