"""What the mixins of the Training screen, each some of its keys, ask of it."""

from typing import Any, Literal

from textual.screen import Screen

from genui.ui.board.board import Board


class BoardActions(Screen[Any]):
    """A screen that owns a Board, changes it, paints it, and has a line to speak in."""

    board: Board

    def change(self, **fields: Any) -> None:
        """Take another view: fields of ViewState by name, painted at once."""
        raise NotImplementedError

    def say(self, line: str, kind: Literal["error", "note", "hint"] = "error") -> None:
        """One line above the footer."""
        raise NotImplementedError
