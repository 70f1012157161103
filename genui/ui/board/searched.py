"""A panel of rows with a line to type in: what to look for in them."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from genui.ui.board.row_scroller import RowScroller
from genui.ui.frame import Framed
from genui.ui.leaving import DeafWhenLeaving
from genui.ui.panes.line_input import LineInput


class SearchedPanel(DeafWhenLeaving, Framed, Vertical):
    """Subclasses act on `typed` and say in `tell`, in the border, what came of it.

    The screen gives the panel the keys with `enter`; Esc gives them back.
    """

    DEFAULT_CSS = """
    SearchedPanel {
        width: 1fr;
        height: 1fr;
        & LineInput { display: none; background: $panel; padding: 0 1; }
        &.-typing LineInput { display: block; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Search", show=False),
        Binding("escape", "leave", "Back to the curves", show=False),
    ]

    def __init__(
        self, rows: RowScroller, *, id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._rows = rows

    def compose(self) -> ComposeResult:
        yield self._rows
        yield LineInput(placeholder="a regular expression", compact=True)

    def typed(self, text: str) -> None:
        """The line holds this now; nothing where it was given up."""
        raise NotImplementedError

    def tell(self) -> None:
        """Write the border anew: also when the keys come here, or go."""
        raise NotImplementedError

    def enter(self) -> None:
        """Give the rows the keys: arrows scroll, / searches, Esc goes back."""
        self._rows.focus()

    def action_leave(self) -> None:
        self.screen.set_focus(None)

    def on_descendant_focus(self) -> None:
        self.tell()

    def on_descendant_blur(self) -> None:
        self.call_later(self.tell)

    def action_search(self) -> None:
        """Type what to look for."""
        self.add_class("-typing")
        self.query_one(LineInput).focus()

    @on(LineInput.Changed)
    def _changed(self, event: LineInput.Changed) -> None:
        event.stop()
        self.typed(event.value)

    @on(LineInput.Submitted)
    def _submitted(self, event: LineInput.Submitted) -> None:
        event.stop()
        self._close()

    @on(LineInput.Cancelled)
    def _cancelled(self, event: LineInput.Cancelled) -> None:
        event.stop()
        event.input.value = ""
        self._close()

    def _close(self) -> None:
        self.remove_class("-typing")
        self.enter()
