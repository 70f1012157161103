"""A window with a list to choose one row from."""

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from genui.ui.panes.rows import Row, RowList
from genui.ui.screens.window import Window


class ChooseScreen(Window[str | None]):
    """Dismissed with the key of the row that was chosen, or None on Esc."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "Take", show=False),
        Binding("escape,q", "leave", "Leave", show=False),
    ]

    def __init__(self, title: str, rows: Sequence[Row], verb: str, empty: str) -> None:
        super().__init__()
        self._title = title
        self._rows = tuple(rows)
        self._verb = verb
        self._empty = empty

    def compose(self) -> ComposeResult:
        with Vertical(classes="window choose"):
            yield RowList()

    def on_mount(self) -> None:
        window = self.query_one(".window")
        window.border_title = self._title
        window.border_subtitle = f"⏎ {self._verb} · esc leave" if self._rows else "esc leave"
        rows = self.query_one(RowList)
        rows.set_rows(self._rows, self._empty)
        rows.focus()

    @on(RowList.Opened)
    def action_take(self) -> None:
        if chosen := self.query_one(RowList).chosen:
            self.leave(chosen)

    def action_leave(self) -> None:
        self.leave(None)
