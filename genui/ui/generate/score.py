"""Scoring a file in the Text pane: its text, each token coloured by its surprise."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from genui.base.errors import MisuseError
from genui.base.files import read_regular
from genui.base.numbers import size
from genui.base.text import clean_line
from genui.formats.kinds import saves_of
from genui.formats.text import plain_text
from genui.ui.generate.actions import Actions
from genui.ui.generate.chat import ChatController
from genui.ui.widgets.dialogs import make_value_screen

if TYPE_CHECKING:
    from genui.ui.generate.pane import TracePane

LARGEST = 64_000  # bytes of a file
REMEDY = f"name a text of up to {size(LARGEST)}; genui score takes longer ones"


class ScoreActions(Actions):
    """Opening a file and scoring it."""

    def __init__(self, pane: "TracePane", controller: ChatController) -> None:
        super().__init__(pane)
        self._controller = controller

    def action_score(self) -> None:
        """Ask for a file, and show its text as a branch."""
        controller = self._controller
        if not controller.has_model():
            return
        kind = controller.model.kind if controller.model is not None else None
        if kind is not None and saves_of(kind).record is not None:
            self.pane.say("a server does not give every token's odds: choose another model")
            return
        window = make_value_screen("Score a file", "", REMEDY, _parse_path, "read")
        self.pane.ask(window, self._read)

    def _read(self, path: Path) -> None:
        def read() -> str:
            data = read_regular(path, LARGEST, REMEDY, MisuseError)
            return plain_text(data, clean_line(path.name, 40))

        def show(text: str) -> None:
            self._controller.read_text(text, f"read {clean_line(path.name, 24)}")

        self.run("score", read, show, exclusive=True)


def _parse_path(text: str) -> Path:
    """The path of a file. Raises MisuseError if none was typed, or of an unknown user."""
    if not text.strip():
        raise MisuseError("give the name of a text file")
    try:
        return Path(os.path.expanduser(text.strip()))
    except RuntimeError as error:
        raise MisuseError(f"{clean_line(text)}: {error}") from None
