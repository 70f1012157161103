"""A small window of a few lines to fill in, which says in place what is wrong with them."""

from collections.abc import Callable, Sequence
from typing import ClassVar, Generic, NamedTuple, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Label, Static

from genui.errors import MisuseError
from genui.ui.panes.line_input import LineInput
from genui.ui.screens.window import TypingWindow

T = TypeVar("T")


class Field(NamedTuple):
    """One line of a form."""

    label: str
    value: str = ""
    placeholder: str = ""


class FormScreen(TypingWindow[T | None], Generic[T]):
    """Dismissed with what `parse` made of the lines, in order, or None on Esc.

    `parse` raises MisuseError for lines that will not do; its words are shown and the window
    stays.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "app.focus_next", "Next", show=False),
        Binding("up", "app.focus_previous", "Previous", show=False),
    ]

    def __init__(
        self, title: str, fields: Sequence[Field], hint: str, parse: Callable[[list[str]], T]
    ) -> None:
        super().__init__()
        self._title = title
        self._fields = tuple(fields)
        self._hint = hint
        self._parse = parse

    def compose(self) -> ComposeResult:
        with Vertical(classes="window form"):
            for label, value, placeholder in self._fields:
                with Horizontal(classes="field"):
                    yield Label(label, markup=False)
                    yield LineInput(value, placeholder=placeholder, compact=True)
            yield Static(self._hint, classes="hint", markup=False)
            yield Static(classes="fault", markup=False)

    def on_mount(self) -> None:
        window = self.query_one(".window")
        window.border_title = self._title
        window.border_subtitle = "⏎ next, then start · esc leave"
        self.begin_typing()

    @property
    def _lines(self) -> list[LineInput]:
        return list(self.query(LineInput))

    @on(LineInput.Submitted)
    def _submitted(self, event: LineInput.Submitted) -> None:
        """Enter goes down the form; in its last line it is done.

        One typed before the focus had moved was meant for the line that has it now.
        """
        lines = self._lines
        at = next(at for at, line in enumerate(lines) if line is (self.focused or event.input))
        if at < len(lines) - 1:
            self.set_focus(lines[at + 1])
            return
        try:
            self.leave(self._parse([line.value for line in self._lines]))
        except MisuseError as error:
            self.query_one(".fault", Static).update(str(error))

    @on(LineInput.Changed)
    def _typed(self) -> None:
        self.query_one(".fault", Static).update("")

    @on(LineInput.Cancelled)
    def _cancelled(self) -> None:
        self.leave(None)
